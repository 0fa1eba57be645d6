//! `medcoss eval`: evaluates a run's models on downstream tasks.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args, ValueEnum};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::evaluation::Scores;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::RunLayout;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::evaluation::{After, Options, ScoresFolder, TasksFile, evaluate};
use medcoss_runtime::run::Run;

use super::pretrain::of_root;
use crate::arguments::{
    BarArgs, DataRootArgs, DeviceArgs, PluginArgs, RanksArgs, ResultArgs, check_invalid_fraction, check_replaceable,
};
use crate::failure::Failure;
use crate::interrupt;
use crate::tables::{page_width, scores};

/// Evaluate a run's models on downstream tasks
///
/// A tasks file (TOML) lists tasks: their data, the source of the labels, the split, and a protocol: k nearest
/// neighbours, a linear probe, fine-tuning, retrieval, segmentation of masks, or masked language modelling. Every
/// metric has a bootstrap 95 % interval. --after every-stage evaluates the initial model and the models after all
/// stages, which gives backward transfer, forgetting and forward transfer.
///
/// Scores go to evaluation/NAME in the run's folder, where NAME is the stem of the tasks file: scores.json, scores.csv,
/// matrix.csv.
#[derive(Debug, Args)]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths are relative to [default: the tasks file's folder]")
}))]
#[command(after_help = "Examples:
  medcoss eval runs/first tasks.toml
  mpirun -n 2 --bind-to none medcoss eval runs/first tasks.toml --ranks mpi
  medcoss eval runs/first tasks.toml --after every-stage --data-root /data
  medcoss eval runs/first tasks.toml --seeds 10 --out scores/first --json | jq .transfer")]
pub(crate) struct Eval {
    /// Run folder
    run: PathBuf,
    /// Tasks file (TOML)
    tasks: PathBuf,
    /// Models to evaluate: the latest, or the initial model and the models after every stage
    #[arg(long, value_enum, default_value_t = AfterArg::Last)]
    after: AfterArg,
    /// Number of seeds (0, 1, ...), or a list of seeds: 4,5,6. Each seed gives another split; scores are means over
    /// seeds
    #[arg(long, value_name = "N or LIST", default_value = "3")]
    seeds: Seeds,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Folder for the scores [default: evaluation/NAME in the run's folder, NAME being the stem of the tasks file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Largest fraction of unreadable samples, not rounded [default: the run's data.max_invalid_fraction]
    #[arg(long, value_name = "RATIO")]
    max_invalid_fraction: Option<f64>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    ranks: RanksArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    bar: BarArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AfterArg {
    EveryStage,
    Last,
}

/// Distinct seeds, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seeds(pub(crate) Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a number of seeds such as 3, or a list such as 4,5,6; found {text:?}");
        let number = |part: &str| part.trim().parse::<u64>().map_err(|_| wrong());
        let seeds = match text.contains(',') {
            true => text.trim_end_matches(',').split(',').map(number).collect::<Result<Vec<_>, _>>()?,
            false => match number(text)? {
                n @ 1..=1000 => (0..n).collect(),
                n => return Err(format!("expected 1 to 1000 seeds, found {n}")),
            },
        };
        match (1..seeds.len()).find(|at| seeds[..*at].contains(&seeds[*at])) {
            Some(at) => Err(format!("seed {} is named twice", seeds[at])),
            None => Ok(Self(seeds)),
        }
    }
}

impl Eval {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let ranks = self.ranks.join().map_err(Failure::of_run)?;
        of_root(self.evaluate(&registry, &ranks).map(Some), &ranks, |scores| {
            self.result.print(scores, |found| scores::to_text(found, page_width()))
        })
    }

    fn evaluate(&self, registry: &PluginRegistry, ranks: &Ranks) -> Result<Scores> {
        interrupt::listen("no scores are written");
        let file = TasksFile::read(&self.tasks, &[])?;
        let run = Run::open(&self.run)?;
        let base = self.data_root.or(file.folder.clone())?;
        self.max_invalid_fraction.map_or(Ok(()), check_invalid_fraction)?;
        let folder = match &self.out {
            Some(out) => ConfinedPath::of_user(out)?,
            None => run.layout().evaluation(&file.stem),
        };
        if self.out.is_some() && ranks.is_root() {
            let is_earlier = Scores::read(&folder.join(RunLayout::SCORES)).is_ok();
            check_replaceable(&folder, &[RunLayout::SCORES, "scores.csv", "matrix.csv"], is_earlier)?;
        }
        let folder = ranks.is_root().then(|| ScoresFolder::claim(folder)).transpose()?;
        let options = Options {
            after: match self.after {
                AfterArg::EveryStage => After::EveryStage,
                AfterArg::Last => After::Last,
            },
            seeds: self.seeds.0.clone(),
            base: &base,
            device: &self.device.name,
            max_invalid_fraction: self.max_invalid_fraction,
            ranks,
        };
        let bar = if ranks.is_root() { &self.bar } else { &self.bar.silenced() };
        let bar = bar.begin("{msg:32} [{bar:24}] {pos} of {len} samples, {eta} left");
        let scores = evaluate(&run, &file, &options, registry, &bar);
        bar.finish();
        write_on_root(folder, scores?, ranks)
    }
}

/// The root writes the scores; all ranks get them as they were written.
pub(super) fn write_on_root(folder: Option<ScoresFolder>, scores: Scores, ranks: &Ranks) -> Result<Scores> {
    let written = folder.map(|folder| folder.write(scores)).transpose()?;
    Ok(ranks.from_root(written)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_list() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("3"), Ok(vec![0, 1, 2]));
        assert_eq!([seeds("4, 7"), seeds("4,")], [Ok(vec![4, 7]), Ok(vec![4])]);
        for wrong in ["0", "-1", "a", "1,x", "2,2", ""] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}
