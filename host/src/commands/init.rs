//! `medcoss init`: a first configuration for data, from a look at them.

use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::data::{DataAccount, Dataset};
use medcoss_plugin_host::{Plugin, PluginRegistry, untrusted_text};
use medcoss_runtime::config::{RunConfig, StageSection};
use medcoss_runtime::data_source::{DataSource, Side};
use medcoss_runtime::init::{Named, Proposal, ProposedStage, Recognised, Recognition, recognise, write_configuration};
use medcoss_runtime::plugin_dataset::PluginDataset;
use serde::Serialize;

use crate::arguments::{DeviceArgs, PluginArgs, ResultArgs};
use crate::builtin::in_order;
use crate::failure::Failure;
use crate::tables::data_account;

/// Samples from which a model of a larger preset has enough to learn from.
const SMALL: usize = 2_000;
const BASE: usize = 100_000;

/// Look at data and write a first configuration for them
///
/// Each plugin looks at the names and headers of some files and says whether they are of its modality, what they are
/// like, and which options suit them. The command writes a configuration with a stage for each modality, and the reason
/// beside each value. A folder whose folders are of several modalities is taken apart. Read what it wrote, then plan it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss init chest scans --out run.toml
  medcoss init xray=chest ct=scans --out run.toml
  medcoss init archive --out run.toml --json | jq '.unrecognised'")]
pub(crate) struct Init {
    /// Files and folders; `ct=scans` names the modality too
    #[arg(value_name = "DATA", required = true)]
    data: Vec<String>,
    /// Configuration to write; its folder is the one that data paths are relative to
    #[arg(long, value_name = "FILE", default_value = "run.toml")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Report {
    configuration: PathBuf,
    /// Folder that the data paths are relative to, where it is not that of the configuration.
    data_root: Option<PathBuf>,
    stages: Vec<StageReport>,
    unrecognised: Vec<Unrecognised>,
}

#[derive(Serialize)]
struct StageReport {
    modality: String,
    data: Vec<PathBuf>,
    fit: f64,
    why: String,
    other: Option<String>,
    facts: Vec<(String, String)>,
    n_samples: usize,
    files: Option<DataAccount>,
}

#[derive(Serialize)]
struct Unrecognised {
    data: PathBuf,
    why: Vec<String>,
}

impl Init {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let report = self.propose(&registry).map_err(Failure::of_run)?;
        self.result.print(&report, Report::to_text)
    }

    fn propose(&self, registry: &PluginRegistry) -> Result<Report> {
        if self.out.exists() {
            bail!("{} exists\nhint: choose another file with --out FILE", self.out.display());
        }
        let mut plugins: Vec<Plugin> = registry.load_all().into_iter().filter_map(Result::ok).collect();
        in_order(&mut plugins);
        let (base, named) = self.named()?;
        let Recognition { recognised, unrecognised } = recognise(&plugins, &base, &named)?;
        let mut unrecognised: Vec<Unrecognised> =
            unrecognised.into_iter().map(|found| Unrecognised { data: found.data, why: found.why }).collect();
        if recognised.is_empty() {
            let names: Vec<String> = unrecognised.iter().map(|found| found.data.display().to_string()).collect();
            bail!(
                "no plugin knows {}\nhint: `medcoss plugin list` shows what each reads; ct=DATA names the modality",
                names.join(", ")
            );
        }
        let (mut stages, mut reports) = (Vec::new(), Vec::new());
        for data in recognised {
            let plugin = plugins.iter().find(|plugin| plugin.description().id == data.modality);
            let plugin = plugin.context("a plugin went")?;
            let (data, n_samples, files) = match opened(plugin, &base, &data) {
                Ok((n_samples, files)) => (data, n_samples, files),
                Err(error) => largest_part(plugin, &base, &data, &mut unrecognised)?.ok_or(error)?,
            };
            reports.push(StageReport::of(&data, n_samples, files));
            stages.push(ProposedStage { data, n_samples });
        }
        let preset = self.preset(stages.iter().map(|stage| stage.n_samples).max().unwrap_or_default());
        let text = write_configuration(&Proposal { stages, preset })?;
        let config: RunConfig = toml::from_str(&text).context("what was proposed is no configuration")?;
        config.check().context("what was proposed is no configuration")?;
        let mut file = File::create_new(&self.out).with_context(|| format!("cannot write {}", self.out.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", self.out.display()))?;
        let own = parent_of(&self.out)?;
        let data_root = (own != base).then_some(base);
        Ok(Report { configuration: self.out.clone(), data_root, stages: reports, unrecognised })
    }

    /// The folder that all data lie in, and the data relative to it: the configuration's own folder where that holds them all.
    fn named(&self) -> Result<(PathBuf, Vec<Named>)> {
        let parts = self.data.iter().map(|text| match text.split_once('=') {
            // A file may have such a name.
            Some((modality, path)) if !Path::new(text).exists() => (Some(modality.to_string()), PathBuf::from(path)),
            _ => (None, PathBuf::from(text)),
        });
        let mut whole = Vec::new();
        for (modality, path) in parts {
            let found = path.canonicalize();
            let found =
                found.with_context(|| format!("{} is not there\nhint: name files or folders", path.display()))?;
            whole.push((modality, found));
        }
        let own = parent_of(&self.out)?;
        let holds = |base: &Path| whole.iter().all(|(_, path)| path.starts_with(base) && path != base);
        let base = match holds(&own) {
            true => own,
            false => {
                let first = whole.first().context("no data are named")?;
                let common = first.1.ancestors().skip(1).find(|folder| holds(folder));
                common.context("the data have no folder in common")?.to_path_buf()
            }
        };
        let below = |(modality, path): (Option<String>, PathBuf)| {
            let path: PathBuf = path.strip_prefix(&base).unwrap_or(&path).components().filter(is_name).collect();
            Named { path, modality }
        };
        let named = whole.into_iter().map(below).collect();
        Ok((base, named))
    }

    /// Preset of the model for so many samples of the largest stage, and why.
    fn preset(&self, n_samples: usize) -> (String, String) {
        let is_cpu = self.device.name == "cpu";
        let (preset, why) = match n_samples {
            _ if is_cpu && n_samples < SMALL => ("vit-tiny", "few samples, and a CPU".into()),
            0..SMALL => ("vit-small", format!("fewer than {SMALL} samples a stage")),
            _ if is_cpu => ("vit-small", "a CPU takes days for vit-base".into()),
            SMALL..BASE => ("vit-small", format!("fewer than {BASE} samples a stage")),
            _ => ("vit-base", "as in the paper".into()),
        };
        (preset.into(), why)
    }
}

fn is_name(part: &Component<'_>) -> bool {
    matches!(part, Component::Normal(_))
}

/// The folder of a file that may not be there yet.
fn parent_of(file: &Path) -> Result<PathBuf> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().with_context(|| format!("there is no folder {}", parent.display()))
}

/// Opens the data with the proposed options: what cannot be opened is not proposed.
fn opened(plugin: &Plugin, base: &Path, data: &Recognised) -> Result<(usize, Option<DataAccount>)> {
    let mut section = StageSection::new(&data.modality, DataSource::of_paths(data.data.clone()));
    for option in &data.survey.options {
        section.options.insert(option.name.clone(), toml::Value::try_from(&option.value)?);
    }
    let dataset = PluginDataset::open(plugin, base, &section, None, &[Side::Train])
        .with_context(|| format!("{} with the proposed options", data.modality))?;
    Ok((dataset.ids().len(), dataset.account().cloned()))
}

/// Of data that cannot be opened as a whole, the files and folders that can be opened with the same options: those with the most samples.
/// The others are reported. `None` where nothing in them can be opened.
fn largest_part(
    plugin: &Plugin,
    base: &Path,
    data: &Recognised,
    unrecognised: &mut Vec<Unrecognised>,
) -> Result<Option<(Recognised, usize, Option<DataAccount>)>> {
    let mut parts: Vec<(Recognised, usize)> = Vec::new();
    let mut left = Vec::new();
    for path in data.data.iter().map(|path| children(base, path)).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        let named = Named { path: path.clone(), modality: Some(data.modality.clone()) };
        let Some(part) = recognise(std::slice::from_ref(plugin), base, &[named])?.recognised.pop() else { continue };
        match opened(plugin, base, &part) {
            Ok((n_samples, _)) => match parts.iter_mut().find(|(other, _)| other.survey.options == part.survey.options)
            {
                Some((other, n)) => {
                    other.data.push(path);
                    *n += n_samples;
                }
                None => parts.push((part, n_samples)),
            },
            Err(error) => left.push(Unrecognised { data: path, why: vec![format!("{:#}", error.root_cause())] }),
        }
    }
    parts.sort_by_key(|(_, n_samples)| std::cmp::Reverse(*n_samples));
    let mut parts = parts.into_iter();
    let Some((mut largest, _)) = parts.next() else { return Ok(None) };
    for (other, n_samples) in parts {
        let why = format!("{n_samples} samples of {}, which need other options: a stage of their own", other.modality);
        left.extend(other.data.into_iter().map(|data| Unrecognised { data, why: vec![why.clone()] }));
    }
    if let Some(survey) = plugin.survey(base, &largest.data)? {
        largest.survey.facts = survey.facts;
        largest.survey.why = survey.why;
    }
    let Ok((n_samples, files)) = opened(plugin, base, &largest) else { return Ok(None) };
    unrecognised.append(&mut left);
    Ok(Some((largest, n_samples, files)))
}

/// Files and folders in a folder, in the order of their names, but for hidden ones; none in a file.
fn children(base: &Path, path: &Path) -> Result<Vec<PathBuf>> {
    let place = base.join(path);
    if !place.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(&place).with_context(|| format!("{} cannot be listed", path.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(path.join(name));
        }
    }
    names.sort();
    Ok(names)
}

impl StageReport {
    fn of(data: &Recognised, n_samples: usize, files: Option<DataAccount>) -> Self {
        let survey = &data.survey;
        Self {
            modality: data.modality.clone(),
            data: data.data.clone(),
            fit: survey.fit,
            why: untrusted_text(&survey.why),
            other: data.other.as_ref().map(|(other, why)| untrusted_text(&format!("{other}: {why}"))),
            facts: survey.facts.iter().map(|fact| (untrusted_text(&fact.name), untrusted_text(&fact.value))).collect(),
            n_samples,
            files,
        }
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for stage in &self.stages {
            let data: Vec<String> = stage.data.iter().map(|path| path.display().to_string()).collect();
            text.push_str(&format!("{} in {}: {}\n", stage.modality, data.join(", "), stage.why));
            if let Some(other) = &stage.other {
                text.push_str(&format!("  it might also be {other}\n"));
            }
            stage.facts.iter().for_each(|(name, value)| text.push_str(&format!("  {name}: {value}\n")));
            match &stage.files {
                Some(files) => text.push_str(&data_account::to_text("  in all", stage.n_samples, files)),
                None => text.push_str(&format!("  in all: {} samples\n", stage.n_samples)),
            }
            text.push('\n');
        }
        for Unrecognised { data, why } in &self.unrecognised {
            text.push_str(&format!("{}: in no stage\n", data.display()));
            why.iter().for_each(|why| text.push_str(&format!("  {}\n", untrusted_text(why))));
        }
        let configuration = self.configuration.display();
        let root = self.data_root.as_ref().map(|root| format!(" --data-root {}", root.display())).unwrap_or_default();
        text.push_str(&format!(
            "Wrote {configuration}. Next: medcoss plan {configuration}{root}, then medcoss pretrain {configuration}{root} --out runs/first\n"
        ));
        text
    }
}
