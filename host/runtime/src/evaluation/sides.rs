//! The side of each sample, where the data say it: by a column, a part of the ids, or lists of names.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::annotation::{Annotation, Unlabelled};
use super::label_source::captured;
use super::sample_keys::{keys_of, plain};
use super::split_section::SideLists;
use super::tasks_file::TaskSection;
use crate::data_source::Side;

/// Largest list of names in bytes.
const MAX_LIST_BYTES: u64 = 1 << 28;
/// Values that a message names at most.
const NAMED: usize = 5;

/// The side of each of the samples at `labelled`, none for one that takes part in nothing; nothing at all where the split is drawn.
///
/// # Errors
/// A name of no split, a list that cannot be read or that names no sample, a sample in two lists, a side without samples.
pub(super) fn sides_of(
    task: &TaskSection,
    annotations: &[Annotation],
    data: &Unlabelled<'_>,
    labelled: &[usize],
) -> Result<Option<Vec<Option<Side>>>> {
    let split = &task.split;
    let (what, mut sides): (String, Vec<Option<Side>>) = if let Some(lists) = split.lists() {
        ("split.lists".into(), of_lists(lists, annotations, data, labelled)?)
    } else if let Some(pattern) = split.pattern()? {
        let what = format!("split.pattern {:?}", pattern.as_str());
        let side = |at: &usize| {
            let id = &data.ids[*at];
            let name = captured(&pattern, id).ok_or_else(|| {
                anyhow!("{what} is not found in the id {id}\nhint: write it so that it fits every id")
            })?;
            split.side_of(name).with_context(|| format!("{what} finds this in {id}"))
        };
        (what.clone(), labelled.iter().map(side).collect::<Result<_>>()?)
    } else {
        let of_list = (!split.is_given() && task.data.has_split()).then_some("split of data");
        let Some(column) = split.column.as_deref().or(of_list) else { return Ok(None) };
        let side = |annotation: &Annotation| match annotation.split.as_deref() {
            Some(name) => split
                .side_of(name)
                .map_err(|error| anyhow!("column {column:?}, line {}: {error}", annotation.line.unwrap_or_default())),
            None => bail!(
                "column {column:?} is empty on line {}; expected train, validation or test\n\
                 hint: rows that take part in nothing are left out with an empty label and missing = \"skip\"",
                annotation.line.unwrap_or_default()
            ),
        };
        (format!("column {column:?}"), annotations.iter().map(side).collect::<Result<_>>()?)
    };
    for wanted in [Side::Test, Side::Train] {
        if !sides.contains(&Some(wanted)) {
            bail!("{what} says {0} of no sample\nhint: mark some with {0}, or look at split.values", wanted.name());
        }
    }
    let n = |wanted: Option<Side>| sides.iter().filter(|side| **side == wanted).count();
    let (n_none, n_validation) = (n(None), n(Some(Side::Validation)));
    if n_none > 0 {
        tracing::warn!("{}: {n_none} of {} samples are in no split by {what}, and left out", task.name, sides.len());
    }
    // The protocols of an evaluation choose nothing by a validation split.
    if task.finetune.is_none() && n_validation > 0 {
        tracing::warn!(
            "{}: {n_validation} of {} samples are for validation by {what}, and left out",
            task.name,
            sides.len()
        );
        sides.iter_mut().filter(|side| **side == Some(Side::Validation)).for_each(|side| *side = None);
    }
    Ok(Some(sides))
}

/// Sides by lists of names of samples, files or groups.
fn of_lists(
    lists: &SideLists,
    annotations: &[Annotation],
    data: &Unlabelled<'_>,
    labelled: &[usize],
) -> Result<Vec<Option<Side>>> {
    let mut sides: Vec<Option<(Side, &Path)>> = vec![None; labelled.len()];
    for (side, file) in lists.files() {
        let path = data.base.join(file);
        let mut list = NameList::read(&path).with_context(|| format!("cannot read the list {}", path.display()))?;
        for ((at, annotation), own) in labelled.iter().zip(annotations).zip(&mut sides) {
            let id = &data.ids[*at];
            let mut keys = keys_of(file, id, data.samples.file(*at));
            keys.extend(annotation.group.clone().or_else(|| data.samples.group(*at).map(String::from)));
            if !list.take(&keys) {
                continue;
            }
            match *own {
                Some((_, other)) => {
                    bail!(
                        "sample {id} is in two lists, {} and {}\nhint: keep one of them",
                        other.display(),
                        file.display()
                    )
                }
                None => *own = Some((side, file)),
            }
        }
        let left = list.left();
        let examples = left.iter().take(NAMED).copied().collect::<Vec<&str>>().join(", ");
        if left.len() == list.lines.len() {
            bail!(
                "no name in the list {} belongs to a sample; the first are {examples}, and the first sample is {}\n\
                 hint: a list has a name a line: of a sample, a file (with or without its folder and extension) or a group",
                path.display(),
                data.ids[labelled[0]]
            );
        }
        if !left.is_empty() {
            let (n, all) = (left.len(), list.lines.len());
            tracing::warn!("{n} of {all} names in the list {} belong to no sample: {examples}", path.display());
        }
    }
    let rest = lists.rest_is_train().then_some(Side::Train);
    Ok(sides.into_iter().map(|own| own.map(|(side, _)| side).or(rest)).collect())
}

/// Names, one a line. Of a line of several columns, as in `scan.nii.gz 1`, the first is a name as well.
struct NameList {
    lines: Vec<String>,
    /// Number of the line of each name.
    by_name: HashMap<String, usize>,
    /// Whether a sample has the name of the line.
    used: Vec<bool>,
}

impl NameList {
    /// # Errors
    /// A file that cannot be read, is too large, or has no names.
    fn read(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            bail!("it is no file");
        }
        let mut text = String::new();
        file.take(MAX_LIST_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_LIST_BYTES {
            bail!("it has more than {} MiB", MAX_LIST_BYTES >> 20);
        }
        let lines: Vec<String> = text.lines().map(plain).filter(|name| !name.is_empty()).collect();
        if lines.is_empty() {
            bail!("it is empty");
        }
        let mut by_name = HashMap::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            by_name.insert(line.clone(), at);
        }
        for (at, line) in lines.iter().enumerate() {
            if let Some(first) = line.split_whitespace().next() {
                by_name.entry(first.to_owned()).or_insert(at);
            }
        }
        Ok(Self { used: vec![false; lines.len()], lines, by_name })
    }

    /// Whether a line has one of the names; marks it as used.
    fn take(&mut self, names: &[String]) -> bool {
        let Some(line) = names.iter().find_map(|name| self.by_name.get(name)) else { return false };
        self.used[*line] = true;
        true
    }

    /// Lines that no sample has used.
    fn left(&self) -> Vec<&str> {
        let lines = self.lines.iter().zip(&self.used);
        lines.filter(|(_, used)| !**used).map(|(line, _)| line.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_name_a_line_and_perhaps_more_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, "a/scan one.nii 1\n\n b.nii\t0\r\n./c.nii\n").unwrap();
        let mut list = NameList::read(&path).unwrap();
        let mut take = |name: &str| list.take(&["other".into(), name.into()]);
        assert_eq!([take("b.nii"), take("c.nii"), take("1"), take("a/scan")], [true, true, false, true]);
        assert!(list.left().is_empty());
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(NameList::read(&path).err().unwrap().to_string(), "it is empty");
        assert_eq!(NameList::read(folder.path()).err().unwrap().to_string(), "it is no file");
    }
}
