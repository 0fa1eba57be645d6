//! The files of an evaluation: `scores.csv` and `matrix.csv` for other programs, then `scores.json`, which covers both.

use anyhow::{Context, Result};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::evaluation::Scores;
use medcoss_core::run::{FolderLock, RunLayout, remove_partial, sha256_of, write_atomically};

use crate::csv_table::CsvTable;

/// Folder of an evaluation's scores. It is created before the scores are computed, so that an unwritable folder is
/// reported at once, and removed again if no score was written. It is locked, so that two evaluations do not write into
/// it at once.
pub struct ScoresFolder {
    folder: ConfinedPath,
    /// Folders that did not exist, the outermost first.
    made: Vec<ConfinedPath>,
    _lock: FolderLock,
}

impl ScoresFolder {
    /// Creates the folder, locks it, and checks that files can be written.
    ///
    /// # Errors
    /// A folder that cannot be written, or that another process writes.
    pub fn claim(folder: ConfinedPath) -> Result<Self> {
        let mut made = Vec::new();
        for missing in folder.ancestors() {
            if missing.kind()?.is_none() {
                made.push(missing);
            }
        }
        folder.create_folder()?;
        let lock = FolderLock::take(&folder).with_context(|| {
            let folder = folder.display();
            format!("{folder} is in use\nhint: wait for the other evaluation, or choose another folder with --out")
        })?;
        remove_partial(&folder)?;
        let claimed = Self { folder, made, _lock: lock };
        let written = claimed.folder.join("writable").create_partial_folder();
        written.and_then(|probe| probe.remove())?;
        Ok(claimed)
    }

    /// Writes the files, and returns the scores as they were written.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, scores: Scores) -> Result<Scores> {
        let mut scores = scores;
        for (name, table) in [("scores.csv", score_table(&scores)?), ("matrix.csv", matrix(&scores)?)] {
            let file = self.folder.join(name);
            write_atomically(&file, &table)?;
            scores.checksums.insert(name.into(), sha256_of(&file)?);
        }
        scores.write(&self.folder.join(RunLayout::SCORES))?;
        Ok(scores)
    }
}

impl Drop for ScoresFolder {
    fn drop(&mut self) {
        // A folder that holds files stays.
        self.made.iter().rev().for_each(|folder| drop(folder.remove_if_empty()));
    }
}

/// The content of `scores.csv`: `stage,task,metric,value,low,high,n`.
fn score_table(scores: &Scores) -> Result<Vec<u8>> {
    let mut table = CsvTable::new();
    table.row(["stage", "task", "metric", "value", "low", "high", "n"])?;
    for score in &scores.scores {
        let (stage, n) = (score.stage.to_string(), score.n.to_string());
        let [value, low, high] = [score.value, score.low, score.high].map(|number| number.to_string());
        table.row([&stage, &score.task, &score.metric, &value, &low, &high, &n])?;
    }
    table.finish()
}

/// The content of `matrix.csv`: `stage,modality` and a column for each task with its primary metric, a row for each
/// stage.
fn matrix(scores: &Scores) -> Result<Vec<u8>> {
    let mut table = CsvTable::new();
    let names = scores.tasks.iter().map(|task| task.name.as_str());
    table.row(["stage", "modality"].into_iter().chain(names))?;
    for stage in &scores.stages {
        let value = |task| scores.primary(stage.stage, task).map(|score| score.value.to_string()).unwrap_or_default();
        let head = [stage.stage.to_string(), stage.modality.clone().unwrap_or_default()];
        table.row(head.into_iter().chain(scores.tasks.iter().map(value)))?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_evaluations_do_not_write_into_one_folder_at_once() {
        let on_disk = tempfile::tempdir().unwrap();
        let folder = || ConfinedPath::of_user(&on_disk.path().join("evaluation/small")).unwrap();
        let first = ScoresFolder::claim(folder()).unwrap();
        let error = ScoresFolder::claim(folder()).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("is in use"), "{error:#}");
        assert!(on_disk.path().join("evaluation/small").is_dir());
        drop(first);
        // Folders that hold nothing are removed again.
        assert_eq!(std::fs::read_dir(on_disk.path()).unwrap().count(), 0);
        ScoresFolder::claim(folder()).unwrap();
    }
}
