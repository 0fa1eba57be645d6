//! A secret key that replaces sample ids by their HMAC-SHA-256 (RFC 2104).
//!
//! A plain digest of an id hides nothing: whoever has the digest can try all record numbers. Without the key that is not possible. Whoever has the
//! key can compute the digest of a known id, and so join features with tables.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const N_BYTES: usize = 32;
/// Permissions of group and others.
const OTHERS: u32 = 0o077;

/// A key of 256 bits.
pub struct IdKey(Hmac<Sha256>);

impl IdKey {
    /// Reads the key in a file of 64 hexadecimal digits. A missing file is made, with a key from the operating system, and readable by its
    /// owner alone.
    ///
    /// # Errors
    /// A file that cannot be read or written, that others may read, or that holds something else.
    pub fn read_or_create(path: &Path) -> Result<Self> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => Self::create(file).with_context(|| format!("cannot write {}", path.display())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    fn create(mut file: File) -> Result<Self> {
        let mut key = [0; N_BYTES];
        getrandom::fill(&mut key).context("the operating system gives no random bytes")?;
        file.write_all((hexadecimal(&key) + "\n").as_bytes())?;
        file.sync_all()?;
        Self::of(&key)
    }

    fn read(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read the key {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let metadata = file.metadata().with_context(cannot)?;
        if !metadata.is_file() {
            bail!("{} is no file; expected a key of {} hexadecimal digits", path.display(), 2 * N_BYTES);
        }
        if metadata.mode() & OTHERS != 0 {
            bail!(
                "other users may read the key {} (mode {:o})\nhint: chmod 600 {}",
                path.display(),
                metadata.mode() & 0o777,
                path.display()
            );
        }
        let mut text = String::new();
        file.take(4 * N_BYTES as u64).read_to_string(&mut text).with_context(cannot)?;
        let key = bytes(text.trim_end()).with_context(|| {
            format!(
                "{} is no key; expected {} hexadecimal digits\nhint: name a file that does not exist, and a key is made",
                path.display(),
                2 * N_BYTES
            )
        })?;
        Self::of(&key)
    }

    fn of(key: &[u8]) -> Result<Self> {
        Ok(Self(Hmac::new_from_slice(key)?))
    }

    /// The digest of an id, in hexadecimal digits.
    pub fn hash(&self, id: &str) -> String {
        let mut hmac = self.0.clone();
        hmac.update(id.as_bytes());
        hexadecimal(&hmac.finalize().into_bytes())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 2 * N_BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..N_BYTES).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn digests_are_those_of_rfc_4231() {
        let key = IdKey::of(b"Jefe").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(key.hash("what do ya want for nothing?"), expected);
    }

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = IdKey::read_or_create(&path).unwrap().hash("a");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(IdKey::read_or_create(&path).unwrap().hash("a"), first);
        assert_ne!(IdKey::read_or_create(&folder.path().join("other")).unwrap().hash("a"), first);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = IdKey::read_or_create(&path).err().unwrap().to_string();
        assert!(refused.contains("other users may read") && refused.contains("chmod 600"), "{refused}");

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        for content in ["", "secret", &"0".repeat(63), &"g".repeat(64), &"0".repeat(65)] {
            std::fs::write(&path, content).unwrap();
            let refused = IdKey::read_or_create(&path).err().unwrap().to_string();
            assert!(refused.contains("expected 64 hexadecimal digits"), "{content:?}: {refused}");
        }
    }
}
