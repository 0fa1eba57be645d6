//! Model card of an exported encoder: how to use it, how it was made, and what is left to say by whoever passes it on.

use std::fmt::Write;

use medcoss_core::model::{FamilyConfig, FamilyTokens};
use medcoss_core::run::StageState;
use medcoss_core::weights::{InitialModel, Origin};

use super::layout::FolderLayout;
use crate::plugins_lock::LockedPlugin;

/// What a card says of its model.
pub(super) struct ModelCard<'a> {
    /// Library that the folder is for.
    pub layout: FolderLayout,
    /// Token family of the encoder.
    pub family: &'a FamilyConfig,
    /// Number of values in the exported file.
    pub n_parameters: usize,
    /// Name of the continual strategy.
    pub strategy: &'a str,
    /// Seed of the run.
    pub seed: u64,
    /// Stages that the model learned, in their order.
    pub stages: &'a [StageState],
    /// Plugins of the run.
    pub plugins: &'a [LockedPlugin],
    /// Imported weights that the run began with.
    pub initial: Option<&'a InitialModel>,
}

impl ModelCard<'_> {
    /// The card as Markdown, with the metadata that model hubs read.
    pub fn to_markdown(&self) -> String {
        let family = &self.family.name;
        format!(
            "---
library_name: {library}
pipeline_tag: feature-extraction
license: other
license_name: not-stated
tags: [medical, feature-extraction, self-supervised, continual-learning, medcoss]
---

# Encoder of the token family {family}

{} parameters, written by medcoss {version} (continual self-supervised pre-training after MedCoSS, Ye et al., CVPR 2024,
arXiv 2311.17597).

## Use

{usage}

{input}

## How it was made

{provenance}
## Intended use

Features for research: probes, retrieval, fine-tuning. The encoder is no medical device. It was not validated for
diagnosis or any other clinical use, and nothing is known of its errors on other scanners, hospitals or populations than
those of its data.

## Data and privacy

The folder holds weights, code and this text: no sample, no id of a sample, no path. Weights are computed from patients'
data and may have memorised some of them. Pass them on as you may pass on the data.

## Licence

Not stated by the program. Whoever passes the folder on has to answer: do the terms of the training data allow it, and
{licence_question}
State the answer here and in `license` above. The code of the folder is part of medcoss (MIT or Apache-2.0).
",
            self.n_parameters,
            version = env!("CARGO_PKG_VERSION"),
            library = self.library(),
            usage = self.usage(),
            input = self.input(),
            provenance = self.provenance(),
            licence_question = self.licence_question(),
        )
    }

    fn is_continuous(&self) -> bool {
        matches!(self.family.tokens, FamilyTokens::Continuous { .. })
    }

    fn library(&self) -> &str {
        match self.layout {
            FolderLayout::Huggingface => "transformers",
            FolderLayout::Timm => "timm",
        }
    }

    /// How the library loads the folder, and what its outputs are.
    fn usage(&self) -> String {
        let (argument, class_token) = match self.is_continuous() {
            true => ("pixel_values", ", the class token first"),
            false => ("input_ids=ids, attention_mask=mask", ""),
        };
        match self.layout {
            FolderLayout::Huggingface => format!(
                "```python
from transformers import AutoModel
model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
outputs = model({argument})
outputs.last_hidden_state    # [B, T, D]: outputs of the last block{class_token}
outputs.pooler_output        # [B, D]: their mean, as `medcoss embed` writes it
```

The code of the folder runs on your machine: read `encoder_medcoss.py` and `modeling_medcoss.py` first."
            ),
            FolderLayout::Timm => "```python
import timm
model = timm.create_model(f\"local-dir:{folder}\", pretrained=True).eval()
model.forward_features(pixel_values)    # [B, T, D]: class token, registers if there are some, patches
model(pixel_values)                     # [B, D]: the class token, as `medcoss embed --pool cls` writes it
```"
            .into(),
        }
    }

    /// What the model reads.
    fn input(&self) -> String {
        let n_positions = self.family.n_positions;
        match self.family.tokens {
            FamilyTokens::Discrete { vocabulary } => format!(
                "`ids` are int64 `[B, N]` with N up to {n_positions}, below {vocabulary}, from the tokeniser of the run\n\
                 (`assets/tokenizer.json` of its stage), which is not part of this folder because it may hold words of the texts.\n\
                 `mask` is 0 at padding."
            ),
            FamilyTokens::Continuous { d_token } => {
                let arrays = match self.family.layout.as_ref().filter(|layout| !layout.patch.is_empty()) {
                    Some(layout) => {
                        let size =
                            layout.grid.iter().zip(&layout.patch).map(|(side, patch)| (side * patch).to_string());
                        let channels = d_token / layout.patch.iter().product::<usize>().max(1);
                        format!(
                            "arrays `[B, {channels}, *space]` of size {}\n(other multiples of {:?} take interpolated positions), or ",
                            size.collect::<Vec<_>>().join(" x "),
                            layout.patch
                        )
                    }
                    None => String::new(),
                };
                format!(
                    "`pixel_values` are float32: {arrays}tokens `[B, N, {d_token}]` with N up to {n_positions}.\n\
                     Values are those of the plugin's evaluation view (images: [0, 1]). Libraries resample in other ways; where the exact\n\
                     features count, take those of `medcoss embed`."
                )
            }
        }
    }

    /// Stages, seed, plugins and initial weights.
    fn provenance(&self) -> String {
        let mut text =
            String::from("| stage | modality | family | samples | epochs | batches |\n|---|---|---|---|---|---|\n");
        for state in self.stages {
            let StageState { stage, modality, family, n_samples, epochs_done, steps, .. } = state;
            let _ = writeln!(text, "| {stage} | {modality} | {family} | {n_samples} | {epochs_done} | {steps} |");
        }
        let _ = writeln!(text, "\nStrategy `{}`, seed {}. {}", self.strategy, self.seed, self.beginning());
        let plugins: Vec<String> =
            self.plugins.iter().map(|plugin| format!("{} {}", plugin.id, plugin.version)).collect();
        if !plugins.is_empty() {
            let _ = writeln!(text, "Plugins: {}.", plugins.join(", "));
        }
        text
    }

    fn beginning(&self) -> String {
        match self.initial {
            None => "The run began with fresh parameters.".into(),
            Some(initial) => {
                format!("The run began with imported weights ({}, SHA-256 {}).", origin(initial), initial.source_sha256)
            }
        }
    }

    fn licence_question(&self) -> String {
        match self.initial.map(|initial| (initial, initial.report.origin)) {
            None => "whose consent covers it?".into(),
            Some((_, Some(Origin::Medcoss))) => {
                "do those of the initial weights? The weights of MedCoSS are published for non-commercial use.".into()
            }
            Some((initial, _)) => {
                format!("do those of the initial weights ({})?", origin(initial))
            }
        }
    }
}

/// Origin of imported weights in words.
fn origin(initial: &InitialModel) -> String {
    match initial.report.origin {
        None => "of another program".into(),
        Some(Origin::Exported) => "exported by medcoss from another run".into(),
        Some(origin) => format!("in the format of {origin}"),
    }
}

#[cfg(test)]
mod tests {
    use medcoss_core::data::GridLayout;
    use medcoss_core::model::Interpolation;

    use super::*;

    #[test]
    fn a_card_says_what_the_model_reads_and_asks_for_a_licence() {
        let layout = GridLayout { grid: vec![2, 3], patch: vec![16, 8], axes: Vec::new() };
        let mut family = FamilyConfig {
            name: "image".into(),
            n_positions: 64,
            n_decoder_positions: 6,
            tokens: FamilyTokens::Continuous { d_token: 384 },
            d_target: None,
            layout: Some(layout),
            interpolation: Interpolation::default(),
        };
        let card = |family: &FamilyConfig| {
            let card = ModelCard {
                layout: FolderLayout::Huggingface,
                family,
                n_parameters: 7,
                strategy: "medcoss",
                seed: 5,
                stages: &[],
                plugins: &[],
                initial: None,
            };
            card.to_markdown()
        };
        let text = card(&family);
        for part in [
            "arrays `[B, 3, *space]` of size 32 x 24",
            "seed 5",
            "fresh parameters",
            "license: other",
            "no medical device",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        family.tokens = FamilyTokens::Discrete { vocabulary: 31 };
        assert!(card(&family).contains("below 31") && card(&family).contains("input_ids=ids"));
    }
}
