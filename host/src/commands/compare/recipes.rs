//! The comparison by downstream tasks of the paper: the last model of each run is fine-tuned on each of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::RunLayout;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::comparison::{ComparedRun, Comparison, Variant, task_figure};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::evaluation::TasksFile;
use medcoss_runtime::finetuning::{FinetuneOptions, finetune_or_read};
use medcoss_runtime::task_recipes::{SEEDS, TaskRecipe};
use medcoss_runtime::{Run, is_interruption};

use super::{Compare, Entry, Outputs};
use crate::commands::eval::Seeds;
use crate::commands::finetune::Shown;
use crate::interrupt;

/// Arguments for fine-tuning on recipes.
#[derive(Debug, Args)]
pub(super) struct RecipeArgs {
    /// Fine-tune the last models on downstream tasks of the paper instead: their names, separated by commas, or all
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with_all = ["tasks", "against", "last"], requires = "recipes_root")]
    recipes: Vec<String>,
    /// Folder with the data of the recipes, as they are downloaded
    #[arg(long, value_name = "DIR", requires = "recipes")]
    recipes_root: Option<PathBuf>,
    /// Seeds of fine-tuning: a number of seeds or a list [default: 0,10,100, as in the paper]
    #[arg(long, value_name = "N or LIST", requires = "recipes")]
    recipe_seeds: Option<Seeds>,
    /// Change a setting of all recipes, or of one: key=value or RECIPE:key=value, such as glas:options.size=256
    #[arg(long = "recipe-set", value_name = "KEY=VALUE", requires = "recipes")]
    recipe_settings: Vec<String>,
}

impl RecipeArgs {
    /// The recipes as tasks files.
    fn files(&self) -> Result<Vec<TasksFile>> {
        let named = match self.recipes.as_slice() {
            [all] if all == "all" => TaskRecipe::ALL.to_vec(),
            names => names.iter().map(|name| TaskRecipe::named(name)).collect::<Result<_>>()?,
        };
        let is_of_one =
            |setting: &String| setting.split_once(':').filter(|(name, _)| TaskRecipe::named(name).is_ok()).is_some();
        let file = |recipe: &TaskRecipe| {
            let prefix = format!("{}:", recipe.name);
            let of_all = self.recipe_settings.iter().filter(|setting| !is_of_one(setting)).cloned();
            let own = self.recipe_settings.iter().filter_map(|setting| setting.strip_prefix(&prefix)).map(String::from);
            recipe.tasks_file(&of_all.chain(own).collect::<Vec<String>>())
        };
        named.iter().map(file).collect()
    }

    /// Trains all runs and fine-tunes their last models.
    pub(super) fn compare(
        &self,
        command: &Compare,
        variants: &[Variant],
        registry: &PluginRegistry,
        ranks: &Ranks,
    ) -> Result<Option<Comparison>> {
        if !ranks.is_alone() {
            bail!(
                "--recipes fine-tunes in one process\nhint: leave out --ranks; train the runs beforehand with medcoss pretrain --ranks mpi"
            );
        }
        let seeds = self.recipe_seeds.clone().unwrap_or(Seeds(SEEDS.to_vec())).0;
        if command.seeds.0.len() > 1 && seeds.len() > 1 {
            bail!(
                "there are {} seeds of runs and {} of fine-tuning\nhint: give one of either, with --seeds 1 or --recipe-seeds 1",
                command.seeds.0.len(),
                seeds.len()
            );
        }
        let files = self.files()?;
        let root = self.recipes_root.as_deref().context("--recipes-root is missing")?;
        let base = command.configuration.data_root()?;
        let config = command.configuration.read()?;
        let out = command.configuration.folder(command.out.as_deref(), "comparison");
        let entries = command.entries(variants, &config, [&base, &out], registry)?;
        let outputs = Outputs::claim(&out)?;
        interrupt::listen("what is done stays");
        let figures: Vec<String> = files.iter().map(figure_of).collect::<Result<_>>()?;
        let all_seeds = if seeds.len() > 1 { seeds.clone() } else { command.seeds.0.clone() };
        let names: Vec<String> = variants.iter().map(|variant| variant.name.clone()).collect();
        let (mut runs, mut latest) = (Vec::new(), None);
        for (at, entry) in entries.iter().enumerate() {
            let folder = out.join(&entry.name);
            let what = format!("run {} of {}: {}, seed {}", at + 1, entries.len(), entry.variant.name, entry.seed);
            command.progress.say(&what);
            let mut of_entry = || -> Result<()> {
                if !is_trained(&folder, &entry.config) {
                    command.train(entry, &folder, &base, registry, ranks, &command.progress)?;
                }
                let run = Run::open(&folder)?;
                for &seed in &seeds {
                    let figures = self.fine_tuned(command, (entry, &run, seed), &files, root, &out, registry)?;
                    let label = if seeds.len() > 1 { seed } else { entry.seed };
                    let variant = entry.variant.name.clone();
                    runs.push(ComparedRun { variant, seed: label, folder: entry.name.clone(), figures });
                }
                Ok(())
            };
            let go_on = "interrupted\nhint: start the same command again to continue";
            of_entry()
                .context(what)
                .map_err(|error| if is_interruption(&error) { error.context(go_on) } else { error })?;
            let comparison = Comparison::of_figures(
                "recipes".into(),
                names.clone(),
                all_seeds.clone(),
                figures.clone(),
                runs.clone(),
            );
            outputs.write(&comparison)?;
            latest = Some(comparison);
        }
        match latest {
            None => bail!("nothing to compare\nhint: name strategies with --strategies"),
            comparison => Ok(comparison),
        }
    }

    /// The scores of a run's model after fine-tuning on each recipe with a seed.
    fn fine_tuned(
        &self,
        command: &Compare,
        (entry, run, seed): (&Entry<'_>, &Run, u64),
        files: &[TasksFile],
        root: &Path,
        out: &Path,
        registry: &PluginRegistry,
    ) -> Result<BTreeMap<String, f64>> {
        let mut figures = BTreeMap::new();
        for file in files {
            let name = &file.stem;
            command
                .progress
                .say(&format!("{}, seed {}: fine-tuning on {name}, seed {seed}", entry.variant.name, entry.seed));
            let options = FinetuneOptions {
                task: None,
                stage: None,
                from_scratch: false,
                seed,
                fraction: 1.0,
                base: root,
                device: &command.device.name,
                max_invalid_fraction: None,
            };
            let folder = out.join(format!("recipes/{}-seed{}-{name}-seed{seed}", entry.variant.name, entry.seed));
            let mut observer = Shown::new(&command.progress);
            let kept = finetune_or_read(run, file, &options, registry, &folder, &mut observer)
                .with_context(|| format!("recipe {name}"))?;
            let task = file.finetuned_named(None)?;
            figures.insert(figure_of(file)?, kept.score(task.figure())?.value);
        }
        Ok(figures)
    }
}

/// Name of the recipe's figure in the comparison.
fn figure_of(file: &TasksFile) -> Result<String> {
    let task = file.finetuned_named(None)?;
    Ok(task_figure(&task.name, task.figure()))
}

/// Whether an earlier call finished the training with this configuration.
fn is_trained(folder: &Path, config: &RunConfig) -> bool {
    let before = RunLayout::open(folder).ok().and_then(|layout| RunConfig::read_record(&layout.record()).ok());
    let is_same = before.is_some_and(|before| config.continues(&before).is_ok());
    is_same && Run::open(folder).is_ok_and(|run| run.states.len() == config.stages.len())
}
