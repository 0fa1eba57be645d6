//! Masks against masks: pairs by path, Dice and distances of each class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::evaluation::{dice, hausdorff_95_of, hausdorff_95_reference};
use medcoss_formats::mask::{Mask, extensions, read_mask};
use serde::Serialize;

use super::{Summary, summary};

/// Largest number of classes that are found in masks; instance masks have more.
const MAX_CLASSES: usize = 64;
/// Largest relative difference of spacings that count as equal.
const SPACING_TOLERANCE: f64 = 1e-3;
/// Files below a folder at most.
const MAX_FILES: usize = 1 << 20;

/// Options of the comparison.
#[derive(Debug, Clone, Default)]
pub struct MaskOptions {
    /// Labels to compare; all that occur but 0 without any.
    pub labels: Vec<u16>,
    /// HD95 as the reference counts it: in voxels, 0 for two empty masks and 500 for one.
    pub reference_hd95: bool,
}

/// A case and a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseOfMasks {
    /// Path of the case without extension.
    pub case: String,
    /// Label of the class.
    pub label: u16,
    /// Dice; 1 where both masks lack the class.
    pub dice: f64,
    /// HD95 in voxels; none where a mask lacks the class, unless it is counted as in the reference.
    pub hd95_voxels: Option<f64>,
    /// HD95 in millimetres; none where a mask lacks the class or no spacing is known.
    pub hd95_mm: Option<f64>,
    /// Voxels of the class in the prediction.
    pub n_predicted: usize,
    /// Voxels of the class in the truth.
    pub n_true: usize,
}

/// Comparison of masks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MaskScores {
    /// Metrics over all cases.
    pub scores: Vec<Summary>,
    /// Each case and class.
    pub cases: Vec<CaseOfMasks>,
    /// Truths without a prediction.
    pub not_predicted: Vec<String>,
    /// Predictions without a truth.
    pub without_truth: Vec<String>,
}

/// Masks below a folder, or one file, by their path without extension.
fn masks_below(path: &Path) -> Result<BTreeMap<String, PathBuf>> {
    if path.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(BTreeMap::from([(stem(&name).unwrap_or(&name).to_string(), path.to_path_buf())]));
    }
    let (mut found, mut folders) = (BTreeMap::new(), vec![(path.to_path_buf(), String::new())]);
    while let Some((folder, below)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().with_context(|| format!("cannot examine {}", entry.path().display()))?;
            if name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                folders.push((entry.path(), format!("{below}{name}/")));
            } else if let Some(stem) = stem(&name) {
                let key = format!("{below}{stem}");
                if let Some(other) = found.insert(key, entry.path()) {
                    bail!(
                        "{} and {} are masks of one case\nhint: keep one of them",
                        other.display(),
                        entry.path().display()
                    );
                }
            }
            if found.len() > MAX_FILES {
                bail!("{} holds more than {MAX_FILES} masks", path.display());
            }
        }
    }
    Ok(found)
}

/// The name of a mask without its extension; none for other files.
fn stem(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    let longest =
        extensions().filter(|extension| lower.ends_with(extension)).max_by_key(|extension| extension.len())?;
    Some(&name[..name.len() - longest.len()])
}

/// Compares predicted masks with true ones: files, or folders whose masks have the same paths but for extensions.
///
/// # Errors
/// Folders without a pair, masks that cannot be read or differ in size or spacing, too many labels.
pub fn score_masks(
    predictions: &Path,
    truth: &Path,
    options: &MaskOptions,
    progress: &mut dyn FnMut(usize, usize) -> Result<()>,
) -> Result<MaskScores> {
    let (mut predicted, mut expected) = (masks_below(predictions)?, masks_below(truth)?);
    // Two files are a pair whatever they are called.
    if predictions.is_file() && truth.is_file() {
        let name = predicted.keys().next().cloned().unwrap_or_default();
        expected = expected.into_values().map(|path| (name.clone(), path)).collect();
    }
    // Masks below a folder of `medcoss predict` lie in `masks`.
    if predicted.keys().all(|key| key.starts_with("masks/")) {
        predicted = predicted.into_iter().map(|(key, path)| (key["masks/".len()..].to_string(), path)).collect();
    }
    let pairs = paired(&predicted, &expected);
    let mut found = MaskScores {
        not_predicted: expected.keys().filter(|key| !pairs.iter().any(|(_, own)| own == *key)).cloned().collect(),
        without_truth: predicted.keys().filter(|key| !pairs.iter().any(|(own, _)| own == *key)).cloned().collect(),
        ..MaskScores::default()
    };
    if pairs.is_empty() {
        let first = |masks: &BTreeMap<String, PathBuf>| masks.keys().next().cloned().unwrap_or_else(|| "none".into());
        bail!(
            "no mask of {} has a counterpart in {}: the first are {} and {}\nhint: a pair has the same path and name but for the extension",
            predictions.display(),
            truth.display(),
            first(&predicted),
            first(&expected)
        );
    }
    for (at, (own, other)) in pairs.iter().enumerate() {
        let read = |path: &Path| read_mask(path, &path.display().to_string()).map_err(|error| anyhow!("{error}"));
        compare(other, &read(&predicted[own])?, &read(&expected[other])?, options, &mut found.cases)
            .with_context(|| format!("case {other}"))?;
        progress(at + 1, pairs.len())?;
    }
    let labels: BTreeSet<u16> = found.cases.iter().map(|case| case.label).collect();
    type Value = fn(&CaseOfMasks) -> Option<f64>;
    let metrics: [(&str, Value); 3] =
        [("dice", |case| Some(case.dice)), ("hd95_voxels", |case| case.hd95_voxels), ("hd95_mm", |case| case.hd95_mm)];
    for (name, value) in metrics {
        // A case counts once, by the mean over its classes: its classes are no cases of their own.
        let mut by_case: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for case in &found.cases {
            by_case.entry(&case.case).or_default().extend(value(case));
        }
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let all: Vec<Option<f64>> = by_case.into_values().map(mean).collect();
        found.scores.extend(summary(name.into(), &all, 0)?);
        for label in labels.iter().filter(|_| labels.len() > 1) {
            let own: Vec<Option<f64>> = found.cases.iter().filter(|case| case.label == *label).map(value).collect();
            found.scores.extend(summary(format!("{name}:{label}"), &own, 0)?);
        }
    }
    Ok(found)
}

/// Pairs of predictions and truths: of the same path, or where none has a counterpart, of the same name.
fn paired(predicted: &BTreeMap<String, PathBuf>, expected: &BTreeMap<String, PathBuf>) -> Vec<(String, String)> {
    let same: Vec<(String, String)> =
        predicted.keys().filter(|key| expected.contains_key(*key)).map(|key| (key.clone(), key.clone())).collect();
    if !same.is_empty() {
        return same;
    }
    let name = |key: &String| key.rsplit('/').next().unwrap_or(key).to_string();
    let mut by_name: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    expected.keys().for_each(|key| by_name.entry(name(key)).or_default().push(key));
    let counterpart = |key: &String| match by_name.get(&name(key)).map(Vec::as_slice) {
        Some([only]) => Some((key.clone(), (*only).clone())),
        _ => None,
    };
    let pairs: Vec<(String, String)> = predicted.keys().filter_map(counterpart).collect();
    let distinct: BTreeSet<&String> = pairs.iter().map(|(_, truth)| truth).collect();
    if distinct.len() == pairs.len() { pairs } else { Vec::new() }
}

fn compare(
    case: &str,
    predicted: &Mask,
    truth: &Mask,
    options: &MaskOptions,
    cases: &mut Vec<CaseOfMasks>,
) -> Result<()> {
    if predicted.shape != truth.shape {
        bail!(
            "the prediction has {:?} voxels, and the truth {:?}\nhint: both must be on one grid",
            predicted.shape,
            truth.shape
        );
    }
    if let (Some(own), Some(other)) = (&predicted.spacing_mm, &truth.spacing_mm)
        && own.iter().zip(other).any(|(own, other)| (own - other).abs() > SPACING_TOLERANCE * other)
    {
        bail!(
            "the prediction has a spacing of {own:?} mm, and the truth of {other:?} mm\nhint: both must be on one grid"
        );
    }
    let labels: Vec<u16> = match options.labels.is_empty() {
        false => options.labels.clone(),
        true => {
            let both = predicted.labels.iter().chain(&truth.labels).copied().filter(|label| *label != 0);
            let found: BTreeSet<u16> = both.collect();
            if found.len() > MAX_CLASSES {
                bail!("the masks have {} labels, as instance masks do\nhint: name some with --labels", found.len());
            }
            found.into_iter().collect()
        }
    };
    for label in labels {
        let [own, other] = [&predicted.labels, &truth.labels]
            .map(|labels| labels.iter().map(|found| *found == label).collect::<Vec<bool>>());
        let [n_predicted, n_true] = [&own, &other].map(|mask| mask.iter().filter(|is| **is).count());
        let both = n_predicted > 0 && n_true > 0;
        let unit = vec![1.0; truth.shape.len()];
        let hd95_voxels = match options.reference_hd95 {
            true => Some(hausdorff_95_reference(&own, &other, &truth.shape)?),
            false => both.then(|| hausdorff_95_of(&own, &other, &truth.shape, &unit)).transpose()?,
        };
        let spacing = truth.spacing_mm.as_ref().filter(|_| both);
        let hd95_mm = spacing.map(|spacing| hausdorff_95_of(&own, &other, &truth.shape, spacing)).transpose()?;
        let dice = dice(&own, &other);
        cases.push(CaseOfMasks { case: case.into(), label, dice, hd95_voxels, hd95_mm, n_predicted, n_true });
    }
    Ok(())
}
