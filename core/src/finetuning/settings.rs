//! Settings of fine-tuning.

use serde::{Deserialize, Serialize};

use super::adapters::AdapterConfig;
use super::augmentation::Augmentation;
use super::losses::SegmentationLoss;
use crate::optimisation::PolynomialSchedule;
use crate::precision::Precision;
use crate::ranges::{MAX_BATCH, MAX_EPOCHS, check_below_one, check_count, check_not_negative, check_positive};
use crate::{Result, SettingError};

/// Settings of fine-tuning. The defaults suit small data; those of the paper's tasks are in `host/recipes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Which parameters learn.
    pub learned: Learned,
    /// Low-rank adapters, where they learn.
    pub adapters: AdapterConfig,
    /// Number of passes over the training split.
    pub epochs: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Largest learning rate, of the head.
    pub learning_rate: f64,
    /// Course of the learning rate.
    pub schedule: RateSchedule,
    /// Number of epochs over which the rate rises from 0, fractions allowed; not with the polynomial schedule.
    pub warmup_epochs: f64,
    /// Ratio of the learning rate of a layer to that of the layer above, in (0, 1] (BEiT, Bao et al. 2022); 1 is one rate for all.
    pub layer_decay: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Whether weight decay includes biases, norms and LayerScale, as in the reference.
    pub decay_all: bool,
    /// Largest L2 norm of all gradients together, to which larger ones are scaled; 0 leaves them.
    pub clip_norm: f64,
    /// Rate of stochastic depth in the encoder, in [0, 1); the pre-trained model's own without it.
    pub drop_path: Option<f64>,
    /// Augmentation of training samples.
    pub augmentation: Augmentation,
    /// Whether segmentation feeds the encoder with the class token, as in pre-training. The reference does not.
    pub class_token: bool,
    /// Loss of segmentation.
    pub loss: SegmentationLoss,
    /// Criterion by which the epoch is chosen whose weights are kept.
    pub criterion: Criterion,
    /// Number of epochs without a better criterion after which training ends; none goes on to the last epoch.
    pub patience: Option<usize>,
    /// Number format of matrix products.
    pub precision: Precision,
    /// Least time between two checkpoints in seconds; the last epoch always has one. No result depends on it.
    pub checkpoint_seconds: f64,
}

/// Which parameters learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Learned {
    /// Head and backbone.
    #[default]
    All,
    /// The head alone; the backbone is frozen.
    Head,
    /// The head, and low-rank adapters beside a frozen backbone (LoRA, Hu et al. 2022).
    Adapters,
}

/// Course of the learning rate over the updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateSchedule {
    /// Half a cosine from the largest rate to 0, by update.
    #[default]
    Cosine,
    /// `(1 - epoch / epochs)^0.9` of the largest rate, by epoch, as in the reference.
    Polynomial,
    /// The largest rate throughout.
    Constant,
}

/// Criterion by which an epoch is chosen, on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// Smallest loss.
    #[default]
    Loss,
    /// Largest primary metric of the task: accuracy, mean Dice, Pearson's correlation.
    Metric,
    /// The last epoch.
    Last,
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        Self {
            learned: Learned::All,
            adapters: AdapterConfig::default(),
            epochs: 30,
            batch_size: 8,
            learning_rate: 5e-4,
            schedule: RateSchedule::Cosine,
            warmup_epochs: 1.0,
            layer_decay: 0.75,
            weight_decay: 0.05,
            decay_all: false,
            clip_norm: 12.0,
            drop_path: None,
            augmentation: Augmentation::default(),
            class_token: true,
            loss: SegmentationLoss::default(),
            criterion: Criterion::Metric,
            patience: None,
            precision: Precision::default(),
            checkpoint_seconds: 60.0,
        }
    }
}

impl FinetuneConfig {
    /// Checks that every setting is in range.
    ///
    /// # Errors
    /// The first setting that is not.
    pub fn check(&self) -> Result<()> {
        check_count("epochs", self.epochs, 1, MAX_EPOCHS)?;
        check_count("batch_size", self.batch_size, 1, MAX_BATCH)?;
        check_positive("learning_rate", self.learning_rate)?;
        check_not_negative("warmup_epochs", self.warmup_epochs)?;
        if self.warmup_epochs > self.epochs as f64 {
            let expected = format!("0.0 to the {} epochs", self.epochs);
            return Err(SettingError::out_of_range("warmup_epochs", self.warmup_epochs, expected).into());
        }
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return Err(SettingError::out_of_range("layer_decay", self.layer_decay, "above 0.0 to 1.0").into());
        }
        check_not_negative("weight_decay", self.weight_decay)?;
        check_not_negative("checkpoint_seconds", self.checkpoint_seconds)?;
        check_not_negative("clip_norm", self.clip_norm)?;
        self.drop_path.map_or(Ok(()), |rate| check_below_one("drop_path", rate))?;
        if let Some(patience) = self.patience {
            check_count("patience", patience, 1, MAX_EPOCHS)?;
        }
        self.augmentation.check()?;
        self.adapters.check()
    }

    /// Learning rate of the head in an update; `n_updates` are those of an epoch.
    pub fn rate(&self, update: usize, n_updates: usize) -> f64 {
        let epochs = self.epochs as f64;
        if self.schedule == RateSchedule::Polynomial {
            let schedule =
                PolynomialSchedule::new(self.learning_rate, self.epochs, PolynomialSchedule::REFERENCE_POWER)
                    .expect("the settings were checked");
            return schedule.learning_rate((update / n_updates.max(1)) as f64);
        }
        // In the middle of the update: neither the first nor the last is at a rate of 0.
        let epoch = (update as f64 + 0.5) / n_updates.max(1) as f64;
        if epoch < self.warmup_epochs {
            return self.learning_rate * epoch / self.warmup_epochs;
        }
        match self.schedule {
            RateSchedule::Cosine => {
                let progress = (epoch - self.warmup_epochs) / (epochs - self.warmup_epochs).max(f64::MIN_POSITIVE);
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
            }
            RateSchedule::Constant | RateSchedule::Polynomial => self.learning_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_their_schedules() {
        let config = FinetuneConfig { epochs: 100, learning_rate: 1e-3, ..FinetuneConfig::default() };
        let polynomial = FinetuneConfig { schedule: RateSchedule::Polynomial, ..config.clone() };
        // Epoch 37 of 100 in the golden case of the reference.
        assert!((polynomial.rate(37 * 5 + 4, 5) - 6.598e-4).abs() < 1e-7);
        assert_eq!(polynomial.rate(0, 5), 1e-3);
        assert!((config.rate(0, 10) - 0.05 * 1e-3).abs() < 1e-12, "the middle of the first of ten updates");
        assert!(config.rate(999, 10) < 1e-8 && config.rate(999, 10) > 0.0);
        let constant = FinetuneConfig { schedule: RateSchedule::Constant, warmup_epochs: 0.0, ..config };
        assert_eq!(constant.rate(999, 10), 1e-3);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let check = |change: fn(&mut FinetuneConfig)| {
            let mut config = FinetuneConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        for (change, expected) in [
            ((|config| config.epochs = 0) as fn(&mut FinetuneConfig), "epochs is 0"),
            (|config| config.warmup_epochs = 31.0, "warmup_epochs is 31"),
            (|config| config.layer_decay = 0.0, "layer_decay is 0"),
            (|config| config.drop_path = Some(1.0), "drop_path is 1"),
            (|config| config.patience = Some(0), "patience is 0"),
            (|config| config.adapters.rank = 0, "adapters.rank is 0"),
        ] {
            let found = check(change);
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
