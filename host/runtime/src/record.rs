//! The record of a run's configuration, with a checksum, and the settings that may differ when the run continues.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::run::{CHECKSUM_PLACEHOLDER, FORMAT, insert_checksum, read_text, verify_checksum, write_atomically};

use crate::config::RunConfig;
use crate::renamed_settings::migrate_record;

/// Settings that may differ when a run continues, since they change no result.
pub const MAY_CHANGE: [&str; 5] = [
    "data.num_workers",
    "data.max_invalid_fraction",
    "training.checkpoint_every",
    "training.checkpoint_every_steps",
    "training.loss_every_steps",
];

/// Prefix of the line that holds a record's checksum.
pub(crate) const CHECKSUM: &str = "# checksum: ";

/// Prefix of the checksum line in formats 2 and 3.
pub(crate) const CHECKSUM_BEFORE_FORMAT_4: &str = "# seal: ";

impl RunConfig {
    /// Reads the record of a run's configuration.
    ///
    /// # Errors
    /// A file that is missing, was changed, or has a later format.
    pub fn read_record(path: &ConfinedPath) -> Result<Self> {
        let text = read_with_checksum(path)?;
        let mut record: toml::Table =
            text.parse().map_err(|error| anyhow!("{} is damaged: {error}", path.display()))?;
        let format = record.get("format").and_then(toml::Value::as_integer);
        if format.is_none_or(|format| !(1..=i64::from(FORMAT)).contains(&format)) {
            let found = format.map_or("no format".into(), |format| format!("format {format}"));
            bail!(
                "{} has {found}; this version of medcoss reads formats 1 to {FORMAT}\nhint: update medcoss",
                path.display()
            );
        }
        if format.is_some_and(|format| format < 4) {
            migrate_record(&mut record);
        }
        let config: Self = record.try_into().map_err(|error| anyhow!("{} is damaged: {error}", path.display()))?;
        if config.stages.is_empty() && config.model.init.is_none() {
            bail!("{} is damaged: it has neither stages nor a model to begin with", path.display());
        }
        config.check()?;
        Ok(Self { format: None, ..config })
    }

    /// Writes the record.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_record(&self, path: &ConfinedPath) -> Result<()> {
        let record = Self { format: Some(FORMAT), strategy: self.strategy.selected(), ..self.clone() };
        write_with_checksum(
            path,
            &toml::to_string_pretty(&record).context("the configuration cannot be written as TOML")?,
        )
    }

    /// Checks that a run can continue with this configuration. Stages may be added at the end.
    ///
    /// # Errors
    /// The first setting that differs and may not change.
    pub fn continues(&self, before: &Self) -> Result<()> {
        let flat = |config: &Self| -> Result<BTreeMap<String, toml::Value>> {
            let mut all = BTreeMap::new();
            let strategy = config.strategy.selected();
            flatten("", &toml::Value::try_from(Self { strategy, ..config.clone() })?, &mut all);
            Ok(all)
        };
        let (now, then) = (flat(self)?, flat(before)?);
        for key in then.keys().chain(now.keys()).filter(|key| !MAY_CHANGE.contains(&key.as_str())) {
            let added = key.strip_prefix("stage.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
            if added.is_some_and(|stage| stage >= before.stages.len()) || now.get(key) == then.get(key) {
                continue;
            }
            let show = |value: Option<&toml::Value>| value.map_or("not set".into(), toml::Value::to_string);
            bail!(
                "{key} was {} when the run began and is {} now\n\
                 hint: a run continues with its settings ({} may change, stages may be added at the end); start a new run to change others",
                show(then.get(key)),
                show(now.get(key)),
                MAY_CHANGE.join(", ")
            );
        }
        Ok(())
    }
}

/// Reads a text file of a run whose last line holds its checksum.
///
/// # Errors
/// A file that is missing or was changed.
pub fn read_with_checksum(path: &ConfinedPath) -> Result<String> {
    let text = read_text(path).with_context(|| {
        let path = path.display();
        format!("cannot read {path}\nhint: name the folder of a run, as `medcoss pretrain --out` wrote it")
    })?;
    let marker = if text.contains(CHECKSUM) { CHECKSUM } else { CHECKSUM_BEFORE_FORMAT_4 };
    verify_checksum(text.as_bytes(), marker).map_err(|fault| {
        anyhow!(
            "{} was changed: {fault}\n\
             hint: restore it; settings of a run are changed with --set, not in this file",
            path.display()
        )
    })?;
    Ok(text)
}

/// Writes a text file with its checksum as the last line; the text must allow for comments that begin with `#`.
///
/// # Errors
/// A file that cannot be written.
pub fn write_with_checksum(path: &ConfinedPath, text: &str) -> Result<()> {
    let text = insert_checksum(&format!("{}\n\n{CHECKSUM}{CHECKSUM_PLACEHOLDER}\n", text.trim_end()), CHECKSUM);
    Ok(write_atomically(path, text.as_bytes())?)
}

fn flatten(prefix: &str, value: &toml::Value, into: &mut BTreeMap<String, toml::Value>) {
    let mut inner = |name: &str, value| {
        let key = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        flatten(&key, value, into);
    };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(name, value)| inner(name, value)),
        toml::Value::Array(values) if values.iter().any(toml::Value::is_table) => {
            values.iter().enumerate().for_each(|(at, value)| inner(&at.to_string(), value));
        }
        value => {
            into.insert(prefix.into(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "
        [model]
        preset = \"vit-tiny\"
        [training]
        epochs = 3
        batch_size = 4
        [[stage]]
        modality = \"text\"
        data = \"reports\"
        [[stage]]
        modality = \"gait\"
        data = [\"a\", \"b\"]
        epochs = 7
        options = { leads = 12 }
    ";

    fn read(text: &str, settings: &[&str]) -> Result<RunConfig> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text)?;
        RunConfig::read(&path, &settings.iter().map(|s| s.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn a_record_is_read_as_written_and_a_change_is_noticed() {
        let config = read(MINIMAL, &[]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("run.toml");
        config.write_record(&path).unwrap();
        assert_eq!(RunConfig::read_record(&path).unwrap(), config);
        // A copy of a record is a valid configuration.
        assert_eq!(RunConfig::read(&path.path(), &[]).unwrap(), config);
        let changed = std::fs::read_to_string(path.path()).unwrap().replace("epochs = 7", "epochs = 8");
        std::fs::write(path.path(), changed).unwrap();
        let error = RunConfig::read_record(&path).unwrap_err().to_string();
        assert!(error.contains("run.toml was changed") && error.contains("--set"), "{error}");
    }

    #[test]
    fn a_record_of_format_2_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("run.toml");
        let old = MINIMAL.replace("preset = \"vit-tiny\"", "preset = \"vit-tiny\"\ntext_attention = \"causal\"");
        write_with_checksum(&path, &format!("format = 2\n{old}")).unwrap();
        let config = RunConfig::read_record(&path).unwrap();
        assert_eq!(config.text.attention, Some(medcoss_core::model::TextAttention::Causal));
    }

    #[test]
    fn a_record_of_format_3_is_verified_migrated_and_continued() {
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("run.toml");
        let settings = "[text]\nattention = \"bidirectional\"\n[rehearsal]\nstrategy = \"ewc\"\newc_lambda = 2.0\nmixup = false\n[data]\nloader_threads = 3\n";
        let text = format!("format = 3\n{settings}{MINIMAL}\n{CHECKSUM_BEFORE_FORMAT_4}{CHECKSUM_PLACEHOLDER}\n");
        std::fs::write(path.path(), insert_checksum(&text, CHECKSUM_BEFORE_FORMAT_4)).unwrap();
        let record = RunConfig::read_record(&path).unwrap();
        assert_eq!(record.strategy.name, medcoss_core::continual::Strategy::Ewc);
        assert_eq!((record.strategy.ewc.lambda, record.data.num_workers), (2.0, 3));
        // Settings of strategies that are not selected have no effect.
        let settings = ["strategy.name=ewc", "strategy.ewc.lambda=2.0", "strategy.packnet.keep_ratio=0.1"];
        read(MINIMAL, &settings).unwrap().continues(&record).unwrap();
        assert!(read(MINIMAL, &settings[..1]).unwrap().continues(&record).is_err());
        std::fs::write(path.path(), text).unwrap();
        assert!(RunConfig::read_record(&path).unwrap_err().to_string().contains("was changed"));
    }

    #[test]
    fn a_record_of_a_later_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("run.toml");
        write_with_checksum(&path, &format!("format = {}\n{MINIMAL}", FORMAT + 1)).unwrap();
        let error = RunConfig::read_record(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("format {}", FORMAT + 1)) && error.contains("update medcoss"), "{error}");
    }

    #[test]
    fn a_run_continues_with_other_workers_and_more_stages_but_not_with_other_settings() {
        let before = read(MINIMAL, &[]).unwrap();
        read(MINIMAL, &["data.num_workers=7"]).unwrap().continues(&before).unwrap();
        let more = format!("{MINIMAL}\n[[stage]]\nmodality = \"ct\"\ndata = \"ct\"\n");
        read(&more, &[]).unwrap().continues(&before).unwrap();
        let error = read(MINIMAL, &["seed=1"]).unwrap().continues(&before).unwrap_err().to_string();
        assert!(error.contains("seed was 0") && error.contains("is 1 now"), "{error}");
        let fewer = read(MINIMAL, &[]).unwrap();
        assert!(fewer.continues(&read(&more, &[]).unwrap()).is_err());
    }
}
