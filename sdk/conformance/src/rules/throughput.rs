//! Throughput, measured and not judged: it depends on the machine and on the data.

use medcoss_caller::{FillPattern, View};
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::open_dataset::seed_of;
use crate::outcome::{RuleResult, Stop, measured};
use crate::plugin_under_test::PluginUnderTest;
use crate::samples_under_test::Samples;

/// How long is measured with each number of threads.
const DURATION: Duration = Duration::from_millis(400);

pub(super) fn throughput(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let seed = under_test.request.seed;
    // Caches of files are filled first.
    samples.each(View::Training, seed, |_, _| Ok(()))?;
    let build =
        if under_test.description()?.debug_build { "; a debug build, which is slower than a release" } else { "" };
    let one = rate(&samples, seed, 1)?;
    let two = rate(&samples, seed, 2)?;
    measured(
        format!("{one:.1} samples/s on one thread, {two:.1} on two{build}"),
        [("samples_per_second_1_thread", one), ("samples_per_second_2_threads", two)],
    )
}

/// Samples a second in the training view, over all threads together.
fn rate(samples: &Samples, seed: u64, n_threads: usize) -> Result<f64, Stop> {
    let dataset = &samples.dataset;
    let indices = &samples.indices;
    let begin = Instant::now();
    let read = |thread: usize| -> Result<usize, Stop> {
        let mut batch = Batch::new(&dataset.shape, FillPattern::EmptySample);
        let mut n = 0;
        while n == 0 || begin.elapsed() < DURATION {
            let index = indices[(thread + n) % indices.len()];
            dataset.fill(View::Training, &[index], &[seed_of(seed, n as u64)], &mut batch)?;
            n += 1;
        }
        Ok(n)
    };
    let counts: Vec<Result<usize, Stop>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..n_threads)
            .map(|thread| {
                scope.spawn({
                    let read = &read;
                    move || read(thread)
                })
            })
            .collect();
        let died = || Err(Stop::Skip("a thread that measures died".into()));
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
    });
    let n: usize = counts.into_iter().sum::<Result<usize, Stop>>()?;
    Ok(n as f64 / begin.elapsed().as_secs_f64())
}
