//! Renames the one symbol that the bridge exports. The host reads a plugin's id from the symbol table of its library, without running
//! anything, so each packed module needs a library with a symbol of its own.
//!
//! Beside the name itself, the tables by which the dynamic loader finds a symbol are made anew: the GNU hash table, which has this one
//! symbol, and the older one of all symbols where the linker wrote it.

use medcoss_abi::SYMBOL_PREFIX;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{Endianness, SymbolIndex};

/// Longest id of a packed module, in bytes.
pub(crate) const LONGEST_ID: usize = 64;

/// The name under which the bridge exports its header: as long as the longest one that takes its place. It does not begin as plugins' names
/// do, so that the bridge in a folder of plugins is a library like any other.
macro_rules! placeholder {
    () => {
        "medcoss_python_bridge_v1_whose_name_becomes_that_of_a_plugin_when_a_module_is_pack"
    };
}
pub(crate) use placeholder;

const PLACEHOLDER: &str = placeholder!();
const _: () = assert!(PLACEHOLDER.len() == SYMBOL_PREFIX.len() + LONGEST_ID);

/// What has to be changed, by offsets in the file.
struct Places {
    /// Index of the symbol.
    symbol: u32,
    gnu_hash: Option<usize>,
    hash: Option<usize>,
    n_symbols: usize,
}

/// Gives the bridge's symbol the name of a plugin.
///
/// # Errors
/// A file that is not the bridge.
pub(crate) fn rename(library: &mut [u8], id: &str) -> Result<(), String> {
    let name = format!("{SYMBOL_PREFIX}{id}");
    if name.len() > PLACEHOLDER.len() {
        return Err(format!("the id {id} has {} letters; at most {LONGEST_ID} were expected", id.len()));
    }
    let places = places(library)?;
    let at_all: Vec<usize> = library
        .windows(PLACEHOLDER.len())
        .enumerate()
        .filter(|(_, window)| *window == PLACEHOLDER.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in at_all {
        let place = &mut library[at..][..PLACEHOLDER.len()];
        place.fill(0);
        place[..name.len()].copy_from_slice(name.as_bytes());
    }
    let damaged = || "its hash tables are damaged".to_string();
    if let Some(at) = places.gnu_hash {
        write_gnu_hash(library, at, &places, &name).ok_or_else(damaged)??;
    }
    if let Some(at) = places.hash {
        move_in_hash(library, at, &places, PLACEHOLDER, &name).ok_or_else(damaged)?;
    }
    Ok(())
}

fn places(library: &[u8]) -> Result<Places, String> {
    let failed = |error: object::Error| format!("it is no library that can be read: {error}");
    let header = FileHeader64::<Endianness>::parse(library).map_err(failed)?;
    let endian = header.endian().map_err(failed)?;
    if endian != Endianness::Little {
        return Err("it is built for a machine of another byte order".into());
    }
    let sections = header.sections(endian, library).map_err(failed)?;
    let symbols = sections.symbols(endian, library, elf::SHT_DYNSYM).map_err(failed)?;
    let is_placeholder = |index: &SymbolIndex| {
        let symbol = symbols.symbol(*index);
        symbol.is_ok_and(|symbol| symbol.name(endian, symbols.strings()) == Ok(PLACEHOLDER.as_bytes()))
    };
    let symbol = (0..symbols.len()).map(SymbolIndex).find(is_placeholder);
    let symbol = symbol.ok_or("it is not the bridge of this version: it does not export its symbol")?;
    let offset = |kind| {
        let section = sections.iter().find(|section| section.sh_type(endian) == kind);
        section.map(|section| section.sh_offset(endian) as usize)
    };
    Ok(Places {
        symbol: symbol.0 as u32,
        gnu_hash: offset(elf::SHT_GNU_HASH),
        hash: offset(elf::SHT_HASH),
        n_symbols: symbols.len(),
    })
}

/// The hash of a name in the GNU table.
fn gnu_hash(name: &str) -> u32 {
    name.bytes().fold(5381, |hash: u32, byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

/// The hash of a name in the older table.
fn system_v_hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

/// Writes the GNU hash table of one symbol: header, Bloom filter, buckets, chain. `None` where it does not fit into the file.
fn write_gnu_hash(library: &mut [u8], at: usize, places: &Places, name: &str) -> Option<Result<(), String>> {
    let [n_buckets, first, n_bloom, shift] = [0, 4, 8, 12].map(|offset| word(library, at + offset));
    let (n_buckets, first, n_bloom, shift) = (n_buckets?, first?, n_bloom?, shift?);
    if first != places.symbol || places.n_symbols != first as usize + 1 || n_buckets == 0 || n_bloom == 0 {
        let n = places.n_symbols.saturating_sub(first as usize);
        return Some(Err(format!("it exports {n} symbols; one was expected")));
    }
    let hash = gnu_hash(name);
    let bloom = at + 16;
    let buckets = bloom + 8 * n_bloom as usize;
    let chain = buckets + 4 * n_buckets as usize;
    library.get_mut(bloom..chain)?.fill(0);
    let bits = (1u64 << (hash % 64)) | (1u64 << ((hash >> (shift % 32)) % 64));
    let of_bloom = bloom + 8 * ((hash / 64) % n_bloom) as usize;
    library.get_mut(of_bloom..of_bloom + 8)?.copy_from_slice(&bits.to_le_bytes());
    set_word(library, buckets + 4 * (hash % n_buckets) as usize, places.symbol)?;
    // The lowest bit marks the end of a chain.
    set_word(library, chain, hash | 1)?;
    Some(Ok(()))
}

/// Moves a symbol from the chain of its old name to that of its new one.
fn move_in_hash(library: &mut [u8], at: usize, places: &Places, from: &str, to: &str) -> Option<()> {
    let n_buckets = word(library, at).filter(|&n| n > 0)?;
    let bucket = |name: &str| at + 8 + 4 * (system_v_hash(name) % n_buckets) as usize;
    let chain = |symbol: u32| at + 8 + 4 * n_buckets as usize + 4 * symbol as usize;
    let next = word(library, chain(places.symbol))?;
    let mut link = bucket(from);
    for _ in 0..places.n_symbols {
        match word(library, link)? {
            found if found == places.symbol => break,
            0 => return None,
            other => link = chain(other),
        }
    }
    set_word(library, link, next)?;
    let head = word(library, bucket(to))?;
    set_word(library, chain(places.symbol), head)?;
    set_word(library, bucket(to), places.symbol)
}

fn word(library: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*library.get(at..)?.first_chunk()?))
}

fn set_word(library: &mut [u8], at: usize, value: u32) -> Option<()> {
    library.get_mut(at..at + 4)?.copy_from_slice(&value.to_le_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specifications() {
        // From the tables of the System V ABI and of glibc's documentation.
        assert_eq!((gnu_hash(""), gnu_hash("printf"), gnu_hash("syscall")), (0x1505, 0x156b_2bb8, 0xbac2_12a0));
        assert_eq!((system_v_hash(""), system_v_hash("printf"), system_v_hash("exit")), (0, 0x077_905a6, 0x0006_cf04));
    }

    #[test]
    fn a_symbol_moves_between_the_chains_of_the_older_table() {
        // Two buckets; symbols 1, 2, 3. "exit" is in bucket 0, an id of odd hash in bucket 1.
        let odd = ["a", "b", "c"].into_iter().find(|name| system_v_hash(name) % 2 == 1).unwrap();
        let words = [2, 4, /* buckets */ 3, 2, /* chain */ 0, 0, 0, 1];
        let mut table: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        let places = Places { symbol: 1, gnu_hash: None, hash: Some(0), n_symbols: 4 };
        move_in_hash(&mut table, 0, &places, "exit", odd).unwrap();
        let found: Vec<u32> = (0..8).map(|at| word(&table, 4 * at).unwrap()).collect();
        assert_eq!(found, [2, 4, 3, 1, 0, 2, 0, 0]);
        assert!(move_in_hash(&mut table, 0, &places, "exit", odd).is_none(), "it is no longer there");
    }

    #[test]
    fn what_is_not_the_bridge_is_refused() {
        for mut other in [b"text".to_vec(), std::fs::read(std::env::current_exe().unwrap()).unwrap()] {
            assert!(rename(&mut other, "tone").is_err());
        }
        let long = "x".repeat(65);
        assert!(rename(&mut [], &long).unwrap_err().contains("65 letters"));
    }
}
