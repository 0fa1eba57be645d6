//! Settings of what keeps earlier modalities: the strategy, the buffer, the distillation. Every ablation of the paper is one of them.

use serde::{Deserialize, Serialize};

use super::DistillationTarget;
use crate::data::Sampling;
use crate::{Error, Result};

/// Rehearsal settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RehearsalConfig {
    /// How earlier modalities are kept.
    pub strategy: Strategy,
    /// Which samples a buffer keeps.
    pub sampler: Sampler,
    /// Share of a stage's samples that is kept, in (0, 1].
    pub buffer_ratio: f64,
    /// Number of k-means centres as a share of a stage's samples, in (0, 1].
    pub centre_ratio: f64,
    /// Mix buffer samples inside a batch before they are distilled.
    pub mixup: bool,
    /// Which of the encoder's outputs the student has to match.
    pub distillation_target: DistillationTarget,
    /// Factor of distillation losses beside the pretext loss, at least 0.
    pub distillation_weight: f64,
    /// Factor of the penalty of `ewc`, at least 0.
    pub ewc_lambda: f64,
    /// What `ewc` keeps of the importance of earlier stages with each new one, in [0, 1].
    pub ewc_decay: f64,
    /// Samples of a stage that the importance of parameters is estimated from, one by one.
    pub ewc_samples: usize,
    /// Share of the weights still free that `packnet` keeps for a stage, in (0, 1).
    pub packnet_keep: f64,
    /// Share of a stage's epochs in which `packnet` trains what it kept once more, in [0, 1).
    pub packnet_retrain: f64,
    /// How samples are drawn for batches.
    pub sampling: Sampling,
    /// How the kept samples are kept.
    pub store: Store,
    /// Fill places that small clusters leave free in the buffer with the next nearest samples; the reference leaves them free.
    pub fill_up: bool,
    /// Distil text at padding positions too, as the reference does.
    pub distil_padding: bool,
    /// Leave stochastic depth on in the teacher, as the reference does.
    pub teacher_depth: bool,
}

/// How earlier modalities are kept while a new one is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Distillation from the previous model on mixups of the buffers (the paper's).
    #[default]
    Medcoss,
    /// Nothing is done against forgetting.
    Sequential,
    /// Masked modelling of the buffers beside the new modality (experience replay).
    Replay,
    /// All modalities at once: earlier stages only join, and the last one learns all of their data.
    Joint,
    /// One model a modality: every stage begins where the run began.
    Single,
    /// A penalty on changes of important parameters: elastic weight consolidation (Kirkpatrick et al., PNAS 2017), its online form
    /// (Schwarz et al., ICML 2018).
    Ewc,
    /// Distillation from the previous model on the new modality (learning without forgetting; Li and Hoiem, ECCV 2016).
    Lwf,
    /// The same through a predictor (CaSSLe; Fini et al., CVPR 2022).
    Cassle,
    /// Weights of earlier stages are fixed, the others pruned and given on (PackNet; Mallya and Lazebnik, CVPR 2018).
    Packnet,
}

/// What of earlier stages takes part in a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recall {
    /// No sample of them.
    Nothing,
    /// Their buffers, by distillation.
    DistilledBuffers,
    /// Their buffers, by the pretext task.
    ReplayedBuffers,
    /// All of their samples, by the pretext task.
    Everything,
}

impl Strategy {
    /// All of them, the paper's first.
    pub const ALL: [Self; 9] = [
        Self::Medcoss,
        Self::Sequential,
        Self::Replay,
        Self::Joint,
        Self::Single,
        Self::Ewc,
        Self::Lwf,
        Self::Cassle,
        Self::Packnet,
    ];

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Medcoss => "medcoss",
            Self::Sequential => "sequential",
            Self::Replay => "replay",
            Self::Joint => "joint",
            Self::Single => "single",
            Self::Ewc => "ewc",
            Self::Lwf => "lwf",
            Self::Cassle => "cassle",
            Self::Packnet => "packnet",
        }
    }

    pub(crate) fn recall(self) -> Recall {
        match self {
            Self::Medcoss => Recall::DistilledBuffers,
            Self::Replay => Recall::ReplayedBuffers,
            Self::Joint => Recall::Everything,
            Self::Sequential | Self::Single | Self::Ewc | Self::Lwf | Self::Cassle | Self::Packnet => Recall::Nothing,
        }
    }

    /// Whether samples are kept for later stages.
    pub fn keeps_buffers(self) -> bool {
        matches!(self.recall(), Recall::DistilledBuffers | Recall::ReplayedBuffers)
    }

    /// Sets of numbers as large as the model that a later stage holds beside it: a teacher; the importance of parameters and what they
    /// were; owners of weights and what they hold.
    pub fn n_further_models(self) -> usize {
        match self {
            Self::Medcoss | Self::Lwf | Self::Cassle => 1,
            Self::Ewc => 2,
            Self::Packnet => 3,
            Self::Sequential | Self::Replay | Self::Joint | Self::Single => 0,
        }
    }

    /// Whether every stage begins where the run began, and is judged by itself.
    pub fn begins_afresh(self) -> bool {
        self == Self::Single
    }

    /// Whether only the last stage learns, all modalities at once.
    pub fn learns_at_the_end(self) -> bool {
        self == Self::Joint
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which samples a buffer keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// Those nearest to the centres of clusters (the paper's).
    #[default]
    KMeans,
    /// The same with clusters from small batches (Sculley, WWW 2010): for data of which a single step of k-means would take too long.
    MiniBatchKMeans,
    /// Any, each as likely as another.
    Random,
    /// Those whose mean is nearest to the mean of all (Welling, ICML 2009, as in iCaRL).
    Herding,
    /// Any, chosen in one pass over a stream (Vitter, 1985).
    Reservoir,
    /// Those that leave no sample far from a kept one (greedy k-centre; Gonzalez, 1985).
    KCentre,
}

/// How the samples of a buffer are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// By their ids: later stages read them from the stage's own data.
    #[default]
    Reference,
    /// As files in the run, in a form that the plugin chooses: the stage's data are no longer needed.
    Materialised,
}

impl Default for RehearsalConfig {
    /// The paper's: 5 % kept around 1 % centres, all tokens distilled on mixups.
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            sampler: Sampler::default(),
            buffer_ratio: 0.05,
            centre_ratio: 0.01,
            mixup: true,
            distillation_target: DistillationTarget::default(),
            distillation_weight: 1.0,
            ewc_lambda: 100.0,
            ewc_decay: 1.0,
            ewc_samples: 256,
            packnet_keep: 0.5,
            packnet_retrain: 0.3,
            sampling: Sampling::default(),
            store: Store::default(),
            fill_up: true,
            distil_padding: false,
            teacher_depth: false,
        }
    }
}

impl RehearsalConfig {
    /// Samples that are kept of so many, at least one, where the strategy keeps any; fewer where a small cluster leaves places free.
    pub fn n_kept(&self, n_samples: usize) -> usize {
        match self.strategy.keeps_buffers() {
            true => ((n_samples as f64 * self.buffer_ratio).round() as usize).clamp(1, n_samples.max(1)),
            false => 0,
        }
    }

    /// Ratios in range, settings that fit together.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::Setting(format!("rehearsal.{message}")));
        for (name, ratio) in [("buffer_ratio", self.buffer_ratio), ("centre_ratio", self.centre_ratio)] {
            if !(ratio > 0.0 && ratio <= 1.0) {
                return wrong(format!("{name} is {ratio}, not in above 0.0 to 1.0"));
            }
        }
        if matches!(self.sampler, Sampler::KMeans | Sampler::MiniBatchKMeans) && self.centre_ratio > self.buffer_ratio {
            return wrong(format!(
                "centre_ratio ({}) is larger than rehearsal.buffer_ratio ({}): every centre keeps at least one sample",
                self.centre_ratio, self.buffer_ratio
            ));
        }
        for (name, factor) in [("distillation_weight", self.distillation_weight), ("ewc_lambda", self.ewc_lambda)] {
            if !(factor >= 0.0 && factor.is_finite()) {
                return wrong(format!("{name} is {factor}, not 0.0 or above"));
            }
        }
        if !(0.0..=1.0).contains(&self.ewc_decay) {
            return wrong(format!("ewc_decay is {}, not in 0.0 to 1.0", self.ewc_decay));
        }
        if self.ewc_samples == 0 {
            return wrong("ewc_samples is 0, it must be at least 1".into());
        }
        if !(self.packnet_keep > 0.0 && self.packnet_keep < 1.0) {
            return wrong(format!("packnet_keep is {}, not in above 0.0 to below 1.0", self.packnet_keep));
        }
        if !(0.0..1.0).contains(&self.packnet_retrain) {
            return wrong(format!("packnet_retrain is {}, not in 0.0 to below 1.0", self.packnet_retrain));
        }
        if self.store == Store::Materialised && !self.strategy.keeps_buffers() {
            return wrong(format!(
                "store is \"materialised\", but strategy \"{}\" keeps no samples\n\
                 hint: leave out rehearsal.store, or choose strategy \"medcoss\" or \"replay\"",
                self.strategy
            ));
        }
        Ok(())
    }
}
