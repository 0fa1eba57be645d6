//! Presets of plugins' options: those of a run's recipe, and those that published weights need of the files that they are given.
//!
//! A plugin declares its presets, so that this crate knows no modality.

use anyhow::{Context, Result};
use medcoss_core::weights::Origin;
use medcoss_plugin_host::Plugin;

use crate::config::RunConfig;
use crate::recipe::Recipe;
use crate::stage_plugin::StagePlugin;

/// Preset of a plugin's options: everything that the reference does with a modality's data.
const REFERENCE_OPTIONS: &str = "reference";

/// Preset of a plugin's options: what weights of the reference need of the files that they are given (axes, channels,
/// sizes, words), and nothing of its training.
const PUBLISHED_WEIGHTS_OPTIONS: &str = "published-weights";

/// Name of the preset that a run's data are opened with: by its recipe, or by the origin of the weights that it began with.
pub(crate) fn preset_of(recipe: Option<Recipe>, origin: Option<Origin>) -> Option<&'static str> {
    match (recipe, origin) {
        (Some(Recipe::Reference), _) => Some(REFERENCE_OPTIONS),
        (None, Some(Origin::Medcoss)) => Some(PUBLISHED_WEIGHTS_OPTIONS),
        (None, _) => None,
    }
}

/// Adds the options of a plugin's preset to given options, below those that are there, and says what was added.
///
/// # Errors
/// A preset that is no table of options.
pub(crate) fn add_preset(plugin: &Plugin, preset: &str, options: &mut toml::Table) -> Result<Option<String>> {
    let Some(of_preset) = plugin.option_preset(preset) else {
        return Ok(Some(format!("plugin {} has no options for {preset}: its own defaults are used", plugin.name())));
    };
    let of_preset = toml::Table::try_from(of_preset)
        .with_context(|| format!("preset {preset} of plugin {} is no table of options", plugin.name()))?;
    // An option that is given is given whole: `keep_rows = {}` keeps all rows.
    let missing: Vec<_> = of_preset.into_iter().filter(|(name, _)| !options.contains_key(name)).collect();
    let added: Vec<String> = missing.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    options.extend(missing);
    let said = format!("{}: options of {preset}: {}", plugin.name(), added.join(", "));
    Ok((!added.is_empty()).then_some(said))
}

impl RunConfig {
    /// This configuration with the options that its recipe, or the origin of its weights, has for each stage, and what
    /// was added. Stages without a plugin keep their options.
    ///
    /// # Errors
    /// A preset that is no table of options.
    pub(crate) fn with_option_presets(
        mut self,
        plugins: &[StagePlugin],
        origin: Option<Origin>,
    ) -> Result<(Self, Vec<String>)> {
        let mut said = Vec::new();
        let Some(preset) = preset_of(self.recipe, origin) else { return Ok((self, said)) };
        for (at, (section, plugin)) in self.stages.iter_mut().zip(plugins).enumerate() {
            if let StagePlugin::Loaded(plugin) = plugin {
                let added = add_preset(plugin, preset, &mut section.options)?;
                said.extend(added.map(|added| format!("stage {} {added}", at + 1)));
            }
        }
        Ok((self, said))
    }
}
