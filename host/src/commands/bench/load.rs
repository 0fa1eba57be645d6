//! `medcoss bench load`: the speed of loading samples from their files, through the plugin, into the buffers that
//! training reads.

use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use medcoss_core::data::{Dataset, RawBatch, View};
use medcoss_runtime::plugin_dataset::PluginDataset;
use nix::sys::resource::{UsageWho, getrusage};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::measurement::{N_WARM_UP, built, median};
use crate::arguments::{DataArgs, PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::tables::Table;

/// Seed of the order in which samples are read.
const ORDER_SEED: u64 = 7;

/// Measure how fast samples are loaded
///
/// The command fills batches in the training view, as training does: the plugin decodes, augments, tokenises and masks
/// the samples, and the host checks its answers. Samples are read in a random order, the same for each iteration, with
/// new seeds each time. After three iterations to warm up, --iterations are measured; the numbers of threads alternate.
/// Only the first iteration reads from the disk; the others measure decoding and preparation.
///
/// Volumes that fit into the plugin's `cache_mb` are decoded once and kept; --set cache_mb=0 measures their decoding.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss bench load --modality xray --data chest/2024
  medcoss bench load --modality ct --data ct --set size=[16,96,96] --set cache_mb=0 --samples 32 --batch 4
  medcoss bench load --modality xray --data chest --threads 1,2,4,8 --iterations 11 --json")]
pub(crate) struct Load {
    #[command(flatten)]
    data: DataArgs,
    /// Number of samples in an iteration; a smaller dataset is repeated
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Number of samples in a batch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Numbers of threads to measure with
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Vec<u32>,
    /// Number of iterations to measure with each number of threads
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(5..=10_000))]
    iterations: u32,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    measured: &'static str,
    plugin: String,
    location: String,
    modality: String,
    /// Number of samples in the data.
    n_samples: usize,
    /// Number of samples in an iteration.
    samples: usize,
    batch_size: usize,
    iterations: u32,
    optimised: bool,
    /// Wall-clock seconds of an iteration with the first number of threads.
    median_seconds: f64,
    /// Samples per second with the first number of threads.
    samples_per_second: f64,
    by_threads: Vec<OfThreads>,
    /// Exponent of the growth of samples per second with the number of threads: 1 for linear scaling; `None` with a
    /// single number of threads.
    scaling_exponent: Option<f64>,
}

/// Median durations over the iterations with one number of threads.
#[derive(Debug, Serialize)]
struct OfThreads {
    threads: u32,
    /// Median wall-clock seconds of an iteration.
    median_seconds: f64,
    /// Median seconds of all cores together, in user and system mode, which other programs on the machine change
    /// little.
    median_cpu_seconds: f64,
    samples_per_second: f64,
    samples_per_second_and_thread: f64,
}

impl Load {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let plugin = self.plugins.registry()?.load(&self.data.modality).map_err(Failure::user)?;
        let source = self.data.open(&plugin).map_err(Failure::of_run)?;
        let by_threads = self.measure(&source).map_err(Failure::of_run)?;
        let report = Report {
            measured: "filling the batches of an iteration in the training view, by the median of the iterations",
            plugin: plugin.name().into(),
            location: plugin.location().to_string(),
            modality: self.data.modality.clone(),
            n_samples: source.ids().len(),
            samples: self.samples as usize,
            batch_size: self.batch as usize,
            iterations: self.iterations,
            optimised: !cfg!(debug_assertions),
            median_seconds: by_threads[0].median_seconds,
            samples_per_second: by_threads[0].samples_per_second,
            scaling_exponent: exponent(&by_threads),
            by_threads,
        };
        self.result.print(&report, Report::page)
    }

    fn measure(&self, source: &PluginDataset) -> Result<Vec<OfThreads>> {
        let indices = order(source.ids().len(), self.samples as usize);
        let most = self.threads.iter().copied().max().unwrap_or(1);
        let mut buffers: Vec<RawBatch> = (0..most).map(|_| RawBatch::default()).collect();
        let mut seconds: Vec<[Vec<f64>; 2]> = self.threads.iter().map(|_| Default::default()).collect();
        for round in 0..N_WARM_UP + self.iterations as usize {
            let first_seed = (round * indices.len()) as u64;
            for (&threads, [wall, cpu]) in self.threads.iter().zip(&mut seconds) {
                let (begin, cpu_begin) = (Instant::now(), cpu_seconds()?);
                self.fill(source, &indices, first_seed, &mut buffers[..threads as usize])?;
                if round >= N_WARM_UP {
                    wall.push(begin.elapsed().as_secs_f64());
                    cpu.push(cpu_seconds()? - cpu_begin);
                }
            }
        }
        let medians = self.threads.iter().zip(seconds).map(|(&threads, [wall, cpu])| {
            let (median_seconds, median_cpu_seconds) = (median(wall), median(cpu));
            let samples_per_second = indices.len() as f64 / median_seconds;
            let samples_per_second_and_thread = samples_per_second / f64::from(threads);
            OfThreads { threads, median_seconds, median_cpu_seconds, samples_per_second, samples_per_second_and_thread }
        });
        Ok(medians.collect())
    }

    /// Fills all batches with one thread for each buffer. Threads take batches in turn, as the loader's threads do.
    fn fill(&self, source: &PluginDataset, indices: &[u64], first_seed: u64, buffers: &mut [RawBatch]) -> Result<()> {
        let n_threads = buffers.len();
        let size = self.batch as usize;
        let work = |thread: usize, buffer: &mut RawBatch| {
            for (at, batch) in indices.chunks(size).enumerate().skip(thread).step_by(n_threads) {
                let seeds: Vec<u64> =
                    (0..batch.len() as u64).map(|slot| first_seed + (at * size) as u64 + slot).collect();
                if let Some(invalid) = source.fill(View::Training, batch, &seeds, buffer)?.first() {
                    let (id, reason) = (&source.ids()[batch[invalid.slot] as usize], &invalid.message);
                    return Err(anyhow!(
                        "sample {id} cannot be read: {reason}\nhint: measure with valid data; `medcoss data check` names \
                         the samples that are not"
                    ));
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let work = &work;
            let spawn = |(thread, buffer)| scope.spawn(move || work(thread, buffer));
            let threads: Vec<_> = buffers.iter_mut().enumerate().map(spawn).collect();
            let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?);
            ended.collect()
        })
    }
}

/// Indices of the samples that an iteration reads: all in a random order, repeated up to the requested number.
fn order(n_samples: usize, n_wanted: usize) -> Vec<u64> {
    let mut indices: Vec<u64> = (0..n_samples as u64).collect();
    indices.shuffle(&mut ChaCha8Rng::seed_from_u64(ORDER_SEED));
    indices.into_iter().cycle().take(n_wanted).collect()
}

/// CPU seconds that this process has used so far, over all cores.
fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds =
        [usage.user_time(), usage.system_time()].map(|time| time.tv_sec() as f64 + 1e-6 * time.tv_usec() as f64);
    Ok(seconds.iter().sum())
}

/// Slope of the logarithm of samples per second over the logarithm of the number of threads, by least squares.
fn exponent(by_threads: &[OfThreads]) -> Option<f64> {
    let n = by_threads.len() as f64;
    let x = by_threads.iter().map(|of| f64::from(of.threads).ln());
    let y = by_threads.iter().map(|of| of.samples_per_second.ln());
    let (mean_x, mean_y) = (x.clone().sum::<f64>() / n, y.clone().sum::<f64>() / n);
    let spread: f64 = x.clone().map(|x| (x - mean_x).powi(2)).sum();
    (spread > 0.0).then(|| x.zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread)
}

impl Report {
    fn page(&self) -> String {
        let mut table = Table::new(&["threads", "ms a batch", "samples/s", "a thread", "CPU ms a sample"]);
        let n_batches = self.samples.div_ceil(self.batch_size) as f64;
        for of in &self.by_threads {
            table.row([
                of.threads.to_string(),
                format!("{:.3}", 1000.0 * of.median_seconds / n_batches),
                format!("{:.1}", of.samples_per_second),
                format!("{:.1}", of.samples_per_second_and_thread),
                format!("{:.3}", 1000.0 * of.median_cpu_seconds / self.samples as f64),
            ]);
        }
        let exponent =
            self.scaling_exponent.map(|power| format!("\nsamples/s grow as threads to the power {power:.2}\n"));
        format!(
            "{} ({}), {} samples an iteration, batches of {}; medians of {} iterations{}\n\n{}{}",
            self.plugin,
            self.location,
            self.samples,
            self.batch_size,
            self.iterations,
            built(),
            table.lines(),
            exponent.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(threads: u32, samples_per_second: f64) -> OfThreads {
        OfThreads {
            threads,
            median_seconds: 1.0,
            median_cpu_seconds: 1.0,
            samples_per_second,
            samples_per_second_and_thread: samples_per_second / f64::from(threads),
        }
    }

    #[test]
    fn the_exponent_is_that_of_a_power_law() {
        let power = |exponent: f64| [1, 2, 3, 8].map(|n| measured(n, 70.0 * f64::from(n).powf(exponent)));
        for expected in [1.0, 0.5, 0.0] {
            assert!((exponent(&power(expected)).unwrap() - expected).abs() < 1e-9);
        }
        assert_eq!(exponent(&[measured(2, 5.0)]), None);
        assert_eq!(exponent(&[measured(2, 5.0), measured(2, 6.0)]), None);
    }

    #[test]
    fn every_sample_comes_before_any_comes_again() {
        let indices = order(5, 13);
        assert_eq!(indices.len(), 13);
        let mut first = indices[..5].to_vec();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2, 3, 4]);
        assert_eq!(indices[5..10], indices[..5]);
        assert_eq!(order(5, 3), indices[..3]);
    }
}
