//! `medcoss bench kmeans`: the time of k-means, which selects the samples of a buffer.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use medcoss_core::clustering::{Clusters, Initialisation, KMeansOptions};
use medcoss_runtime::gaussian_blobs::gaussian_blobs;
use medcoss_runtime::timing::peak_memory;
use serde::Serialize;

use super::measurement::{built, median};
use crate::arguments::{DeviceArgs, ResultArgs};
use crate::failure::Failure;
use crate::tables::Table;

/// Measure k-means, which selects the samples of buffers
///
/// The command clusters the points of a file (float32, row by row, as numpy's tofile writes them), or Gaussian blobs:
/// as many overlapping blobs as clusters. It times the initialisation (k-means||) and the iterations of Lloyd's
/// algorithm separately. tests/compare/kmeans.py does the same with scikit-learn and faiss.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss bench kmeans --points 20000 --dims 768 --clusters 200
  medcoss bench kmeans --points 356000 --clusters 3560 --mini-batches --runs 1
  medcoss bench kmeans --points-file features.f32 --points 20000 --dims 768 --clusters 200 --iterations 10 --json")]
pub(crate) struct KMeans {
    /// Read points from this file: float32, little-endian, --points rows of --dims values
    #[arg(long, value_name = "RAW_F32")]
    points_file: Option<PathBuf>,
    /// Number of points
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    points: u32,
    /// Number of values of a point
    #[arg(long, value_name = "N", default_value_t = 768, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    dims: u32,
    /// Number of clusters
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    clusters: u32,
    /// Largest number of iterations of Lloyd's algorithm [default: until no point changes its cluster]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    iterations: Option<u32>,
    /// Use mini-batch k-means
    #[arg(long, conflicts_with = "iterations")]
    mini_batches: bool,
    /// Seed of the initialisation and of the blobs
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Number of complete runs to measure
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    measured: &'static str,
    points: String,
    device: String,
    n_points: usize,
    dims: usize,
    n_clusters: usize,
    runs: u32,
    optimised: bool,
    /// Wall-clock seconds of a complete run.
    median_seconds: f64,
    /// Wall-clock seconds of the initialisation.
    initialisation_seconds: f64,
    /// Wall-clock seconds of an iteration of Lloyd's algorithm.
    iteration_seconds: f64,
    /// Number of iterations until no point changed its cluster, or the largest allowed number.
    iterations: usize,
    /// Mean squared distance of a point to the centre of its cluster.
    inertia_per_point: f64,
    /// Largest resident memory of the process, in bytes.
    peak_rss_bytes: Option<u64>,
}

impl KMeans {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let report = self.measure().map_err(Failure::of_run)?;
        self.result.print(&report, Report::page)
    }

    fn measure(&self) -> Result<Report> {
        let (n, width, n_centres) = (self.points as usize, self.dims as usize, self.clusters as usize);
        let points = match &self.points_file {
            Some(_) => self.read()?,
            None => gaussian_blobs(n, width, n_centres, self.seed),
        };
        let device = medcoss_core::device::by_name(&self.device.name)?;
        let (mut whole, mut initialisations, mut iterations, mut found) = (Vec::new(), Vec::new(), Vec::new(), None);
        // One additional run warms up.
        for run in 0..=self.runs {
            let began = Instant::now();
            let mut marks = Vec::new();
            let clusters = {
                let mut progress = |_: usize, _: usize| {
                    marks.push(began.elapsed().as_secs_f64());
                    Ok(())
                };
                let max_iterations = self.iterations.map_or(KMeansOptions::MAX_ITERATIONS, |most| most as usize);
                let mut options =
                    KMeansOptions { device: &device, max_iterations, tolerance: 0.0, progress: &mut progress };
                match self.mini_batches {
                    true => Clusters::fit_mini_batches(&points, width, n_centres, self.seed, &mut options)?,
                    false => {
                        let seeded = Initialisation::KMeansParallel { n_centres, seed: self.seed };
                        Clusters::fit(&points, width, seeded, &mut options)?
                    }
                }
            };
            if run > 0 {
                whole.push(began.elapsed().as_secs_f64());
                // The first mark comes after the initialisation and one assignment of all points.
                let of_run: Vec<f64> = marks.windows(2).map(|pair| pair[1] - pair[0]).collect();
                let iteration = if of_run.is_empty() { 0.0 } else { median(of_run) };
                initialisations.push(marks.first().copied().unwrap_or_default() - iteration);
                iterations.push(iteration);
            }
            found = Some((clusters, marks.len()));
        }
        let Some((clusters, n_iterations)) = found else { bail!("nothing was measured") };
        Ok(Report {
            measured: match self.mini_batches {
                true => "mini-batch k-means: initialisation and batches, median of the runs",
                false => "k-means: initialisation and iterations of Lloyd's algorithm, median of the runs",
            },
            points: self.points_file.as_ref().map_or("Gaussian blobs".into(), |path| path.display().to_string()),
            device: self.device.name.clone(),
            n_points: n,
            dims: width,
            n_clusters: n_centres,
            runs: self.runs,
            optimised: !cfg!(debug_assertions),
            median_seconds: median(whole),
            initialisation_seconds: median(initialisations),
            iteration_seconds: median(iterations),
            iterations: n_iterations,
            inertia_per_point: clusters.inertia() / n as f64,
            peak_rss_bytes: peak_memory(),
        })
    }

    fn read(&self) -> Result<Vec<f32>> {
        let Some(path) = &self.points_file else { return Ok(Vec::new()) };
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let expected = self.points as usize * self.dims as usize * size_of::<f32>();
        if bytes.len() != expected {
            bail!(
                "{} has {} bytes; {} points of {} float32 values are {expected}\nhint: check --points and --dims",
                path.display(),
                bytes.len(),
                self.points,
                self.dims
            );
        }
        let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => bail!("{} holds {value}; points are finite numbers", path.display()),
            None => Ok(values),
        }
    }
}

impl Report {
    fn page(&self) -> String {
        let mut table = Table::bare();
        let mut line = |name: &str, value: String| table.row([name.to_string(), value]);
        line("whole run", format!("{:.3} s", self.median_seconds));
        line("initialisation", format!("{:.3} s", self.initialisation_seconds));
        line("an iteration", format!("{:.4} s", self.iteration_seconds));
        line("iterations", self.iterations.to_string());
        line("inertia", format!("{:.2} a point", self.inertia_per_point));
        if let Some(bytes) = self.peak_rss_bytes {
            line("peak memory", format!("{} MiB", bytes >> 20));
        }
        format!(
            "{} points of {} values in {} clusters, {}{}; median of {} runs.\n\n{}",
            self.n_points,
            self.dims,
            self.n_clusters,
            self.device,
            built(),
            self.runs,
            table.lines()
        )
    }
}
