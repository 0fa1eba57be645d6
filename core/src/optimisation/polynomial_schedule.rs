//! Polynomial learning rate schedule of downstream tasks (Chen et al., 2018, and the reference), updated every epoch.

use crate::Result;
use crate::ranges::{MAX_EPOCHS, check_count, check_positive};

/// Learning rate `base * (1 - epoch / epochs)^power`, without warm-up: the base rate in the first epoch, above 0 in the last one.
#[derive(Debug, Clone, PartialEq)]
pub struct PolynomialSchedule {
    base_learning_rate: f64,
    epochs: usize,
    power: f64,
}

impl PolynomialSchedule {
    /// The reference's power.
    pub const REFERENCE_POWER: f64 = 0.9;

    /// A schedule over `epochs` epochs. The base rate is not scaled by the batch.
    ///
    /// # Errors
    /// A rate or power that is not positive, a number of epochs that is not 1 to 1,000,000.
    pub fn new(base_learning_rate: f64, epochs: usize, power: f64) -> Result<Self> {
        check_positive("base_learning_rate", base_learning_rate)?;
        check_count("epochs", epochs, 1, MAX_EPOCHS)?;
        check_positive("power", power)?;
        Ok(Self { base_learning_rate, epochs, power })
    }

    /// Learning rate at `epoch`, counted from 0; 0 from the end on. The reference has whole epochs.
    pub fn learning_rate(&self, epoch: f64) -> f64 {
        self.base_learning_rate * (1.0 - epoch / self.epochs as f64).clamp(0.0, 1.0).powf(self.power)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_the_base_rate_to_zero() {
        let schedule = PolynomialSchedule::new(4e-3, 8, 2.0).unwrap();
        assert_eq!(
            [0.0, 4.0, 6.0, 8.0, 9.0].map(|epoch| schedule.learning_rate(epoch)),
            [4e-3, 1e-3, 2.5e-4, 0.0, 0.0]
        );
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let message = |rate, epochs, power| PolynomialSchedule::new(rate, epochs, power).unwrap_err().to_string();
        assert!(message(0.0, 8, 0.9).starts_with("base_learning_rate is 0, expected above 0"));
        assert!(message(f64::NAN, 8, 0.9).starts_with("base_learning_rate is NaN"));
        assert_eq!(message(1e-3, 0, 0.9), "epochs is 0, expected 1 to 1000000");
        assert!(message(1e-3, 8, -1.0).starts_with("power is -1"));
    }
}
