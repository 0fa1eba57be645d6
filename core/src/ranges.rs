//! Ranges of numeric settings. Upper limits keep counts from overflowing where they are multiplied, and 32-bit numbers from becoming infinite.

use crate::{Result, SettingError};

/// Maximum number of epochs of a stage.
pub(crate) const MAX_EPOCHS: usize = 1_000_000;
/// Maximum number of samples in a batch, and of batches that are accumulated for an update.
pub(crate) const MAX_BATCH: usize = 1 << 20;
/// Largest rate, weight or decay. Kernels compute with 32-bit numbers, whose largest is 3.4e38.
const MAX_NUMBER: f64 = 1e30;

/// Checks that a count is in `least..=most`.
pub(crate) fn check_count(name: &str, found: usize, least: usize, most: usize) -> Result<()> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false if most == usize::MAX => Err(SettingError::out_of_range(name, found, format!("at least {least}")).into()),
        false => Err(SettingError::out_of_range(name, found, format!("{least} to {most}")).into()),
    }
}

/// Checks that a number is at least 0 and not too large.
pub(crate) fn check_not_negative(name: &str, found: f64) -> Result<()> {
    match (0.0..=MAX_NUMBER).contains(&found) {
        true => Ok(()),
        false => Err(SettingError::out_of_range(name, found, format!("0.0 to {MAX_NUMBER:e}")).into()),
    }
}

/// Checks that a number is above 0, also as a 32-bit number, and not too large.
pub(crate) fn check_positive(name: &str, found: f64) -> Result<()> {
    match found as f32 > 0.0 && found <= MAX_NUMBER {
        true => Ok(()),
        false => Err(SettingError::out_of_range(name, found, format!("above 0.0 to {MAX_NUMBER:e}")).into()),
    }
}

/// Checks that a number is at least 0 and below 1, also as a 32-bit number.
pub(crate) fn check_below_one(name: &str, found: f64) -> Result<()> {
    match found >= 0.0 && (found as f32) < 1.0 {
        true => Ok(()),
        false => Err(SettingError::out_of_range(name, found, "0.0 to below 1.0").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_and_beyond_the_ends_of_ranges() {
        for found in [0.0, 1e-300, 1.0, 1e30] {
            check_not_negative("x", found).unwrap();
        }
        for found in [-1.0, -1e-300, 1.1e30, f64::INFINITY, f64::NAN] {
            assert!(check_not_negative("x", found).unwrap_err().to_string().starts_with(&format!("x is {found},")));
        }
        for found in [1e-44, 1.0, 1e30] {
            check_positive("x", found).unwrap();
        }
        for found in [0.0, -0.0, 1e-60, -1.0, 1.1e30, f64::INFINITY, f64::NAN] {
            check_positive("x", found).unwrap_err();
        }
        for found in [0.0, 0.5, 0.999_999] {
            check_below_one("x", found).unwrap();
        }
        for found in [-0.1, 1.0, 0.999_999_999_999, f64::INFINITY, f64::NAN] {
            check_below_one("x", found).unwrap_err();
        }
        assert_eq!(check_count("x", 0, 1, 9).unwrap_err().to_string(), "x is 0, expected 1 to 9");
        check_count("x", 9, 1, 9).unwrap();
        check_count("x", usize::MAX, 1, 9).unwrap_err();
    }
}
