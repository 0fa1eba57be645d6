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
                stage_of(stages, name).map_err(|problem| anyhow!("--set {setting}: {problem}"))?
            }
            _ => bail!("--set {setting}: {part} is a value, not a section"),
        };
    }
    inner.insert(last.to_string(), value);
    Ok(())
}

/// The stage with a position from 1, or the only one of a modality.
///
/// # Errors
/// No such stage, or several of this modality.
fn stage_of<'a>(stages: &'a mut [toml::Value], name: &str) -> Result<&'a mut toml::Table, String> {
    let none = || format!("no stage {name}\nhint: name a stage by its modality or its position from 1");
    let position = match name.parse::<usize>() {
        Ok(number) => number.checked_sub(1).ok_or_else(none)?,
        Err(_) => {
            let is_it = |stage: &toml::Value| stage.get("modality").and_then(toml::Value::as_str) == Some(name);
            let found: Vec<usize> = (0..stages.len()).filter(|at| is_it(&stages[*at])).collect();
            match found.as_slice() {
                [one] => *one,
                [] => return Err(none()),
                [first, ..] => {
                    let positions: Vec<String> = found.iter().map(|at| (at + 1).to_string()).collect();
                    let (positions, first) = (positions.join(" and "), first + 1);
                    return Err(format!(
                        "{} stages are of {name}: {positions}\nhint: name one by its position, stage.{first}",
                        found.len()
                    ));
                }
            }
        }
    };
    stages.get_mut(position).and_then(toml::Value::as_table_mut).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> toml::Table {
        "stage = [{ modality = 'xray' }, { modality = 'ct' }, { modality = 'xray' }]".parse().unwrap()
    }

    #[test]
    fn a_stage_is_named_by_position_or_by_a_modality_of_its_own() {
        let mut table = table();
        set(&mut table, "stage.ct.epochs=3").unwrap();
        set(&mut table, "stage.3.epochs=4").unwrap();
        let epochs = |at: usize| table["stage"][at].get("epochs").and_then(toml::Value::as_integer);
        assert_eq!([epochs(0), epochs(1), epochs(2)], [None, Some(3), Some(4)]);
    }

    #[test]
    fn a_modality_of_two_stages_names_neither() {
        let refused = |setting| set(&mut table(), setting).unwrap_err().to_string();
        let error = refused("stage.xray.epochs=3");
        assert!(error.contains("2 stages are of xray: 1 and 3") && error.contains("stage.1"), "{error}");
        for setting in ["stage.mri.epochs=3", "stage.0.epochs=3", "stage.4.epochs=3"] {
            assert!(refused(setting).contains("no stage"), "{setting}");
        }
    }
}
