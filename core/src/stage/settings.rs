//! Settings of one stage.

use serde::{Deserialize, Serialize};

use crate::buffer::{BufferConfig, Store};
use crate::continual::StrategyConfig;
use crate::data::LoaderOptions;
use crate::device::{Device, is_processor};
use crate::model::Precision;
use crate::optimisation::{OptimiserConfig, Schedule};
use crate::{Result, SettingError};

/// How a stage is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSettings {
    /// Passes over the data.
    pub epochs: usize,
    /// Epochs in which the learning rate rises.
    pub warmup_epochs: usize,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Batches whose gradients are accumulated for an update.
    pub gradient_accumulation: usize,
    /// AdamW and learning rate.
    pub optimiser: OptimiserConfig,
    /// How earlier modalities are kept.
    pub strategy: StrategyConfig,
    /// The samples that are kept for later stages.
    pub buffer: BufferConfig,
    /// Epochs between checkpoints.
    pub checkpoint_every: usize,
    /// Batches between further checkpoints within an epoch, for epochs that take hours.
    pub checkpoint_every_steps: Option<usize>,
    /// Batches after which their losses are read from the device; without it each at once on the processor, and every
    /// [`StageSettings::LOSS_EVERY_STEPS`] elsewhere, where host and device would wait for each other. No number changes a result; a loss that is
    /// not finite shows so much later, and no checkpoint is written before it is seen.
    pub loss_every_steps: Option<usize>,
    /// In which numbers the products of matrices are computed while a stage learns.
    pub precision: Precision,
    /// Threads that decode samples.
    pub num_workers: usize,
    /// Share of a modality's samples that may be unreadable.
    pub max_invalid_fraction: f64,
}

impl StageSettings {
    /// Everything in range.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("training.epochs", self.epochs),
            ("training.batch_size", self.batch_size),
            ("training.gradient_accumulation", self.gradient_accumulation),
            ("training.checkpoint_every", self.checkpoint_every),
            ("training.checkpoint_every_steps", self.checkpoint_every_steps.unwrap_or(1)),
            ("training.loss_every_steps", self.loss_every_steps.unwrap_or(1)),
            ("data.num_workers", self.num_workers),
        ] {
            if value == 0 {
                return Err(SettingError::out_of_range(name, value, "at least 1").into());
            }
        }
        if self.warmup_epochs >= self.epochs && self.warmup_epochs > 0 {
            return Err(SettingError::out_of_range(
                "training.warmup_epochs",
                self.warmup_epochs,
                format!("fewer than the {} epochs", self.epochs),
            )
            .into());
        }
        if !(0.0..=1.0).contains(&self.max_invalid_fraction) {
            return Err(SettingError::out_of_range(
                "data.max_invalid_fraction",
                self.max_invalid_fraction,
                "0.0 to 1.0",
            )
            .into());
        }
        self.optimiser.check()?;
        self.strategy.check()?;
        self.buffer.check()?;
        let strategy = self.strategy.name;
        if self.buffer.store == Store::Materialised && !strategy.keeps_buffer() {
            return Err(SettingError::StoreWithoutBuffer { strategy: strategy.name() }.into());
        }
        Ok(())
    }

    /// Batches between readings of the losses from a device that is not the processor.
    pub const LOSS_EVERY_STEPS: usize = 16;

    /// Batches between readings of the losses from this device.
    pub(crate) fn loss_every_steps_on(&self, device: &Device) -> usize {
        let usual = if is_processor(device) { 1 } else { Self::LOSS_EVERY_STEPS };
        self.loss_every_steps.unwrap_or(usual)
    }

    /// The learning rate of the stage.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(&self.optimiser, self.batch_size * self.gradient_accumulation, self.warmup_epochs, self.epochs)
    }

    /// How samples are read for their features.
    pub fn loader_options(&self) -> LoaderOptions {
        LoaderOptions { num_workers: self.num_workers, max_invalid_fraction: self.max_invalid_fraction }
    }
}
