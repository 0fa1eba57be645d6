//! Labels and groups of a dataset's samples, as their source says them.

use std::path::Path;

use anyhow::{Result, bail};
use medcoss_core::evaluation::ClassMaps;
use medcoss_plugin_host::SampleTable;

use super::label_source::{LabelSource, captured};
use super::label_table::{LabelTable, Row};
use super::tasks_file::TaskSection;

/// Largest number of ids that a message names.
const NAMED: usize = 3;

/// Ids of a dataset, and all sources of labels for them.
pub(crate) struct Unlabelled<'a> {
    pub ids: &'a [String],
    /// What the plugin says of the samples.
    pub samples: &'a SampleTable,
    /// One fact of the metadata of each sample, by its name.
    pub metadata: &'a dyn Fn(&str) -> Result<Vec<Option<String>>>,
    /// The data entries, by the index that samples name.
    pub entries: &'a [String],
    /// Folder that a table's path is relative to.
    pub base: &'a Path,
    /// Segmentation masks, where they are the source of labels.
    pub masks: Option<&'a ClassMaps>,
}

/// Label and group of one sample.
#[derive(Default)]
pub(super) struct Annotation {
    pub label: String,
    /// Cells of several labels, in the order of the task's columns.
    pub several: Vec<Option<String>>,
    pub group: Option<String>,
    pub split: Option<String>,
    /// Line number in the table, for messages.
    pub line: Option<u64>,
}

/// The annotation of each sample; none where the source has no label for it.
///
/// # Errors
/// A table that cannot be read or fits no sample, cells that are empty, a plugin that fails.
pub(super) fn annotate(
    task: &TaskSection,
    label_source: &LabelSource,
    data: &Unlabelled<'_>,
) -> Result<Vec<Option<Annotation>>> {
    let bare = |label: String| Annotation { label, ..Annotation::default() };
    Ok(match label_source {
        LabelSource::Plugin => {
            (0..data.ids.len()).map(|at| data.samples.label(at).map(|label| bare(label.into()))).collect()
        }
        LabelSource::Entry => {
            let only = (data.entries.len() == 1).then_some(0);
            let entry = |at: usize| data.entries.get(data.samples.entry(at).or(only)?);
            (0..data.ids.len()).map(|at| entry(at).map(|entry| bare(entry.clone()))).collect()
        }
        LabelSource::Metadata(name) => (data.metadata)(name)?.into_iter().map(|fact| fact.map(bare)).collect(),
        LabelSource::Pattern(pattern) => {
            data.ids.iter().map(|id| captured(pattern, id).map(|label| bare(label.into()))).collect()
        }
        LabelSource::Masks(_) => {
            let mut sizes: Vec<Option<Annotation>> = data.ids.iter().map(|_| None).collect();
            for (index, size) in data.masks.iter().flat_map(|maps| maps.rows.iter().zip(maps.sizes())) {
                sizes[*index as usize] = Some(bare(size.to_string()));
            }
            sizes
        }
        LabelSource::Table(labels) => {
            let table = LabelTable::read(labels, data.base, task.split.column.as_deref())?;
            let find = |(at, id): (usize, &String)| table.find(id, data.samples.file(at));
            let rows: Vec<_> = data.ids.iter().enumerate().map(find).collect();
            if rows.iter().all(Option::is_none) {
                return Err(table.nothing_matches(&data.ids[0], data.samples.file(0)));
            }
            for (row, id) in rows.iter().zip(data.ids).filter_map(|(row, id)| Some((row.as_ref()?, id))) {
                for (column, cell) in [(&task.split.column, &row.split), (&labels.group, &row.group)] {
                    if let Some(column) = column.as_ref().filter(|_| cell.is_none()) {
                        bail!("labels {}, line {}: column {column:?} is empty for {id}", table.name(), row.line);
                    }
                }
            }
            let annotation = |row: &Row| Annotation {
                label: row.label.clone(),
                several: row.several.clone(),
                group: row.group.clone(),
                split: row.split.clone(),
                line: Some(row.line),
            };
            rows.into_iter().map(|row| row.map(annotation)).collect()
        }
    })
}

/// The first of some ids, for messages.
pub(super) fn named(ids: &[String], places: &[usize]) -> String {
    let first: Vec<&str> = places.iter().take(NAMED).map(|at| ids[*at].as_str()).collect();
    let more = if places.len() > NAMED { ", ..." } else { "" };
    format!("{}{more}", first.join(", "))
}
