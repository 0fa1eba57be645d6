//! Settings of one stage.

use serde::{Deserialize, Serialize};

use crate::buffer::{BufferConfig, Store};
use crate::continual::StrategyConfig;
use crate::data::LoaderOptions;
use crate::device::{Device, is_cpu};
use crate::model::Precision;
use crate::optimisation::{OptimiserConfig, Schedule};
use crate::ranges::{MAX_BATCH, MAX_EPOCHS, check_count};
use crate::{Result, SettingError};

/// Settings of one stage's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSettings {
    /// Number of passes over the data, at least 1.
    pub epochs: usize,
    /// Number of warm-up epochs, in which the learning rate rises; fewer than `epochs`.
    pub warmup_epochs: usize,
    /// Number of samples in a batch, at least 1.
    pub batch_size: usize,
    /// Number of batches whose gradients are accumulated for an update, at least 1.
    pub gradient_accumulation: usize,
    /// Whether the gradients of fewer than `gradient_accumulation` batches at the end of an epoch are dropped, instead of making an update.
    pub drop_last: bool,
    /// Settings of AdamW and the learning rate.
    pub optimiser: OptimiserConfig,
    /// Strategy of continual learning.
    pub strategy: StrategyConfig,
    /// Settings of the rehearsal buffer.
    pub buffer: BufferConfig,
    /// Number of epochs between checkpoints, at least 1.
    pub checkpoint_every: usize,
    /// Number of batches between checkpoints within an epoch, for epochs that take hours; none for checkpoints between epochs only.
    pub checkpoint_every_steps: Option<usize>,
    /// Number of batches between readings of losses from the device. Without a value 1 on the CPU, and [`StageSettings::LOSS_EVERY_STEPS`] on other
    /// devices, where host and device would wait for each other. The value changes no result. A loss that is not finite is detected later, but before
    /// the next checkpoint.
    pub loss_every_steps: Option<usize>,
    /// Number format of matrix products in training.
    pub precision: Precision,
    /// Number format of the gradients that ranks exchange. bfloat16 halves the bytes that travel, and rounds the gradient of each batch and each of
    /// their sums, also on one rank: the number of ranks changes nothing.
    pub gradient_precision: Precision,
    /// Number of worker threads that load samples, at least 1.
    pub num_workers: usize,
    /// Largest fraction of a dataset's samples that may be invalid, in [0, 1]: see [`LoaderOptions::allows`].
    pub max_invalid_fraction: f64,
}

impl StageSettings {
    /// Checks that the settings are in range and fit together.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        for (name, value, most) in [
            ("training.epochs", self.epochs, MAX_EPOCHS),
            ("training.batch_size", self.batch_size, MAX_BATCH),
            ("training.gradient_accumulation", self.gradient_accumulation, MAX_BATCH),
            ("training.checkpoint_every", self.checkpoint_every, usize::MAX),
            ("training.checkpoint_every_steps", self.checkpoint_every_steps.unwrap_or(1), usize::MAX),
            ("training.loss_every_steps", self.loss_every_steps.unwrap_or(1), usize::MAX),
        ] {
            check_count(name, value, 1, most)?;
        }
        if self.warmup_epochs >= self.epochs && self.warmup_epochs > 0 {
            return Err(SettingError::out_of_range(
                "training.warmup_epochs",
                self.warmup_epochs,
                format!("fewer than the {} epochs", self.epochs),
            )
            .into());
        }
        self.loader_options().check()?;
        self.optimiser.check()?;
        self.strategy.check()?;
        self.buffer.check()?;
        let strategy = self.strategy.name;
        if self.buffer.store == Store::Materialised && !strategy.keeps_buffer() {
            return Err(SettingError::StoreWithoutBuffer { strategy: strategy.name() }.into());
        }
        Ok(())
    }

    /// Default number of batches between readings of losses from a device that is not the CPU.
    pub const LOSS_EVERY_STEPS: usize = 16;

    /// Number of batches between readings of losses from this device.
    pub(crate) fn loss_every_steps_on(&self, device: &Device) -> usize {
        self.loss_every_steps.unwrap_or(Self::usual_loss_every_steps(device))
    }

    /// Number of batches between readings of losses from this device, where nothing else is set.
    pub(crate) fn usual_loss_every_steps(device: &Device) -> usize {
        if is_cpu(device) { 1 } else { Self::LOSS_EVERY_STEPS }
    }

    /// Learning rate schedule of the stage.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(&self.optimiser, self.batch_size * self.gradient_accumulation, self.warmup_epochs, self.epochs)
    }

    /// Options of the loading of samples.
    pub fn loader_options(&self) -> LoaderOptions {
        LoaderOptions { num_workers: self.num_workers, max_invalid_fraction: self.max_invalid_fraction }
    }
}
