//! Datasets in which every file is a sample: [`Dataset`], except for the loading of a file.
//!
//! Finding files, ids, fingerprints, labels, saved samples and the check for changed files are the same for all of
//! them. Where files hold several samples, [`crate::FilesDataset`] does the same; a dataset whose samples need several files implements
//! [`Dataset`] itself.

use std::path::Path;

use medcoss_abi::code;
use medcoss_abi::message::{FileGrid, Geometry, Synthesised};
use serde::Serialize;

use crate::label_map::LabelMap;
use crate::labels::LabelTable;
use crate::{
    Account, Dataset, Error, Fingerprint, Found, FoundFile, Modality, OpenRequest, Sample, SampleRecord, SampleRng,
    Tokens, View, find_files, sample_rng, saved_samples,
};

/// The loading of one file as a sample. Implemented by the options, which hold everything that it depends on.
pub trait FileSample: Serialize + Send + Sync + 'static {
    /// As [`Dataset::load`]. The file is the one that was found; the id is put before the error's message.
    ///
    /// # Errors
    /// A file that is damaged or of another kind.
    fn load(&self, file: &FoundFile, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error>;

    /// As [`Dataset::render`].
    ///
    /// # Errors
    /// Tokens of another length, or a plugin without this operation.
    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let _ = tokens;
        Err(Error::new(code::UNKNOWN_OPERATION, "this plugin renders no images"))
    }

    /// As [`Dataset::label_map`]. The file is the one that was found; the id is put before the error's message.
    ///
    /// # Errors
    /// A mask that cannot be read or does not fit its file, or a plugin without this operation.
    fn label_map(&self, file: &FoundFile, mask: &FoundFile) -> Result<LabelMap, Error> {
        let _ = (file, mask);
        Err(Error::new(code::UNKNOWN_OPERATION, "this plugin reads no masks"))
    }

    /// As [`Dataset::grid`].
    fn grid(&self, file: &FoundFile) -> Option<FileGrid> {
        let _ = file;
        None
    }

    /// The table of labels, where the options have one.
    fn labels(&self) -> Option<&LabelTable> {
        None
    }
}

/// Writes `n_samples` sample files for [`Modality::synthesise`], each from a generator of its own, and says how they are opened:
/// with `options`. `extension` is such as `.png`.
///
/// # Errors
/// Those of `content`, files that cannot be written.
pub fn synthesise_files(
    folder: &Path,
    n_samples: usize,
    seed: u64,
    extension: &str,
    options: serde_json::Value,
    mut content: impl FnMut(&mut SampleRng) -> Result<Vec<u8>, Error>,
) -> Result<Synthesised, Error> {
    for index in 0..n_samples {
        // Seeds that follow each other must not share samples.
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        saved_samples::write(&folder.join(saved_samples::name(index, extension)), &content(&mut rng)?)?;
    }
    Ok(Synthesised { data: vec![".".into()], options })
}

/// Opened files, a file a sample.
#[derive(Debug)]
pub struct FileDataset<O> {
    options: O,
    geometry: Geometry,
    files: Vec<FoundFile>,
    records: Vec<SampleRecord>,
    account: Account,
}

impl<O: FileSample> FileDataset<O> {
    /// The files of the request whose lower-case names `accepts`. [`Modality::geometry`] checks the options.
    ///
    /// # Errors
    /// Options out of range, data missing or without such files, a table of labels that cannot be read.
    pub fn open<M: Modality<Options = O>>(
        request: OpenRequest<O>,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let OpenRequest { base, data, options, .. } = request;
        let geometry = M::geometry(&options)?;
        let Found { files, account } = find_files(&base, &data, accepts, &M::FILE_FORMATS.join(", "))?;
        let mut records: Vec<SampleRecord> = files.iter().map(FoundFile::record).collect();
        if let Some(table) = options.labels() {
            table.annotate(&base, &files, &mut records)?;
        }
        Ok(Self { options, geometry, files, records, account })
    }
}

impl<O: FileSample> Dataset for FileDataset<O> {
    fn geometry(&self) -> Geometry {
        self.geometry.clone()
    }

    fn len(&self) -> usize {
        self.files.len()
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
        let file = &self.files[index];
        file.check_unchanged()?;
        self.options.load(file, view, rng, sample).map_err(|error| error.in_context(&file.id))
    }

    /// Copies the files, with all that they state of patients; see [`saved_samples::copy`]. A table of labels in the options is not copied.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let copy = |(position, &index): (usize, &usize)| saved_samples::copy(&self.files[index], position, folder);
        let copies = indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?;
        saved_samples::reopened_without_labels(copies, &self.options, self.options.labels())
    }

    fn grid(&self, index: usize) -> Option<FileGrid> {
        let file = &self.files[index];
        file.check_unchanged().ok()?;
        self.options.grid(file)
    }

    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let file = &self.files[index];
        self.options.label_map(file, mask).map_err(|error| error.in_context(&file.id))
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.options.render(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Patches;
    use rand::RngExt;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use std::path::PathBuf;

    /// Files of bytes; a sample is the first of them, repeated.
    struct Bytes;

    #[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        n: usize,
        labels: Option<LabelTable>,
    }

    impl Modality for Bytes {
        const ID: &'static str = "bytes";
        const VERSION: &'static str = "1.0.0";
        const SUMMARY: &'static str = "bytes";
        const FAMILY: &'static str = "bytes";
        const FILE_FORMATS: &'static [&'static str] = &["BIN"];
        const SAVES_SAMPLES: bool = true;
        type Options = Options;
        type Dataset = FileDataset<Options>;

        fn geometry(options: &Options) -> Result<Geometry, Error> {
            if options.n == 0 {
                return Err(Error::bad_request("n is 0; it must be at least 1"));
            }
            Ok(Geometry::grid(vec![options.n], 1, 1))
        }

        fn open(request: OpenRequest<Options>) -> Result<FileDataset<Options>, Error> {
            FileDataset::open::<Self>(request, |name| name.ends_with(".bin"))
        }

        fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
            let options = serde_json::json!({ "n": 3 });
            synthesise_files(folder, n_samples, seed, ".bin", options, |rng| Ok(rng.random::<[u8; 4]>().to_vec()))
        }
    }

    impl FileSample for Options {
        fn load(&self, file: &FoundFile, _: View, _: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
            let bytes = std::fs::read(&file.path).map_err(|error| Error::unreadable("gone").caused_by(&error))?;
            let (tokens, _) = sample.continuous()?;
            tokens.fill(f32::from(*bytes.first().ok_or_else(|| Error::corrupt("the file is empty"))?));
            Ok(())
        }

        fn labels(&self) -> Option<&LabelTable> {
            self.labels.as_ref()
        }
    }

    fn open(base: &Path, options: serde_json::Value) -> Result<FileDataset<Options>, Error> {
        let options = serde_json::from_value(options).unwrap();
        Bytes::open(OpenRequest { base: base.to_owned(), data: vec![PathBuf::from(".")], options, assets: None })
    }

    fn load(dataset: &FileDataset<Options>, index: usize) -> Result<Vec<f32>, Error> {
        let (mut tokens, mut mask) = (vec![0.0; 3], vec![0; 3]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        dataset.load(index, View::Evaluation, &mut sample_rng(0), sample)?;
        Ok(tokens)
    }

    #[test]
    fn synthetic_files_differ_and_come_again() {
        let written = |seed| {
            let folder = tempfile::tempdir().unwrap();
            let made = Bytes::synthesise(folder.path(), 3, seed).unwrap();
            let dataset = open(folder.path(), made.options).unwrap();
            assert_eq!(dataset.len(), 3);
            dataset.files.iter().map(|file| file.read().unwrap()).collect::<Vec<_>>()
        };
        let one = written(1);
        assert_eq!(one, written(1));
        let two = written(2);
        let all: std::collections::BTreeSet<_> = one.iter().chain(&two).collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn files_are_samples_with_ids_labels_and_copies() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("b.bin", [7]), ("a.bin", [5]), ("c.txt", [9])] {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        std::fs::write(folder.path().join("d.bin"), "").unwrap();
        std::fs::write(folder.path().join("labels.csv"), "file,kind\na,good\n").unwrap();
        assert!(open(folder.path(), serde_json::json!({})).unwrap_err().message().starts_with("n is 0"));
        let table = serde_json::json!({ "file": "labels.csv", "key_column": "file", "label_column": "kind" });
        let dataset = open(folder.path(), serde_json::json!({ "n": 3, "labels": table })).unwrap();
        let ids: Vec<_> = (0..dataset.len()).map(|index| dataset.record(index).id).collect();
        assert_eq!(ids, ["a.bin", "b.bin", "d.bin"]);
        assert_eq!((dataset.record(0).label.as_deref(), dataset.record(1).label), (Some("good"), None));
        assert_eq!(load(&dataset, 1).unwrap(), [7.0; 3]);
        assert_eq!(load(&dataset, 2).unwrap_err().message(), "d.bin: the file is empty");

        let kept = tempfile::tempdir().unwrap();
        let made = dataset.save_samples(&[1, 0, 1], kept.path()).unwrap();
        assert_eq!(made.options, serde_json::json!({ "n": 3 }));
        let again = open(kept.path(), made.options).unwrap();
        let values: Vec<_> = (0..again.len()).map(|index| load(&again, index).unwrap()[0]).collect();
        assert_eq!(values, [7.0, 5.0, 7.0]);

        let before = dataset.fingerprint().hex();
        std::fs::write(folder.path().join("a.bin"), [1, 2]).unwrap();
        assert!(load(&dataset, 0).unwrap_err().message().contains("has changed"));
        assert_ne!(open(folder.path(), serde_json::json!({ "n": 3 })).unwrap().fingerprint().hex(), before);
    }
}
