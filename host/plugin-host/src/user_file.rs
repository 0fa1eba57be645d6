//! Small files of this program in the user's folders.

use std::io::Write;
use std::path::Path;

/// The durability of a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The file survives a power failure: the write waits for the disk.
    Always,
    /// The file survives this process. Damage by a power failure would be detected, and costs only time.
    WhileTheSystemRuns,
}

/// Writes a file atomically, so that it is either the old or the complete new one, and creates its folder. The
/// temporary file has a name of its own, since two processes may write at once.
///
/// # Errors
/// A file that cannot be written; the old file is then unchanged.
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
