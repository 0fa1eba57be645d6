//! Fingerprint of a dataset: a digest that changes when the data do.

use sha2::{Digest, Sha256};

/// Collects what identifies the data, in a fixed order.
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

    /// 64 hexadecimal digits.
    pub fn hex(self) -> String {
        self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
