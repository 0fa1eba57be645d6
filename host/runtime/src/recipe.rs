//! Recipes: all choices of another implementation under one name, as settings below those that a configuration states
//! itself.
//!
//! `recipe = "reference"` is the implementation of the MedCoSS paper (Ye et al., CVPR 2024; yeerwen/MedCoSS). Its settings
//! stand here, its options of a modality in the modality's plugin: see `option_presets`.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A named recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recipe {
    /// The implementation of the paper.
    Reference,
}

/// Settings of the reference that differ from this program's defaults.
const REFERENCE: &str = r#"
[model]
initial_values = "medcoss"
[text]
attention = "causal"
[optimiser]
missing_gradients = "zero"
[strategy.medcoss]
distil_padding = true
teacher_drop_path = true
teacher_temporal_position = true
[buffer]
initialisation = "k-means++"
n_starts = 10
tolerance = 1e-4
max_iterations = 300
feature_mode = "training"
pool_padding = true
backfill = false
drop_last = true
[training]
drop_last = true
"#;

impl Recipe {
    /// Adds the recipe's settings to a configuration, below those that are there.
    pub(crate) fn complete(self, configuration: &mut toml::Table) -> Result<()> {
        let Self::Reference = self;
        let settings: toml::Table = REFERENCE.parse().context("the settings of recipe \"reference\"")?;
        merge_below(configuration, settings);
        Ok(())
    }

    /// The recipe that a table of a configuration names.
    pub(crate) fn named_in(configuration: &toml::Table) -> Option<Self> {
        configuration.get("recipe")?.clone().try_into().ok()
    }
}

/// Adds settings to a table, below those that are there.
fn merge_below(table: &mut toml::Table, settings: toml::Table) {
    for (name, value) in settings {
        match (table.get_mut(&name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(settings)) => merge_below(inner, settings),
            (Some(_), _) => {}
            (None, value) => {
                table.insert(name, value);
            }
        }
    }
}
