//! Electrocardiograms: records of several leads as rows of a grid, cut into patches along time; a token family of its own, `ecg`.
//!
//! A token is a stretch of one lead, as in ST-MEM (Na et al., *Guiding Masked Representation Learning to Capture
//! Spatio-Temporal Relationship of Electrocardiogram*, ICLR 2024, arXiv 2402.09450), whose lengths are the defaults: masking a
//! token asks for a stretch of a lead from other times and from other leads, while tokens of all leads at once would ask for other
//! times alone. What ST-MEM adds to tokens by embeddings of leads, the family's position table does here, since a token's
//! position in the grid says its lead.
//!
//! `record` reads files, `leads` knows the names of leads, `signal` normalises and augments, and `synthetic` makes the samples for demonstration and tests. No filter is applied: power-line noise and baseline wander stay.

#![forbid(unsafe_code)]

mod csv_record;
mod leads;
mod options;
mod record;
mod record_info;
mod rendering;
mod signal;
mod synthetic;
mod wfdb;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use medcoss_sdk::labels::FileFacts;
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::signal::{Kernel, Resampling};
use medcoss_sdk::{
    Account, Dataset, Error, Fingerprint, Found, FoundFile, Geometry, Modality, OpenRequest, Patches, Rendering,
    Sample, SampleRecord, SampleRng, Synthesised, Tokens, View, export_plugin, mask, saved_samples,
};

pub use leads::MissingLeads;
pub use options::{Masking, Normalise, Options};
use record::Record;
use signal::Augmentation;

/// A record none of whose leads varies by this many millivolts has nothing to learn: an electrode that is off.
const FLAT_MV: f32 = 0.005;

/// The ECG plugin.
pub struct Ecg;

export_plugin!(ecg, Ecg);

impl Modality for Ecg {
    const ID: &'static str = "ecg";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "electrocardiograms, a stretch of a record a sample";
    const FAMILY: &'static str = "ecg";
    const FILE_FORMATS: &'static [&'static str] = record::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("rate_hz", "sampling_rate_hz"),
        ("csv_rate_hz", "csv_sampling_rate_hz"),
        ("patch", "patch_size"),
        ("amplitude", "amplitude_scaling"),
        ("wander", "baseline_wander"),
        ("group_column", "labels.group_column"),
    ];

    type Options = Options;
    type Dataset = Records;

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        options.check()?;
        Ok(options.geometry())
    }

    fn open(request: OpenRequest<Options>) -> Result<Records, Error> {
        let options = request.options;
        options.check()?;
        let table = options.labels.as_ref().map(|table| table.file.as_path());
        let (Found { files, mut account }, signals) = record::find(&request.base, &request.data, table)?;
        let facts = FileFacts::of_files(options.labels.as_ref(), &request.base, &files)?;
        let entries: Vec<_> =
            files.into_iter().zip(facts).map(|(file, facts)| Entry::new(file, facts, &options)).collect();
        let read: HashSet<&Path> =
            entries.iter().flat_map(|entry| &entry.parts).map(|part| part.path.as_path()).collect();
        for file in signals.iter().filter(|file| !read.contains(file.path.as_path())) {
            account.leave_out(file.id.as_str(), "WFDB signals that no header names");
        }
        let options = Options { labels: None, label_comment: None, ..options };
        Ok(Records { options, entries, account })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// A record on disk.
struct Entry {
    file: FoundFile,
    /// Signal files of a WFDB record whose header could be read.
    parts: Vec<FoundFile>,
    /// Without a group in the table a record is a group of its own.
    facts: FileFacts,
}

impl Entry {
    /// Headers of WFDB records are looked at, since the samples lie in other files. One that is damaged makes an invalid sample, not
    /// bad data: `load` reports the error.
    fn new(file: FoundFile, mut facts: FileFacts, options: &Options) -> Self {
        let is_header = file.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hea"));
        let Some(Ok(record)) = is_header.then(|| Record::open(&file.path, options.csv_sampling_rate_hz)) else {
            return Self { file, parts: Vec::new(), facts };
        };
        let parts = record.files()[1..].iter().filter_map(|path| part(&file, path)).collect();
        facts.label = facts.label.or_else(|| comment(&record, options.label_comment.as_deref()?));
        Self { file, parts, facts }
    }
}

/// A file beside another.
fn part(file: &FoundFile, path: &Path) -> Option<FoundFile> {
    let metadata = std::fs::metadata(path).ok()?;
    let folder = file.id.rfind('/').map_or("", |end| &file.id[..=end]);
    let id = format!("{folder}{}", path.file_name()?.to_string_lossy());
    Some(FoundFile {
        path: path.to_owned(),
        id,
        bytes: metadata.len(),
        modified: metadata.modified().ok(),
        entry: file.entry,
    })
}

/// The value of a key in a header's comments.
fn comment(record: &Record, word: &str) -> Option<String> {
    let Record::Wfdb(record) = record else { return None };
    let rest = record.comments.iter().find_map(|comment| comment.strip_prefix(word)?.strip_prefix(':'))?;
    Some(rest.trim().to_string()).filter(|label| !label.is_empty())
}

/// Dataset of opened ECG records: one record is one sample.
pub struct Records {
    /// Those of saved samples, which have no labels.
    options: Options,
    entries: Vec<Entry>,
    account: Account,
}

impl Records {
    /// The leads of a sample that the record has, `[leads, times]` in millivolts: in the middle of the record, or anywhere in it. And which these are.
    fn stretch(&self, path: &Path, rng: Option<&mut SampleRng>) -> Result<(Vec<f32>, Vec<usize>), Error> {
        let record = Record::open(path, self.options.csv_sampling_rate_hz)?;
        let info = record.info();
        let (n, n_in) = (self.options.n_times(), info.n_times);
        let step = info.sampling_rate_hz / self.options.sampling_rate_hz as f64;
        let spare = n_in as f64 - n as f64 * step;
        if n_in == 0 || spare <= -1.0 {
            return Err(Error::unsupported(format!(
                "the record is {:.3} s long ({n_in} samples at {} Hz), but a sample is {} s\nhint: lower the option seconds",
                n_in as f64 / info.sampling_rate_hz,
                info.sampling_rate_hz,
                self.options.seconds
            )));
        }
        let spare = spare.max(0.0);
        let first = rng.map_or(spare / 2.0, |rng| rng.random_range(0.0..=spare)).floor();
        let places = Resampling { n, first, step, kernel: Kernel::Lanczos };

        let mut mixtures = leads::mixtures(&self.options.leads, &info.signals, self.options.missing_leads)?;
        let there: Vec<usize> = (0..mixtures.len()).filter(|&lead| !mixtures[lead].is_empty()).collect();
        mixtures.retain(|mixture| !mixture.is_empty());
        let used = used_signals(&mixtures);
        let reach = places.reach(n_in);
        let resampled = places.resample(&record.read(&used, reach.clone())?, reach.start);
        let mut values = vec![0.0; mixtures.len() * n];
        for (lead, mixture) in values.chunks_exact_mut(n).zip(&mixtures) {
            for (signal, factor) in mixture {
                let row = used.partition_point(|used| used < signal);
                lead.iter_mut().zip(&resampled[row]).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        Ok((values, there))
    }
}

/// Whether no lead of `values` `[leads, n_times]` varies by [`FLAT_MV`].
fn is_flat(values: &[f32], n_times: usize) -> bool {
    values.chunks_exact(n_times).all(|lead| {
        let (low, high) =
            lead.iter().fold((f32::MAX, f32::MIN), |(low, high), &value| (low.min(value), high.max(value)));
        high - low < FLAT_MV
    })
}

/// The signals of a record that its leads are made of, in their order.
fn used_signals(mixtures: &[leads::Mixture]) -> Vec<usize> {
    let mut used: Vec<usize> = mixtures.iter().flatten().map(|&(signal, _)| signal).collect();
    used.sort_unstable();
    used.dedup();
    used
}

impl Dataset for Records {
    fn geometry(&self) -> Geometry {
        self.options.geometry()
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        let Entry { file, facts, .. } = &self.entries[index];
        let mut record = file.record().in_group(file.id.as_str());
        facts.annotate(&mut record);
        record
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for entry in &self.entries {
            fingerprint.add_file(&entry.file);
            entry.parts.iter().for_each(|part| fingerprint.add_file(part));
        }
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let Patches { tokens, mask: masked, valid, .. } = sample.patches()?;
        let Entry { file, parts, .. } = &self.entries[index];
        file.check_unchanged()?;
        parts.iter().try_for_each(FoundFile::check_unchanged)?;
        let options = &self.options;
        let random = (view == View::Training).then_some(&mut *rng);
        let (mut values, there) = self.stretch(&file.path, random).map_err(|error| error.in_context(&file.id))?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::corrupt(format!("{}: a value of the record is {value} mV", file.id)));
        }
        let n_patches = options.n_patches();
        let is_flat = is_flat(&values, options.n_times());
        signal::normalise(&mut values, options.n_times(), options.normalise);
        let exists: Vec<u8> = (0..masked.len()).map(|token| u8::from(there.contains(&(token / n_patches)))).collect();
        if view == View::Training {
            let Options { amplitude_scaling, baseline_wander, lead_dropout, sampling_rate_hz, .. } = *options;
            let augmentation = Augmentation { amplitude_scaling, baseline_wander, lead_dropout, sampling_rate_hz };
            augmentation.apply(&mut values, options.n_times(), rng);
            match options.masking {
                Masking::Random => mask::random_valid(rng, options.n_masked(), &exists, masked)?,
                Masking::Times => {
                    // A lead is a plane of one row.
                    let grid = [options.leads.len(), 1, options.n_patches()];
                    mask::tube(rng, grid, options.n_masked_times(), masked);
                }
            }
        }
        // Leads one after the other, cut along time: rows of tokens as they stand.
        for (values, lead) in values.chunks_exact(options.n_times()).zip(there) {
            tokens[lead * options.n_times()..][..options.n_times()].copy_from_slice(values);
        }
        if !valid.is_empty() {
            valid.copy_from_slice(&exists);
        }
        if is_flat {
            return Err(Error::skip(format!("no lead varies by {FLAT_MV} mV")));
        }
        Ok(())
    }

    /// Whole records, so that training goes on from any stretch of them, each in a folder of its own. Of the signals the values and the
    /// scale of those that make up the leads; no comments, no dates, no names.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let copy = |(position, &index): (usize, &usize)| {
            let Entry { file, .. } = &self.entries[index];
            let own = PathBuf::from(saved_samples::name(position, ""));
            let failed = |error: std::io::Error| {
                Error::unreadable(format!("{} cannot be copied to {}", file.id, folder.display())).caused_by(&error)
            };
            std::fs::create_dir(folder.join(&own)).map_err(failed)?;
            let record = Record::open(&file.path, self.options.csv_sampling_rate_hz);
            let copied = record.and_then(|record| {
                let mixtures =
                    leads::mixtures(&self.options.leads, &record.info().signals, self.options.missing_leads)?;
                record.copy(&used_signals(&mixtures), &folder.join(&own))
            });
            Ok(own.join(copied.map_err(|error| error.in_context(&file.id))?))
        };
        saved_samples::reopened_with(indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?, &self.options)
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let (values, hidden) = tokens.partly_hidden()?;
        rendering::waveforms(values, hidden, &self.options)
    }
}
