//! `medcoss compare`: trains and evaluates the same stages with several strategies and seeds, and prints one table.

mod recipes;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::evaluation::Scores;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::{FolderLock, RunLayout, remove_partial, write_atomically};
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::comparison::{ComparedRun, Comparison, PublishedResults, Variant};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::evaluation::{After, Options, ScoresFolder, TasksFile, evaluate};
use medcoss_runtime::is_interruption;
use medcoss_runtime::run::Run;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;

use self::recipes::RecipeArgs;
use super::eval::{Seeds, write_on_root};
use super::pretrain::of_root;
use crate::arguments::{
    ConfigurationArgs, DeviceArgs, PluginArgs, ProgressArgs, RanksArgs, ResultArgs, check_replaceable,
};
use crate::failure::Failure;
use crate::{interrupt, tables};

/// Largest earlier comparison in bytes that is replaced.
const MAX_COMPARISON: u64 = 64 << 20;

/// Compare strategies over seeds: train, evaluate, and print one table
///
/// The command trains the stages of one configuration with every strategy and every seed, each in a run folder of its
/// own, and evaluates the model after every stage on the tasks of a tasks file. The table shows means and standard
/// deviations over seeds, and the differences to the first strategy, seed by seed, with their 95 % interval.
/// comparison.json and comparison.csv hold the same numbers. The runs are ordinary runs.
///
/// Other settings are compared under a name: --variant no-mixup:strategy.medcoss.mixup=false. A stopped command keeps
/// its finished parts. Start it again to continue, also with more strategies or seeds.
///
/// --against medcoss-paper prints published averages of the same strategies beside the measured ones, with their source
/// and what differs between the protocols.
///
/// With --recipes the last models are fine-tuned on downstream tasks of the paper instead (`medcoss recipes` lists them), with a seed of
/// runs and several of fine-tuning, or the reverse.
#[derive(Debug, Args)]
#[command(mut_arg("settings", |settings| settings.help("Change a setting of all runs: key=value")))]
#[command(mut_arg("data_root", |root| {
    root.help("Folder that data paths of configuration and tasks are relative to [default: the configuration file's folder]")
}))]
#[command(after_help = "Examples:
  medcoss compare run.toml --tasks tasks.toml --out comparison
  medcoss compare run.toml --tasks tasks.toml --strategies medcoss,sequential,ewc --seeds 0,1,2 --out comparison
  medcoss compare run.toml --tasks tasks.toml --strategies medcoss --variant no-mixup:strategy.medcoss.mixup=false --out mixup
  medcoss compare run.toml --tasks tasks.toml --against medcoss-paper --out comparison
  medcoss compare run.toml --recipes all --recipes-root downloads --seeds 1 --out comparison
  mpirun -n 2 --bind-to none medcoss compare run.toml --tasks tasks.toml --out comparison --ranks mpi
  medcoss report comparison/runs/* --out comparison.html")]
pub(crate) struct Compare {
    /// Tasks file (TOML), as for `medcoss eval`
    #[arg(long, value_name = "TASKS", required_unless_present = "recipes")]
    tasks: Option<PathBuf>,
    #[command(flatten)]
    recipes: RecipeArgs,
    /// Strategies, separated by commas; differences are relative to the first
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "medcoss,sequential,replay,joint")]
    strategies: Vec<String>,
    /// More settings to compare, NAME:KEY=VALUE[;KEY=VALUE]; may be given several times
    #[arg(long = "variant", value_name = "NAME:SETTINGS")]
    variants: Vec<String>,
    /// Number of seeds of runs (0, 1, ...), or a list of seeds: 4,5,6
    #[arg(long, value_name = "N or LIST", default_value = "3")]
    seeds: Seeds,
    /// Number of seeds of splits and probes in each evaluation, or a list of seeds
    #[arg(long, value_name = "N or LIST", default_value = "3")]
    eval_seeds: Seeds,
    /// Evaluate only the last models, not the models after every stage: faster, but without forgetting
    #[arg(long)]
    last: bool,
    /// Published results to print beside the measured ones: medcoss-paper
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// Folder for the runs and the comparison [default: the configuration's name with -comparison, in the current folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    configuration: ConfigurationArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    ranks: RanksArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

/// One run of the comparison.
struct Entry<'a> {
    variant: &'a Variant,
    seed: u64,
    config: RunConfig,
    /// Path of the run folder, relative to the comparison's folder.
    name: String,
}

impl Compare {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let ranks = self.ranks.join().map_err(Failure::of_run)?;
        of_root(self.compare(&registry, &ranks), &ranks, |comparison| {
            self.result.print(comparison, tables::comparison::to_text)
        })
    }

    /// The comparison, on the root. All ranks train and evaluate; the root alone writes.
    fn compare(&self, registry: &PluginRegistry, ranks: &Ranks) -> Result<Option<Comparison>> {
        let base = self.configuration.data_root()?;
        let variants = self.variants()?;
        let tasks = match &self.tasks {
            Some(tasks) => TasksFile::read(tasks, &[])?,
            None => return self.recipes.compare(self, &variants, registry, ranks),
        };
        let published = self.against.as_deref().map(PublishedResults::named).transpose()?;
        let config = self.configuration.read()?;
        let out = self.configuration.folder(self.out.as_deref(), "comparison");
        let entries = self.entries(&variants, &config, [&base, &out], registry)?;
        let outputs = if ranks.is_root() { Some(Outputs::claim(&out)?) } else { None };
        interrupt::listen("what is done stays");

        let began = Instant::now();
        let (mut runs, mut n_done, mut latest) = (Vec::new(), 0, None);
        let known = || entries.iter().map(|entry| self.known_scores(&out.join(&entry.name), entry, &tasks)).collect();
        let known: Vec<Option<Scores>> = ranks.from_root(outputs.is_some().then(known))?;
        let progress = if ranks.is_root() { &self.progress } else { &self.progress.silenced() };
        let n_missing = known.iter().filter(|scores| scores.is_none()).count();
        for ((at, entry), known) in entries.iter().enumerate().zip(known) {
            let what = format!("run {} of {}: {}, seed {}", at + 1, entries.len(), entry.variant.name, entry.seed);
            let folder = out.join(&entry.name);
            let mut of_entry = || -> Result<Scores> {
                match &known {
                    Some(scores) => {
                        progress.say(&format!("{what}: already done"));
                        Ok(scores.clone())
                    }
                    None => {
                        progress.say(&format!("{what}{}", time_left(began.elapsed(), n_done, n_missing - n_done)));
                        n_done += 1;
                        self.train(entry, &folder, &base, registry, ranks, progress)?;
                        self.evaluate(entry, &folder, &tasks, &base, registry, ranks)
                    }
                }
            };
            let go_on = "interrupted\nhint: start the same command again to continue";
            let scores = of_entry()
                .with_context(|| what.clone())
                .map_err(|error| if is_interruption(&error) { error.context(go_on) } else { error })?;
            let Some(outputs) = &outputs else { continue };
            runs.push(ComparedRun::new(&entry.variant.name, entry.seed, entry.name.clone(), &scores));
            let names = variants.iter().map(|variant| variant.name.clone()).collect();
            let comparison = Comparison::new(names, self.seeds.0.clone(), &scores, runs.clone());
            let comparison = match &published {
                Some(published) => comparison.beside(published.clone(), &config, &scores),
                None => comparison,
            };
            outputs.write(&comparison)?;
            latest = Some(comparison);
        }
        match entries.is_empty() {
            true => bail!("nothing to compare\nhint: name strategies with --strategies"),
            false => Ok(latest),
        }
    }

    fn variants(&self) -> Result<Vec<Variant>> {
        let strategies = self.strategies.iter().filter(|name| !name.is_empty()).map(|name| Variant::strategy(name));
        let variants: Vec<_> =
            strategies.chain(self.variants.iter().map(|text| Variant::named(text))).collect::<Result<_>>()?;
        if let Some(at) = (1..variants.len()).find(|at| variants[..*at].iter().any(|v| v.name == variants[*at].name)) {
            bail!("{:?} is named twice\nhint: give every variant a name of its own", variants[at].name);
        }
        Ok(variants)
    }

    /// All runs, seed by seed, so that the first complete table comes soon. The settings are checked before the
    /// training starts.
    fn entries<'a>(
        &self,
        variants: &'a [Variant],
        config: &RunConfig,
        [base, out]: [&Path; 2],
        registry: &PluginRegistry,
    ) -> Result<Vec<Entry<'a>>> {
        let mut entries = Vec::new();
        for &seed in &self.seeds.0 {
            for variant in variants {
                let name = format!("runs/{}-seed{seed}", variant.name);
                let config = variant.configuration(config, seed).with_context(|| variant.name.clone())?;
                // The options that these add stand in the record of a run, with which an earlier call is recognised.
                let config = match config.recipe.is_some() || config.model.init.is_some() {
                    true => {
                        let plugins = plugins_of(&config, registry, None)?;
                        Training::new(config, [base.into(), out.join(&name)], false, &self.device.name, plugins)?.config
                    }
                    false => config,
                };
                entries.push(Entry { variant, seed, config, name });
            }
        }
        Ok(entries)
    }

    fn after(&self, entry: &Entry<'_>) -> After {
        // A joint run trains in its last stage only, and so has no forgetting.
        if self.last || entry.config.strategy.name.defers_training() { After::Last } else { After::EveryStage }
    }

    /// The scores of an earlier call, if this call would compute the same ones.
    fn known_scores(&self, folder: &Path, entry: &Entry<'_>, tasks: &TasksFile) -> Option<Scores> {
        let run = RunLayout::open(folder).ok()?;
        let before = RunConfig::read_record(&run.record()).ok()?;
        let is_same = entry.config.continues(&before).is_ok() && before.stages.len() == entry.config.stages.len();
        let scores = Scores::read(&run.evaluation(&tasks.stem).join(RunLayout::SCORES)).ok().filter(|_| is_same)?;
        let last = scores.stages.iter().map(|stage| stage.stage).max()?;
        let every = scores.stages.len() > 1;
        let is_enough = every || self.after(entry) == After::Last;
        // Earlier versions grouped samples by their ids; their scores stand beside no others.
        let is_grouped = scores.tasks.iter().all(|task| task.grouping.is_some());
        let is_it = scores.tasks_sha256 == tasks.sha256 && scores.seeds == self.eval_seeds.0 && is_grouped;
        (is_it && is_enough && last == entry.config.stages.len()).then_some(scores)
    }

    fn train(
        &self,
        entry: &Entry<'_>,
        out: &Path,
        base: &Path,
        registry: &PluginRegistry,
        ranks: &Ranks,
        progress: &ProgressArgs,
    ) -> Result<()> {
        let layout = if out.exists() { Some(RunLayout::open(out)?) } else { None };
        let resume = match &layout {
            Some(layout) => layout.record().is_file()?,
            None => false,
        };
        // The root may have looked later, but not after it began.
        let resume = ranks.from_root(Some(resume))?;
        let plugins = plugins_of(&entry.config, registry, layout.as_ref().filter(|_| resume))?;
        let folders = [base.into(), out.into()];
        let training = Training::new(entry.config.clone(), folders, resume, &self.device.name, plugins)?;
        let mut progress = progress.begin();
        let done = training.run_on(ranks, &mut progress);
        progress.clear();
        done.map(drop)
    }

    fn evaluate(
        &self,
        entry: &Entry<'_>,
        run: &Path,
        tasks: &TasksFile,
        base: &Path,
        registry: &PluginRegistry,
        ranks: &Ranks,
    ) -> Result<Scores> {
        let run = Run::open(run)?;
        let folder = ranks.is_root().then(|| ScoresFolder::claim(run.layout().evaluation(&tasks.stem))).transpose()?;
        let options = Options {
            after: self.after(entry),
            seeds: self.eval_seeds.0.clone(),
            base,
            device: &self.device.name,
            max_invalid_fraction: None,
            ranks,
        };
        let progress = if ranks.is_root() { &self.progress } else { &self.progress.silenced() };
        let bar = progress.bar.begin("{msg:32} [{bar:24}] {pos} of {len} samples, {eta} left");
        let scores = evaluate(&run, tasks, &options, registry, &bar);
        bar.finish();
        write_on_root(folder, scores?, ranks)
    }
}

/// Files of a comparison, in a folder that no other process writes.
struct Outputs {
    folder: ConfinedPath,
    _lock: FolderLock,
}

impl Outputs {
    /// Claims a folder, which may hold an earlier comparison and its runs.
    fn claim(out: &Path) -> Result<Self> {
        let folder = ConfinedPath::create_root(out)?;
        let lock = FolderLock::take(&folder).context(
            "the comparison is in use\nhint: wait for the other process, or choose another folder with --out",
        )?;
        remove_partial(&folder)?;
        let earlier = folder.join("comparison.json").read(MAX_COMPARISON).ok();
        let earlier = earlier.and_then(|text| serde_json::from_slice::<Comparison>(&text).ok());
        check_replaceable(&folder, &["comparison.json", "comparison.csv"], earlier.is_some())?;
        Ok(Self { folder, _lock: lock })
    }

    fn write(&self, comparison: &Comparison) -> Result<()> {
        let json = format!("{}\n", serde_json::to_string_pretty(comparison)?);
        write_atomically(&self.folder.join("comparison.json"), json.as_bytes())?;
        Ok(write_atomically(&self.folder.join("comparison.csv"), &comparison.to_csv()?)?)
    }
}

/// The remaining time, from the mean time of this call's runs so far.
fn time_left(elapsed: Duration, n_done: usize, n_left: usize) -> String {
    match n_done {
        0 => String::new(),
        n => format!(", about {:.0} min left", elapsed.as_secs_f64() / n as f64 * n_left as f64 / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_runs_that_this_call_has_to_do() {
        assert_eq!(time_left(Duration::from_secs(9), 0, 7), "");
        assert_eq!(time_left(Duration::from_secs(240), 2, 3), ", about 6 min left");
    }
}
