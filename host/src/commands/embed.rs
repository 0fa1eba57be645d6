//! `medcoss embed`: writes features of samples to a file.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{Dataset, LoaderOptions};
use medcoss_core::ranks::Ranks;
use medcoss_core::run::StoredModel;
use medcoss_core::stage::{Encoding, FeaturePass, Pooling, encode_samples};
use medcoss_core::weights::{ArraySource, ElementType, TensorOut, floats_to_bytes, write_safetensors};
use medcoss_runtime::assignments::options_of;
use medcoss_runtime::config::{DataSection, StageSection};
use medcoss_runtime::data_source::{DataSource, Side};
use medcoss_runtime::encoding::{family_for, family_of};
use medcoss_runtime::id_key::IdKey;
use medcoss_runtime::plugin_dataset::PluginDataset;
use medcoss_runtime::stage_plugin::plugin_for_models;
use medcoss_runtime::{Run, WorkObserver, WorkReport};
use serde::Serialize;

use super::pretrain::of_root;
use crate::arguments::{
    BarArgs, DataRootArgs, DeviceArgs, OutFileArgs, PluginArgs, RanksArgs, ResultArgs, check_invalid_fraction,
};
use crate::failure::Failure;

/// Write features of samples to a .safetensors file
///
/// Every sample is encoded once, neither augmented nor masked. The file holds `features`, float32 [samples, width], or
/// with --pool none [samples, tokens, width] (for continuous tokens the class token comes first; text also has
/// `attention_mask`). The metadata hold the sample ids:
///
///   from safetensors import safe_open
///   file = safe_open("features.safetensors", "np")
///   features, ids = file.get_tensor("features"), json.loads(file.metadata()["medcoss"])["ids"]
///
/// Ids name files, and files are often named after patients. With --id-key they are digests that cannot be found by trying record numbers,
/// and that are the same in all files of one key. Keep the key where the data are.
///
/// With --tensors the samples are prepared arrays, and no plugin is needed: image [n, 3, H, W] and volume [n, 1, D, H,
/// W] in multiples of the patch size, text ids [n, length], or tokens [n, tokens, values] of any other family.
#[derive(Debug, Args)]
#[command(mut_arg("data_root", |root| root.conflicts_with("tensors")))]
#[command(after_help = "Examples:
  medcoss embed runs/first --modality xray --data chest/test --out features.safetensors
  medcoss embed runs/first --modality xray --data chest/test --id-key ids.key --out shared.safetensors
  medcoss embed runs/first --modality ct --data ct --set size=[16,96,96] --pool none --stage 3 --out ct.safetensors
  mpirun -n 2 --bind-to none medcoss embed runs/first --modality xray --data chest --out all.safetensors --ranks mpi
  medcoss embed runs/first --tensors arrays.safetensors --input images --family image --pool cls --out cls.safetensors
  medcoss embed runs/first --tensors text.safetensors --input ids --attention-mask mask --family text --out text.safetensors")]
pub(crate) struct Embed {
    /// Run folder
    run: PathBuf,
    /// Id of the modality's plugin
    #[arg(long, value_name = "ID", required_unless_present = "tensors", conflicts_with = "tensors")]
    modality: Option<String>,
    /// File or folder with the data; may be given several times
    #[arg(long, value_name = "PATH", required_unless_present = "tensors", conflicts_with = "tensors")]
    data: Vec<PathBuf>,
    #[command(flatten)]
    data_root: DataRootArgs,
    /// Set an option of the plugin, key=value; other options are those of the run's stage of that modality
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "tensors")]
    options: Vec<String>,
    /// File with prepared arrays (.safetensors or .pth)
    #[arg(long, value_name = "FILE", requires = "input", requires = "family")]
    tensors: Option<PathBuf>,
    /// Name of the array in the file of --tensors
    #[arg(long, value_name = "NAME", requires = "tensors")]
    input: Option<String>,
    /// Token family of the array: image, volume, text, or another family of the model
    #[arg(long, value_name = "FAMILY", requires = "tensors")]
    family: Option<String>,
    /// Name of the attention mask: an array with 1 for text tokens and 0 for padding
    #[arg(long, value_name = "NAME", requires = "tensors")]
    attention_mask: Option<String>,
    #[command(flatten)]
    out: OutFileArgs,
    /// Replace ids by their HMAC-SHA-256 with the key in this file, which is made if it does not exist
    #[arg(long, value_name = "FILE")]
    id_key: Option<PathBuf>,
    /// Pooling: the mean over all tokens (without padding), the class token, or none for every token
    #[arg(long, value_enum, default_value_t = Pool::Mean)]
    pool: Pool,
    /// Use the model after this stage, from 1; 0 for the initial model [default: the latest]
    #[arg(long, value_name = "N")]
    stage: Option<usize>,
    /// Largest fraction of unreadable samples, not rounded
    #[arg(long, value_name = "RATIO", default_value_t = 0.01)]
    max_invalid_fraction: f64,
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
enum Pool {
    Mean,
    Cls,
    None,
}

/// Metadata of the features file.
#[derive(Serialize)]
struct Note<'a> {
    modality: &'a str,
    family: &'a str,
    pool: Pooling,
    /// Whether ids are HMAC-SHA-256 digests of those of the data.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hashed: bool,
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    file: PathBuf,
    /// Shape of `features`.
    shape: Vec<usize>,
    n_samples: usize,
    /// Reasons of unreadable samples, by id. They have no row.
    invalid: std::collections::BTreeMap<String, String>,
    seconds: f64,
}

impl Embed {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let ranks = self.ranks.join().map_err(Failure::of_run)?;
        of_root(self.embed(&ranks), &ranks, |report| self.result.print(report, Report::to_text))
    }

    /// The report of the root; none of other ranks.
    fn embed(&self, ranks: &Ranks) -> Result<Option<Report>> {
        self.out.checked(&self.inputs()?)?;
        let run = Run::open(&self.run)?;
        let stored = run.model(self.stage)?;
        match (&self.tensors, &self.input, &self.family, &self.modality) {
            (Some(tensors), Some(input), Some(family), _) => {
                let at = family_of(&stored, family)?;
                let mask = self.attention_mask.as_deref();
                let source = ArraySource::read(tensors, input, mask, &stored.config.families[at])?;
                self.write(&stored, &source, ranks)
            }
            (.., Some(modality)) => self.write(&stored, &self.open(&run, modality)?, ranks),
            _ => bail!("neither --modality nor --tensors is given"),
        }
    }

    /// Everything that the command reads.
    fn inputs(&self) -> Result<Vec<PathBuf>> {
        let base = self.data_root.or_current()?;
        let data = self.data.iter().map(|path| base.join(path));
        Ok(data.chain(self.tensors.clone()).chain([self.run.clone()]).collect())
    }

    /// Opens data as the run's stage of that modality does, if it has one.
    fn open(&self, run: &Run, modality: &str) -> Result<PluginDataset> {
        let registry = self.plugins.registry().map_err(Failure::into_error)?;
        let plugin = plugin_for_models(modality, &registry, run.layout())?;
        let base = self.data_root.or_current()?;
        let mut section = StageSection::new(modality, DataSource::of_paths(self.data.clone()));
        section.options = options_of(&self.options)?;
        run.open_data(&plugin, &base, section, &[Side::Train])
    }

    fn write(&self, stored: &StoredModel, source: &dyn Dataset, ranks: &Ranks) -> Result<Option<Report>> {
        let began = Instant::now();
        let family = family_for(stored, source)?;
        let n_samples = source.ids().len();
        if n_samples == 0 {
            bail!("there are no samples to encode");
        }
        let device = medcoss_core::device::by_name(&self.device.name)?;
        let model = stored.load(&device)?;
        let pooling = match self.pool {
            Pool::Mean => Pooling::Mean,
            Pool::Cls => Pooling::Class,
            Pool::None => Pooling::None,
        };
        if pooling == Pooling::None && !ranks.is_alone() {
            bail!("with --ranks features are pooled\nhint: leave out --ranks, or --pool none");
        }
        check_invalid_fraction(self.max_invalid_fraction)?;
        let key = self.id_key.as_deref().filter(|_| ranks.is_root());
        let key = key.map(IdKey::read_or_create).transpose()?;
        let named = |id: &str| key.as_ref().map_or_else(|| id.to_owned(), |key| key.hash(id));
        let reading = LoaderOptions {
            num_workers: DataSection::default().num_workers,
            max_invalid_fraction: self.max_invalid_fraction,
        };
        // The number of readable samples is known at the end, and the file begins with it. So rows go to a temporary file first.
        let out = self.out.checked(&self.inputs()?)?;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut rows =
            tempfile::tempfile_in(folder).with_context(|| format!("cannot write into {}", folder.display()))?;
        let (mut ids, mut attended) = (Vec::new(), Vec::new());
        let (mut n_tokens, mut width) = (0, 0);
        let mut invalid = std::collections::BTreeMap::new();
        let bar = if ranks.is_root() { &self.bar } else { &self.bar.silenced() };
        let bar = bar.begin("encoding [{bar:24}] {pos} of {len}, {per_sec}, {eta} left");
        let unwritable = |error: std::io::Error| {
            medcoss_core::Error::Caller(format!("cannot write into {}: {error}", folder.display()))
        };
        // A reason may quote the id.
        let reason_of = |message: &str| if key.is_some() { "it cannot be read".into() } else { message.to_owned() };
        let report = |done: usize| {
            bar.progress(&WorkReport { activity: "encoding", done: done as u64, total: n_samples as u64 });
            Ok(())
        };
        let encoding = Encoding::from(pooling);
        if ranks.is_alone() {
            encode_samples(&model, family, source, encoding, reading, &device, &mut |batch| {
                let failures = batch.invalid.iter();
                invalid.extend(
                    failures
                        .map(|(index, failure)| (named(&source.ids()[*index as usize]), reason_of(&failure.message))),
                );
                if !batch.rows.is_empty() {
                    (n_tokens, width) = (batch.n_tokens, batch.width);
                    rows.write_all(&floats_to_bytes(&batch.values)).map_err(unwritable)?;
                    attended.extend(batch.attended.iter().map(|attended| u8::from(*attended)));
                    ids.extend(batch.rows.iter().map(|&row| named(&source.ids()[row as usize])));
                }
                report(batch.done)
            })?;
        } else {
            let pass =
                FeaturePass { model: &model, family, dataset: source, encoding, options: reading, device: &device };
            let features = pass.on_all_ranks(ranks, &mut |done| report(done))?;
            if !ranks.is_root() {
                return Ok(None);
            }
            (n_tokens, width) = (1, features.width);
            rows.write_all(&floats_to_bytes(&features.values)).map_err(unwritable)?;
            ids.extend(features.rows.iter().map(|&row| named(&source.ids()[row as usize])));
            invalid.extend(features.invalid.iter().map(|(id, message)| (named(id), reason_of(message))));
        }
        bar.finish();
        if ids.is_empty() {
            bail!("none of the {n_samples} samples could be read");
        }

        let shape = match pooling {
            Pooling::None => vec![ids.len(), n_tokens, width],
            _ => vec![ids.len(), width],
        };
        let mut tensors = vec![TensorOut { name: "features".into(), shape: shape.clone(), dtype: ElementType::F32 }];
        if !attended.is_empty() {
            let shape = vec![ids.len(), n_tokens];
            tensors.push(TensorOut { name: "attention_mask".into(), shape, dtype: ElementType::U8 });
        }
        let n_rows = ids.len();
        let hashed = key.is_some();
        let note = Note { modality: source.modality(), family: source.family(), pool: pooling, hashed, ids };
        let out = self.out.checked(&self.inputs()?)?;
        write_safetensors(&ConfinedPath::of_user(out)?, &tensors, &serde_json::to_string(&note)?, &mut |file| {
            let copied =
                rows.rewind().and_then(|()| std::io::copy(&mut rows, file)).and_then(|_| file.write_all(&attended));
            copied.map_err(|reason| medcoss_core::Error::File { action: "cannot write", path: out.into(), reason })
        })?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Some(Report { file: out.into(), shape, n_samples: n_rows, invalid, seconds }))
    }
}

impl Report {
    fn to_text(&self) -> String {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let rate = self.n_samples as f64 / self.seconds.max(1e-9);
        let mut text = format!(
            "Wrote features [{}] of {} samples to {}: {:.1} s, {rate:.1} samples/s.\n",
            shape.join(", "),
            self.n_samples,
            self.file.display(),
            self.seconds
        );
        for (id, reason) in &self.invalid {
            text.push_str(&format!("Skipped {id}: {}\n", reason.lines().next().unwrap_or_default()));
        }
        text
    }
}
