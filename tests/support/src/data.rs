//! Real data, which are not part of the repository.

use std::path::PathBuf;

/// Environment variable that names the folder of real data.
const VARIABLE: &str = "MEDCOSS_TEST_DATA";

/// A file or folder of the real data, by its path below the folder that `MEDCOSS_TEST_DATA` names.
///
/// # Panics
///
/// Where the variable is not set or the path is missing. Tests that call this are ignored by default; when asked for,
/// they must not pass without having read data.
pub fn data(below: &str) -> PathBuf {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        panic!("{VARIABLE} is not set; it names the folder of real data, see README.md");
    };
    let path = PathBuf::from(folder).join(below);
    match path.canonicalize() {
        Ok(path) => path,
        Err(error) => panic!("{} of {VARIABLE}: {error}", path.display()),
    }
}
