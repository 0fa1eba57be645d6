//! Series from `metrics.jsonl` and `timing.jsonl`. Fields are not fixed: metrics that later versions add are shown as
//! well.

use std::collections::{BTreeMap, BTreeSet};

use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::read_text;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fields that give the position of a line.
const PLACE: [&str; 4] = ["stage", "modality", "epoch", "step"];

/// Metrics of one epoch.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct EpochLine {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Number of batches since the start of the stage.
    pub step: u64,
    /// Scalar metrics by field, such as `learning_rate`.
    pub scalars: BTreeMap<String, f64>,
    /// Metrics by field and modality, such as `pretext` and `distillation`.
    pub maps: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Reads a stage's `metrics.jsonl`; empty if the file is missing. Invalid lines (such as the last line of a run that
/// was killed) are counted and skipped.
pub(crate) fn read_epochs(path: &ConfinedPath) -> (Vec<EpochLine>, usize) {
    let (lines, n_invalid): (Vec<Value>, usize) = read_lines(path);
    let epochs: Vec<EpochLine> = lines.iter().filter_map(epoch_line).collect();
    let n_invalid = n_invalid + lines.len() - epochs.len();
    (epochs, n_invalid)
}

fn read_lines<T: DeserializeOwned>(path: &ConfinedPath) -> (Vec<T>, usize) {
    let text = read_text(path).unwrap_or_default();
    let lines: Vec<T> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let n_invalid = text.lines().count() - lines.len();
    (lines, n_invalid)
}

fn epoch_line(line: &Value) -> Option<EpochLine> {
    let fields = line.as_object()?;
    let epoch = usize::try_from(fields.get("epoch")?.as_u64()?).ok()?;
    let step = fields.get("step").and_then(Value::as_u64).unwrap_or_default();
    let mut read = EpochLine { epoch, step, ..EpochLine::default() };
    for (name, value) in fields.iter().filter(|(name, _)| !PLACE.contains(&name.as_str())) {
        if let Some(value) = value.as_f64() {
            read.scalars.insert(name.clone(), value);
        } else if let Some(map) = value.as_object() {
            let numbers = map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)));
            read.maps.insert(name.clone(), numbers.collect());
        }
    }
    Some(read)
}

/// Names of all fields that hold maps, `pretext` and `distillation` first.
pub(crate) fn map_fields<'a>(lines: impl Iterator<Item = &'a EpochLine>) -> Vec<String> {
    let found: BTreeSet<&str> = lines
        .flat_map(|line| line.maps.iter())
        .filter(|(_, map)| !map.is_empty())
        .map(|(name, _)| name.as_str())
        .collect();
    let known = ["pretext", "distillation"].into_iter().filter(|name| found.contains(name));
    let rest = found.iter().copied().filter(|name| !["pretext", "distillation"].contains(name));
    known.chain(rest).map(String::from).collect()
}

/// Names of all fields that hold one number, `learning_rate` first.
pub(crate) fn scalar_fields<'a>(lines: impl Iterator<Item = &'a EpochLine>) -> Vec<String> {
    let found: BTreeSet<&str> = lines.flat_map(|line| line.scalars.keys()).map(String::as_str).collect();
    let known = ["learning_rate"].into_iter().filter(|name| found.contains(name));
    known.chain(found.iter().copied().filter(|name| *name != "learning_rate")).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::EpochTime;

    #[test]
    fn times_of_earlier_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join(medcoss_core::run::RunLayout::TIMING);
        let text = "{\"epoch\":1,\"n_samples\":8,\"seconds\":2.5}\n\
                    {\"epoch\":2,\"n_samples\":8,\"seconds\":2.0,\"peak_rss_bytes\":7,\"waited_seconds\":0.5}\n";
        std::fs::write(path.path(), text).unwrap();
        let times = EpochTime::read(&path);
        assert_eq!(times.iter().map(|time| time.waited_seconds).collect::<Vec<_>>(), [None, Some(0.5)]);
    }

    #[test]
    fn numbers_that_nobody_knows_yet_are_read_and_a_torn_line_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("metrics.jsonl");
        let text = "{\"stage\":2,\"modality\":\"b\",\"epoch\":1,\"step\":7,\"learning_rate\":0.5,\"pretext\":{\"b\":1.5},\
                    \"distillation\":{},\"penalty\":{\"a\":0.25},\"entropy\":2}\n{\"stage\":2,\"epo";
        std::fs::write(path.path(), text).unwrap();
        let (lines, n_invalid) = read_epochs(&path);
        assert_eq!((lines.len(), n_invalid), (1, 1));
        assert_eq!((lines[0].epoch, lines[0].step, lines[0].scalars["entropy"]), (1, 7, 2.0));
        assert_eq!(lines[0].maps["penalty"]["a"], 0.25);
        assert_eq!(map_fields(lines.iter()), ["pretext", "penalty"]);
        assert_eq!(scalar_fields(lines.iter()), ["learning_rate", "entropy"]);
        assert_eq!(read_epochs(&path.parent().join("none")), (Vec::new(), 0));
    }
}
