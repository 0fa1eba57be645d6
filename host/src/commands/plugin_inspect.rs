//! `medcoss plugin inspect`: the description and options of one plugin.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use clap::Args;
use medcoss_abi::message::{Description, Rendering};
use medcoss_plugin_host::{PluginInfo, PluginLocation, PluginOption, Shape, options_of_schema, untrusted_text};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::output;
use crate::tables::Table;

/// Show the description and the options of a plugin
///
/// Name the plugin by its id, or by the path of its file (with a slash, or with the extension .so). A child process
/// loads a library, which runs its code with your rights, unless the outcome is cached. With --trusted-only no code runs
/// before you have accepted the file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin inspect xray
  medcoss plugin inspect ./target/release/libmedcoss_mine.so
  medcoss plugin inspect text --json | jq .options")]
pub(crate) struct Inspect {
    /// Id of a plugin, or path of its file
    #[arg(value_name = "ID|PATH")]
    plugin: String,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Inspection<'a> {
    location: &'a PluginLocation,
    sha256: Option<String>,
    #[serde(flatten)]
    description: &'a Description,
    option_list: Vec<PluginOption>,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let plugin = self.describe()?;
        let sha256 = plugin.sha256.clone();
        let option_list = options_of_schema(&plugin.description.options);
        if self.result.json {
            let (location, description) = (&plugin.location, &plugin.description);
            return output::print_json(&Inspection { location, sha256, description, option_list });
        }
        output::print(&page(&plugin, sha256, &option_list))
    }

    fn describe(&self) -> Result<PluginInfo, Failure> {
        if !self.plugin.contains(MAIN_SEPARATOR) && !self.plugin.ends_with(".so") {
            return self.plugins.registry()?.describe(&self.plugin).map_err(Failure::user);
        }
        let path = PathBuf::from(&self.plugin);
        let registry = self.plugins.registry_of_file(&path)?;
        let described = match registry.found.as_slice() {
            [only] => registry.describe(&only.id).map_err(anyhow::Error::from),
            several => Err(several_plugins(&path, several.iter().map(|found| found.id.as_str()))),
        };
        described.map_err(Failure::user)
    }
}

fn several_plugins<'a>(path: &Path, ids: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let folder = path.parent().unwrap_or(Path::new("."));
    let ids: Vec<_> = ids.collect();
    anyhow::anyhow!(
        "{} carries several plugins: {}\nhint: name one by its id, with --plugin-dir {}",
        path.display(),
        ids.join(", "),
        folder.display()
    )
}

fn page(plugin: &PluginInfo, sha256: Option<String>, options: &[PluginOption]) -> String {
    let description = &plugin.description;
    let mut text = format!("{}\n{}\n\n", plugin.name(), untrusted_text(&description.summary));
    let mut facts = Table::bare();
    facts.row(["location", &plugin.location.to_string()]);
    if let Some(sha256) = &sha256 {
        facts.row(["sha256", sha256]);
    }
    facts.row(["family", &description.family]);
    facts.row(["samples", &samples(&plugin.shape)]);
    facts.row(["reads", &untrusted_text(&description.reads.join("; "))]);
    let renders = match description.renders {
        Some(Rendering::Png) => "images (PNG)",
        Some(Rendering::Text) => "text",
        None => "nothing",
    };
    facts.row(["renders", renders]);
    facts.row(["operations", &untrusted_text(&description.operations.join(", "))]);
    text.push_str(&facts.wrapped());
    if options.is_empty() {
        text.push_str("\nNo options.\n");
        return text;
    }
    text.push('\n');
    let mut table = Table::new(&["option", "type", "default", "description"]);
    for option in options {
        let default = option.default.as_ref().map_or_else(|| "-".into(), shown);
        let cells = [&option.name, &option.kind, &default, &option.description];
        table.row(cells.map(|cell| untrusted_text(cell)));
    }
    text.push_str(&table.wrapped());
    text
}

/// A default value for people: a dash for no value, and an `f32` without the digits that its conversion adds.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(wide) if f64::from(wide as f32) == wide => format!("{:?}", wide as f32),
            _ => number.to_string(),
        },
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The shape of a sample, with the number of tokens where it is a product.
fn samples(shape: &Shape) -> String {
    match shape {
        Shape::Continuous { grid, n_tokens, .. } if grid.len() > 1 => format!("{shape} of {n_tokens}"),
        _ => shape.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_have_the_digits_that_were_written() {
        let values =
            [json!(0.1f32), json!(0.1), json!([0.2, 1.0]), json!(224), json!(null), json!("tube"), json!(true)];
        let texts: Vec<_> = values.iter().map(shown).collect();
        assert_eq!(texts, ["0.1", "0.1", "[0.2, 1.0]", "224", "-", "\"tube\"", "true"]);
    }
}
