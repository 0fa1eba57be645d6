//! Samples as points: all modalities on one map, and each modality by itself with its labels.

use std::collections::BTreeMap;

use maud::{Markup, html};
use medcoss_core::evaluation::Projection;

use super::chart::{N_COLOURS, Point, Scatter};
use super::history::RunHistory;
use super::passes::StageFeatures;
use super::samples::{Origin, StageSamples};
use super::section::{Section, gaps};
use crate::numbers::percent;

/// Name of the group of samples without a label or with a rare one.
const OTHER: &str = "other";

pub(crate) fn section(
    run: &RunHistory,
    samples: &[Result<StageSamples, String>],
    features: &[Result<StageFeatures, String>],
) -> Section {
    let missing: Vec<(&str, &str)> = run
        .stages
        .iter()
        .zip(features)
        .filter_map(|(stage, features)| Some((stage.label.as_str(), features.as_ref().err()?.as_str())))
        .collect();
    let mut gaps = gaps(missing.into_iter());
    let whole = whole(run, samples, features);
    let mut maps = Vec::new();
    match whole {
        Ok(Some(map)) => maps.push(map),
        Ok(None) => {}
        Err(reason) => gaps.push(reason),
    }
    let mut unlabelled = Vec::new();
    for (at, stage) in run.stages.iter().enumerate() {
        let (Ok(samples), Ok(features)) = (&samples[at], &features[at]) else { continue };
        match by_label(&stage.label, samples, features) {
            Some(map) => maps.push(map),
            None => unlabelled.push(stage.label.as_str()),
        }
    }
    if !unlabelled.is_empty() {
        gaps.push(format!("{}: no labels to colour a map by", unlabelled.join(", ")));
    }
    let only_kept = run
        .stages
        .iter()
        .zip(samples)
        .filter(|(_, samples)| samples.as_ref().is_ok_and(|samples| samples.origin == Origin::Kept));
    let only_kept: Vec<&str> = only_kept.map(|(stage, _)| stage.label.as_str()).collect();
    if !only_kept.is_empty() {
        gaps.push(format!(
            "{}: buffer samples alone, since the data were not found (--data-root DIR)",
            only_kept.join(", ")
        ));
    }
    let lead = "Features of the latest model (means over tokens), seen along the two directions in which they differ most \
                (principal components). A ring: the sample is in the rehearsal buffer. Point at a sample for its name.";
    let body = (!maps.is_empty()).then(|| html! { div.charts { @for map in &maps { (map) } } });
    Section { id: "map", title: "Map of features", lead, body, gaps }
}

fn axis(number: usize, share: f64) -> String {
    format!("component {number} ({} of the variance)", percent(share))
}

/// The map of all modalities.
fn whole(
    run: &RunHistory,
    samples: &[Result<StageSamples, String>],
    features: &[Result<StageFeatures, String>],
) -> Result<Option<Markup>, String> {
    let mut values = Vec::new();
    let mut caption = Vec::new();
    let mut colours = Vec::new();
    let mut width = 0;
    for (at, stage) in run.stages.iter().enumerate() {
        let (Ok(samples), Ok(features)) = (&samples[at], &features[at]) else { continue };
        values.extend_from_slice(&features.values);
        width = features.width;
        colours.push((stage.label.clone(), at));
        let text = |&index: &u64| format!("{}: {}", stage.label, samples.caption(index));
        caption.extend(features.indices.iter().zip(&features.kept).map(|(index, kept)| (at, text(index), *kept)));
    }
    if colours.is_empty() {
        return Ok(None);
    }
    let map = Projection::of(&values, width).map_err(|error| error.to_string())?;
    let points = map.points.iter().zip(caption).map(|([x, y], (colour, caption, ringed))| Point {
        x: *x,
        y: *y,
        colour,
        ringed,
        caption,
    });
    let (x, y) = (axis(1, map.explained[0]), axis(2, map.explained[1]));
    let chart = Scatter { title: "All modalities", x: &x, y: &y, colours, points: points.collect() };
    Ok(Some(chart.draw()))
}

/// The map of one modality by its labels; `None` without at least two labels.
fn by_label(title: &str, samples: &StageSamples, features: &StageFeatures) -> Option<Markup> {
    let labels: Vec<Option<&str>> = features.indices.iter().map(|&index| samples.label(index)).collect();
    let names = frequent(&labels);
    if names.len() < 2 {
        return None;
    }
    let map = Projection::of(&features.values, features.width).ok()?;
    let colour = |label: Option<&str>| {
        label.and_then(|label| names.iter().position(|name| *name == label)).unwrap_or(N_COLOURS - 1)
    };
    let mut colours: Vec<(String, usize)> = names.iter().enumerate().map(|(at, name)| (name.to_string(), at)).collect();
    if labels.iter().any(|label| label.is_none_or(|label| !names.contains(&label))) {
        colours.push((OTHER.into(), N_COLOURS - 1));
    }
    let points = map.points.iter().enumerate().map(|(row, [x, y])| Point {
        x: *x,
        y: *y,
        colour: colour(labels[row]),
        ringed: features.kept[row],
        caption: samples.caption(features.indices[row]),
    });
    let (x, y) = (axis(1, map.explained[0]), axis(2, map.explained[1]));
    let title = format!("{title} by label");
    Some(Scatter { title: &title, x: &x, y: &y, colours, points: points.collect() }.draw())
}

/// The most frequent labels, in equal cases by name. One colour is left for the others.
fn frequent<'a>(labels: &[Option<&'a str>]) -> Vec<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in labels.iter().flatten() {
        *counts.entry(label).or_default() += 1;
    }
    let mut names: Vec<(&str, usize)> = counts.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    names.into_iter().take(N_COLOURS - 1).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_labels_have_colours_of_their_own() {
        let labels: Vec<Option<&str>> = "h g g f e d c b a a b".split(' ').map(Some).chain([None]).collect();
        assert_eq!(frequent(&labels), ["a", "b", "g", "c", "d", "e", "f"]);
    }
}
