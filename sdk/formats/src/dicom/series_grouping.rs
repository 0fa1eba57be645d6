//! Grouping of planes: what the planes of one scan have in common, before [`super::scan_separation`] looks at positions.

use medcoss_sdk::FoundFile;

use super::image_plane::Plane;
use super::series_name::folder;
use super::stack::Numbered;

/// Tolerance of the components of direction vectors: half a degree.
const SAME_DIRECTION: f64 = 0.01;
/// Relative tolerance of distances of rows and columns.
const SAME_SPACING: f64 = 0.01;

/// Properties that the planes of a scan share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) series: String,
    size: [usize; 2],
    /// Separates files that state no series: by file where it has several frames or no position, else by folder.
    apart: Option<String>,
    /// Values of the elements that always tell scans apart.
    values: Vec<Option<Box<str>>>,
}

/// Planes of one key, direction and spacing.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) files: Vec<FoundFile>,
    pub(super) planes: Vec<Numbered>,
}

impl Key {
    /// The key of a plane; `several` says whether its file has others that are frames.
    pub(super) fn of(series: &str, plane: &Plane, file: &FoundFile, several: bool) -> Self {
        let has_place = plane.position.is_some() && plane.directions.is_some();
        let apart = match series {
            _ if several => Some(file.id.clone()),
            "" if has_place => Some(folder(&file.id).to_owned()),
            "" => Some(file.id.clone()),
            _ => None,
        };
        Self { series: series.to_owned(), size: plane.size, apart, values: plane.marks.always() }
    }

    /// Whether two keys are of one series, whatever the sizes.
    pub(super) fn is_of_series(&self, other: &Self) -> bool {
        (&self.series, &self.apart) == (&other.series, &other.apart)
    }
}

/// Adds a plane to the group of its direction and spacing, or begins a group.
pub(super) fn add(groups: &mut Vec<Group>, file: &FoundFile, plane: Plane) {
    let near = |one: &[f64], other: &[f64], tolerance: &dyn Fn(f64) -> f64| {
        one.iter().zip(other).all(|(a, b)| (a - b).abs() < tolerance(*a))
    };
    let alike = |group: &Group| {
        let Some((_, first)) = group.planes.first() else { return false };
        let same_direction = match (first.directions, plane.directions) {
            (Some(one), Some(other)) => near(one.as_flattened(), other.as_flattened(), &|_| SAME_DIRECTION),
            (one, other) => one == other,
        };
        let same_spacing = match (first.spacing_mm, plane.spacing_mm) {
            (Some(one), Some(other)) => near(&one, &other, &|mm| SAME_SPACING * mm),
            _ => true,
        };
        same_direction && same_spacing
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
