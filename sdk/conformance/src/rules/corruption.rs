//! Corrupted sample files: the plugin's synthetic files, emptied, truncated, or with changed bytes.
//!
//! A plugin may refuse corrupted data when they are opened or when they are read, or deliver a valid sample where the format has no
//! redundancy. It must not panic, and must not deliver a sample that breaks the contract.

use std::fs;
use std::path::{Path, PathBuf};

use medcoss_abi::message::Open;
use medcoss_caller::{FillPattern, View};

use crate::batch::Batch;
use crate::open_dataset::{OpenDataset, seed_of};
use crate::outcome::{RuleResult, Stop, measured, violation};
use crate::plugin::CallError;
use crate::plugin_under_test::PluginUnderTest;
use crate::rules::invalid_requests::refused;
use crate::rules::synthetic::listed;

/// Files that are damaged one by one: the first of each extension, then others.
const N_FILES: usize = 4;
/// Samples that are read of damaged data.
const N_READ: u64 = 4;
/// Changes of bytes tried on each file: half of them in its first 512 bytes, where headers are.
const N_CHANGES: u64 = 16;

/// Result of opening and reading corrupted data.
enum Came {
    /// Refused when opened.
    Refused,
    /// Opened, with the number of samples, and of the read ones those that are invalid and those that are valid.
    Opened { n_samples: usize, n_bad: usize, n_sound: usize },
}

/// Files and their content, by path below the folder.
type Files = Vec<(PathBuf, Vec<u8>)>;

pub(super) fn empty(under_test: &mut PluginUnderTest) -> RuleResult {
    let (copy, files) = copied(under_test)?;
    for (path, _) in &files {
        write(&copy, path, &[])?;
    }
    if let Came::Opened { n_samples, n_sound, .. } = tried(under_test, &copy, "with all files empty")?
        && n_sound > 0
    {
        return Err(violation(
            format!("with all files empty {n_samples} samples were opened and {n_sound} fill; errors were expected"),
            "let a file that holds no sample be an error, when it is opened or when it is read",
        ));
    }
    for (path, content) in &files {
        write(&copy, path, content)?;
    }
    let mut tally = Tally::default();
    for (path, content) in chosen(&files) {
        tally.add(&damaged(under_test, &copy, path, content, &[], &format!("with {} empty", path.display()))?);
    }
    tally.summarised()
}

pub(super) fn truncated(under_test: &mut PluginUnderTest) -> RuleResult {
    let (copy, files) = copied(under_test)?;
    let mut tally = Tally::default();
    for (path, content) in chosen(&files) {
        let n = content.len();
        let mut cuts = vec![1, 3, 8, 64, n / 10, n / 2, 9 * n / 10, n.saturating_sub(8), n.saturating_sub(1)];
        cuts.retain(|&cut| cut < n);
        cuts.sort_unstable();
        cuts.dedup();
        for cut in cuts {
            let what = format!("with {} cut to {cut} of {n} bytes", path.display());
            tally.add(&damaged(under_test, &copy, path, content, &content[..cut], &what)?);
        }
    }
    tally.summarised()
}

pub(super) fn changed(under_test: &mut PluginUnderTest) -> RuleResult {
    let (copy, files) = copied(under_test)?;
    let seed = under_test.request.seed;
    let mut tally = Tally::default();
    for (file, (path, content)) in chosen(&files).into_iter().enumerate() {
        let n = content.len() as u64;
        if n == 0 {
            continue;
        }
        for change in 0..N_CHANGES {
            let draw = |purpose: u64| seed_of(seed, (file as u64 * N_CHANGES + change) * 4 + purpose);
            let reach = if change % 2 == 0 { n.min(512) } else { n };
            let (place, value) = ((draw(0) % reach) as usize, (draw(1) % 255 + 1) as u8);
            let mut other = content.clone();
            // Never the same byte as before.
            other[place] ^= value;
            let what = format!("with byte {place} of {} changed to {}", path.display(), other[place]);
            tally.add(&damaged(under_test, &copy, path, content, &other, &what)?);
        }
    }
    tally.summarised()
}

/// A copy of the plugin's own files, to be damaged.
fn copied(under_test: &mut PluginUnderTest) -> Result<(PathBuf, Files), Stop> {
    let files = listed(&under_test.synthetic()?.open.base)?;
    let copy = under_test.new_folder("damaged")?;
    for (path, content) in &files {
        write(&copy, path, content)?;
    }
    Ok((copy, files))
}

/// Tries the copy with one file damaged, then writes the file back.
fn damaged(
    under_test: &mut PluginUnderTest,
    copy: &Path,
    path: &Path,
    content: &[u8],
    instead: &[u8],
    what: &str,
) -> Result<Came, Stop> {
    write(copy, path, instead)?;
    let came = tried(under_test, copy, what);
    write(copy, path, content)?;
    came
}

/// Opens and reads damaged data. An error is one of the contract, and what is delivered keeps it.
fn tried(under_test: &mut PluginUnderTest, base: &Path, what: &str) -> Result<Came, Stop> {
    let plugin = under_test.plugin()?;
    let open = Open { base: base.to_path_buf(), ..under_test.synthetic()?.open.clone() };
    let opened = match OpenDataset::new(plugin, &open) {
        Ok(opened) => opened,
        Err(error) => return refused(what, &error).map(|()| Came::Refused),
    };
    let flawless = under_test.flawless()?;
    let (mut n_bad, mut n_sound) = (0, 0);
    for index in opened.all().take(N_READ as usize) {
        for view in View::ALL {
            let mut batch = Batch::new(&opened.shape, FillPattern::EmptySample);
            let answer = opened.fill(view, &[index], &[seed_of(under_test.request.seed, index)], &mut batch);
            let error = match answer {
                Err(error) => Some(error),
                Ok(bad) => bad.into_iter().next().map(|bad| CallError::Reported {
                    operation: "fill".into(),
                    code: bad.code,
                    message: bad.message,
                }),
            };
            let id = opened.id(index);
            if let Some(error) = error {
                refused(&format!("{what}, sample {id}"), &error)?;
                n_bad += 1;
            } else if let Some(flaw) = batch.flaw(view, 0).filter(|_| flawless) {
                return Err(violation(
                    format!("{what}, sample {id} was delivered although {flaw}; an error was expected"),
                    "check what was decoded before it is delivered",
                ));
            } else {
                n_sound += 1;
            }
        }
    }
    Ok(Came::Opened { n_samples: opened.len(), n_bad, n_sound })
}

/// The first file of each extension, and others up to [`N_FILES`].
fn chosen(files: &Files) -> Vec<&(PathBuf, Vec<u8>)> {
    let mut extensions = Vec::new();
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for file in files {
        let extension = file.0.extension();
        if extensions.contains(&extension) {
            others.push(file);
        } else {
            extensions.push(extension);
            first.push(file);
        }
    }
    first.into_iter().chain(others).take(N_FILES).collect()
}

fn write(folder: &Path, path: &Path, content: &[u8]) -> Result<(), Stop> {
    let path = folder.join(path);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&path, content))
        .map_err(|error| Stop::Skip(format!("{} cannot be written: {error}", path.display())))
}

#[derive(Default)]
struct Tally {
    n_cases: usize,
    n_refused: usize,
    n_with_bad: usize,
}

impl Tally {
    fn add(&mut self, came: &Came) {
        self.n_cases += 1;
        match came {
            Came::Refused => self.n_refused += 1,
            Came::Opened { n_bad, .. } => self.n_with_bad += usize::from(*n_bad > 0),
        }
    }

    fn summarised(self) -> RuleResult {
        let Self { n_cases, n_refused, n_with_bad } = self;
        measured(
            format!(
                "{n_cases} cases: {n_refused} refused when opened, {n_with_bad} with invalid samples, the rest valid"
            ),
            [("cases", n_cases as f64), ("refused", n_refused as f64), ("with_invalid_samples", n_with_bad as f64)],
        )
    }
}
