//! Grouping of planes into volumes, and the names of the volumes.

use std::collections::BTreeMap;

use medcoss_sdk::FoundFile;

use super::image_plane::Plane;
use super::stack::Numbered;

/// Number of letters of a Series Instance UID in the series' name: the last ones, which differ most.
const NAME_LETTERS: usize = 12;
/// Tolerance of the components of direction vectors: half a degree.
const SAME_DIRECTION: f64 = 0.01;

/// Properties that the files of a volume share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) series: String,
    size: [usize; 2],
    /// Separates files that state no series: by file where it has several frames or no position, else by folder.
    apart: Option<String>,
}

/// Planes of one key and direction.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) files: Vec<FoundFile>,
    pub(crate) planes: Vec<Numbered>,
}

impl Key {
    pub(crate) fn of(series: &str, plane: &Plane, file: &FoundFile, several: bool) -> Self {
        let has_place = plane.position.is_some() && plane.directions.is_some();
        let apart = match series {
            _ if several => Some(file.id.clone()),
            "" if has_place => Some(folder(&file.id).to_owned()),
            "" => Some(file.id.clone()),
            _ => None,
        };
        Self { series: series.to_owned(), size: plane.size, apart }
    }
}

/// The folder part of a file's id; empty without a folder.
fn folder(id: &str) -> &str {
    id.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Adds a plane to the group of its direction, or begins a group.
pub(crate) fn add(groups: &mut Vec<Group>, file: &FoundFile, plane: Plane) {
    let alike = |group: &Group| match (group.planes.first().and_then(|(_, first)| first.directions), plane.directions) {
        (Some(one), Some(other)) => {
            let parts = one.as_flattened().iter().zip(other.as_flattened());
            parts.into_iter().all(|(a, b)| (a - b).abs() < SAME_DIRECTION)
        }
        (one, other) => one == other,
    };
    let at = groups.iter().position(alike).unwrap_or_else(|| {
        groups.push(Group::default());
        groups.len() - 1
    });
    let Group { files, planes } = &mut groups[at];
    if files.last() != Some(file) {
        files.push(file.clone());
    }
    planes.push((files.len() - 1, plane));
}

/// The name of a series: its file if there is one, else the folder that holds all files and the end of the UID.
pub(crate) fn name(series: &str, files: &[FoundFile]) -> String {
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

/// Adds numbers to equal names: the same scan in several directions, or UIDs that end alike.
pub(crate) fn tell_apart<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        let n = seen.entry(name.clone()).or_default();
        *n += 1;
        if *n > 1 {
            *name = format!("{name}.{n}");
        }
    }
}
