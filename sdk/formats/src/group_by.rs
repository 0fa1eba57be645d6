//! Groups of samples: what is never separated by a split into training and test.

use std::path::Path;

use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::schemars::JsonSchema;
use medcoss_sdk::serde::{Deserialize, Serialize};
use medcoss_sdk::{Error, FoundFile};

/// What makes a group where no table says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", crate = "medcoss_sdk::serde")]
#[schemars(crate = "medcoss_sdk::schemars")]
pub enum GroupBy {
    /// Each file, or folder of numbered images.
    #[default]
    File,
    /// The folder that the file, or the folder of numbered images, lies in: a patient.
    Folder,
}

/// Labels and groups of files, or of the folders that stand for them; see [`crate::image_series::ImageSeries::named`].
/// A column of the table counts before folders.
///
/// # Errors
/// A table that cannot be read, or lacks a column.
pub fn labels_and_groups(
    base: &Path,
    named: &[FoundFile],
    table: Option<&LabelTable>,
    column: Option<&str>,
    by: GroupBy,
) -> Result<Vec<(Option<String>, String)>, Error> {
    let labels = match table {
        Some(table) => table.labels_of(base, named)?,
        None => vec![None; named.len()],
    };
    let groups = match table.zip(column) {
        Some((table, column)) => table.column_of(column, base, named)?,
        None => vec![None; named.len()],
    };
    let of_path = |file: &FoundFile| {
        let folder = file.id.rsplit_once('/').map(|(folder, _)| folder);
        folder.filter(|_| by == GroupBy::Folder).unwrap_or(&file.id).to_owned()
    };
    let groups = groups.into_iter().zip(named).map(|(group, file)| group.unwrap_or_else(|| of_path(file)));
    Ok(labels.into_iter().zip(groups).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_series::ImageSeries;

    fn file(id: &str) -> FoundFile {
        FoundFile { path: format!("base/{id}").into(), id: id.into(), entry: 0, bytes: 0, modified: None }
    }

    #[test]
    fn groups_are_files_or_the_folders_that_they_lie_in() {
        let mut named: Vec<FoundFile> =
            ImageSeries::of(["d/p1/left/1.png", "d/p1/left/2.png", "d/p2/a_1.png", "d/p2/b_1.png"].map(file))
                .iter()
                .map(ImageSeries::named)
                .collect();
        named.extend([file("d/p1/clip.dcm"), file("clip.avi")]);
        let groups = |by| -> Vec<String> {
            let found = labels_and_groups(Path::new("base"), &named, None, None, by).unwrap();
            found.into_iter().map(|(_, group)| group).collect()
        };
        assert_eq!(groups(GroupBy::File), ["d/p1/left", "d/p2/a_1.png", "d/p2/b_1.png", "d/p1/clip.dcm", "clip.avi"]);
        // What lies in no folder is a group of its own.
        assert_eq!(groups(GroupBy::Folder), ["d/p1", "d/p2", "d/p2", "d/p1", "clip.avi"]);
    }
}
