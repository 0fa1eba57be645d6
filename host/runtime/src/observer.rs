//! Observers follow a run or other work, and can stop it. The program implements them with progress bars and lines.
//! Another program implements the methods that it needs, or uses [`Silent`].

use std::cell::Cell;

use medcoss_core::data::DataAccount;
use medcoss_core::stage::Observer;
use medcoss_core::weights::InitialModel;

/// Observer of a run's stages.
pub trait RunObserver: Observer {
    /// A fact about the run, as one line for people: a finished stage that is skipped, the disk space that a buffer
    /// will take.
    fn notice(&mut self, message: &str) {
        let _ = message;
    }

    /// The data of a stage were opened.
    fn data_opened(&mut self, report: &DataReport<'_>) {
        let _ = report;
    }

    /// The initial weights were read from a file and written into the run.
    fn weights_imported(&mut self, model: &InitialModel) {
        let _ = model;
    }
}

/// The data of a stage, as they were opened.
#[derive(Debug, Clone, Copy)]
pub struct DataReport<'a> {
    /// Position of the stage in the run, from 1.
    pub stage: usize,
    /// Modality of the stage.
    pub modality: &'a str,
    /// Number of samples.
    pub n_samples: usize,
    /// What became of the files.
    pub account: &'a DataAccount,
}

/// Progress of some work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkReport<'a> {
    /// Description of the present activity.
    pub activity: &'a str,
    /// Number of finished items.
    pub done: u64,
    /// Number of all items, as far as it is known.
    pub total: u64,
}

/// Observer of work beside the training: an evaluation, a report, an estimate.
pub trait WorkObserver {
    /// The work made progress.
    fn progress(&self, report: &WorkReport<'_>) {
        let _ = report;
    }

    /// Whether someone has asked to stop. The work then ends with [`medcoss_core::Error::Interrupted`].
    fn stop_requested(&self) -> bool {
        false
    }
}

/// A function that returns whether someone has asked to stop.
pub type StopSignal<'a> = &'a dyn Fn() -> bool;

/// An observer that shows nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
impl RunObserver for Silent {}
impl WorkObserver for Silent {}

/// The progress of some work, for the functions that do it.
pub(crate) struct WorkTracker<'a> {
    observer: &'a dyn WorkObserver,
    activity: Cell<String>,
    done: Cell<u64>,
    total: Cell<u64>,
    place: &'static str,
    remaining: &'static str,
}

impl<'a> WorkTracker<'a> {
    /// A tracker for work of `total` items. An interruption reports where it happened (`place`) and which result it
    /// leaves (`remaining`).
    pub(crate) fn new(
        observer: &'a dyn WorkObserver,
        total: u64,
        place: &'static str,
        remaining: &'static str,
    ) -> Self {
        let (done, total) = (Cell::new(0), Cell::new(total));
        Self { observer, activity: Cell::default(), done, total, place, remaining }
    }

    /// Names the activity from now on.
    pub(crate) fn begin(&self, activity: String) {
        self.activity.set(activity);
        self.report();
    }

    /// Number of finished items.
    pub(crate) fn done(&self) -> u64 {
        self.done.get()
    }

    /// Sets the number of finished items.
    pub(crate) fn set_done(&self, done: u64) {
        self.done.set(done);
        self.report();
    }

    /// Adds to the number of finished items.
    pub(crate) fn advance(&self, n: u64) {
        self.set_done(self.done.get() + n);
    }

    /// Adds to the number of all items.
    pub(crate) fn extend(&self, n: u64) {
        self.total.set(self.total.get() + n);
        self.report();
    }

    /// Returns an error once someone has asked to stop.
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

/// Whether a request to stop caused an error.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    let is_it = |layer: &(dyn std::error::Error + 'static)| {
        layer.downcast_ref().is_some_and(|error| matches!(error, medcoss_core::Error::Interrupted { .. }))
    };
    error.chain().any(is_it)
}
