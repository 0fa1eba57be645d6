//! Groups of samples that no split separates: patients, recordings, slides.

use std::collections::HashMap;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::annotation::{Annotation, Unlabelled, named};
use super::label_source::{GroupSection, LabelSource, captured};
use super::tasks_file::TaskSection;

/// What decides which samples are of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// Nothing: each sample is a group of its own.
    #[default]
    None,
    /// A pattern in the samples' ids.
    Pattern,
    /// A column of the table of labels.
    Table,
    /// A fact of the samples' metadata.
    Metadata,
    /// The groups that the plugin states.
    Record,
    /// The files that samples come from.
    File,
}

impl std::fmt::Display for Grouping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Pattern => "pattern",
            Self::Table => "table",
            Self::Metadata => "metadata",
            Self::Record => "record",
            Self::File => "file",
        })
    }
}

/// Number of the group of each labelled sample.
///
/// By the task's own `group`, else by a column of the table of labels, else as the plugin says; where masks are the labels, samples of one file share one
/// and are of one group. A sample of which nothing of this is known is a group of its own.
///
/// # Errors
/// A pattern or a fact that some samples lack.
pub(super) fn groups_of(
    task: &TaskSection,
    label_source: &LabelSource,
    annotations: &[Annotation],
    data: &Unlabelled<'_>,
    labelled: &[usize],
) -> Result<(Grouping, Vec<usize>)> {
    let own = |at: &usize| data.samples.group(*at).map(String::from);
    let file = |at: &usize| Some(data.samples.file(*at).to_owned());
    let (grouping, names): (Grouping, Vec<Option<String>>) = match (&task.group, label_source) {
        (Some(GroupSection::None), _) => (Grouping::None, vec![None; labelled.len()]),
        (Some(GroupSection::File), _) => (Grouping::File, labelled.iter().map(file).collect()),
        (Some(GroupSection::Pattern(_)), _) => {
            let pattern = task.group.as_ref().and_then(GroupSection::regex).transpose()?;
            let found = |at: &usize| captured(pattern.as_ref()?, &data.ids[*at]).map(String::from);
            let names: Vec<_> = labelled.iter().map(found).collect();
            refuse_lacking(
                "group.pattern is not found in the ids of",
                "write it so that it fits every id",
                &names,
                data,
                labelled,
            )?;
            (Grouping::Pattern, names)
        }
        (Some(GroupSection::Metadata(name)), _) => {
            let facts = (data.metadata)(name)?;
            let names: Vec<_> = labelled.iter().map(|at| facts[*at].clone()).collect();
            let lack = format!("the plugin states no {name} of");
            refuse_lacking(&lack, "group by something that every sample has", &names, data, labelled)?;
            (Grouping::Metadata, names)
        }
        (None, LabelSource::Table(table)) if table.group.is_some() => {
            (Grouping::Table, annotations.iter().map(|annotation| annotation.group.clone()).collect())
        }
        (None, LabelSource::Masks(_)) if labelled.iter().all(|at| own(at).is_none()) => {
            (Grouping::File, labelled.iter().map(file).collect())
        }
        (None, _) => {
            let names: Vec<_> = labelled.iter().map(own).collect();
            let grouping = if names.iter().all(Option::is_none) { Grouping::None } else { Grouping::Record };
            (grouping, names)
        }
    };
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut n_groups = 0;
    let mut next = || {
        n_groups += 1;
        n_groups - 1
    };
    let number = |name: Option<String>| match name {
        Some(name) => *numbers.entry(name).or_insert_with(&mut next),
        None => next(),
    };
    Ok((grouping, names.into_iter().map(number).collect()))
}

fn refuse_lacking(
    what: &str,
    remedy: &str,
    names: &[Option<String>],
    data: &Unlabelled<'_>,
    labelled: &[usize],
) -> Result<()> {
    let without: Vec<usize> = (0..names.len()).filter(|at| names[*at].is_none()).map(|at| labelled[at]).collect();
    if !without.is_empty() {
        bail!("{what} {} of {} samples: {}\nhint: {remedy}", without.len(), names.len(), named(data.ids, &without));
    }
    Ok(())
}
