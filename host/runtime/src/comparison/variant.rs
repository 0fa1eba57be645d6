//! Variants of a comparison: a strategy, or other settings under a name of their own.

use anyhow::{Result, bail};
use medcoss_core::buffer::Store;
use medcoss_core::continual::Strategy;
use medcoss_plugin_host::did_you_mean;

use crate::config::RunConfig;

/// Prefix of the setting that selects a strategy.
const STRATEGY: &str = "strategy.name=";

/// One variant of a comparison: a name and the settings that it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Name of the variant, also in the folder names of its runs.
    pub name: String,
    /// Settings `key=value` that replace those of the base configuration.
    pub settings: Vec<String>,
}

impl Variant {
    /// The variant that uses a strategy, by the strategy's name.
    ///
    /// # Errors
    /// A name that no strategy has.
    pub fn strategy(name: &str) -> Result<Self> {
        let names = Strategy::ALL.map(Strategy::name);
        if names.contains(&name) {
            return Ok(Self { name: name.into(), settings: vec![format!("{STRATEGY}{name}")] });
        }
        bail!("there is no strategy {name:?}\nhint: {}there are {}", did_you_mean(name, names), names.join(", "))
    }

    /// A variant from `NAME:SETTINGS`, such as `no-mixup:strategy.medcoss.mixup=false`; several settings are separated
    /// by `;`.
    ///
    /// # Errors
    /// A text without name or settings, a name that no folder may have.
    pub fn named(text: &str) -> Result<Self> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_+.".contains(letter))
                && !name.starts_with('.')
        };
        match text.split_once(':') {
            Some((name, settings)) if is_name(name) && settings.contains('=') => {
                let settings = settings.split(';').map(|setting| setting.trim().to_string()).collect();
                Ok(Self { name: name.into(), settings })
            }
            _ => bail!(
                "variant {text:?} is not NAME:KEY=VALUE[;KEY=VALUE]\n\
                 hint: letters, digits, - and _ make a name; for example no-mixup:strategy.medcoss.mixup=false"
            ),
        }
    }

    /// The configuration of this variant's run with a seed.
    ///
    /// # Errors
    /// Unknown settings, values out of range.
    pub fn configuration(&self, base: &RunConfig, seed: u64) -> Result<RunConfig> {
        let mut base = RunConfig { seed, ..base.clone() };
        // A strategy without a buffer stores nothing.
        let named = self.settings.iter().find_map(|setting| setting.strip_prefix(STRATEGY));
        if Strategy::ALL.iter().any(|strategy| Some(strategy.name()) == named && !strategy.keeps_buffer()) {
            base.buffer.store = Store::Reference;
        }
        base.with_settings(&self.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_and_settings_under_a_name() {
        assert_eq!(Variant::strategy("ewc").unwrap().settings, ["strategy.name=ewc"]);
        let error = Variant::strategy("medcos").unwrap_err().to_string();
        assert!(error.contains("did you mean \"medcoss\"?"), "{error}");
        let variant = Variant::named("small:buffer.ratio=0.01; buffer.cluster_ratio=0.01").unwrap();
        assert_eq!((variant.name.as_str(), variant.settings.len()), ("small", 2));
        for wrong in ["small", "small:", ":a=1", "../x:a=1", "a b:c=1", ".:a=1"] {
            assert!(Variant::named(wrong).is_err(), "{wrong}");
        }
    }
}
