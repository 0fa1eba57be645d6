//! The plugins that a file exports, read from its ELF headers and dynamic symbols. No code of the file runs, and no
//! other part of it is read.
//!
//! This check refuses files on which the dynamic loader would crash or fail with a message of its own: other file
//! types, truncated files, other machines. `library` compares the function tables later.

use std::fs::File;
use std::path::Path;

use medcoss_abi::SYMBOL_PREFIX;
use medcoss_caller::answers::is_identifier;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::{Endianness, ReadCache, ReadRef};

use crate::contracts::{CONTRACTS, spoken, version_and_id};

/// The machine that this program was compiled for; plugins must be built for it, too.
const MACHINE: Option<elf::Machine> = if cfg!(target_arch = "x86_64") {
    Some(elf::EM_X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(elf::EM_AARCH64)
} else if cfg!(target_arch = "riscv64") {
    Some(elf::EM_RISCV)
} else {
    None
};

/// The reason why a file exports no plugin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAPlugin {
    #[error("it cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it is empty")]
    Empty,
    #[error("it is not an ELF shared library")]
    NotElf,
    #[error("it is truncated or damaged: {0}")]
    Damaged(String),
    #[error("it is built for {found}; this program is built for {}", own_machine())]
    Machine { found: String },
    #[error("it is an ELF file, but not a shared library")]
    NotShared,
    #[error("it exports no symbol that begins with {SYMBOL_PREFIX}")]
    NoSymbol,
    #[error(
        "it exports {symbol}, which is of another version of the plugin contract; this host speaks version {}",
        spoken(CONTRACTS)
    )]
    OtherContract { symbol: String },
    #[error("its symbol {symbol} does not end in an id (a lower-case letter, then lower-case letters, digits or _)")]
    BadId { symbol: String },
    #[error("its symbol {symbol} has {found} bytes; a plugin header has {expected}")]
    SmallHeader { symbol: String, found: u64, expected: u64 },
}

impl NotAPlugin {
    /// The remedy for a file that exports no plugin.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(error) if error.kind() == std::io::ErrorKind::NotFound => "check the path",
            Self::Unreadable(_) => "check the permissions of the file",
            Self::NotAFile | Self::NotElf | Self::NotShared => {
                "give the .so file that cargo builds of a plugin's crate"
            }
            Self::Empty | Self::Damaged(_) => "copy or build the file again",
            Self::Machine { .. } => "build the plugin for this machine",
            Self::NoSymbol => "if it is to be a plugin, its crate calls export_plugin! and has crate-type \"cdylib\"",
            Self::OtherContract { .. } | Self::BadId { .. } | Self::SmallHeader { .. } => {
                "build the plugin against the SDK of this host's version"
            }
        }
    }

    /// Whether the file appears to be meant as a plugin of this host. Other libraries in a searched folder are not
    /// reported.
    pub(crate) fn is_meant_as_plugin(&self) -> bool {
        matches!(self, Self::OtherContract { .. } | Self::BadId { .. } | Self::SmallHeader { .. })
    }
}

/// The ids of the plugins that a file exports, in order.
///
/// # Errors
/// [`NotAPlugin`]; never an empty list.
pub(crate) fn plugin_ids(path: &Path) -> Result<Vec<String>, NotAPlugin> {
    // Opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(NotAPlugin::Unreadable)?;
    if !metadata.is_file() {
        return Err(NotAPlugin::NotAFile);
    }
    if metadata.len() == 0 {
        return Err(NotAPlugin::Empty);
    }
    let file = ReadCache::new(File::open(path).map_err(NotAPlugin::Unreadable)?);
    let data = &file;
    let found = data.read_bytes_at(0, metadata.len().min(elf::ELFMAG.len() as u64)).unwrap_or_default();
    if found != elf::ELFMAG {
        return Err(NotAPlugin::NotElf);
    }
    let damaged = |error: object::Error| NotAPlugin::Damaged(error.to_string());
    let header = data.read_at::<FileHeader64<Endianness>>(0);
    let header = header.map_err(|()| NotAPlugin::Damaged("the header is incomplete".into()))?;
    check_machine(header)?;
    // Refuses unknown versions of the format.
    let header = FileHeader64::<Endianness>::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_type(endian) != elf::ET_DYN {
        return Err(NotAPlugin::NotShared);
    }
    for segment in header.program_headers(endian, data).map_err(damaged)? {
        let (start, size) = segment.file_range(endian);
        let whole = start.checked_add(size).is_some_and(|end| end <= metadata.len());
        if segment.p_type(endian) == elf::PT_LOAD && !whole {
            let missing = start.saturating_add(size) - metadata.len();
            return Err(NotAPlugin::Damaged(format!("{missing} bytes are missing at the end")));
        }
    }
    let sections = header.sections(endian, data).map_err(damaged)?;
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM).map_err(damaged)?;
    let mut ids = Vec::new();
    let mut other = None;
    for symbol in symbols.iter().filter(|symbol| symbol.is_definition(endian, symbols.strings())) {
        let Ok(name) = str::from_utf8(symbol.name(endian, symbols.strings()).map_err(damaged)?) else { continue };
        let Some((version, id)) = version_and_id(name) else { continue };
        match CONTRACTS.iter().find(|contract| contract.major == version) {
            Some(contract) => ids.push(checked_id(name, id, symbol.st_size(endian), contract.header_bytes)?),
            None => other = Some(name.to_string()),
        }
    }
    match (ids.is_empty(), other) {
        (true, Some(symbol)) => Err(NotAPlugin::OtherContract { symbol }),
        (true, None) => Err(NotAPlugin::NoSymbol),
        (false, _) => {
            ids.sort();
            // The file exports one plugin by several versions of the contract.
            ids.dedup();
            Ok(ids)
        }
    }
}

/// What the dynamic section says of other libraries.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Names of the libraries that this one needs (`DT_NEEDED`).
    pub(crate) libraries: Vec<String>,
    /// Folders that it names itself to look for them (`DT_RPATH`, `DT_RUNPATH`).
    pub(crate) folders: Vec<String>,
}

/// What a library needs. A file that cannot be read needs nothing.
pub(crate) fn needs(file: &File) -> Needs {
    let read = || -> object::read::Result<Needs> {
        let cache = ReadCache::new(file);
        let data = &cache;
        let header = FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let mut needs = Needs::default();
        let Some((entries, strings)) = sections.dynamic(endian, data)? else { return Ok(needs) };
        let strings = sections.strings(endian, data, strings)?;
        for entry in entries {
            let text = || String::from_utf8_lossy(strings.get(entry.d_val(endian) as u32).unwrap_or_default());
            match entry.d_tag(endian) {
                elf::DT_NEEDED => needs.libraries.push(text().into_owned()),
                elf::DT_RPATH | elf::DT_RUNPATH => needs.folders.extend(text().split(':').map(String::from)),
                _ => {}
            }
        }
        Ok(needs)
    };
    read().unwrap_or_default()
}

/// Whether a library searches for others beside itself: `$ORIGIN` in one of its search paths.
pub(crate) fn names_origin(file: &File) -> bool {
    needs(file).folders.iter().any(|folder| folder.contains("$ORIGIN") || folder.contains("${ORIGIN"))
}

/// A header smaller than ours would be read past its end.
fn checked_id(symbol: &str, id: &str, size: u64, expected: u64) -> Result<String, NotAPlugin> {
    if !is_identifier(id) {
        return Err(NotAPlugin::BadId { symbol: symbol.into() });
    }
    if size < expected {
        return Err(NotAPlugin::SmallHeader { symbol: symbol.into(), found: size, expected });
    }
    Ok(id.into())
}

/// Class, byte order and machine. The fields before and of the machine have the same places in both classes.
fn check_machine(header: &FileHeader64<Endianness>) -> Result<(), NotAPlugin> {
    let wide = header.is_class_64();
    let little = header.is_little_endian();
    let endian = if little { Endianness::Little } else { Endianness::Big };
    let machine = header.e_machine(endian);
    let fits = wide == cfg!(target_pointer_width = "64")
        && little == cfg!(target_endian = "little")
        && MACHINE.is_none_or(|own| own == machine);
    if fits {
        return Ok(());
    }
    let name = match machine {
        elf::EM_X86_64 => "x86_64".into(),
        elf::EM_386 => "x86".into(),
        elf::EM_AARCH64 => "aarch64".into(),
        elf::EM_ARM => "arm".into(),
        elf::EM_RISCV => "riscv".into(),
        elf::EM_PPC64 => "powerpc64".into(),
        elf::EM_S390 => "s390".into(),
        elf::Machine(number) => format!("machine {number}"),
    };
    Err(NotAPlugin::Machine { found: machine_in_words(&name, wide, little) })
}

fn own_machine() -> String {
    machine_in_words(std::env::consts::ARCH, cfg!(target_pointer_width = "64"), cfg!(target_endian = "little"))
}

fn machine_in_words(name: &str, wide: bool, little: bool) -> String {
    format!("{name}, {} bit, {}-endian", if wide { 64 } else { 32 }, if little { "little" } else { "big" })
}
