//! The workers of a library. A call takes an idle one, or starts another while there are fewer than cores; so there are as many as threads
//! of the host that call at once.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::worker::Worker;
use crate::{Failure, Package};

/// Workers, and the datasets that are open.
pub(crate) struct Pool {
    package: Package,
    described: OnceLock<Value>,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Worker>,
    n_busy: usize,
    /// Datasets that the host has open.
    open: HashSet<u64>,
    n_opened: u64,
}

/// A worker that is in use; it goes back when dropped, also by a panic.
struct Busy<'a> {
    pool: &'a Pool,
    worker: Option<Worker>,
}

impl Pool {
    pub(crate) fn new(package: Package) -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        Self { package, described: OnceLock::new(), most, state: Mutex::default(), returned: Condvar::new() }
    }

    pub(crate) fn package(&self) -> &Package {
        &self.package
    }

    /// The description that was packed; for development, that of the module when it was first asked for.
    ///
    /// # Errors
    /// For development: what the module reports, and an id other than that of the library.
    pub(crate) fn description(&self) -> Result<&Value, Failure> {
        if let Some(description) = self.package.description.as_ref().or(self.described.get()) {
            return Ok(description);
        }
        let mut description = self.with_worker(None, Worker::describe)?;
        let (id, packed) = (&description["id"], &self.package.id);
        if id != packed.as_str() {
            return Err(Failure::bad_request(format!(
                "the module's id is {id}, and the library was packed as {packed}
hint: run `medcoss plugin pack` again"
            )));
        }
        // Build metadata: what such a library runs is not determined by its digest, and records of a run should show that.
        if let Some(version) = description["version"].as_str() {
            let separator = if version.contains('+') { "." } else { "+" };
            description["version"] = format!("{version}{separator}dev").into();
        }
        Ok(self.described.get_or_init(|| description))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a dataset that is to be opened. It counts as open from now on.
    pub(crate) fn add_dataset(&self) -> u64 {
        let mut state = self.state();
        state.n_opened += 1;
        let dataset = state.n_opened;
        state.open.insert(dataset);
        dataset
    }

    /// Closes a dataset in all workers. The last one takes all idle workers with it.
    pub(crate) fn remove_dataset(&self, dataset: u64) {
        let mut state = self.state();
        state.open.remove(&dataset);
        let kept = std::mem::take(&mut state.idle).into_iter().filter_map(|worker| tidied(worker, &state.open));
        let kept = kept.collect();
        state.idle = kept;
    }

    /// Does some work with a worker, if possible with one that has a dataset open.
    ///
    /// # Errors
    /// A worker that cannot be started, and what the work gives.
    pub(crate) fn with_worker<T>(
        &self,
        dataset: Option<u64>,
        work: impl FnOnce(&mut Worker) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut busy = Busy { pool: self, worker: self.take_idle(dataset) };
        let worker = match &mut busy.worker {
            Some(worker) => worker,
            none => none.insert(Worker::start(&self.package)?),
        };
        work(worker)
    }

    /// An idle worker, or none where another may be started. Waits while all are busy.
    fn take_idle(&self, dataset: Option<u64>) -> Option<Worker> {
        let mut state = self.state();
        while state.idle.is_empty() && state.n_busy >= self.most {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.n_busy += 1;
        state.idle.retain_mut(Worker::runs);
        let has_it = |worker: &Worker| dataset.is_some_and(|dataset| worker.datasets.contains(&dataset));
        match state.idle.iter().position(has_it) {
            Some(at) => Some(state.idle.swap_remove(at)),
            None => state.idle.pop(),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.n_busy -= 1;
        // Before the first dataset a worker waits for the `open` that will follow.
        let is_before = state.n_opened == 0;
        let worker = self.worker.take().filter(Worker::is_alive);
        let worker = if is_before { worker } else { worker.and_then(|worker| tidied(worker, &state.open)) };
        state.idle.extend(worker);
        self.pool.returned.notify_one();
    }
}

/// A worker in which only open datasets are open; none where nothing is open.
fn tidied(mut worker: Worker, open: &HashSet<u64>) -> Option<Worker> {
    if open.is_empty() {
        return None;
    }
    let closed: Vec<u64> = worker.datasets.difference(open).copied().collect();
    for dataset in closed {
        worker.datasets.remove(&dataset);
        worker.send(&json!({ "operation": "close", "dataset": dataset }), &[], "it closed a dataset").ok()?;
    }
    Some(worker)
}
