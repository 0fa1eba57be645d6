//! Registry of the strategies: names, settings and properties.
//!
//! A new strategy is a file in this folder and a line in [`strategies!`] below.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::settings::{ReplaySource, StrategySettings};
use super::strategy::{ContinualStrategy, StageStart};
use super::{cassle, ewc, joint, lwf, medcoss, packnet, replay, sequential, single};
use crate::Result;

/// Defines [`Strategy`] and [`StrategyConfig`] from `name: Variant(settings)`.
macro_rules! strategies {
    ($($(#[$attribute:meta])* $name:ident: $variant:ident($settings:ty),)*) => {
        /// Strategies of continual learning: the setting `strategy.name`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Strategy {
            $($(#[$attribute])* $variant,)*
        }

        /// Strategy settings: the table `[strategy]` of a configuration, with a table for each strategy that has settings.
        ///
        /// Only the settings of the strategy `name` have an effect. Those of the others are held, so that a comparison can configure several strategies
        /// at once, and are written out only where they differ from their defaults.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct StrategyConfig {
            /// Name of the selected strategy.
            pub name: Strategy,
            $(
                #[doc = concat!("Settings of `", stringify!($name), "`.")]
                pub $name: $settings,
            )*
        }

        impl Strategy {
            /// All strategies, the paper's first.
            pub const ALL: [Self; [$(Strategy::$variant),*].len()] = [$(Self::$variant),*];

            /// Name of the strategy in configurations.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }
        }

        impl StrategyConfig {
            /// The settings of the selected strategy alone, for the run's record.
            pub fn selected(&self) -> Self {
                let name = self.name;
                match name {
                    $(Strategy::$variant => Self { name, $name: self.$name.clone(), ..Self::default() },)*
                }
            }

            /// Checks that every setting is in range, those of strategies that are not selected included.
            ///
            /// # Errors
            /// The first setting that is wrong.
            pub fn check(&self) -> Result<()> {
                $(self.$name.check()?;)*
                Ok(())
            }

            fn settings_of(&self, strategy: Strategy) -> &dyn StrategySettings {
                match strategy {
                    $(Strategy::$variant => &self.$name,)*
                }
            }
        }

        impl Serialize for StrategyConfig {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("name", &self.name)?;
                $(
                    let has_settings = size_of::<$settings>() > 0;
                    let is_selected = self.name == Strategy::$variant;
                    if has_settings && (is_selected || self.$name != <$settings>::default()) {
                        map.serialize_entry(stringify!($name), &self.$name)?;
                    }
                )*
                map.end()
            }
        }
    };
}

strategies! {
    /// Distillation from the previous model on mixups of the buffers (the paper's).
    #[default]
    medcoss: Medcoss(medcoss::MedcossConfig),
    /// Nothing against forgetting: fine-tuning on one modality after another.
    sequential: Sequential(sequential::SequentialConfig),
    /// The pretext task on the buffers beside the new modality (experience replay).
    replay: Replay(replay::ReplayConfig),
    /// All modalities at once: the last stage trains on the data of all stages.
    joint: Joint(joint::JointConfig),
    /// One model for each modality: every stage starts from the model that the run started from.
    single: Single(single::SingleConfig),
    /// Elastic weight consolidation (Kirkpatrick et al., PNAS 2017), online (Schwarz et al., ICML 2018).
    ewc: Ewc(ewc::EwcConfig),
    /// Learning without forgetting: distillation on the new modality (Li and Hoiem, ECCV 2016).
    lwf: Lwf(lwf::LwfConfig),
    /// CaSSLe: distillation on the new modality through a predictor (Fini et al., CVPR 2022).
    cassle: Cassle(cassle::CassleConfig),
    /// PackNet: weights of earlier stages are fixed, the others pruned and passed on (Mallya and Lazebnik, CVPR 2018).
    packnet: Packnet(packnet::PacknetConfig),
}

impl Strategy {
    /// Whether a finished stage keeps a buffer for later stages.
    pub fn keeps_buffer(self) -> bool {
        let source = self.of_defaults(|settings| settings.replay_source());
        matches!(source, ReplaySource::DistilledBuffers { .. } | ReplaySource::Buffers)
    }

    /// Number of auxiliary parameter sets, each as large as the model, that a later stage holds in memory: a teacher; importances and anchors; owners
    /// and fixed weights.
    pub fn n_auxiliary_models(self) -> usize {
        self.of_defaults(|settings| settings.n_auxiliary_models())
    }

    /// Whether every stage starts from the model that the run started from, so that each modality has a model of its own.
    pub fn has_one_model_per_stage(self) -> bool {
        self.of_defaults(|settings| settings.has_one_model_per_stage())
    }

    /// Whether only the last stage trains, on the data of all stages.
    pub fn defers_training(self) -> bool {
        self.of_defaults(|settings| settings.defers_training())
    }

    /// Whether the model of an earlier stage can be recovered exactly from a later one, see [`super::model_of_stage`].
    pub fn recovers_earlier_models(self) -> bool {
        self.of_defaults(|settings| settings.recovers_earlier_models())
    }

    /// A property that does not depend on the values of settings.
    fn of_defaults<T>(self, ask: impl FnOnce(&dyn StrategySettings) -> T) -> T {
        ask(StrategyConfig::default().settings_of(self))
    }
}

impl StrategyConfig {
    /// A strategy with its default settings.
    pub fn new(name: Strategy) -> Self {
        Self { name, ..Self::default() }
    }

    /// Number of samples from which the importance of parameters is estimated, one by one after the last epoch.
    pub fn n_importance_samples(&self) -> usize {
        self.settings_of(self.name).n_importance_samples()
    }

    /// Samples of previous stages that take part in a later stage.
    pub(crate) fn replay_source(&self) -> ReplaySource {
        self.settings_of(self.name).replay_source()
    }

    /// The selected strategy at the start of a stage.
    pub(crate) fn build(&self, start: &StageStart<'_>) -> Result<Box<dyn ContinualStrategy>> {
        self.settings_of(self.name).build(start)
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_other_strategies_are_written_out_only_where_they_were_set() {
        let mut config = StrategyConfig::new(Strategy::Ewc);
        let written = |config: &StrategyConfig| serde_json::to_value(config).unwrap();
        assert_eq!(written(&config)["ewc"]["n_samples"], 256);
        assert_eq!(written(&config).as_object().unwrap().len(), 2);
        config.packnet.keep_ratio = 0.25;
        assert_eq!(written(&config)["packnet"]["keep_ratio"], 0.25);
        assert_eq!(serde_json::from_value::<StrategyConfig>(written(&config)).unwrap(), config);
        assert_eq!(config.selected(), StrategyConfig::new(Strategy::Ewc));
        assert_eq!(written(&StrategyConfig::new(Strategy::Joint)), serde_json::json!({ "name": "joint" }));
    }

    #[test]
    fn names_are_those_of_configurations() {
        for strategy in Strategy::ALL {
            assert_eq!(serde_json::to_value(strategy).unwrap(), strategy.name());
        }
    }

    #[test]
    fn values_out_of_range_are_refused_by_the_name_of_their_setting() {
        for (table, key, value, message) in [
            (
                "medcoss",
                "distillation_weight",
                -1.0,
                "strategy.medcoss.distillation_weight is -1, expected 0.0 to 1e30",
            ),
            ("lwf", "distillation_weight", -1.0, "strategy.lwf.distillation_weight is -1, expected 0.0 to 1e30"),
            ("cassle", "distillation_weight", -1.0, "strategy.cassle.distillation_weight is -1, expected 0.0 to 1e30"),
            ("ewc", "lambda", -1.0, "strategy.ewc.lambda is -1, expected 0.0 to 1e30"),
            ("ewc", "decay", 1.5, "strategy.ewc.decay is 1.5, expected 0.0 to 1.0"),
            ("packnet", "keep_ratio", 1.0, "strategy.packnet.keep_ratio is 1, expected above 0.0 to below 1.0"),
            ("packnet", "retrain_ratio", 1.0, "strategy.packnet.retrain_ratio is 1, expected 0.0 to below 1.0"),
        ] {
            let config: StrategyConfig = serde_json::from_value(serde_json::json!({ table: { key: value } })).unwrap();
            assert_eq!(config.check().unwrap_err().to_string(), message);
        }
    }
}
