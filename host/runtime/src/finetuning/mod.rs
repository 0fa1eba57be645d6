//! Fine-tuning of a run's model on a task, into a folder that `predict` reads.
//!
//! A task is a `[[task]]` of a tasks file with `[task.finetune]` (`section`). Its samples are labelled and grouped as for an evaluation; `targets` gives the
//! trainer what they are, `tuning` opens everything and trains, `test_scores` measures the kept model on the test split.

mod kept;
mod section;
mod source;
mod targets;
mod test_scores;
mod tuning;

pub use kept::{KeptModel, finetune_or_read};
pub use section::{FinetuneSection, TargetName};
pub use source::ModelSource;
pub use test_scores::{CaseScore, TestScore};
pub use tuning::{FinetuneOptions, FinetuneReport, TuningObserver, finetune_run};
