//! The data of a stage or task: files and folders, files that patterns choose, a manifest that lists files, or a known layout of folders.
//!
//! A manifest or a layout becomes a list of files before the plugin opens them, and what it says of a file (label, group, split, pair)
//! belongs to the samples that the plugin reads from this file.

mod bids;
mod chosen_files;
mod class_folders;
mod dataset_json;
mod decathlon;
mod file_patterns;
mod folder;
mod listed;
mod manifest;
mod nnunet;
mod resolved;
mod side;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

pub use listed::{Layout, Listed};
pub use resolved::ResolvedData;
pub use side::Side;

use crate::one_or_more::OneOrMore;

/// The data of a stage or task, as a configuration names them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum DataSource {
    /// Files and folders.
    Paths(OneOrMore),
    /// A table with a manifest or a layout.
    Listed(Box<Listed>),
}

impl DataSource {
    /// Files and folders without a list.
    pub fn of_paths(paths: Vec<PathBuf>) -> Self {
        Self::Paths(OneOrMore::More(paths))
    }

    /// The paths that the configuration names: files and folders, the manifest, the folder of a layout.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Paths(paths) => paths.paths(),
            Self::Listed(listed) => vec![listed.place().to_owned()],
        }
    }

    /// Checks what can be checked without looking at files.
    ///
    /// # Errors
    /// No path; fields that do not belong together.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Paths(paths) if paths.paths().is_empty() => {
                bail!("data is empty\nhint: name at least one file or folder")
            }
            Self::Paths(_) => Ok(()),
            Self::Listed(listed) => listed.check(),
        }
    }

    /// Whether it states a split of its samples.
    pub fn has_split(&self) -> bool {
        matches!(self, Self::Listed(listed) if listed.has_split())
    }

    /// The files to open, relative to `base`. `sides` are the splits that are wanted, where the list states any: `train` for a stage,
    /// `train` and `test` for a task.
    ///
    /// # Errors
    /// A list that cannot be read, or that names no file that is there.
    pub fn resolve(&self, base: &Path, sides: &[Side]) -> Result<ResolvedData> {
        match self {
            Self::Paths(paths) => Ok(ResolvedData { entries: paths.paths(), ..ResolvedData::default() }),
            Self::Listed(listed) => of_list(listed, base, sides),
        }
    }
}

/// The files of a list.
///
/// # Errors
/// Fields that do not belong together, a list that cannot be read, or that names no file that is there.
fn of_list(listed: &Listed, base: &Path, sides: &[Side]) -> Result<ResolvedData> {
    listed.check()?;
    let shown = listed.place().display().to_string();
    let resolved = match listed.layout {
        None if listed.is_choice() => chosen_files::read(listed, base),
        None => manifest::read(listed, base, sides),
        Some(Layout::Nnunet) => nnunet::read(listed, base, sides),
        Some(Layout::Decathlon) => decathlon::read(listed, base, sides),
        Some(Layout::ClassFolders) => class_folders::read(listed, base),
        Some(Layout::Bids) => bids::read(listed, base),
    };
    let resolved = resolved.with_context(|| format!("data {shown}"))?;
    if resolved.entries.is_empty() {
        let why = match resolved.left_out.first() {
            Some((file, reason)) => {
                format!("; the first of {} that are left out: {file}, {reason}", resolved.left_out.len())
            }
            None => String::new(),
        };
        bail!("data {shown} names no file that can be used{why}");
    }
    Ok(resolved)
}

impl<'de> Deserialize<'de> for DataSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = DataSource;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a path, a list of paths, or a table with `manifest`, `layout`, `include` or `exclude`")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<DataSource, E> {
                Ok(DataSource::Paths(OneOrMore::One(path.into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<DataSource, A::Error> {
                let paths = Vec::<PathBuf>::deserialize(SeqAccessDeserializer::new(list)).map_err(A::Error::custom)?;
                Ok(DataSource::Paths(OneOrMore::More(paths)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataSource, A::Error> {
                let listed = Listed::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
                Ok(DataSource::Listed(Box::new(listed)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with some files, each with its own name in it.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        folder
    }

    fn source(text: &str) -> DataSource {
        let table: toml::Table = format!("data = {text}").parse().unwrap();
        table["data"].clone().try_into().unwrap()
    }

    fn resolved(folder: &Path, text: &str, sides: &[Side]) -> Result<ResolvedData> {
        source(text).resolve(folder, sides)
    }

    fn entries(data: &ResolvedData) -> Vec<&str> {
        data.entries.iter().map(|entry| entry.to_str().unwrap()).collect()
    }

    fn left_out(data: &ResolvedData) -> Vec<(&str, &str)> {
        data.left_out.iter().map(|(file, reason)| (file.as_str(), reason.as_str())).collect()
    }

    const TRAIN: &[Side] = &[Side::Train];

    #[test]
    fn data_are_written_as_they_were_read() {
        for text in [
            "'chest'",
            "['a', 'b']",
            "{ manifest = 'list.csv', path = 'file', use = [0, 'x'], split = 'fold' }",
            "{ layout = 'bids', folder = 'ds', channel = 'T1w' }",
            "{ folder = 'scans', include = ['**/*.nii'], exclude = ['**/*_seg.nii'] }",
        ] {
            let read = source(text);
            let written = toml::Value::try_from(&read).unwrap();
            assert_eq!(written.try_into::<DataSource>().unwrap(), read, "{text}");
        }
        let table: toml::Table = "data = { manifest = 'a.csv', path = 'x', colour = 'red' }".parse().unwrap();
        let error = table["data"].clone().try_into::<DataSource>().unwrap_err().to_string();
        assert!(error.contains("unknown field `colour`"), "{error}");
        let table: toml::Table = "data = 3".parse().unwrap();
        let error = table["data"].clone().try_into::<DataSource>().unwrap_err().to_string();
        assert!(error.contains("a table with `manifest`, `layout`, `include` or `exclude`"), "{error}");
    }

    #[test]
    fn nnunet_gives_one_channel_of_each_case() {
        let folder = folder(&[
            "d/imagesTr/liver_01_0000.nii.gz",
            "d/imagesTr/liver_01_0001.nii.gz",
            "d/imagesTr/liver_02_0000.nii.gz",
            "d/imagesTr/notes.txt",
            "d/imagesTs/liver_03_0000.nii.gz",
            "d/labelsTr/liver_01.nii.gz",
        ]);
        let refused = |text: &str| format!("{:#}", resolved(folder.path(), text, TRAIN).unwrap_err());
        assert!(refused("{ layout = 'nnunet', folder = 'd' }").contains("there is no dataset.json"));
        std::fs::write(folder.path().join("d/dataset.json"), r#"{"channel_names": {"0": "CT", "1": "PET"}}"#).unwrap();
        let data = resolved(folder.path(), "{ layout = 'nnunet', folder = 'd' }", TRAIN).unwrap();
        assert_eq!(entries(&data), ["d/imagesTr/liver_01_0000.nii.gz", "d/imagesTr/liver_02_0000.nii.gz"]);
        assert_eq!(data.facts[0].group.as_deref(), Some("liver_01"));
        assert_eq!(
            left_out(&data),
            [
                ("d/imagesTr/liver_01_0001.nii.gz", "of channel 0001"),
                ("d/imagesTr/notes.txt", "a name without the four digits of a channel"),
                ("d/imagesTs/liver_03_0000.nii.gz", "of the split test"),
            ]
        );
        let data = resolved(folder.path(), "{ layout = 'nnunet', folder = 'd', channel = 1 }", TRAIN).unwrap();
        assert_eq!(entries(&data), ["d/imagesTr/liver_01_0001.nii.gz"]);
        assert!(refused("{ layout = 'nnunet', folder = 'd', channel = 2 }").contains("the dataset has 2 channels"));
    }

    #[test]
    fn decathlon_is_as_its_list_says() {
        let folder = folder(&["t/imagesTr/a.nii.gz", "t/imagesTs/c.nii.gz", "t/imagesTr/._a.nii.gz"]);
        let list = r#"{"modality": {"0": "CT"}, "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"},
                       {"image": "./imagesTr/b.nii.gz", "label": "x"}], "test": ["./imagesTs/c.nii.gz"]}"#;
        std::fs::write(folder.path().join("t/dataset.json"), list).unwrap();
        let data =
            resolved(folder.path(), "{ layout = 'decathlon', folder = 't' }", &[Side::Train, Side::Test]).unwrap();
        assert_eq!(entries(&data), ["t/imagesTr/a.nii.gz", "t/imagesTs/c.nii.gz"]);
        assert_eq!(data.facts[1].split.as_deref(), Some("test"));
        assert_eq!(left_out(&data), [("t/imagesTr/b.nii.gz", "named by dataset.json, and not there")]);
        std::fs::write(folder.path().join("t/dataset.json"), r#"{"training": [{"image": "../../x"}]}"#).unwrap();
        let error =
            format!("{:#}", resolved(folder.path(), "{ layout = 'decathlon', folder = 't' }", TRAIN).unwrap_err());
        assert!(error.contains("leads out of its folder"), "{error}");
    }

    #[test]
    fn folders_of_classes_are_labels() {
        let folder = folder(&["c/effusion/a.png", "c/normal/b.png", "c/readme.md"]);
        let data = resolved(folder.path(), "{ layout = 'class-folders', folder = 'c' }", TRAIN).unwrap();
        assert_eq!(entries(&data), ["c/effusion", "c/normal"]);
        assert_eq!(data.facts[0].label.as_deref(), Some("effusion"));
        assert_eq!(left_out(&data), [("c/readme.md", "beside the folders of classes")]);
    }

    #[test]
    fn bids_gives_anatomy_with_subjects_as_groups() {
        let folder = folder(&[
            "b/dataset_description.json",
            "b/sub-01/anat/sub-01_T1w.nii.gz",
            "b/sub-01/anat/sub-01_T1w.json",
            "b/sub-01/anat/sub-01_T2w.nii.gz",
            "b/sub-01/func/sub-01_bold.nii.gz",
            "b/sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
            "b/derivatives/x.nii.gz",
        ]);
        let data = resolved(folder.path(), "{ layout = 'bids', folder = 'b', channel = 'T1w' }", TRAIN).unwrap();
        assert_eq!(entries(&data), ["b/sub-01/anat/sub-01_T1w.nii.gz", "b/sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"]);
        assert_eq!(
            data.facts.iter().map(|facts| facts.group.as_deref()).collect::<Vec<_>>(),
            [Some("sub-01"), Some("sub-02")]
        );
        assert_eq!(
            left_out(&data),
            [
                ("b/dataset_description.json", "beside the subjects of a BIDS dataset"),
                ("b/derivatives", "beside the subjects of a BIDS dataset"),
                ("b/sub-01/func", "outside of anat"),
                ("b/sub-01/anat/sub-01_T1w.json", "no NIfTI file"),
                ("b/sub-01/anat/sub-01_T2w.nii.gz", "of suffix T2w"),
            ]
        );
        let error = resolved(folder.path(), "{ layout = 'bids', folder = 'b/sub-01' }", TRAIN).unwrap_err();
        assert!(format!("{error:#}").contains("no folders sub-"), "{error:#}");
    }

    #[test]
    fn a_list_of_nothing_says_what_it_left_out() {
        let folder = folder(&[]);
        std::fs::write(folder.path().join("list.csv"), "file\nx.png\n").unwrap();
        let error = resolved(folder.path(), "{ manifest = 'list.csv', path = 'file' }", TRAIN).unwrap_err().to_string();
        assert!(error.contains("names no file that can be used") && error.contains("x.png, named by"), "{error}");
    }
}
