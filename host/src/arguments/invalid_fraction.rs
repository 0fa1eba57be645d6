//! The option `--max-invalid-fraction`.

use anyhow::{Result, bail};

/// Checks a value of `--max-invalid-fraction`.
///
/// # Errors
/// A value that is no fraction.
pub(crate) fn check_invalid_fraction(fraction: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&fraction) {
        bail!("--max-invalid-fraction is {fraction}, expected 0.0 to 1.0");
    }
    Ok(())
}
