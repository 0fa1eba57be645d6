//! Masked samples and the model's reconstructions: images and text.

use maud::{Markup, html};
use medcoss_core::data::Dataset;
use medcoss_core::pretext::{ReconstructedContent, ReconstructedPatches, Reconstruction};
use medcoss_plugin_host::Tokens;

use super::buffers::exhibit;
use super::exhibit::{Exhibit, LARGE};
use super::history::RunHistory;
use super::samples::StageSamples;
use super::section::{Section, gaps};
use super::words;
use crate::numbers::{percent, short};

pub(crate) fn section(
    run: &RunHistory,
    samples: &[Result<StageSamples, String>],
    reconstructed: &[Result<Vec<Reconstruction>, String>],
) -> Section {
    let mut missing = Vec::new();
    let mut parts = Vec::new();
    for (at, stage) in run.stages.iter().enumerate() {
        match (&samples[at], &reconstructed[at]) {
            (Ok(samples), Ok(reconstructed)) => match draw(samples, reconstructed) {
                Ok(drawn) => parts.push(html! { div.part { h4 { (stage.label) } (drawn) } }),
                Err(reason) => missing.push((stage.label.as_str(), reason)),
            },
            (Err(reason), _) | (_, Err(reason)) => missing.push((stage.label.as_str(), reason.clone())),
        }
    }
    let lead = "Samples masked as in training, filled in by the model as it was after their own stage. Visible patches are shown \
                as they are; predicted ones have the mean and the contrast of the patch that they stand for, as the masked \
                autoencoder is shown. How masked patches are drawn is the plugin's choice.";
    let gaps = gaps(missing.iter().map(|(stage, reason)| (*stage, reason.as_str())));
    let body = (!parts.is_empty()).then(|| html! { @for part in &parts { (part) } });
    Section { id: "reconstructions", title: "Reconstructions", lead, body, gaps }
}

fn draw(samples: &StageSamples, reconstructed: &[Reconstruction]) -> Result<Markup, String> {
    let drawn: Vec<Markup> = reconstructed
        .iter()
        .map(|sample| {
            let caption = &samples.source.ids()[sample.index as usize];
            match &sample.content {
                ReconstructedContent::Patches(patches) => images(samples, patches, caption),
                ReconstructedContent::Tokens(predicted) => words::draw(samples, predicted, caption),
            }
        })
        .collect::<Result<_, _>>()?;
    let has_words = reconstructed.iter().any(|sample| matches!(sample.content, ReconstructedContent::Tokens(_)));
    Ok(html! {
        @if has_words { (words::key()) }
        div.samples { @for sample in &drawn { (sample) } }
    })
}

fn images(samples: &StageSamples, patches: &ReconstructedPatches, id: &str) -> Result<Markup, String> {
    let rendered = |values: &[f32], hidden: &[u8]| {
        samples.rendered(Tokens::Continuous(values), hidden, LARGE).map(Exhibit::enlarged)
    };
    let missing: Vec<u8> = patches.missing.iter().map(|missing| u8::from(*missing)).collect();
    let hidden: Vec<u8> =
        missing.iter().zip(&patches.masked).map(|(missing, masked)| missing | u8::from(*masked)).collect();
    let original = rendered(&patches.original, &missing)?;
    let views = [
        ("original", Ok(original)),
        ("what the model saw", rendered(&patches.original, &hidden)),
        ("filled in", rendered(&patches.reconstructed, &missing)),
    ];
    let share = patches.masked.iter().filter(|masked| **masked).count() as f64 / patches.masked.len().max(1) as f64;
    Ok(html! {
        div.sample {
            p.caption { code { (id) } br; (percent(share)) " masked, loss " (short(patches.loss)) }
            div.triple {
                @for (name, view) in views {
                    figure { (exhibit(view, &format!("{id}: {name}"))) figcaption { (name) } }
                }
            }
        }
    })
}
