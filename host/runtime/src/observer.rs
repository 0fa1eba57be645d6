//! Observers follow a run or other work, and say when to stop. The program implements them with progress bars and lines; another program
//! implements what it needs, or uses [`Silent`].

use std::cell::Cell;

use medcoss_core::stage::Observer;
use medcoss_core::weights::InitialModel;

/// Watches a run's stages.
pub trait RunObserver: Observer {
    /// A fact about the run, as one line for people: a stage that is already done, the disk that a buffer will take.
    fn notice(&mut self, message: &str) {
        let _ = message;
    }

    /// The weights that the run begins with were read from a file and written into the run.
    fn weights_imported(&mut self, model: &InitialModel) {
        let _ = model;
    }
}

/// How far some work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkReport<'a> {
    /// What is being done at the moment.
    pub activity: &'a str,
    /// Items that are done.
    pub done: u64,
    /// Items there are, as far as is known.
    pub total: u64,
}

/// Watches work beside the training: an evaluation, a report, a plan.
pub trait WorkObserver {
    /// The work got further.
    fn progress(&self, report: &WorkReport<'_>) {
        let _ = report;
    }

    /// True once someone has asked to stop. The work then ends with [`medcoss_core::Error::Interrupted`].
    fn stop_requested(&self) -> bool {
        false
    }
}

/// Asks whether someone has asked to stop.
pub type StopSignal<'a> = &'a dyn Fn() -> bool;

/// Shows nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
impl RunObserver for Silent {}
impl WorkObserver for Silent {}

/// The state of some work, for the functions that do it.
pub(crate) struct WorkTracker<'a> {
    observer: &'a dyn WorkObserver,
    activity: Cell<String>,
    done: Cell<u64>,
    total: Cell<u64>,
    place: &'static str,
    remaining: &'static str,
}

impl<'a> WorkTracker<'a> {
    /// Work of `total` items. An interruption says in which work (`place`) and what it leaves behind (`remaining`).
    pub(crate) fn new(
        observer: &'a dyn WorkObserver,
        total: u64,
        place: &'static str,
        remaining: &'static str,
    ) -> Self {
        let (done, total) = (Cell::new(0), Cell::new(total));
        Self { observer, activity: Cell::default(), done, total, place, remaining }
    }

    /// Names what is done from now on.
    pub(crate) fn begin(&self, activity: String) {
        self.activity.set(activity);
        self.report();
    }

    /// Items that are done.
    pub(crate) fn done(&self) -> u64 {
        self.done.get()
    }

    /// Sets the items that are done.
    pub(crate) fn set_done(&self, done: u64) {
        self.done.set(done);
        self.report();
    }

    /// Counts items as done.
    pub(crate) fn advance(&self, n: u64) {
        self.set_done(self.done.get() + n);
    }

    /// More items have become known.
    pub(crate) fn extend(&self, n: u64) {
        self.total.set(self.total.get() + n);
        self.report();
    }

    /// An error once someone has asked to stop.
    pub(crate) fn check_stop(&self) -> medcoss_core::Result<()> {
        match self.observer.stop_requested() {
            true => {
                Err(medcoss_core::Error::Interrupted { place: self.place.into(), checkpoint: self.remaining.into() })
            }
            false => Ok(()),
        }
    }

    fn report(&self) {
        let activity = self.activity.take();
        let (done, total) = (self.done.get(), self.total.get());
        self.observer.progress(&WorkReport { activity: &activity, done, total });
        self.activity.set(activity);
    }
}

/// Whether an error came of a request to stop.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    let is_it = |layer: &(dyn std::error::Error + 'static)| {
        layer.downcast_ref().is_some_and(|error| matches!(error, medcoss_core::Error::Interrupted { .. }))
    };
    error.chain().any(is_it)
}
