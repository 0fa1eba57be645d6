//! Series of numbered image files: the frames of a clip, the slices of a scan.
//!
//! Files of one folder belong to one series when their names differ in the last number alone. A folder may hold several:
//! `left_001.png` and `right_001.png` belong to two.

use std::collections::BTreeMap;

use medcoss_sdk::FoundFile;

/// Files in the order of their numbers; there is at least one.
#[derive(Debug, Clone)]
pub struct ImageSeries {
    /// The files.
    pub files: Vec<FoundFile>,
    /// Whether no other series lies in the folder.
    pub is_alone: bool,
}

impl ImageSeries {
    /// The series that files make up, in the order of their first files' ids.
    pub fn of(files: impl IntoIterator<Item = FoundFile>) -> Vec<Self> {
        let mut series: BTreeMap<(String, String, String), Vec<(u64, FoundFile)>> = BTreeMap::new();
        for file in files {
            let (folder, name) = file.id.rsplit_once('/').unwrap_or(("", &file.id));
            let (before, number, after) = numbered(name);
            let key = (folder.to_string(), before.to_string(), after.to_string());
            series.entry(key).or_default().push((number, file));
        }
        let mut n_in_folder: BTreeMap<String, usize> = BTreeMap::new();
        series.keys().for_each(|(folder, ..)| *n_in_folder.entry(folder.clone()).or_default() += 1);
        let ordered = series.into_iter().map(|((folder, ..), mut files)| {
            files.sort_by(|(one, first), (two, second)| (one, &first.id).cmp(&(two, &second.id)));
            Self { files: files.into_iter().map(|(_, file)| file).collect(), is_alone: n_in_folder[&folder] == 1 }
        });
        let mut found: Vec<Self> = ordered.collect();
        found.sort_by(|one, two| one.files[0].id.cmp(&two.files[0].id));
        found
    }

    /// What a table names: the first file, or the folder of files that are alone in it, with the folder's path and id.
    pub fn named(&self) -> FoundFile {
        let mut named = self.files[0].clone();
        if let (true, Some(folder)) = (self.is_alone, named.path.parent()) {
            named.path = folder.to_owned();
            if let Some((folder, _)) = self.files[0].id.rsplit_once('/') {
                named.id = folder.to_owned();
            }
        }
        named
    }
}

/// What stands before and after the last number of a name, and the number; 0 where there is none or it is too long.
fn numbered(name: &str) -> (&str, u64, &str) {
    let Some(last) = name.rfind(|letter: char| letter.is_ascii_digit()) else { return (name, 0, "") };
    let start = name[..last].rfind(|letter: char| !letter.is_ascii_digit()).map_or(0, |at| {
        // The letter before the number may take several bytes.
        at + name[at..].chars().next().map_or(1, char::len_utf8)
    });
    (&name[..start], name[start..=last].parse().unwrap_or(0), &name[last + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_of_a_name_counts() {
        assert_eq!(numbered("frame_012.png"), ("frame_", 12, ".png"));
        assert_eq!(numbered("p3_v2_0007b.jpg"), ("p3_v2_", 7, "b.jpg"));
        assert_eq!(numbered("7.png"), ("", 7, ".png"));
        assert_eq!(numbered("é9.png"), ("é", 9, ".png"));
        assert_eq!(numbered("none.png"), ("none.png", 0, ""));
        assert_eq!(numbered("99999999999999999999999.png").1, 0);
    }
}
