//! `medcoss bench boundary`: the cost of calling plugins in shared libraries.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use medcoss_abi::abi_stable::std_types::{RSlice, RSliceMut, RVec};
use medcoss_abi::message::{Continuous, Geometry, Open, Synthesise};
use medcoss_abi::{DatasetHandle, FillBuffers, FillRequest, PluginTable, VIEW_TRAIN};
use medcoss_plugin_host::{Batch, LibraryFile, Plugin, PluginLocation, v1_header_of};
use medcoss_sdk::{Dataset, Modality, OpenRequest, Patches, Sample, View, sample_rng};
use medcoss_xray::{Options, Xray};
use serde::Serialize;

use super::measurement::{N_WARM_UP, built, median};
use crate::arguments::{PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::tables::Table;

/// Number of samples in a batch.
const N_SAMPLES: usize = 8;

/// Measure the cost of calling a plugin in a shared library
///
/// The command fills batches of 3 x 224 x 224 samples with the plugin `xray` in three ways: directly through its Rust
/// code linked into this program; through its shared library by the contract's `fill`; and through the library with the
/// host's own checks of every answer. The ways alternate, with the same samples and seeds, and their samples are
/// compared bit by bit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss bench boundary
  medcoss bench boundary --repetitions 31 --json
  medcoss bench boundary --plugin-dir target/release/deps")]
pub(crate) struct Boundary {
    /// Number of batches to measure in each way
    #[arg(long, value_name = "N", default_value_t = 101, value_parser = clap::value_parser!(u32).range(9..=10_000))]
    repetitions: u32,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    measured: &'static str,
    plugin: String,
    library: PathBuf,
    sample_shape: [usize; 3],
    batch_size: usize,
    repetitions: u32,
    optimised: bool,
    /// Median duration of a batch in seconds, by way.
    median_seconds: Medians,
    /// Time through the contract divided by the direct time; 1 means no cost.
    ratio: f64,
    /// Time with the host's checks divided by the direct time.
    ratio_with_checks: f64,
}

#[derive(Debug, Serialize)]
struct Medians {
    direct: f64,
    boundary: f64,
    boundary_with_checks: f64,
}

/// A dataset of the library, called through the bare function table.
struct Bare {
    table: &'static PluginTable,
    handle: DatasetHandle,
}

impl Drop for Bare {
    fn drop(&mut self) {
        (self.table.close)(self.handle);
    }
}

impl Boundary {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let library = registry.found.iter().find(|found| found.id == Xray::ID).map(|found| &found.location);
        let Some(PluginLocation::Library { path }) = library else {
            return Err(Failure::user(anyhow::anyhow!(
                "plugin {} was not found as a shared library\nhint: build it, or give its folder with --plugin-dir",
                Xray::ID
            )));
        };
        let plugin = registry.load(Xray::ID).map_err(Failure::user)?;
        if plugin.description().version != Xray::VERSION {
            return Err(Failure::user(anyhow::anyhow!(
                "the library holds {}, and {} {} is linked in\nhint: build both from the same sources",
                plugin.name(),
                Xray::ID,
                Xray::VERSION
            )));
        }
        let report = self.measure(&plugin, path)?;
        self.result.print(&report, Report::page)
    }

    fn measure(&self, plugin: &Plugin, library: &Path) -> Result<Report, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::internal)?;
        let base = folder.path().to_path_buf();
        let made = plugin.synthesise(&Synthesise { folder: base.clone(), n_samples: N_SAMPLES, seed: 7 })?;
        // The default options give the shape of the paper's training.
        let open = Open { base, data: made.data, options: serde_json::json!({}), assets: None };
        let request =
            OpenRequest { base: open.base.clone(), data: open.data.clone(), options: Options::default(), assets: None };
        let direct = Xray::open(request).map_err(Failure::internal)?;
        let checked = plugin.open(&open)?;
        let bare = opened(library, &open)?;
        let geometry = direct.geometry();
        let Geometry::Continuous(Continuous { grid, d_token, .. }) = &geometry else {
            return Err(Failure::internal(anyhow::anyhow!("samples are not images but {geometry:?}")));
        };
        let (n_tokens, d_token) = (grid.iter().product::<usize>(), *d_token);
        let indices: Vec<u64> = (0..N_SAMPLES as u64).collect();
        let mut sets = [0; 2].map(|_| (vec![0f32; N_SAMPLES * n_tokens * d_token], vec![0u8; N_SAMPLES * n_tokens]));
        let mut batch = Batch::default();
        let mut seconds = [const { Vec::new() }; 3];
        for round in 0..N_WARM_UP + self.repetitions as usize {
            let seeds: Vec<u64> = indices.iter().map(|index| index + 1000 * round as u64).collect();
            // Each way is first as often as it is last.
            for turn in 0..3 {
                let way = (round + turn) % 3;
                let [(tokens, mask), (other_tokens, other_mask)] = &mut sets;
                let begin = Instant::now();
                match way {
                    0 => fill_directly(&direct, &seeds, tokens, mask, n_tokens).map_err(Failure::internal)?,
                    1 => fill_through(&bare, &indices, &seeds, other_tokens, other_mask)?,
                    _ => drop(checked.fill(medcoss_plugin_host::View::Training, &indices, &seeds, &mut batch)?),
                }
                if round >= N_WARM_UP {
                    seconds[way].push(begin.elapsed().as_secs_f64());
                }
            }
            let [direct, through] = &sets;
            if direct != through || direct.0 != batch.tokens || direct.1 != batch.mask {
                return Err(Failure::user(anyhow::anyhow!(
                    "{} delivers other samples than the code that is linked in\nhint: build both from the same sources",
                    library.display()
                )));
            }
        }
        let [direct, boundary, boundary_with_checks] = seconds.map(median);
        Ok(Report {
            measured: "fill of one batch in the training view, by the median of the repetitions",
            plugin: plugin.name().into(),
            library: library.to_path_buf(),
            sample_shape: [3, Options::default().size, Options::default().size],
            batch_size: N_SAMPLES,
            repetitions: self.repetitions,
            optimised: !cfg!(debug_assertions),
            median_seconds: Medians { direct, boundary, boundary_with_checks },
            ratio: boundary / direct,
            ratio_with_checks: boundary_with_checks / direct,
        })
    }
}

impl Report {
    fn page(&self) -> String {
        let Medians { direct, boundary, boundary_with_checks } = self.median_seconds;
        let [channels, rows, columns] = self.sample_shape;
        let mut table = Table::new(&["way", "ms a batch", "ratio"]);
        for (way, seconds) in [
            ("linked in, called directly", direct),
            ("shared library, bare `fill`", boundary),
            ("shared library, answers checked", boundary_with_checks),
        ] {
            table.row([way.into(), format!("{:.3}", 1000.0 * seconds), format!("{:.4}", seconds / direct)]);
        }
        format!(
            "{}, batches of {} samples of {channels} x {rows} x {columns}; medians of {} in turn{}\n\n{}",
            self.plugin,
            self.batch_size,
            self.repetitions,
            built(),
            table.lines()
        )
    }
}

fn opened(library: &Path, open: &Open) -> Result<Bare, Failure> {
    let file = LibraryFile::open(library).map_err(Failure::user)?;
    let header = v1_header_of(&file, Xray::ID).map_err(|message| Failure::user(anyhow::anyhow!(message)))?;
    let table = header.check().map_err(Failure::user)?;
    let body = serde_json::to_string(open).map_err(Failure::internal)?;
    let handle = (table.open)(body.as_str().into()).into_result();
    let handle = handle.map_err(|error| Failure::internal(anyhow::anyhow!(error.body.to_string())))?;
    Ok(Bare { table, handle })
}

/// Fills a batch as the export macro does, without the contract: zeroes the buffers and loads sample after sample.
fn fill_directly(
    dataset: &impl Dataset,
    seeds: &[u64],
    tokens: &mut [f32],
    mask: &mut [u8],
    n_tokens: usize,
) -> Result<(), medcoss_sdk::Error> {
    let n_values = tokens.len() / seeds.len();
    for (index, &seed) in seeds.iter().enumerate() {
        let tokens = &mut tokens[index * n_values..][..n_values];
        let mask = &mut mask[index * n_tokens..][..n_tokens];
        tokens.fill(0.0);
        mask.fill(0);
        dataset.load(index, View::Training, &mut sample_rng(seed), Sample::Continuous(Patches::new(tokens, mask)))?;
    }
    Ok(())
}

fn fill_through(
    bare: &Bare,
    indices: &[u64],
    seeds: &[u64],
    tokens: &mut [f32],
    mask: &mut [u8],
) -> Result<(), Failure> {
    let request =
        FillRequest { view: VIEW_TRAIN, indices: RSlice::from_slice(indices), seeds: RSlice::from_slice(seeds) };
    let buffers = FillBuffers {
        tokens: RSliceMut::from_mut_slice(tokens),
        mask: RSliceMut::from_mut_slice(mask),
        ids: RSliceMut::from_mut_slice(&mut []),
        labels: RSliceMut::from_mut_slice(&mut []),
        lengths: RSliceMut::from_mut_slice(&mut []),
        extras: RVec::new(),
    };
    let failed = |message: String| Failure::internal(anyhow::anyhow!(message));
    let invalid = (bare.table.fill)(bare.handle, request, buffers).into_result();
    match invalid.map_err(|error| failed(error.body.to_string()))?.first() {
        None => Ok(()),
        Some(invalid) => Err(failed(invalid.message.to_string())),
    }
}
