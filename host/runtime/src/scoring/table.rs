//! A table of probabilities against a table of labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::evaluation::{Metric, MultiClassAuc, N_RESAMPLES, Predictions, Resamples};
use serde::Serialize;

use super::Summary;

/// Prefix of the columns with probabilities.
const PREFIX: &str = "probability_";
/// Largest table in bytes.
const MAX_BYTES: u64 = 1 << 28;

/// Columns of the tables.
#[derive(Debug, Clone)]
pub struct TableOptions {
    /// Column of the labels' table with the key.
    pub key: String,
    /// Column of the labels' table with the class, or the number.
    pub label: String,
    /// Values of that column for the predicted classes, in the order of their columns; empty where they are the classes' names.
    pub values: Vec<String>,
}

/// Comparison of tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TableScores {
    /// Metrics over all cases.
    pub scores: Vec<Summary>,
    /// Keys of labels without a prediction.
    pub not_predicted: Vec<String>,
    /// Keys of predictions without a label.
    pub without_truth: Vec<String>,
}

/// Rows by key: the first column of predictions.
struct Rows {
    header: Vec<String>,
    rows: BTreeMap<String, Vec<String>>,
}

fn read(path: &Path, key: Option<&str>) -> Result<Rows> {
    let name = path.display();
    let bytes = std::fs::metadata(path).with_context(|| format!("cannot read {name}"))?.len();
    if bytes > MAX_BYTES {
        bail!("{name} has {} MiB; tables of up to {} MiB are read", bytes >> 20, MAX_BYTES >> 20);
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {name}"))?;
    let header: Vec<String> =
        reader.headers().with_context(|| format!("{name} is no CSV table"))?.iter().map(String::from).collect();
    let at = match key {
        None => 0,
        Some(key) => header
            .iter()
            .position(|title| title == key)
            .ok_or_else(|| anyhow!("{name} has no column {key:?}\nhint: the columns are {}", header.join(", ")))?,
    };
    let mut rows = BTreeMap::new();
    for row in reader.into_records() {
        let row: Vec<String> =
            row.with_context(|| format!("{name} is no CSV table"))?.iter().map(String::from).collect();
        if let Some(key) = row.get(at).filter(|key| !key.is_empty())
            && rows.insert(key.clone(), row.clone()).is_some()
        {
            bail!("{name} has two rows with {key:?}\nhint: one row a key is expected");
        }
    }
    Ok(Rows { header, rows })
}

/// The row of a prediction's key among the labels: by the key itself, its file name, or that without extensions.
fn counterpart<'a>(key: &str, labels: &'a Rows) -> Option<(&'a String, &'a Vec<String>)> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let stems = name.match_indices('.').map(|(at, _)| &name[..at]);
    let mut keys = vec![key, name];
    keys.extend(stems.collect::<Vec<_>>().into_iter().rev());
    keys.into_iter().find_map(|key| labels.rows.get_key_value(key))
}

/// Compares a table of predictions, whose first column is the key and which has a column `probability_CLASS` for each class or a column `value`, with a table
/// of labels.
///
/// # Errors
/// Tables that cannot be read, columns that are missing, no key in both.
pub fn score_table(predictions: &Path, labels: &Path, options: &TableOptions) -> Result<TableScores> {
    let (predicted, truth) = (read(predictions, None)?, read(labels, Some(&options.key))?);
    let label_at = truth.header.iter().position(|title| *title == options.label).ok_or_else(|| {
        anyhow!(
            "{} has no column {:?}\nhint: the columns are {}",
            labels.display(),
            options.label,
            truth.header.join(", ")
        )
    })?;
    let mut found = TableScores::default();
    let (mut used, mut pairs) = (BTreeSet::new(), Vec::new());
    for (key, row) in &predicted.rows {
        match counterpart(key, &truth) {
            Some((own, label)) if !label[label_at].is_empty() => {
                used.insert(own);
                pairs.push((row, label[label_at].clone()));
            }
            _ => found.without_truth.push(key.clone()),
        }
    }
    found.not_predicted = truth.rows.keys().filter(|key| !used.contains(key)).cloned().collect();
    if pairs.is_empty() {
        let first = |rows: &Rows| rows.rows.keys().next().cloned().unwrap_or_else(|| "none".into());
        bail!(
            "no key of {} is in column {:?} of {}: the first are {:?} and {:?}",
            predictions.display(),
            options.key,
            labels.display(),
            first(&predicted),
            first(&truth)
        );
    }
    let classes: Vec<(usize, String)> = predicted
        .header
        .iter()
        .enumerate()
        .filter_map(|(at, title)| Some((at, title.strip_prefix(PREFIX)?.to_string())))
        .collect();
    let number = |text: &str| {
        text.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| anyhow!("{:?} in {} is no number", text, predictions.display()))
    };
    if classes.is_empty() {
        let value_at = predicted.header.iter().position(|title| title == "value").ok_or_else(|| {
            anyhow!(
                "{} has neither columns {PREFIX}CLASS nor a column value\nhint: the columns are {}",
                predictions.display(),
                predicted.header.join(", ")
            )
        })?;
        let mut numbers = Vec::with_capacity(pairs.len());
        for (row, label) in &pairs {
            let truth = label.parse::<f64>().map_err(|_| anyhow!("{label:?} in {} is no number", labels.display()))?;
            numbers.push((number(&row[value_at])?, truth));
        }
        let error = |places: &[usize]| {
            places.iter().map(|at| (numbers[*at].0 - numbers[*at].1).abs()).sum::<f64>() / places.len().max(1) as f64
        };
        found.scores.push(interval("mean_absolute_error", &vec![0; numbers.len()], &|places| Ok(error(places)))?);
        return Ok(found);
    }
    if !options.values.is_empty() && options.values.len() != classes.len() {
        bail!("{} labels are named for {} predicted classes", options.values.len(), classes.len());
    }
    let values: Vec<&str> = match options.values.is_empty() {
        true => classes.iter().map(|(_, name)| name.as_str()).collect(),
        false => options.values.iter().map(String::as_str).collect(),
    };
    let mut of_labels = Vec::with_capacity(pairs.len());
    let mut scores = Vec::with_capacity(pairs.len() * classes.len());
    for (row, label) in &pairs {
        let class = values.iter().position(|value| *value == label).ok_or_else(|| {
            anyhow!(
                "label {label:?} is none of the predicted classes, {}\n\
                 hint: --classes names the labels in the order of the probability columns: --classes 0,1",
                values.join(", ")
            )
        })?;
        of_labels.push(class);
        for (at, _) in &classes {
            scores.push(number(&row[*at])?);
        }
    }
    let n_classes = classes.len();
    let predictions =
        Predictions::Classes { labels: of_labels.clone(), scores, n_classes, auc: MultiClassAuc::default() };
    let all: Vec<usize> = (0..of_labels.len()).collect();
    for metric in Metric::OF_CLASSES {
        if metric.of(&predictions, &all).is_ok() {
            found.scores.push(interval(metric.name(), &of_labels, &|places| Ok(metric.of(&predictions, places)?))?);
        }
    }
    Ok(found)
}

fn interval(metric: &str, strata: &[usize], of: &dyn Fn(&[usize]) -> Result<f64>) -> Result<Summary> {
    let all: Vec<usize> = (0..strata.len()).collect();
    let value = of(&all)?;
    let resamples = Resamples::draw(strata, &all, N_RESAMPLES, 0)?;
    let [low, high] = resamples.interval(|places| Ok(of(places).unwrap_or(value)))?;
    Ok(Summary { metric: metric.into(), value, low, high, n: strata.len(), n_undefined: 0 })
}
