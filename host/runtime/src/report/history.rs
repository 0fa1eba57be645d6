//! The content of a run's folder that needs neither data nor plugins: stages, losses, times, buffers, scores, settings.

use std::path::{Path, PathBuf};

use anyhow::Result;
use medcoss_core::buffer::BufferEntry;
use medcoss_core::evaluation::Scores;
use medcoss_core::run::{RunLayout, StageFolder, StageState};

use super::series::{EpochLine, read_epochs};
use crate::plugins_lock::{LockedPlugin, PluginsLock};
use crate::record::read_with_checksum;
use crate::relative_paths::without_folder;
use crate::run::Run;
use crate::timing::EpochTime;

/// Content of one run's folder: stages, losses, times, buffers, scores.
pub struct RunHistory {
    /// Path of the run folder.
    pub path: PathBuf,
    /// Name of the folder, with as many parent folders as distinguish it from other runs of the report.
    pub name: String,
    /// Whether names, paths and samples are withheld, see [`anonymise`](super::anonymise).
    pub anonymous: bool,
    /// Name of the run's strategy, if its record has one.
    pub strategy: Option<String>,
    /// The finished stages of the run with their models.
    pub finished: Run,
    /// Text of the run's record.
    pub record: String,
    /// Plugins of the run, or the reason why they are unknown.
    pub plugins: Result<Vec<LockedPlugin>, String>,
    /// All stages, including those that have not started.
    pub stages: Vec<StageHistory>,
    /// Scores by tasks file, or the reason why they cannot be read.
    pub evaluations: Vec<(String, Result<Scores, String>)>,
}

/// Progress of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The stage is finished; model and buffer exist.
    Done,
    /// The stage has started; the number of finished epochs.
    Running(usize),
    /// The stage has not started.
    NotStarted,
}

/// One stage of a run.
pub struct StageHistory {
    /// Number of the stage, from 1.
    pub(crate) number: usize,
    pub(crate) modality: String,
    /// Name of the stage's losses: the modality, or `ct#6` when a modality is repeated.
    pub(crate) label: String,
    pub(crate) folder: StageFolder,
    pub(crate) status: Status,
    /// Number of epochs that the configuration sets.
    pub(crate) epochs_wanted: usize,
    /// State of a finished stage, or of the latest checkpoint.
    pub(crate) state: Option<StageState>,
    pub(crate) epochs: Vec<EpochLine>,
    pub(crate) times: Vec<EpochTime>,
    /// Number of lines of the metrics file that cannot be read.
    pub(crate) n_invalid_lines: usize,
    /// Buffer of a finished stage.
    pub(crate) buffer: Option<Result<Vec<BufferEntry>, String>>,
    /// Whether the buffer samples are stored in the run.
    pub(crate) materialised: bool,
}

impl RunHistory {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// A folder without a run, a damaged record or state.
    pub fn read(path: &Path) -> Result<Self> {
        let finished = Run::open(path)?;
        let run = &finished.layout;
        let record = read_with_checksum(&run.record())?;
        let record = record.lines().filter(|line| !line.starts_with("# seal: ")).collect::<Vec<_>>().join("\n");
        let mut stages: Vec<StageHistory> = Vec::new();
        for (at, section) in finished.config.stages.iter().enumerate() {
            let again = finished.config.stages[..at].iter().any(|earlier| earlier.modality == section.modality);
            let modality = section.modality.clone();
            let label = if again { format!("{modality}#{}", at + 1) } else { modality.clone() };
            let epochs_wanted = finished.config.settings(section).epochs;
            let folder = StageFolder::new(run, at + 1, &modality);
            stages.push(StageHistory::read(folder, at + 1, modality, label, epochs_wanted, finished.states.get(at))?);
        }
        Ok(Self {
            path: path.into(),
            name: last_parts(path, 1),
            anonymous: false,
            strategy: Some(finished.config.strategy.name.to_string()),
            record: record.trim_end().into(),
            plugins: PluginsLock::read(&run.plugins_lock())
                .map(|lock| lock.plugin)
                .map_err(|error| first_line(&error, &[path])),
            stages,
            evaluations: evaluations(run)?,
            finished,
        })
    }

    /// Name and strategy of the run, for legends.
    pub fn title(&self) -> String {
        match &self.strategy {
            Some(strategy) => format!("{} ({strategy})", self.name),
            None => self.name.clone(),
        }
    }

    /// Labels of all stages in their order.
    pub fn labels(&self) -> Vec<&str> {
        self.stages.iter().map(|stage| stage.label.as_str()).collect()
    }

    /// Position of the stage with a label, from 0; of the first stage of a repeated modality that is named without its
    /// number.
    pub fn colour_of(&self, label: &str) -> usize {
        self.stages.iter().position(|stage| stage.label == label).unwrap_or(self.stages.len())
    }
}

impl StageHistory {
    fn read(
        folder: StageFolder,
        number: usize,
        modality: String,
        label: String,
        epochs_wanted: usize,
        finished: Option<&StageState>,
    ) -> Result<Self> {
        let (epochs, n_invalid_lines) = read_epochs(&folder.file(RunLayout::METRICS));
        // A damaged checkpoint is skipped when the run continues, and ignored here.
        let running = if finished.is_none() { folder.running().unwrap_or_default() } else { None };
        let status = match (finished, &running, epochs.last()) {
            (Some(_), ..) => Status::Done,
            (None, Some(state), line) => Status::Running(state.epochs_done.max(line.map_or(0, |line| line.epoch))),
            (None, None, Some(line)) => Status::Running(line.epoch),
            (None, None, None) if folder.file(RunLayout::METRICS).is_file()? => Status::Running(0),
            _ => Status::NotStarted,
        };
        let buffer = finished.map(|_| {
            folder
                .buffer()
                .map(|buffer| buffer.entries)
                .map_err(|error| first_line(&error.into(), &[&folder.path().path()]))
        });
        Ok(Self {
            number,
            modality,
            label,
            status,
            epochs_wanted,
            state: finished.cloned().or(running),
            epochs,
            times: EpochTime::read(&folder.file(RunLayout::TIMING)),
            n_invalid_lines,
            buffer,
            materialised: folder.file(RunLayout::BUFFER_SAMPLES).is_folder()?,
            folder,
        })
    }

    /// Seconds of the stage's epochs.
    pub fn seconds(&self) -> f64 {
        self.times.iter().map(|time| time.seconds).sum()
    }

    /// Seconds in which training waited for batches, and seconds of the epochs in which waiting was measured.
    pub fn waited(&self) -> Option<(f64, f64)> {
        let measured = self.times.iter().filter_map(|time| Some((time.waited_seconds?, time.seconds)));
        measured.reduce(|(waited, all), (more, seconds)| (waited + more, all + seconds))
    }

    /// Pretext loss of the stage's own modality, by epoch.
    pub fn pretext(&self) -> Vec<(f64, f64)> {
        self.curve("pretext", &self.label)
    }

    /// One entry of a map of the metrics, by epoch.
    pub fn curve(&self, field: &str, key: &str) -> Vec<(f64, f64)> {
        let value = |line: &EpochLine| Some((line.epoch as f64, *line.maps.get(field)?.get(key)?));
        self.epochs.iter().filter_map(value).collect()
    }
}

fn evaluations(run: &RunLayout) -> Result<Vec<(String, Result<Scores, String>)>> {
    let mut found = Vec::new();
    for (name, _) in run.evaluations().entries()? {
        let scores = run.evaluation(&name).join(RunLayout::SCORES);
        if scores.is_file()? {
            found.push((
                name,
                Scores::read(&scores).map_err(|error| first_line(&error.into(), &[&run.folder().path()])),
            ));
        }
    }
    Ok(found)
}

/// The last components of a path, for people.
fn last_parts(path: &Path, n: usize) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let parts: Vec<_> = whole.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    parts[parts.len().saturating_sub(n)..].join("/")
}

/// Gives all runs different names, with as many parent folders as needed.
pub fn tell_apart(runs: &mut [RunHistory]) {
    for n in 1..6 {
        for run in runs.iter_mut() {
            run.name = last_parts(&run.path, n);
        }
        let differ = (0..runs.len()).all(|at| runs[..at].iter().all(|earlier| earlier.name != runs[at].name));
        if differ {
            return;
        }
    }
}

/// The first line of each cause of an error and its hints, in one line, without the folders of this machine, since a
/// report may be published.
pub fn first_line(error: &anyhow::Error, folders: &[&Path]) -> String {
    let (mut caption, mut hints) = (Vec::new(), Vec::new());
    for layer in error.chain().map(ToString::to_string) {
        caption.push(layer.lines().next().unwrap_or_default().to_string());
        hints.extend(layer.lines().skip(1).filter_map(|line| line.strip_prefix("hint: ")).map(String::from));
    }
    let mut text = caption.join(": ");
    if !hints.is_empty() {
        text.push_str(&format!(". Hint: {}", hints.join("; ")));
    }
    for folder in folders.iter().filter(|folder| !folder.as_os_str().is_empty()) {
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        for folder in [whole.as_path(), folder] {
            text = without_folder(&text, &folder.display().to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_this_machine_are_removed_from_messages() {
        let error = anyhow::anyhow!("no file /secret/data/a.csv\nhint: look").context("cannot open");
        assert_eq!(first_line(&error, &[Path::new("/secret/data")]), "cannot open: no file a.csv. Hint: look");
    }
}
