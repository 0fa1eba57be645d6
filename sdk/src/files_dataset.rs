//! Datasets in which a file holds several samples: rows of a table, windows of a recording, slices of a stack. [`Dataset`], except for
//! the listing of a file's samples and the loading of one.
//!
//! Finding files, ids, groups, fingerprints, labels and the check for changed files are the same for all of them. Where a file is a
//! sample, [`crate::FileDataset`] is shorter.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use medcoss_abi::code;
use medcoss_abi::message::{FileGrid, Geometry, Synthesised};
use serde::Serialize;

use crate::label_map::LabelMap;
use crate::labels::LabelTable;
use crate::{
    Account, Dataset, Error, Fingerprint, Found, FoundFile, Modality, OpenRequest, Sample, SampleRecord, SampleRng,
    Tokens, View, find_files, saved_samples,
};

/// The samples of a file, and the loading of one. Implemented by the options, which hold everything that it depends on.
pub trait SampleFiles: Serialize + Send + Sync + 'static {
    /// What distinguishes the samples of a file: a row's number, a window's first second.
    type Place: Send + Sync + 'static;

    /// Whether the samples of a file are a group, which evaluation does not separate: windows of one recording are, rows of a table
    /// of patients are not.
    const FILE_IS_GROUP: bool = true;

    /// The samples of a file, in their order. Reads no more than it must: a header, say. A file that is too short for these options is
    /// better one sample, which [`load`](Self::load) refuses, than none, so that it is reported. The id is put before the error's message.
    ///
    /// # Errors
    /// A file that is damaged or of another kind. It then counts as one invalid sample, which reports the error when it is loaded.
    fn index(&self, file: &FoundFile) -> Result<Vec<Self::Place>, Error>;

    /// What stands behind the file's id and `#` in the sample's id, such as `row=7`; unique within the file, the same at every opening.
    fn suffix(&self, place: &Self::Place) -> String;

    /// As [`Dataset::load`]. The file is the one that was indexed; the sample's id is put before the error's message.
    ///
    /// # Errors
    /// A sample that is damaged or of another kind.
    fn load(
        &self,
        file: &FoundFile,
        place: &Self::Place,
        view: View,
        rng: &mut SampleRng,
        sample: Sample<'_>,
    ) -> Result<(), Error>;

    /// Adds what the file says of a sample to its record: a label, a group of its own. What a table of labels says replaces it.
    fn describe(&self, place: &Self::Place, record: SampleRecord) -> SampleRecord {
        let _ = place;
        record
    }

    /// Writes one sample into a folder of its own, as it is before augmentation, and gives the name of the file to open, in which it is the
    /// only sample; for [`Dataset::save_samples`]. The id is put before the error's message.
    ///
    /// # Errors
    /// A sample that cannot be read, a file that cannot be written, or a plugin without this operation.
    fn save(&self, file: &FoundFile, place: &Self::Place, folder: &Path) -> Result<PathBuf, Error> {
        let _ = (file, place, folder);
        Err(Error::new(code::UNKNOWN_OPERATION, "this plugin cannot write samples of a dataset"))
    }

    /// As [`Dataset::render`].
    ///
    /// # Errors
    /// Tokens of another length, or a plugin without this operation.
    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let _ = tokens;
        Err(Error::new(code::UNKNOWN_OPERATION, "this plugin renders no images"))
    }

    /// As [`Dataset::label_map`]. The mask belongs to the whole file; the sample's id is put before the error's message.
    ///
    /// # Errors
    /// A mask that cannot be read or does not fit its file, or a plugin without this operation.
    fn label_map(&self, file: &FoundFile, place: &Self::Place, mask: &FoundFile) -> Result<LabelMap, Error> {
        let _ = (file, place, mask);
        Err(Error::new(code::UNKNOWN_OPERATION, "this plugin reads no masks"))
    }

    /// As [`Dataset::grid`]. The grid is the whole file's.
    fn grid(&self, file: &FoundFile, place: &Self::Place) -> Option<FileGrid> {
        let _ = (file, place);
        None
    }

    /// The table of labels, where the options have one. Its rows are of files.
    fn labels(&self) -> Option<&LabelTable> {
        None
    }
}

/// Opened files with several samples each.
#[derive(Debug)]
pub struct FilesDataset<O: SampleFiles> {
    options: O,
    geometry: Geometry,
    files: Vec<FoundFile>,
    samples: Vec<Part<O::Place>>,
    records: Vec<SampleRecord>,
    account: Account,
}

/// A sample: its file, and its place in it, or why the file has no places.
#[derive(Debug)]
struct Part<P> {
    file: usize,
    place: Result<P, Error>,
}

impl<O: SampleFiles> FilesDataset<O> {
    /// The samples of the request's files whose lower-case names `accepts`. [`Modality::geometry`] checks the options. Files without
    /// samples are left out.
    ///
    /// # Errors
    /// Options out of range, data missing or without such files, no file with samples, a table of labels that cannot be read.
    pub fn open<M: Modality<Options = O>>(
        request: OpenRequest<O>,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let OpenRequest { base, data, options, .. } = request;
        let geometry = M::geometry(&options)?;
        let Found { files, mut account } = find_files(&base, &data, accepts, &M::FILE_FORMATS.join(", "))?;
        let mut samples = Vec::new();
        let mut records: Vec<SampleRecord> = Vec::new();
        for (at, file) in files.iter().enumerate() {
            match places(&options, file) {
                Ok(places) => {
                    if places.is_empty() {
                        account.leave_out(file.id.as_str(), "without samples");
                    }
                    for (place, suffix) in places {
                        let record = file.record_of_part(suffix);
                        let record = if O::FILE_IS_GROUP { record.in_group(file.id.as_str()) } else { record };
                        records.push(options.describe(&place, record));
                        samples.push(Part { file: at, place: Ok(place) });
                    }
                }
                Err(error) => {
                    records.push(file.record());
                    samples.push(Part { file: at, place: Err(error.in_context(&file.id)) });
                }
            }
        }
        if !samples.iter().any(|sample| sample.place.is_ok()) {
            let n = files.len();
            let reason = samples.into_iter().find_map(|sample| sample.place.err());
            return Err(match reason {
                Some(error) => error.in_context(&format!("none of {n} files has samples that can be read")),
                None => Error::unreadable(format!("none of {n} files has samples; the first is {}", files[0].id)),
            });
        }
        if let Some(table) = options.labels() {
            table.annotate(&base, &files, &mut records)?;
        }
        Ok(Self { options, geometry, files, samples, records, account })
    }

    /// File and place of a sample, the file as it was.
    fn place(&self, index: usize) -> Result<(&FoundFile, &O::Place), Error> {
        let Part { file, place } = &self.samples[index];
        let file = &self.files[*file];
        file.check_unchanged()?;
        Ok((file, place.as_ref().map_err(Error::clone)?))
    }
}

/// The places of a file with their suffixes.
///
/// # Errors
/// Those of [`SampleFiles::index`], a file that is gone, a suffix that occurs twice.
fn places<O: SampleFiles>(options: &O, file: &FoundFile) -> Result<Vec<(O::Place, String)>, Error> {
    file.check_unchanged()?;
    let mut known = HashSet::new();
    let named = |place| {
        let suffix = options.suffix(&place);
        match known.insert(suffix.clone()) {
            true => Ok((place, suffix)),
            false => Err(Error::corrupt(format!("it has two samples {suffix:?}"))),
        }
    };
    options.index(file)?.into_iter().map(named).collect()
}

impl<O: SampleFiles> Dataset for FilesDataset<O> {
    fn geometry(&self) -> Geometry {
        self.geometry.clone()
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        self.records[index].clone()
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        self.files.iter().for_each(|file| fingerprint.add_file_ends(file));
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let (file, place) = self.place(index)?;
        let loaded = self.options.load(file, place, view, rng, sample);
        loaded.map_err(|error| error.in_context(&self.records[index].id))
    }

    /// Each sample in a folder of its own. A table of labels in the options is not copied.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let save = |(position, &index): (usize, &usize)| {
            let (file, place) = self.place(index)?;
            let own = PathBuf::from(saved_samples::name(position, ""));
            std::fs::create_dir(folder.join(&own)).map_err(|error| {
                Error::unreadable(format!("no folder can be made in {}", folder.display())).caused_by(&error)
            })?;
            let saved = self.options.save(file, place, &folder.join(&own));
            Ok(own.join(saved.map_err(|error| error.in_context(&self.records[index].id))?))
        };
        let saved = indices.iter().enumerate().map(save).collect::<Result<_, Error>>()?;
        saved_samples::reopened_without_labels(saved, &self.options, self.options.labels())
    }

    fn grid(&self, index: usize) -> Option<FileGrid> {
        let (file, place) = self.place(index).ok()?;
        self.options.grid(file, place)
    }

    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let (file, place) = self.place(index)?;
        let map = self.options.label_map(file, place, mask);
        map.map_err(|error| error.in_context(&self.records[index].id))
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.options.render(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Patches, sample_rng, synthesise_files};
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::{Value, json};

    /// Lines `name number`: a line is a sample.
    struct Lines;

    #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        factor: f32,
        labels: Option<LabelTable>,
    }

    impl Modality for Lines {
        const ID: &'static str = "lines";
        const VERSION: &'static str = "1.0.0";
        const SUMMARY: &'static str = "lines";
        const FAMILY: &'static str = "lines";
        const FILE_FORMATS: &'static [&'static str] = &["TXT"];
        const SAVES_SAMPLES: bool = true;
        type Options = Options;
        type Dataset = FilesDataset<Options>;

        fn geometry(_: &Options) -> Result<Geometry, Error> {
            Ok(Geometry::grid(vec![2], 1, 1))
        }

        fn open(request: OpenRequest<Options>) -> Result<FilesDataset<Options>, Error> {
            FilesDataset::open::<Self>(request, |name| name.ends_with(".txt"))
        }

        fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
            synthesise_files(folder, n_samples, seed, ".txt", Value::Null, |_| Ok(b"a 1".to_vec()))
        }
    }

    impl SampleFiles for Options {
        type Place = (usize, String);

        fn index(&self, file: &FoundFile) -> Result<Vec<Self::Place>, Error> {
            let name = |(at, line): (usize, &str)| (at, line.split(' ').next().unwrap_or_default().to_owned());
            Ok(file.read_text()?.lines().enumerate().map(name).collect())
        }

        fn suffix(&self, (_, name): &Self::Place) -> String {
            name.clone()
        }

        fn describe(&self, (_, name): &Self::Place, record: SampleRecord) -> SampleRecord {
            record.labelled(name.strip_prefix("is-"))
        }

        fn load(
            &self,
            file: &FoundFile,
            (at, _): &Self::Place,
            _: View,
            _: &mut SampleRng,
            sample: Sample<'_>,
        ) -> Result<(), Error> {
            let text = file.read_text()?;
            let number = text.lines().nth(*at).and_then(|line| line.split(' ').nth(1)?.parse().ok());
            let number: f32 = number.ok_or_else(|| Error::corrupt("there is no number"))?;
            sample.continuous()?.0.fill(self.factor * number);
            Ok(())
        }

        fn save(&self, file: &FoundFile, (at, _): &Self::Place, folder: &Path) -> Result<PathBuf, Error> {
            let text = file.read_text()?;
            saved_samples::write(&folder.join("line.txt"), text.lines().nth(*at).unwrap_or_default().as_bytes())?;
            Ok("line.txt".into())
        }

        fn labels(&self) -> Option<&LabelTable> {
            self.labels.as_ref()
        }
    }

    fn open(base: &Path, data: Vec<PathBuf>, options: Value) -> Result<FilesDataset<Options>, Error> {
        let options = serde_json::from_value(options).unwrap();
        Lines::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
    }

    fn load(dataset: &FilesDataset<Options>, index: usize) -> Result<f32, Error> {
        let (mut tokens, mut mask) = ([0.0; 2], [0; 2]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        dataset.load(index, View::Evaluation, &mut sample_rng(0), sample)?;
        Ok(tokens[1])
    }

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, content)| std::fs::write(folder.path().join(name), content).unwrap());
        folder
    }

    #[test]
    fn samples_have_ids_files_groups_and_labels_and_are_saved_alone() {
        let table = b"file,kind,patient\na,good,\nd,,p4\n";
        let folder = folder(&[
            ("d.txt", b"z 7\nis-x 8\ny\n"),
            ("a.txt", b"q 5\n"),
            ("b.txt", b""),
            ("c.txt", b"\xff"),
            ("e.txt", b"q 1\nq 2\n"),
            ("t.csv", table),
        ]);
        let labels =
            json!({ "file": "t.csv", "key_column": "file", "label_column": "kind", "group_column": "patient" });
        let data = vec![PathBuf::from(".")];
        let dataset = open(folder.path(), data.clone(), json!({ "factor": 2.0, "labels": labels })).unwrap();
        let records: Vec<SampleRecord> = (0..dataset.len()).map(|index| dataset.record(index)).collect();
        let of = |id: &str, file: &str, group: &str| SampleRecord::new(id).of_file(file).of_entry(0).in_group(group);
        assert_eq!(
            records,
            [
                of("a.txt#q", "a.txt", "a.txt").labelled(Some("good")),
                SampleRecord::new("c.txt").of_entry(0),
                of("d.txt#z", "d.txt", "p4"),
                of("d.txt#is-x", "d.txt", "p4").labelled(Some("x")),
                of("d.txt#y", "d.txt", "p4"),
                SampleRecord::new("e.txt").of_entry(0),
            ]
        );
        assert_eq!([0, 2, 3].map(|index| load(&dataset, index).unwrap()), [10.0, 14.0, 16.0]);
        for (index, expected) in [
            (1, "c.txt: it is no UTF-8 text"),
            (4, "d.txt#y: there is no number"),
            (5, "e.txt: it has two samples \"q\""),
        ] {
            assert_eq!(load(&dataset, index).unwrap_err().message(), expected);
        }

        let kept = tempfile::tempdir().unwrap();
        let made = dataset.save_samples(&[3, 0, 3], kept.path()).unwrap();
        assert_eq!(made.options, json!({ "factor": 2.0 }));
        assert_eq!(made.data[0], Path::new("000000/line.txt"));
        let again = open(kept.path(), made.data, made.options).unwrap();
        assert_eq!((0..again.len()).map(|index| load(&again, index).unwrap()).collect::<Vec<_>>(), [16.0, 10.0, 16.0]);

        let before = dataset.fingerprint().hex();
        std::fs::write(folder.path().join("d.txt"), "z 7\nis-x 9\ny 1\n").unwrap();
        assert!(load(&dataset, 2).unwrap_err().message().contains("has changed"));
        assert_ne!(open(folder.path(), data, json!({})).unwrap().fingerprint().hex(), before);
    }

    #[test]
    fn files_without_a_single_sample_are_an_error_of_opening() {
        let data = || vec![PathBuf::from(".")];
        let damaged = folder(&[("a.txt", b""), ("b.txt", b"\xff")]);
        let error = open(damaged.path(), data(), json!({})).unwrap_err();
        let expected = "none of 2 files has samples that can be read: b.txt: it is no UTF-8 text";
        assert_eq!((error.code(), error.message()), (code::CORRUPT, expected));
        let empty = folder(&[("a.txt", b"")]);
        let error = open(empty.path(), data(), json!({})).unwrap_err();
        assert_eq!(error.message(), "none of 1 files has samples; the first is a.txt");
    }
}
