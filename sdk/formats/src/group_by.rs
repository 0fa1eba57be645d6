//! Groups of samples: what is never separated by a split into training and test.

use std::path::Path;

use medcoss_sdk::labels::{FileFacts, LabelTable};
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

/// What a table says of files, or of the folders that stand for them; see [`crate::image_series::ImageSeries::named`]. Each has a
/// group: that of the table, else its path or folder.
///
/// # Errors
/// A table that cannot be read, or lacks a column.
pub fn grouped_facts(
    base: &Path,
    named: &[FoundFile],
    table: Option<&LabelTable>,
    by: GroupBy,
) -> Result<Vec<FileFacts>, Error> {
    let mut facts = FileFacts::of_files(table, base, named)?;
    for (facts, file) in facts.iter_mut().zip(named) {
        let folder = file.id.rsplit_once('/').map(|(folder, _)| folder);
        let of_path = folder.filter(|_| by == GroupBy::Folder).unwrap_or(&file.id);
        facts.group.get_or_insert_with(|| of_path.to_owned());
    }
    Ok(facts)
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
            let found = grouped_facts(Path::new("base"), &named, None, by).unwrap();
            found.into_iter().map(|facts| facts.group.unwrap()).collect()
        };
        assert_eq!(groups(GroupBy::File), ["d/p1/left", "d/p2/a_1.png", "d/p2/b_1.png", "d/p1/clip.dcm", "clip.avi"]);
        // What lies in no folder is a group of its own.
        assert_eq!(groups(GroupBy::Folder), ["d/p1", "d/p2", "d/p2", "d/p1", "clip.avi"]);
    }
}
