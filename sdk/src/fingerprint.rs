//! Fingerprint of a dataset: a digest that changes when the data do.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

/// Bytes that are read from each end of a file.
const END: u64 = 4096;

/// A digest of the data's identity, item by item in a fixed order.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint {
    digest: Sha256,
}

impl Fingerprint {
    /// Adds one item, such as a sample's id with its file's size, or a file's content.
    pub fn add(&mut self, item: &[u8]) {
        self.digest.update((item.len() as u64).to_le_bytes());
        self.digest.update(item);
    }

    /// A file by its id and size. Content is not read: fingerprints are made on every start, over folders of any size.
    pub fn add_file(&mut self, file: &crate::FoundFile) {
        self.add(file.id.as_bytes());
        self.add(&file.bytes.to_le_bytes());
    }

    /// As [`Fingerprint::add_file`], with up to 4096 bytes from both ends of the file: for kinds whose files often have equal sizes,
    /// such as uncompressed ones. Costs two small reads a file. A file that cannot be read counts as one without content.
    pub fn add_file_ends(&mut self, file: &crate::FoundFile) {
        self.add_file(file);
        self.add(&ends(file).unwrap_or_default());
    }

    /// 64 hexadecimal digits.
    pub fn hex(self) -> String {
        self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The first and the last bytes of a file.
fn ends(file: &crate::FoundFile) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut open = File::open(&file.path)?;
    open.by_ref().take(END).read_to_end(&mut bytes)?;
    open.seek(SeekFrom::Start(file.bytes.saturating_sub(END)))?;
    open.take(END).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn files_of_equal_size_differ_by_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let digests = |changed: Option<usize>| {
            let mut content = vec![7; 20_000];
            changed.into_iter().for_each(|at| content[at] = 8);
            std::fs::write(folder.path().join("a.raw"), content).unwrap();
            let files = crate::find_files(folder.path(), &[PathBuf::from(".")], |_| true, "raw").unwrap().files;
            let (mut by_size, mut by_ends) = (Fingerprint::default(), Fingerprint::default());
            by_size.add_file(&files[0]);
            by_ends.add_file_ends(&files[0]);
            (by_size.hex(), by_ends.hex())
        };
        let (size, ends) = digests(None);
        for (at, seen) in [(0, true), (4095, true), (10_000, false), (15_904, true), (19_999, true)] {
            let (other_size, other_ends) = digests(Some(at));
            assert_eq!(other_size, size);
            assert_eq!(other_ends != ends, seen, "a change at {at}");
        }
    }
}
