//! `medcoss label-efficiency`: how good fine-tuned models are by how many labels they learned from.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::write_atomically;
use medcoss_plugin_host::PluginRegistry;
use medcoss_runtime::finetuning::{FinetuneOptions, finetune_or_read};
use medcoss_runtime::label_efficiency::{LabelEfficiency, Trial};
use medcoss_runtime::{Run, is_interruption};

use super::eval::Seeds;
use super::finetune::Shown;
use crate::arguments::{DeviceArgs, PluginArgs, ProgressArgs, ResultArgs, TaskArgs};
use crate::failure::Failure;
use crate::interrupt;
use crate::tables::label_efficiency;

/// Name of the model with fresh parameters.
const SCRATCH: &str = "scratch";

/// Fine-tune on fractions of the labels, and compare models case by case
///
/// The run's model, the models that --against names and, as `scratch`, fresh parameters of the same size are fine-tuned on fractions of the
/// training split with several seeds. The table shows means and deviations over seeds and, at each fraction, the difference to the
/// run's model over the test cases: with a paired bootstrap interval and the p-value of a paired permutation test, both over groups
/// such as patients.
///
/// DIR gets label-efficiency.json, .csv and .html with the curves, and every model. A stopped command keeps its finished models: start it
/// again to continue, also with more models, fractions or seeds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss label-efficiency runs/first task.toml --out study
  medcoss label-efficiency runs/first task.toml --against scratch --against runs/imported --fractions 0.1,1 --seeds 5 --out study
  medcoss label-efficiency runs/first --recipe chestxr --data-root downloads --seeds 0,10,100 --out study")]
pub(crate) struct LabelEfficiencyCommand {
    /// Run folder
    run: PathBuf,
    #[command(flatten)]
    task: TaskArgs,
    /// Other models: scratch, or a run folder; may be given several times [default: scratch]
    #[arg(long, value_name = "MODEL")]
    against: Vec<String>,
    /// Fractions of the training split, separated by commas
    #[arg(long, value_name = "LIST", default_value = "0.01,0.05,0.1,0.25,1")]
    fractions: Fractions,
    /// Number of seeds (0, 1, ...), or a list of seeds: 0,10,100
    #[arg(long, value_name = "N or LIST", default_value = "3")]
    seeds: Seeds,
    /// Folder for the models and the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

/// Distinct fractions, at least one.
#[derive(Debug, Clone, PartialEq)]
struct Fractions(Vec<f64>);

impl FromStr for Fractions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| format!("expected fractions above 0 to 1 such as 0.1,1; found {part:?}");
        let mut fractions = Vec::new();
        for part in text.split(',').map(str::trim) {
            let fraction = part.parse::<f64>().ok().filter(|fraction| *fraction > 0.0 && *fraction <= 1.0);
            let fraction = fraction.ok_or_else(|| wrong(part))?;
            if fractions.contains(&fraction) {
                return Err(format!("fraction {fraction} is named twice"));
            }
            fractions.push(fraction);
        }
        Ok(Self(fractions))
    }
}

/// A model of the study.
struct Model {
    name: String,
    run: Run,
    from_scratch: bool,
}

impl LabelEfficiencyCommand {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let found = self.study(&registry).map_err(Failure::of_run)?;
        self.progress.say(&format!("The curves are in {}", self.out.join("label-efficiency.html").display()));
        self.result.print(&found, label_efficiency::to_text)
    }

    fn study(&self, registry: &PluginRegistry) -> Result<LabelEfficiency> {
        interrupt::listen("finished models stay");
        let (file, base) = self.task.read()?;
        let models = self.models()?;
        let task = file.finetuned_named(self.task.task.as_deref())?;
        let (task_name, metric) = (task.name.clone(), task.figure());
        let out = ConfinedPath::create_root(&self.out)?;
        let n = models.len() * self.fractions.0.len() * self.seeds.0.len();
        let (mut trials, mut latest) = (Vec::new(), None);
        for &seed in &self.seeds.0 {
            for &fraction in &self.fractions.0 {
                for model in &models {
                    let name = format!("{}-{fraction}-seed{seed}", model.name);
                    let what = format!(
                        "model {} of {n}: {}, {:.1} % of the labels, seed {seed}",
                        trials.len() + 1,
                        model.name,
                        100.0 * fraction
                    );
                    self.progress.say(&what);
                    let options = FinetuneOptions {
                        task: Some(&task_name),
                        stage: None,
                        from_scratch: model.from_scratch,
                        seed,
                        fraction,
                        base: &base,
                        device: &self.device.name,
                        max_invalid_fraction: None,
                    };
                    let mut observer = Shown::new(&self.progress);
                    let folder = self.out.join(&name);
                    let kept = finetune_or_read(&model.run, &file, &options, registry, &folder, &mut observer);
                    let go_on = "interrupted\nhint: start the same command again to continue";
                    let kept = kept
                        .with_context(|| what.clone())
                        .map_err(|error| if is_interruption(&error) { error.context(go_on) } else { error })?;
                    trials.push(Trial { model: model.name.clone(), fraction, seed, kept });
                }
            }
            let found = LabelEfficiency::of(&task_name, metric, &trials)?;
            write(&out, &found)?;
            latest = Some(found);
        }
        latest.context("nothing to fine-tune\nhint: name fractions and seeds")
    }

    fn models(&self) -> Result<Vec<Model>> {
        let name_of =
            |path: &Path| path.canonicalize().ok()?.file_name().map(|name| name.to_string_lossy().into_owned());
        let of_run = |path: &Path, from_scratch: bool| -> Result<Model> {
            let name = if from_scratch { SCRATCH.into() } else { name_of(path).unwrap_or_default() };
            Ok(Model { name, run: Run::open(path)?, from_scratch })
        };
        let mut models = vec![of_run(&self.run, false)?];
        let usual = [SCRATCH.to_string()];
        for other in if self.against.is_empty() { &usual[..] } else { &self.against } {
            models.push(match other.as_str() {
                SCRATCH => of_run(&self.run, true)?,
                path => of_run(Path::new(path), false)?,
            });
        }
        if let Some(at) = (1..models.len()).find(|at| models[..*at].iter().any(|model| model.name == models[*at].name))
        {
            bail!("two models are called {:?}\nhint: name folders with different names", models[at].name);
        }
        Ok(models)
    }
}

fn write(out: &ConfinedPath, found: &LabelEfficiency) -> Result<()> {
    let json = format!("{}\n", serde_json::to_string_pretty(found)?);
    write_atomically(&out.join("label-efficiency.json"), json.as_bytes())?;
    write_atomically(&out.join("label-efficiency.csv"), &found.to_csv()?)?;
    Ok(write_atomically(&out.join("label-efficiency.html"), found.to_page().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_above_nought_to_one_and_named_once() {
        assert_eq!("0.1, 1".parse::<Fractions>().unwrap(), Fractions(vec![0.1, 1.0]));
        for wrong in ["0", "1.5", "a", "", "0.1,0.1", "nan"] {
            assert!(wrong.parse::<Fractions>().is_err(), "{wrong}");
        }
    }
}
