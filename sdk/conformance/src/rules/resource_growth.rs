//! Growth over many calls: memory, threads, open files. Read from Linux's `/proc`.
//!
//! Other threads of the process (other tests, in an author's crate) disturb the figures. So a resource counts as growing
//! only when it grew in nearly every round and by more than its tolerance over all of them, and again each time when it
//! was measured anew, after the process had been quiet.

use medcoss_caller::{FillPattern, View};
use std::fs;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::growth::Growth;
use crate::open_dataset::{OpenDataset, seed_of};
use crate::outcome::{RuleResult, Stop, measured, violation};
use crate::plugin_under_test::PluginUnderTest;

/// Measured rounds; two more come before them, in which caches and allocators take what they keep.
const N_ROUNDS: usize = 8;
/// Rounds that must have grown.
const N_GROWN: usize = N_ROUNDS - 1;
/// Measurements that must agree before growth is believed.
const N_MEASUREMENTS: usize = 3;
/// Growth of resident memory over all rounds that is skipped, in bytes: allocators keep pieces.
const MEMORY_TOLERANCE: f64 = (N_ROUNDS * 64 * 1024) as f64;
/// Quick plugins get more calls, so that small leaks add up: as many as fill this time, to a limit.
const ROUND: Duration = Duration::from_millis(50);
const MAX_CALLS: usize = 2000;
/// How often, and how far apart, it is looked whether the rest of the process is quiet.
const N_LOOKS: usize = 30;
const LOOK: Duration = Duration::from_millis(200);

/// One of the figures.
struct Resource {
    name: &'static str,
    unit: &'static str,
    tolerance: f64,
    figures: fn(&Growth) -> &[f64],
    remedy: &'static str,
}

const MEMORY: Resource = Resource {
    name: "resident memory",
    unit: "bytes",
    tolerance: MEMORY_TOLERANCE,
    figures: |growth| &growth.memory,
    remedy: "free what a call allocates; bound caches",
};
const THREADS: Resource = Resource {
    name: "the number of threads",
    unit: "threads",
    tolerance: 0.0,
    figures: |growth| &growth.threads,
    remedy: "start no threads: the host loads samples on its own",
};
const FILES: Resource = Resource {
    name: "the number of open files",
    unit: "files",
    tolerance: 0.0,
    figures: |growth| &growth.files,
    remedy: "close files when a call ends, and all of a dataset's when it is closed",
};

pub(super) fn memory(under_test: &mut PluginUnderTest) -> RuleResult {
    judged(under_test, &MEMORY)
}

/// Threads that are started with each call grow; those that a plugin starts once and parks do not, and are more than
/// there were before the library was loaded.
pub(super) fn threads(under_test: &mut PluginUnderTest) -> RuleResult {
    let judged = judged(under_test, &THREADS)?;
    let (Some(before), Some(Ok(growth))) = (under_test.request.n_threads_before, &under_test.growth) else {
        return Ok(judged);
    };
    let last = growth.threads[growth.threads.len() - 1];
    if last > before as f64 {
        return Err(violation(
            format!("the process has {last} threads after the calls, and had {before} before the library was loaded"),
            THREADS.remedy,
        ));
    }
    Ok(judged)
}

pub(super) fn files(under_test: &mut PluginUnderTest) -> RuleResult {
    judged(under_test, &FILES)
}

fn judged(under_test: &mut PluginUnderTest, resource: &Resource) -> RuleResult {
    let known = match &under_test.growth {
        Some(known) => known.clone(),
        None => {
            let found = measure(under_test);
            under_test.growth.insert(found).clone()
        }
    }?;
    let mut judged = judge(resource, &known);
    for _ in 1..N_MEASUREMENTS {
        if judged.is_ok() {
            break;
        }
        wait_for_quiet()?;
        judged = judge(resource, &measure(under_test)?);
    }
    judged
}

/// Without calls nothing of the plugin grows: what does is somebody else's, who is given some time to end.
fn wait_for_quiet() -> Result<(), Stop> {
    let mut before = resident_bytes()?;
    for _ in 0..N_LOOKS {
        std::thread::sleep(LOOK);
        let now = resident_bytes()?;
        if (now - before).abs() < 4096.0 {
            break;
        }
        before = now;
    }
    Ok(())
}

/// In each round samples are read often, and the data are opened and closed.
fn measure(under_test: &mut PluginUnderTest) -> Result<Growth, Stop> {
    let samples = under_test.samples()?;
    let plugin = under_test.plugin()?;
    let seed = under_test.request.seed;
    let mut n_calls = under_test.request.n_calls.max(1);
    let mut growth = Growth::default();
    // One buffer for all calls, so that only the plugin allocates.
    let mut batch = Batch::new(&samples.dataset.shape, FillPattern::EmptySample);
    for round in 0..N_ROUNDS + 2 {
        let begin = Instant::now();
        let other = OpenDataset::new(plugin, &samples.open)?;
        for call in 0..n_calls {
            let index = samples.indices[call % samples.indices.len()];
            let view = if call % 3 == 2 { View::Evaluation } else { View::Training };
            let from = if call % 4 == 3 { &other } else { &samples.dataset };
            from.fill(view, &[index], &[seed_of(seed, (round * n_calls + call) as u64)], &mut batch)?;
        }
        drop(other);
        if round == 0 {
            let fitting = n_calls as f64 * ROUND.as_secs_f64() / begin.elapsed().as_secs_f64();
            n_calls = n_calls.max((fitting as usize).min(MAX_CALLS));
            growth.n_calls = n_calls * N_ROUNDS;
            continue;
        }
        growth.memory.push(resident_bytes()?);
        growth.threads.push(n_entries("/proc/self/task")?);
        growth.files.push(n_entries("/proc/self/fd")?);
    }
    Ok(growth)
}

fn judge(resource: &Resource, growth: &Growth) -> RuleResult {
    let Resource { name, unit, tolerance, remedy, .. } = resource;
    let (figures, n_calls) = ((resource.figures)(growth), growth.n_calls);
    let n_grown = figures.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let (first, last) = (figures[0], figures[figures.len() - 1]);
    if n_grown >= N_GROWN && last - first > *tolerance {
        return Err(violation(
            format!(
                "{name} grew from {first} to {last} {unit} over {n_calls} calls, in {n_grown} of {N_ROUNDS} rounds; it \
                 should stay as it is"
            ),
            *remedy,
        ));
    }
    measured(
        format!("{first} {unit} at first, {last} after {n_calls} calls"),
        [("first", first), ("last", last), ("calls", n_calls as f64)],
    )
}

fn resident_bytes() -> Result<f64, Stop> {
    let text = fs::read_to_string("/proc/self/status").map_err(|error| not_reported(&error))?;
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kibibytes.map(|kibibytes| 1024.0 * kibibytes).ok_or_else(|| Stop::Skip("the system does not report it".into()))
}

fn n_entries(folder: &str) -> Result<f64, Stop> {
    fs::read_dir(folder).map(|entries| entries.count() as f64).map_err(|error| not_reported(&error))
}

fn not_reported(error: &std::io::Error) -> Stop {
    Stop::Skip(format!("the system does not report it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_growth_is_distinguished_from_a_jump_and_from_noise() {
        let judged = |figures: [f64; 9]| {
            let resource = Resource { tolerance: 10.0, ..MEMORY };
            judge(&resource, &Growth { memory: figures.to_vec(), ..Growth::default() }).is_ok()
        };
        assert!(!judged([0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 12.0, 14.0]));
        assert!(judged([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
        assert!(judged([0.0, 0.0, 90.0, 90.0, 90.0, 90.0, 90.0, 90.0, 90.0]));
        assert!(judged([50.0, 70.0, 50.0, 70.0, 50.0, 70.0, 50.0, 70.0, 50.0]));
    }

    #[test]
    fn the_system_tells_of_memory_threads_and_files() {
        let before = resident_bytes().unwrap();
        let held = vec![1u8; 32 << 20];
        assert!(resident_bytes().unwrap() - before > 16e6, "{}", held.len());
        let files = n_entries("/proc/self/fd").unwrap();
        let opened: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        assert!(n_entries("/proc/self/fd").unwrap() >= files + 40.0, "{}", opened.len());
    }
}
