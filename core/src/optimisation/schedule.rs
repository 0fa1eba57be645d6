//! Learning rate schedule: linear warm-up, then half a cosine to the minimum, updated every step (He et al., 2022).

use super::OptimiserConfig;

/// Learning rate schedule of one stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    peak: f64,
    minimum: f64,
    warmup_epochs: f64,
    epochs: f64,
}

impl Schedule {
    /// A schedule for an effective batch: batch size times gradient accumulation times devices.
    pub fn new(config: &OptimiserConfig, effective_batch: usize, warmup_epochs: usize, epochs: usize) -> Self {
        Self {
            peak: config.base_learning_rate * effective_batch as f64 / 256.0,
            minimum: config.min_learning_rate,
            warmup_epochs: warmup_epochs as f64,
            epochs: epochs as f64,
        }
    }

    /// Learning rate at `epoch`, counted from 0 and fractional within an epoch.
    pub fn learning_rate(&self, epoch: f64) -> f64 {
        if epoch < self.warmup_epochs {
            return self.peak * epoch / self.warmup_epochs;
        }
        let progress = (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs).max(f64::MIN_POSITIVE);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
        self.minimum + (self.peak - self.minimum) * cosine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_linearly_and_falls_along_half_a_cosine() {
        let schedule = Schedule::new(&OptimiserConfig::default(), 512, 40, 300);
        let close = |epoch, expected: f64| assert!((schedule.learning_rate(epoch) - expected).abs() < 1e-12);
        close(0.0, 0.0);
        close(10.0, 0.75e-4);
        close(40.0, 3e-4);
        close(170.0, 1.5e-4);
        close(300.0, 0.0);
    }
}
