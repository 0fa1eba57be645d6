//! Names of the files and folders that the runtime adds to a run.

/// Record of a run's configuration.
pub const RECORD: &str = "run.toml";
/// Plugins that made a run.
pub const PLUGINS_LOCK: &str = "plugins.lock";
/// Folder, in a stage's, of what its plugin learned from the data.
pub const ASSETS: &str = "assets";
/// Times of a stage's epochs.
pub const TIMING: &str = "timing.jsonl";
/// Folder of evaluations.
pub const EVALUATIONS: &str = "evaluation";
