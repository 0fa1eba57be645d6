//! Small files of this program in folders of the user's.

use std::io::Write;
use std::path::Path;

/// What a file has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A power cut: waits for the disk.
    Always,
    /// This process: damage would be seen, and costs nothing but time.
    WhileTheSystemRuns,
}

/// Writes a file so that it is either the old one or wholly the new one, and creates its folder. Under a name of its own first, since
/// two processes may write at once.
///
/// # Errors
/// A file that cannot be written; the old one is then untouched.
pub fn write(file: &Path, content: &[u8], kept: Kept) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut partial = tempfile::Builder::new().prefix(".medcoss-").tempfile_in(folder)?;
    partial.write_all(content)?;
    if kept == Kept::Always {
        partial.as_file().sync_all()?;
    }
    partial.persist(file).map_err(|error| error.error)?;
    Ok(())
}
