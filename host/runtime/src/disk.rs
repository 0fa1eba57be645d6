//! Sizes of folders, and the format of byte counts.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Number and size of the files below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Number of files.
    pub n_files: usize,
    /// Total size of all files in bytes.
    pub bytes: u64,
}

/// Counts the files below a folder and adds up their sizes.
///
/// # Errors
/// A folder that cannot be listed.
pub fn size_of(folder: &Path) -> Result<Size> {
    let mut size = Size::default();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let metadata = entry.metadata().with_context(|| format!("cannot examine {}", entry.path().display()))?;
        let below =
            if metadata.is_dir() { size_of(&entry.path())? } else { Size { n_files: 1, bytes: metadata.len() } };
        size = Size { n_files: size.n_files + below.n_files, bytes: size.bytes + below.bytes };
    }
    Ok(size)
}

/// A number of bytes for people: three digits and a unit.
pub fn human_bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1000.0 {
            return if unit == "B" || value >= 99.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, expected) in
            [(0, "0 B"), (999, "999 B"), (1536, "1.5 KiB"), (300 << 20, "300 MiB"), (5 << 40, "5.0 TiB")]
        {
            assert_eq!(human_bytes(bytes), expected);
        }
    }

    #[test]
    fn folders_are_counted_with_those_below() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("a"), [0; 7]).unwrap();
        fs::write(folder.path().join("below/b"), [0; 5]).unwrap();
        assert_eq!(size_of(folder.path()).unwrap(), Size { n_files: 2, bytes: 12 });
    }
}
