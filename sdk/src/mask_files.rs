//! The mask file of each sample, by the rule of [`LabelMaps`].
//!
//! A mask has the relative path and stem of its sample's file. Two masks for one file, or one mask for two files, are an error.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use medcoss_abi::message::LabelMaps;

use crate::{Error, FoundFile, find_files, sample_id};

/// The mask files of a request.
pub(crate) struct MaskFiles {
    files: Vec<FoundFile>,
    /// Files by their path below their folder, without prefix, suffix and extension.
    by_key: HashMap<String, Vec<usize>>,
    sample_prefix: String,
    sample_suffix: String,
}

impl MaskFiles {
    /// Lists the files with one of the `extensions`, which are in lower case and begin with a dot. A file that the request
    /// names by itself is taken whatever its name.
    ///
    /// # Errors
    /// Those of [`find_files`], no file with the suffix.
    pub(crate) fn find(request: &LabelMaps, extensions: &[&str]) -> Result<Self, Error> {
        let accepts = |name: &str| extension_of(name, extensions).is_some();
        let files = find_files(&request.base, &request.data, accepts, &extensions.join(", "))
            .map_err(|error| error.in_context("masks"))?
            .files;
        let mut by_key: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, file) in files.iter().enumerate() {
            let below = request.data.iter().find_map(|entry| below(&file.path, &request.base.join(entry)));
            let key = below.as_deref().and_then(|below| {
                let lower = below.to_lowercase();
                let extension = extension_of(&lower, extensions).unwrap_or_default();
                // Lower case may change the length of a name, but not that of an extension in ASCII.
                let stem = below
                    .get(..below.len().checked_sub(extension.len())?)?
                    .strip_suffix(request.mask_suffix.as_str())?;
                let (folders, name) = stem.rsplit_once('/').map_or(("", stem), |(folders, name)| (folders, name));
                let name = name.strip_prefix(request.mask_prefix.as_str())?;
                Some(if folders.is_empty() { name.to_owned() } else { format!("{folders}/{name}") })
            });
            if let Some(key) = key {
                by_key.entry(key).or_default().push(at);
            }
        }
        if by_key.is_empty() {
            let n = files.len();
            let begins =
                Some(format!("begins with {:?}", request.mask_prefix)).filter(|_| !request.mask_prefix.is_empty());
            let ends = Some(format!("ends in {:?}", request.mask_suffix)).filter(|_| !request.mask_suffix.is_empty());
            let wanted: Vec<String> = begins.into_iter().chain(ends).collect();
            return Err(Error::bad_request(format!("none of {n} masks has a name that {}", wanted.join(" and "))));
        }
        let (sample_prefix, sample_suffix) = (request.sample_prefix.clone(), request.sample_suffix.clone());
        Ok(Self { files, by_key, sample_prefix, sample_suffix })
    }

    /// The mask of each of a dataset's files, by the files' ids. All of them are looked at, so that a mask that fits two is
    /// noticed whichever of them is asked for.
    pub(crate) fn of_all<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> BTreeMap<&'a str, Result<&FoundFile, Error>> {
        let mut found: BTreeMap<&str, Result<usize, Error>> = BTreeMap::new();
        for id in ids {
            found.entry(id).or_insert_with(|| self.of(id));
        }
        let mut owners: HashMap<usize, Vec<&str>> = HashMap::new();
        for (id, mask) in &found {
            if let Ok(mask) = mask {
                owners.entry(*mask).or_default().push(id);
            }
        }
        let settled = |(id, mask): (&'a str, Result<usize, Error>)| {
            let mask = mask.and_then(|at| match owners[&at].as_slice() {
                [one, other, ..] => {
                    let mask = &self.files[at].id;
                    Err(Error::bad_request(format!(
                        "mask {mask} fits both {one} and {other}\n\
                         hint: give masks the folders of their samples, and name the folder above them"
                    )))
                }
                _ => Ok(&self.files[at]),
            });
            (id, mask)
        };
        found.into_iter().map(settled).collect()
    }

    /// The mask of a file: the one whose path below its folder is the longest end of the file's id.
    fn of(&self, id: &str) -> Result<usize, Error> {
        let (folders, name) = id.rsplit_once('/').unwrap_or(("", id));
        let names: Vec<&str> =
            names_of(name).filter_map(|name| name.strip_suffix(self.sample_suffix.as_str())).collect();
        let names: Vec<&str> =
            names.into_iter().filter_map(|name| name.strip_prefix(self.sample_prefix.as_str())).collect();
        let folders: Vec<&str> = folders.split('/').filter(|folder| !folder.is_empty()).collect();
        for start in 0..=folders.len() {
            let mut fitting: Vec<usize> = Vec::new();
            for name in &names {
                let key: Vec<&str> = folders[start..].iter().chain([name]).copied().collect();
                fitting.extend(self.by_key.get(&key.join("/")).into_iter().flatten());
            }
            match *self.nearest(&fitting, &folders) {
                [] => {}
                [one] => return Ok(one),
                [one, other, ..] => {
                    let [one, other] = [one, other].map(|at| &self.files[at].id);
                    return Err(Error::bad_request(format!(
                        "{id} has two masks, {one} and {other}\nhint: remove one, or name fewer folders of masks"
                    )));
                }
            }
        }
        let n = self.files.len();
        let parts = [&self.sample_prefix, &self.sample_suffix].into_iter().filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(|part| format!("{part:?}")).collect();
        let without = if parts.is_empty() { String::new() } else { format!(" without its {}", parts.join(" and ")) };
        Err(Error::unreadable(format!(
            "{id} has no mask: none of {n} mask files has its name{without}\n\
             hint: a mask has the relative path and stem of its sample's file; set `mask_suffix`, `sample_suffix`, `mask_prefix` and \
             `sample_prefix` where the stems differ by them"
        )))
    }
}

impl MaskFiles {
    /// Of the masks at `fitting` those that share most leading folders with a file: `test/masks/a.png` is nearer to `test/images/a.png` than
    /// `train/masks/a.png` is.
    fn nearest(&self, fitting: &[usize], folders: &[&str]) -> Vec<usize> {
        let shared = |at: &usize| {
            let own = self.files[*at].id.split('/');
            own.zip(folders).take_while(|(own, folder)| own == *folder).count()
        };
        let most = fitting.iter().map(shared).max().unwrap_or_default();
        fitting.iter().filter(|at| shared(at) == most).copied().collect()
    }
}

/// The path of a file below a folder, with `/`; its name where it is the entry itself.
fn below(file: &Path, root: &Path) -> Option<String> {
    let below = file.strip_prefix(root).ok()?;
    if below.as_os_str().is_empty() {
        return Some(sample_id::part(file.file_name()?));
    }
    let parts: Vec<_> = below.components().map(|part| sample_id::part(part.as_os_str())).collect();
    Some(parts.join("/"))
}

/// The longest of the extensions that a lower-case name has.
fn extension_of<'a>(name: &str, extensions: &[&'a str]) -> Option<&'a str> {
    extensions.iter().copied().filter(|extension| name.ends_with(extension)).max_by_key(|extension| extension.len())
}

/// The keys of a file: its name, and its name without extension, where `.nii.gz` is one extension.
fn names_of(name: &str) -> impl Iterator<Item = &str> {
    let uncompressed = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".GZ")).unwrap_or(name);
    let stem = Path::new(uncompressed).file_stem().and_then(|stem| stem.to_str());
    [Some(name), stem.filter(|stem| *stem != name)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const EXTENSIONS: &[&str] = &[".nii", ".nii.gz", ".png"];

    /// A file's id, and its mask's or why there is none.
    type Answer = (String, Result<String, String>);

    fn found(files: &[&str], data: &[&str], suffixes: [&str; 2], ids: &[&str]) -> Result<Vec<Answer>, Error> {
        let base = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::create_dir_all(base.path().join(file).parent().unwrap()).unwrap();
            std::fs::write(base.path().join(file), "").unwrap();
        }
        let [mask_suffix, sample_suffix] = suffixes.map(String::from);
        let data = data.iter().map(PathBuf::from).collect();
        let request = LabelMaps { base: base.path().into(), data, mask_suffix, sample_suffix, ..LabelMaps::default() };
        let files = MaskFiles::find(&request, EXTENSIONS)?;
        let of_all = files.of_all(ids.iter().copied());
        let message =
            |mask: Result<&FoundFile, Error>| mask.map(|file| file.id.clone()).map_err(|e| e.message().to_owned());
        Ok(of_all.into_iter().map(|(id, mask)| (id.to_owned(), message(mask))).collect())
    }

    fn one(files: &[&str], suffixes: [&str; 2], id: &str) -> Result<String, String> {
        found(files, &["m"], suffixes, &[id]).unwrap().remove(0).1
    }

    #[test]
    fn a_name_whatever_its_extension_and_suffixes() {
        assert_eq!(one(&["m/a.nii.gz"], ["", ""], "ct/a.nii"), Ok("m/a.nii.gz".into()));
        assert_eq!(one(&["m/a.png", "m/b.png"], ["", ""], "tiles/a.jpeg"), Ok("m/a.png".into()));
        assert_eq!(one(&["m/a_seg.png", "m/a.png"], ["_seg", ""], "tiles/a.jpeg"), Ok("m/a_seg.png".into()));
        assert_eq!(one(&["m/a.nii"], ["", "_0000"], "ct/a_0000.nii.gz"), Ok("m/a.nii".into()));
        assert_eq!(one(&["m/a.v2.PNG"], ["", ""], "tiles/a.v2.tif"), Ok("m/a.v2.PNG".into()));
        // The id of a series without an extension has points that are none.
        assert_eq!(one(&["m/1.2.840.nii"], ["", ""], "ct/1.2.840"), Ok("m/1.2.840.nii".into()));
        assert!(
            one(&["m/a.png"], ["", ""], "tiles/ab.png").unwrap_err().starts_with("tiles/ab.png has no mask: none of 1")
        );
        assert!(one(&["m/a.png"], ["", "_0000"], "tiles/a.png").unwrap_err().contains("without its \"_0000\""));
    }

    #[test]
    fn names_may_differ_at_their_beginning() {
        let base = tempfile::tempdir().unwrap();
        for file in ["m/b1/segmentation-0.nii", "m/b1/volume-0.nii", "m/segmentation-1.nii"] {
            std::fs::create_dir_all(base.path().join(file).parent().unwrap()).unwrap();
            std::fs::write(base.path().join(file), "").unwrap();
        }
        let of = |mask_prefix: &str, sample_prefix: &str, id: &str| {
            let request = LabelMaps {
                base: base.path().into(),
                data: vec!["m".into()],
                mask_prefix: mask_prefix.into(),
                sample_prefix: sample_prefix.into(),
                ..LabelMaps::default()
            };
            let files = MaskFiles::find(&request, EXTENSIONS)?;
            files.of_all([id]).remove(id).unwrap().map(|file| file.id.clone())
        };
        assert_eq!(of("segmentation-", "volume-", "m/b1/volume-0.nii").unwrap(), "m/b1/segmentation-0.nii");
        assert_eq!(of("segmentation-", "volume-", "m/volume-1.nii").unwrap(), "m/segmentation-1.nii");
        assert_eq!(of("segmentation-", "", "x/1.nii").unwrap(), "m/segmentation-1.nii");
        let error = of("segmentation-", "volume-", "m/scan-1.nii").unwrap_err();
        assert!(error.message().contains("has its name without its \"volume-\""), "{}", error.message());
        let error = of("label-", "", "m/scan-1.nii").unwrap_err();
        assert_eq!(error.message(), "none of 3 masks has a name that begins with \"label-\"");
    }

    #[test]
    fn folders_count_from_the_end_and_the_longest_path_wins() {
        let masks = ["m/p1/scan.nii", "m/p2/scan.nii"];
        let all = found(&masks, &["m"], ["", ""], &["ct/p1/scan.nii", "ct/p2/scan.nii", "ct/p3/scan.nii"]).unwrap();
        assert_eq!(all[0].1, Ok("m/p1/scan.nii".into()));
        assert_eq!(all[1].1, Ok("m/p2/scan.nii".into()));
        // Of two that fit equally the one in the file's own part of the data.
        let masks = ["train/m/a.png", "test/m/a.png", "test/m/b.png"];
        let all = found(&masks, &["train/m", "test/m"], ["", ""], &["train/x/a.png", "test/x/a.png", "train/x/b.png"])
            .unwrap();
        let own = |at: usize| all[at].1.clone();
        assert_eq!(
            [own(0), own(1), own(2)],
            ["test/m/a.png", "train/m/a.png", "test/m/b.png"].map(|mask| Ok(mask.to_owned()))
        );
        // A mask of another patient is none.
        assert!(all[2].1.as_ref().unwrap_err().contains("has no mask"));
        let all =
            found(&["m/scan.nii", "m/p1/scan.nii"], &["m"], ["", ""], &["ct/p1/scan.nii", "ct/p2/scan.nii"]).unwrap();
        assert_eq!(all[0].1, Ok("m/p1/scan.nii".into()));
        assert_eq!(all[1].1, Ok("m/scan.nii".into()));
    }

    #[test]
    fn nothing_is_guessed() {
        let all = found(&["m/scan.nii"], &["m"], ["", ""], &["ct/p1/scan.nii", "ct/p2/scan.nii"]).unwrap();
        let message = all[1].1.as_ref().unwrap_err();
        assert!(message.starts_with("mask m/scan.nii fits both ct/p1/scan.nii and ct/p2/scan.nii"), "{message}");
        let message = one(&["m/a.nii", "m/a.nii.gz"], ["", ""], "ct/a.nii.gz").unwrap_err();
        assert!(message.starts_with("ct/a.nii.gz has two masks, m/a.nii and m/a.nii.gz"), "{message}");
    }

    #[test]
    fn missing_folders_and_foreign_files_are_reported() {
        assert!(
            found(&["m/a.png"], &["n"], ["", ""], &[]).unwrap_err().message().starts_with("masks: data n not found")
        );
        assert!(
            found(&["m/a.txt"], &["m"], ["", ""], &[]).unwrap_err().message().contains("no files of a known format")
        );
        let error = found(&["m/a.png"], &["m"], ["_seg", ""], &[]).unwrap_err();
        assert_eq!(error.message(), "none of 1 masks has a name that ends in \"_seg\"");
        // A file that is named by itself may be called anything.
        let all = found(&["m/a.lab"], &["m/a.lab"], ["", ""], &["ct/a.lab"]).unwrap();
        assert_eq!(all[0].1, Ok("m/a.lab".into()));
    }
}
