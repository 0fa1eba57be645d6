//! The samples of a task: classes, groups, and the split that a table gives.

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::{Result, anyhow, bail};
use medcoss_core::evaluation::{Split, draw_folds, draw_samples};
use medcoss_core::{Error, EvaluationError};

use super::annotation::{Annotation, Unlabelled, annotate, named};
use super::bins::{binned, number, quantiles};
use super::groups::{Grouping, groups_of};
use super::label_source::{Classes, LabelSource};
use super::sides::sides_of;
use super::tasks_file::{Missing, TaskSection};
use crate::data_source::Side;
use crate::finetuning::TargetName;

/// Seed for drawing samples. It must not depend on the run, so that all runs are compared on the same samples.
const SAMPLES_SEED: u64 = 0;

/// The samples of a task, with classes, groups and sides.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskSamples {
    /// Indices in the dataset, ascending.
    pub indices: Vec<u64>,
    /// Class of each sample.
    pub labels: Vec<usize>,
    /// Group number of each sample; a group of its own where samples are not grouped.
    pub groups: Vec<usize>,
    /// Side of each sample, where the data say it.
    sides: Option<Vec<Side>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What decided which samples are of one group.
    pub grouping: Grouping,
    /// Number of each sample, for regression; empty otherwise.
    pub numbers: Vec<f64>,
    /// Several labels of each sample, none where one is unknown; empty otherwise.
    pub several: Vec<Vec<Option<bool>>>,
}

impl TaskSamples {
    /// Labels and groups the samples, and draws the samples that are used.
    ///
    /// # Errors
    /// Labels that are missing, classes that are too few or too small, a table that does not fit, groups on both sides of a given split.
    pub fn assemble(task: &TaskSection, data: &Unlabelled<'_>) -> Result<Self> {
        let label_source = task.labels.resolve()?;
        let annotations = match task.is_masked_lm() {
            true => data.ids.iter().map(|_| Some(Annotation::default())).collect(),
            false => annotate(task, &label_source, data)?,
        };
        let labelled: Vec<usize> = (0..data.ids.len()).filter(|at| annotations[*at].is_some()).collect();
        let missing: Vec<usize> = (0..data.ids.len()).filter(|at| annotations[*at].is_none()).collect();
        if labelled.is_empty() {
            bail!("none of the {} samples has a label\nhint: {}", data.ids.len(), remedy(&label_source));
        }
        if !missing.is_empty() && task.missing == Missing::Error {
            bail!(
                "{} of {} samples have no label: {}\nhint: set missing = \"skip\" to leave them out",
                missing.len(),
                data.ids.len(),
                named(data.ids, &missing)
            );
        }
        let (mut labelled, mut kept) = (labelled, annotations.into_iter().flatten().collect::<Vec<Annotation>>());
        for (annotation, at) in kept.iter_mut().zip(&labelled).filter(|(annotation, _)| annotation.split.is_none()) {
            annotation.split = data.samples.split(*at).map(String::from);
        }
        let sides = sides_of(task, &kept, data, &labelled)?;
        if let Some(sides) = &sides {
            let mut takes_part = sides.iter().map(Option::is_some).cycle();
            labelled.retain(|_| takes_part.next().unwrap_or_default());
            kept.retain(|_| takes_part.next().unwrap_or_default());
        }
        let sides = sides.map(|sides| sides.into_iter().flatten().collect());
        let (labels, classes) = match task.is_segmentation() {
            // Splits are stratified by class, and here all samples have one class.
            true => (vec![0; kept.len()], named_classes(task, data.masks.map_or(&[], |maps| &maps.classes))?),
            false if task.is_masked_lm() || task.target() == Some(TargetName::Regression) => {
                (vec![0; kept.len()], Vec::new())
            }
            false if task.target() == Some(TargetName::MultiLabel) => {
                (vec![0; kept.len()], named_classes(task, columns_of(&label_source))?)
            }
            false => classes_of(&label_source, &kept, task, data)?,
        };
        let (grouping, groups) = groups_of(task, &label_source, &kept, data, &labelled)?;
        let mut samples = Self {
            indices: labelled.iter().map(|at| *at as u64).collect(),
            groups,
            grouping,
            sides,
            labels,
            classes,
            numbers: match task.target() {
                Some(TargetName::Regression) => numbers(&kept)?,
                _ => Vec::new(),
            },
            several: match task.target() {
                Some(TargetName::MultiLabel) => several_of(&kept, columns_of(&label_source))?,
                _ => Vec::new(),
            },
        };
        let has_classes = matches!(task.target(), None | Some(TargetName::Classes | TargetName::Ordinal));
        if has_classes && !task.is_segmentation() && !task.is_masked_lm() {
            samples.check_classes()?;
        }
        samples.check_leaks(data.ids, &kept)?;
        if let Some(most) = task.max_samples {
            samples.draw(most);
        }
        Ok(samples)
    }

    fn check_classes(&self) -> Result<()> {
        if self.classes.len() < 2 {
            bail!("all samples are of the class {:?}\nhint: a task needs two classes", self.classes[0]);
        }
        for (class, name) in self.classes.iter().enumerate() {
            let n = self.labels.iter().filter(|label| **label == class).count();
            if n < 2 {
                bail!(
                    "class {name:?} has {n} samples; at least 2 are needed, one to fit and one to score\n\
                     hint: give more of them, or leave the class out (an empty label with missing = \"skip\")"
                );
            }
            let groups: BTreeSet<usize> =
                (0..self.labels.len()).filter(|at| self.labels[*at] == class).map(|at| self.groups[at]).collect();
            if groups.len() < 2 && self.sides.is_none() {
                bail!(
                    "all {n} samples of class {name:?} are of one group, which cannot be on both sides of a split\n\
                     hint: give samples of another group, or leave the class out"
                );
            }
        }
        Ok(())
    }

    /// Checks that no group has samples on two sides, which would leak training data into the test or the choice of an epoch.
    fn check_leaks(&self, ids: &[String], annotations: &[Annotation]) -> Result<()> {
        let Some(sides) = &self.sides else { return Ok(()) };
        let mut first_of: HashMap<usize, usize> = HashMap::new();
        let mut leaking = BTreeSet::new();
        let mut first = None;
        for (at, group) in self.groups.iter().enumerate() {
            let one = *first_of.entry(*group).or_insert(at);
            if sides[one] != sides[at] {
                leaking.insert(*group);
                first.get_or_insert((one, at));
            }
        }
        let Some((one, other)) = first else { return Ok(()) };
        let id = |at: usize| &ids[self.indices[at] as usize];
        let name = annotations[one].group.as_ref().map(|name| format!("{name:?} ")).unwrap_or_default();
        bail!(
            "{} groups are on two sides of the given split: of group {name}{} is in {} and {} in {}\n\
             hint: move whole groups to one side, or let the split be drawn with split = {{ test = 0.3 }}",
            leaking.len(),
            id(one),
            sides[one].name(),
            id(other),
            sides[other].name()
        );
    }

    /// Draws at most `most` samples, stratified by class and side.
    fn draw(&mut self, most: usize) {
        let side = |at: usize| self.sides.as_ref().map_or(0, |sides| sides[at] as usize);
        let kinds: Vec<usize> = (0..self.labels.len()).map(|at| 3 * self.labels[at] + side(at)).collect();
        let least = if self.sides.is_some() { 1 } else { 2 };
        let chosen = draw_samples(&kinds, most, least, SAMPLES_SEED);
        *self = self.only(&chosen);
    }

    fn only(&self, places: &[usize]) -> Self {
        Self {
            indices: places.iter().map(|at| self.indices[*at]).collect(),
            labels: places.iter().map(|at| self.labels[*at]).collect(),
            groups: places.iter().map(|at| self.groups[*at]).collect(),
            sides: self.sides.as_ref().map(|sides| places.iter().map(|at| sides[*at]).collect()),
            classes: self.classes.clone(),
            grouping: self.grouping,
            numbers: places.iter().filter_map(|at| self.numbers.get(*at)).copied().collect(),
            several: places.iter().filter_map(|at| self.several.get(*at)).cloned().collect(),
        }
    }

    /// These samples without the unreadable ones; `readable` is ascending.
    pub fn readable(&self, readable: &[u64]) -> Self {
        let places: Vec<usize> =
            (0..self.indices.len()).filter(|at| readable.binary_search(&self.indices[*at]).is_ok()).collect();
        self.only(&places)
    }

    /// The split with a seed: the given split, a fold, or a drawn one. With `folds = k`, the seeds from 0 to k - 1 test each fold once, and the next k seeds
    /// those of another draw.
    ///
    /// # Errors
    /// A class that is missing on one side, by its name.
    pub fn split(&self, task: &TaskSection, seed: u64) -> Result<Split> {
        if task.is_masked_lm() {
            return Ok(Split { train: Vec::new(), test: (0..self.indices.len()).collect() });
        }
        let split = match (&self.sides, task.split.folds) {
            (Some(_), _) => {
                let split = Split { train: self.of_side(Side::Train), test: self.of_side(Side::Test) };
                // Samples of voxels, several labels or numbers are all of one stratum, however many classes they have.
                let n_strata = if self.labels.iter().any(|label| *label > 0) { self.classes.len() } else { 1 };
                split.check(&self.labels, n_strata).map(|()| split)
            }
            (None, Some(n_folds)) => {
                let (draw, fold) = (seed / n_folds as u64, seed % n_folds as u64);
                draw_folds(&self.labels, &self.groups, n_folds, draw)
                    .and_then(|folds| Split::of_fold(&self.labels, &folds, fold as usize))
            }
            (None, None) => Split::draw(&self.labels, &self.groups, task.split.test(), seed),
        };
        split.map_err(|error| {
            let message = match error {
                Error::Evaluation(EvaluationError::MissingClass { class, split, .. }) => {
                    format!("class {:?} has no sample in the {split} split", self.classes[class])
                }
                error => error.to_string(),
            };
            anyhow!("{message}\nhint: give more samples or groups, or another split")
        })
    }

    /// Positions of the validation samples, where the data name some; ascending.
    pub fn given_validation(&self) -> Vec<usize> {
        self.of_side(Side::Validation)
    }

    /// Divides some of the samples, by position: of each class the groups with the last names are the share `last`, the others come before. A group is named
    /// by its first sample, and has the class of that. Of `n` groups `floor(n (1 - last))` come before, as in the reference.
    ///
    /// # Errors
    /// A class of which nothing is left before.
    pub fn last_by_name(&self, places: &[usize], last: f64, ids: &[String]) -> Result<Split> {
        let id = |at: usize| ids[self.indices[at] as usize].as_str();
        let mut by_name = places.to_vec();
        by_name.sort_by_key(|at| id(*at));
        let mut seen: HashSet<usize> = HashSet::new();
        let mut groups_of_class = vec![Vec::new(); self.classes.len().max(1)];
        for at in &by_name {
            if seen.insert(self.groups[*at]) {
                groups_of_class[self.labels[*at]].push(self.groups[*at]);
            }
        }
        let mut is_last: HashSet<usize> = HashSet::new();
        for (class, groups) in groups_of_class.iter().enumerate() {
            let n_before = (groups.len() as f64 * (1.0 - last)) as usize;
            if n_before == 0 && !groups.is_empty() {
                let name = self.classes.get(class).map(|name| format!(" of class {name:?}")).unwrap_or_default();
                bail!(
                    "all {} training groups{name} would be for validation\nhint: give more, or a smaller finetune.validation",
                    groups.len()
                );
            }
            is_last.extend(groups[n_before..].iter().copied());
        }
        let (test, train) = places.iter().partition(|at| is_last.contains(&self.groups[**at]));
        Ok(Split { train, test })
    }

    fn of_side(&self, wanted: Side) -> Vec<usize> {
        let sides = self.sides.as_deref().unwrap_or_default();
        (0..sides.len()).filter(|at| sides[*at] == wanted).collect()
    }
}

fn remedy(label_source: &LabelSource) -> &'static str {
    match label_source {
        LabelSource::Plugin => {
            "the plugin may have an option that names the labels (medcoss plugin inspect), or they stand in a table \
             (labels = { table = \"labels.csv\", key = \"file\", label = \"finding\" })"
        }
        LabelSource::Table(_) => "look at the table's key and label columns",
        LabelSource::Entry => "the plugin does not say which of the task's data entries a sample comes from",
        LabelSource::Metadata(_) => "the plugin states no such fact of its samples",
        LabelSource::Pattern(_) => "labels.pattern is found in no id; `medcoss embed` writes ids beside features",
        LabelSource::Masks(_) => {
            "a mask has its sample file's relative path and stem; check labels.mask_prefix, labels.mask_suffix, labels.sample_prefix and labels.sample_suffix"
        }
    }
}

/// Class of each sample, and the names of the classes.
fn classes_of(
    label_source: &LabelSource,
    annotations: &[Annotation],
    task: &TaskSection,
    data: &Unlabelled<'_>,
) -> Result<(Vec<usize>, Vec<String>)> {
    let classes = match label_source {
        LabelSource::Table(labels) => &labels.classes,
        LabelSource::Masks(masks) => &masks.sizes,
        _ => &Classes::Values,
    };
    let (labels, usual) = match classes {
        Classes::Values => {
            let mut values: Vec<&str> = annotations.iter().map(|annotation| annotation.label.as_str()).collect();
            match label_source {
                // The classes have the order of the task's names.
                LabelSource::Entry => values.sort_by_key(|value| data.entries.iter().position(|entry| entry == value)),
                // Numbers are sorted by value.
                _ => match values.iter().all(|value| number(value).is_some()) {
                    true => values.sort_by(|a, b| number(a).partial_cmp(&number(b)).unwrap_or(a.cmp(b)).then(a.cmp(b))),
                    false => values.sort_unstable(),
                },
            }
            values.dedup();
            let class = |annotation: &Annotation| values.iter().position(|value| *value == annotation.label);
            let labels = annotations.iter().map(|annotation| class(annotation).unwrap_or_default()).collect();
            (labels, values.into_iter().map(String::from).collect())
        }
        Classes::Bins(bins) => binned(&numbers(annotations)?, bins)?,
        Classes::Quantiles(n) => {
            let values = numbers(annotations)?;
            binned(&values, &quantiles(&values, *n)?)?
        }
    };
    Ok((labels, named_classes(task, &usual)?))
}

fn columns_of(label_source: &LabelSource) -> &[String] {
    match label_source {
        LabelSource::Table(labels) => &labels.columns,
        _ => &[],
    }
}

/// Several labels of each sample: 1 and 0, and nothing or -1 (uncertain, as in CheXpert) where a label is unknown.
fn several_of(annotations: &[Annotation], columns: &[String]) -> Result<Vec<Vec<Option<bool>>>> {
    let label = |cell: &Option<String>, column: &String, line: Option<u64>| match cell.as_deref() {
        None => Ok(None),
        Some(text) => match number(text) {
            Some(1.0) => Ok(Some(true)),
            Some(0.0) => Ok(Some(false)),
            Some(-1.0) => Ok(None),
            _ => Err(anyhow!(
                "column {column:?} is {text:?} on line {} of the labels; expected 1, 0, or for an unknown label nothing or -1",
                line.unwrap_or_default()
            )),
        },
    };
    let of_sample = |annotation: &Annotation| {
        annotation.several.iter().zip(columns).map(|(cell, column)| label(cell, column, annotation.line)).collect()
    };
    annotations.iter().map(of_sample).collect()
}

/// The class names that the task gives, or the default names.
fn named_classes(task: &TaskSection, usual: &[String]) -> Result<Vec<String>> {
    match task.labels.names() {
        Some(names) if names.len() != usual.len() => bail!(
            "labels.names has {} names for {} classes: {}\nhint: give one name a class, in this order",
            names.len(),
            usual.len(),
            usual.join(", ")
        ),
        Some(names) => Ok(names.to_vec()),
        None => Ok(usual.to_vec()),
    }
}

fn numbers(annotations: &[Annotation]) -> Result<Vec<f64>> {
    let value = |annotation: &Annotation| {
        number(&annotation.label).ok_or_else(|| {
            let line = annotation.line.unwrap_or_default();
            anyhow!("{:?} on line {line} of the labels is no number, which bins and quantiles need", annotation.label)
        })
    };
    annotations.iter().map(value).collect()
}
