//! The files of an evaluation: `scores.csv` and `matrix.csv` for other programs, then `scores.json`, which covers both.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use medcoss_core::evaluation::Scores;
use medcoss_core::run::{RunLayout, sha256_of, write_atomically};

use crate::csv_table::CsvTable;

/// Folder of an evaluation's scores. It is created before the scores are computed, so that an unwritable folder is
/// reported at once, and removed again if no score was written.
pub struct ScoresFolder {
    path: PathBuf,
    made: Vec<PathBuf>,
}

impl ScoresFolder {
    /// Creates the folder and checks that files can be written.
    pub fn claim(path: &Path) -> Result<Self> {
        let made = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made: Vec<PathBuf> = made.map(Path::to_path_buf).collect();
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let claimed = Self { path: path.into(), made };
        tempfile::tempfile_in(path).with_context(|| format!("cannot write into {}", path.display()))?;
        Ok(claimed)
    }

    /// Writes the files, and returns the scores as they were written.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, scores: Scores) -> Result<Scores> {
        let mut scores = scores;
        for (name, table) in [("scores.csv", score_table(&scores)?), ("matrix.csv", matrix(&scores)?)] {
            let file = self.path.join(name);
            write_atomically(&file, &table)?;
            scores.checksums.insert(name.into(), sha256_of(&file)?);
        }
        scores.write(&self.path.join(RunLayout::SCORES))?;
        Ok(scores)
    }
}

impl Drop for ScoresFolder {
    fn drop(&mut self) {
        // A folder that holds files stays.
        self.made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
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
