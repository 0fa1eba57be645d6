//! Names of scans: stable, unique, and without anything about the patient.

use std::collections::{BTreeMap, BTreeSet};

use medcoss_sdk::FoundFile;

use super::scan_elements::{ELEMENTS, Marks};

/// Number of letters of a Series Instance UID in the series' name: the last ones, which differ most.
const NAME_LETTERS: usize = 12;

/// The folder part of a file's id; empty without a folder.
pub(super) fn folder(id: &str) -> &str {
    id.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The name of a series: its file if there is one, else the folder that holds all files and the end of the UID.
pub(super) fn name(series: &str, files: &[FoundFile]) -> String {
    if let [file] = files {
        return file.id.clone();
    }
    let parts = |file: &FoundFile| folder(&file.id).split('/').map(String::from).collect::<Vec<_>>();
    let mut folders = files.iter().map(parts);
    let mut common: Vec<String> = folders.next().unwrap_or_default();
    for folder in folders {
        let n_common = common.iter().zip(&folder).take_while(|(a, b)| a == b).count();
        common.truncate(n_common);
    }
    let letters: Vec<char> = series.chars().filter(char::is_ascii_alphanumeric).collect();
    let end: String = letters[letters.len().saturating_sub(NAME_LETTERS)..].iter().collect();
    let end = if end.is_empty() { String::from("unnamed") } else { end };
    match common.join("/").as_str() {
        "" => format!("series={end}"),
        folder => format!("{folder}#series={end}"),
    }
}

/// What names are distinguished by: the values of elements that all planes of a scan share.
#[derive(Debug, Default)]
pub(super) struct Traits(Vec<Option<String>>);

impl Traits {
    /// Of planes with these marks, in a scan that is this one in the order of time.
    pub(super) fn of<'a>(marks: impl Iterator<Item = &'a Marks> + Clone, in_time: Option<(&str, usize)>) -> Self {
        let shared = |index: usize| {
            let mut values = marks.clone().map(|marks| marks.get(index));
            let first = values.next()??;
            values.all(|value| value == Some(first)).then(|| first.to_owned())
        };
        let value = |(index, element): (usize, &super::scan_elements::Element)| match in_time {
            Some((word, number)) if word == element.word => Some(number.to_string()),
            _ => shared(index),
        };
        Self(ELEMENTS.iter().enumerate().map(value).collect())
    }

    fn get(&self, index: usize) -> Option<&String> {
        self.0.get(index)?.as_ref()
    }
}

/// Tells equal names apart by the elements that differ: `phase=2`. Values that are not shown, such as patients' names, are
/// numbered by their order; what no element tells apart is numbered by the order of the names.
pub(super) fn tell_apart(mut names: Vec<(&mut String, Traits)>) {
    let mut equal: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (name, _)) in names.iter().enumerate() {
        equal.entry((*name).clone()).or_default().push(at);
    }
    for same in equal.into_values().filter(|same| same.len() > 1) {
        for (index, element) in ELEMENTS.iter().enumerate() {
            let values: BTreeSet<Option<String>> = same.iter().map(|&at| names[at].1.get(index).cloned()).collect();
            // An element tells apart what is not distinguished yet.
            let tells = same.iter().any(|&one| {
                same.iter().any(|&other| {
                    *names[one].0 == *names[other].0 && names[one].1.get(index) != names[other].1.get(index)
                })
            });
            if !tells {
                continue;
            }
            let are_shown = values.iter().flatten().all(|value| element.shown(value).is_some());
            let in_order = |value: &String| values.iter().flatten().position(|other| other == value).map(|at| at + 1);
            for &at in &same {
                let (name, traits) = &mut names[at];
                let value = match traits.get(index) {
                    None => String::from("none"),
                    Some(value) if are_shown => value.clone(),
                    Some(value) => in_order(value).unwrap_or_default().to_string(),
                };
                let is_marked = name.contains('#') || name.starts_with("series=");
                let mark = if is_marked { ';' } else { '#' };
                name.push_str(&format!("{mark}{}={value}", element.word));
            }
        }
    }
    number_equal(names.into_iter().map(|(name, _)| name));
}

/// Adds numbers to equal names: the same scan in several directions, or UIDs that end alike.
fn number_equal<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        let n = seen.entry(name.clone()).or_default();
        *n += 1;
        if *n > 1 {
            *name = format!("{name}.{n}");
        }
    }
}
