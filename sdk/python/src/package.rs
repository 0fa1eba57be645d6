//! The module that a library runs, and the block of the library that holds it.
//!
//! `pack` copies the sources into the library, so that the digest of the library's file is that of all the code of the modality that medcoss
//! knows of: what was trusted and recorded is what runs. A library that was packed for development names the module's folder instead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Failure;

/// Bytes that a module's sources, its description included, may have as JSON.
pub(crate) const CAPACITY: usize = 512 << 10;

/// Begins the block. Stored backwards here, since `pack` must find the block alone.
const MAGIC_BACKWARDS: [u8; 32] = *b"2f7c9d1e:kcolb-egdirb-nohtyp-dem";

const fn magic() -> [u8; 32] {
    let mut magic = [0; 32];
    let mut at = 0;
    while at < magic.len() {
        magic[at] = MAGIC_BACKWARDS[magic.len() - 1 - at];
        at += 1;
    }
    magic
}

/// The block as it lies in the library's file. Atomic bytes, because the compiler must not take their initial value for granted.
#[repr(C)]
struct Block {
    magic: [u8; 32],
    /// Length of the content as a little-endian `u64`; 0 in the bridge itself.
    length: [AtomicU8; 8],
    content: [AtomicU8; CAPACITY],
}

#[used]
static BLOCK: Block =
    Block { magic: magic(), length: [const { AtomicU8::new(0) }; 8], content: [const { AtomicU8::new(0) }; CAPACITY] };

/// A module, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Id of the modality.
    pub id: String,
    /// Name of the module, without `.py`.
    pub module: String,
    /// The folder to import from, for development. `None`: the sources below.
    pub folder: Option<PathBuf>,
    /// Texts of the module's files, by path.
    pub sources: BTreeMap<String, String>,
    /// The description, taken when the library was packed; `None` for development.
    pub description: Option<Value>,
}

impl Package {
    /// The package in this library.
    ///
    /// # Errors
    /// The bridge itself, which has none; a damaged one.
    pub(crate) fn of_this_library() -> Result<Self, Failure> {
        let length = u64::from_le_bytes(std::array::from_fn(|at| BLOCK.length[at].load(Ordering::Relaxed)));
        let length = usize::try_from(length).ok().filter(|&length| length <= CAPACITY);
        let content = length.map(|length| &BLOCK.content[..length]).unwrap_or_default();
        let bytes: Vec<u8> = content.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
        serde_json::from_slice(&bytes).map_err(|_| {
            Failure::fault("this library holds no Python module\nhint: pack it with `medcoss plugin pack`")
        })
    }

    /// Writes the package into a copy of the bridge.
    ///
    /// # Errors
    /// A package that is too large, a library that has not exactly one block.
    pub(crate) fn write_into(&self, library: &mut [u8]) -> Result<(), String> {
        let content = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        if content.len() > CAPACITY {
            return Err(format!(
                "the module's files have {} bytes as JSON; a library holds {CAPACITY}\nhint: move data out of the sources",
                content.len()
            ));
        }
        let magic = magic();
        let mut places = library.windows(magic.len()).enumerate().filter(|(_, window)| *window == magic);
        let (Some((at, _)), None) = (places.next(), places.next()) else {
            return Err("it is not the bridge of this version: it has not one block for a module".into());
        };
        let block = &mut library[at + magic.len()..];
        let (length, block) = block.split_at_mut_checked(8).ok_or("it is truncated")?;
        length.copy_from_slice(&(content.len() as u64).to_le_bytes());
        block.get_mut(..content.len()).ok_or("it is truncated")?.copy_from_slice(&content);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_written_behind_the_one_magic_and_a_large_one_is_refused() {
        let mut package = Package {
            id: "tone".into(),
            module: "tone".into(),
            folder: None,
            sources: BTreeMap::from([("tone.py".into(), "x = 1".into())]),
            description: None,
        };
        let content = serde_json::to_vec(&package).unwrap();
        let block = [&[7; 13][..], &magic(), &[0; 8 + 400]].concat();
        let mut library = block.clone();
        package.write_into(&mut library).unwrap();
        assert_eq!(library[45..53], (content.len() as u64).to_le_bytes());
        assert_eq!(library[53..][..content.len()], content);
        for mut other in [vec![0; 600], [block.clone(), block.clone()].concat()] {
            assert!(package.write_into(&mut other).unwrap_err().contains("not one block"));
        }
        package.sources.insert("large.py".into(), "#".repeat(CAPACITY));
        assert!(package.write_into(&mut library).unwrap_err().contains("a library holds 524288"));
    }

    #[test]
    fn the_bridge_itself_holds_no_module() {
        let error = Package::of_this_library().unwrap_err();
        assert!(error.message.contains("medcoss plugin pack"), "{error}");
    }
}
