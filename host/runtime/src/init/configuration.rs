//! The configuration that is proposed, with a reason for each value.

use std::fmt::Write as _;

use anyhow::Result;
use medcoss_abi::message::SuitedOption;

use super::recognition::Recognised;

/// Updates of a stage that the number of epochs is made for.
const UPDATES: usize = 1000;
/// Updates of a stage from which the defaults of the paper's recipe suit.
const UPDATES_OF_THE_RECIPE: usize = 20_000;
/// Learning rate for fewer updates: that of AdamW for a small Transformer.
const LEARNING_RATE: f64 = 5e-4;
/// Batch size that the base learning rate is for.
const BASE_BATCH: f64 = 256.0;
/// Range of the number of epochs.
const EPOCHS: [usize; 2] = [10, 300];
/// Range of the batch size.
const BATCH: [usize; 2] = [4, 64];

/// A stage that is proposed.
#[derive(Debug, Clone)]
pub struct ProposedStage {
    /// The data.
    pub data: Recognised,
    /// Number of samples with the proposed options.
    pub n_samples: usize,
}

/// A configuration that is proposed.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The stages in their order, at least one.
    pub stages: Vec<ProposedStage>,
    /// Preset of the model, and why.
    pub preset: (String, String),
}

/// The configuration as commented TOML.
///
/// # Errors
/// A value that cannot be written as TOML.
pub fn write_configuration(proposal: &Proposal) -> Result<String> {
    let fewest = proposal.stages.iter().map(|stage| stage.n_samples).min().unwrap_or(1).max(1);
    let all = proposal.stages.iter().map(|stage| stage.n_samples).max().unwrap_or(1).max(1);
    // A power of two that leaves eight batches an epoch to the smallest stage.
    let batch = (fewest / 8).max(1).next_power_of_two().clamp(BATCH[0], BATCH[1]).min(fewest.max(1));
    let batches = all.div_ceil(batch);
    let epochs = UPDATES.div_ceil(batches).clamp(EPOCHS[0], EPOCHS[1]);
    let n_updates = epochs * batches;
    let (preset, why) = &proposal.preset;
    let mut text = String::from(
        "# Written by `medcoss init`, from a look at the data. Every value has its reason beside it; change what you know better.\n\nseed = 0\n\n",
    );
    writeln!(text, "[model]\npreset = \"{preset}\"  # {why}")?;
    let is_short = n_updates < UPDATES_OF_THE_RECIPE;
    if is_short {
        writeln!(text, "layer_scale = 0.1  # the default, 1e-3, is meant for tens of thousands of updates")?;
    }
    writeln!(text, "\n[training]")?;
    writeln!(
        text,
        "batch_size = {batch}  # about eight batches an epoch in the smallest stage, {fewest} samples; at most {}",
        BATCH[1]
    )?;
    writeln!(text, "epochs = {epochs}  # about {n_updates} updates in the largest stage, {all} samples")?;
    writeln!(text, "warmup_epochs = {}  # a tenth of the epochs", (epochs / 10).max(1))?;
    if is_short {
        let base = LEARNING_RATE * BASE_BATCH / batch as f64;
        writeln!(
            text,
            "\n[optimiser]\nbase_learning_rate = {base:.1e}  # times batch_size / 256 gives {LEARNING_RATE:.0e}; the default suits long runs with large batches"
        )?;
    }
    for stage in &proposal.stages {
        write_stage(&mut text, stage)?;
    }
    Ok(text)
}

fn write_stage(text: &mut String, ProposedStage { data, n_samples }: &ProposedStage) -> Result<()> {
    let Recognised { modality, data, survey, other } = data;
    writeln!(text, "\n# {modality}: {}.", one_line(&survey.why))?;
    if let Some((other, why)) = other {
        writeln!(text, "# It might also be {}: {}.", one_line(other), one_line(why))?;
    }
    for fact in &survey.facts {
        writeln!(text, "#   {}: {}", one_line(&fact.name), one_line(&fact.value))?;
    }
    writeln!(text, "#   samples: {n_samples}")?;
    let paths = match data.as_slice() {
        [one] => toml::Value::try_from(one)?,
        several => toml::Value::try_from(several)?,
    };
    writeln!(text, "[[stage]]\nmodality = {}\ndata = {paths}", toml::Value::from(modality.as_str()))?;
    if !survey.options.is_empty() {
        writeln!(text, "[stage.options]")?;
    }
    for SuitedOption { name, value, reason } in &survey.options {
        let value = toml::Value::try_from(value)?;
        let key = toml::Value::from(name.as_str());
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let key = if plain { name.clone() } else { key.to_string() };
        writeln!(text, "{key} = {value}  # {}", one_line(reason))?;
    }
    Ok(())
}

/// A plugin's text as a comment: a second line would be read as configuration.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;
    use medcoss_abi::message::{Fact, Survey};
    use serde_json::json;

    fn stage(modality: &str, n_samples: usize) -> ProposedStage {
        let survey = Survey {
            fit: 1.0,
            why: "3 files are\nseed = 7".into(),
            facts: vec![Fact { name: "spacing".into(), value: "1.5 mm".into() }],
            options: vec![SuitedOption {
                name: "size".into(),
                value: json!([16, 32, 32]),
                reason: "as they are".into(),
            }],
            leave_out: vec![],
        };
        let data = Recognised { modality: modality.into(), data: vec!["a b".into()], survey, other: None };
        ProposedStage { data, n_samples }
    }

    #[test]
    fn what_is_written_is_a_configuration() {
        let preset = ("vit-tiny".to_string(), "there are few samples".to_string());
        let proposal = Proposal { stages: vec![stage("one", 40), stage("two", 1000)], preset };
        let text = write_configuration(&proposal).unwrap();
        let config: RunConfig = toml::from_str(&text).unwrap();
        config.check().unwrap();
        assert_eq!((config.seed, config.stages.len(), config.training.batch_size), (0, 2, 8), "{text}");
        // 125 batches an epoch: eight epochs would be enough, ten are the least.
        assert_eq!((config.training.epochs, config.training.warmup_epochs), (10, 1));
        assert_eq!(config.stages[0].options["size"].as_array().unwrap().len(), 3);
        assert!((config.optimiser.base_learning_rate * 8.0 / 256.0 - LEARNING_RATE).abs() < 1e-9);
    }

    #[test]
    fn a_single_sample_is_a_batch() {
        let preset = ("demo".to_string(), "few".to_string());
        let text = write_configuration(&Proposal { stages: vec![stage("one", 1)], preset }).unwrap();
        let config: RunConfig = toml::from_str(&text).unwrap();
        assert_eq!((config.training.batch_size, config.training.epochs), (1, 300));
    }
}
