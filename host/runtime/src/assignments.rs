//! `key=value` settings of a command line, which replace values of a configuration.

use anyhow::{Result, anyhow, bail};

/// A table of plugin options from `key=value` settings.
///
/// # Errors
/// A setting without a key or a value.
pub fn options_of(settings: &[String]) -> Result<toml::Table> {
    let mut options = toml::Table::new();
    settings.iter().try_for_each(|setting| set(&mut options, setting))?;
    Ok(options)
}

/// Sets `a.b.c=value` in a table. A stage is named by its position from 1 or by its modality: `stage.xray.epochs=3`.
pub(crate) fn set(table: &mut toml::Table, setting: &str) -> Result<()> {
    let (key, value) = setting.split_once('=').ok_or_else(|| {
        anyhow!("--set {setting} has no value\nhint: write --set key=value, such as --set training.epochs=3")
    })?;
    // A value that is not valid TOML is a bare string.
    let value = format!("value = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.into()));
    let parts: Vec<&str> = key.trim().split('.').collect();
    let (last, path) = parts.split_last().ok_or_else(|| anyhow!("--set {setting} has no key"))?;
    let mut inner = table;
    let mut path = path.iter();
    while let Some(&part) = path.next() {
        let entry = inner.entry(part.to_string()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        inner = match entry {
            toml::Value::Table(table) => table,
            toml::Value::Array(stages) => {
                let name = path.next().copied().unwrap_or(last);
                stage_of(stages, name).ok_or_else(|| {
                    anyhow!(
                        "--set {setting}: no stage {name}\nhint: name a stage by its modality or its position from 1"
                    )
                })?
            }
            _ => bail!("--set {setting}: {part} is a value, not a section"),
        };
    }
    inner.insert(last.to_string(), value);
    Ok(())
}

fn stage_of<'a>(stages: &'a mut [toml::Value], name: &str) -> Option<&'a mut toml::Table> {
    let position = name.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let position = position.or_else(|| {
        stages.iter().position(|stage| stage.get("modality").and_then(toml::Value::as_str) == Some(name))
    })?;
    stages.get_mut(position)?.as_table_mut()
}
