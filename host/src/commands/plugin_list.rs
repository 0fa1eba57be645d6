//! `medcoss plugin list`: plugins that were found, shadowed or refused.

use std::path::PathBuf;

use clap::Args;
use medcoss_abi::message::Geometry;
use medcoss_plugin_host::{
    Folder, LoadError, PluginInfo, PluginLocation, PluginRegistry, ShadowedPlugin, untrusted_text,
};
use serde::Serialize;

use crate::arguments::{PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::output;
use crate::tables::Table;

/// List the available plugins
///
/// Each modality is a plugin: a shared library (.so) in one of the searched folders, or built into this program. Files
/// that look like plugins but cannot be used are listed with the reason. A child process loads each new library, which
/// runs its code with your rights. The outcome is cached until the file changes, or until `medcoss plugin rescan` clears
/// the cache. With --trusted-only, or MEDCOSS_TRUSTED_ONLY=1, the libraries that you have not accepted with
/// `medcoss plugin trust` are listed and not run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin list
  medcoss plugin list --plugin-dir ~/my-plugins
  medcoss plugin list --trusted-only
  medcoss plugin list --json | jq '.plugins[].id'")]
pub(crate) struct List {
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Listing<'a> {
    plugins: Vec<Entry<'a>>,
    shadowed: &'a [ShadowedPlugin],
    refused: Vec<LoadError>,
    /// Libraries in plugin folders that export no plugin.
    helpers: &'a [PathBuf],
    searched: &'a [Folder],
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    version: &'a str,
    summary: &'a str,
    family: &'a str,
    geometry: &'a Geometry,
    location: &'a PluginLocation,
}

impl<'a> Entry<'a> {
    fn new(plugin: &'a PluginInfo) -> Self {
        let description = &plugin.description;
        Self {
            id: &description.id,
            version: &description.version,
            summary: &description.summary,
            family: &description.family,
            geometry: &description.geometry,
            location: &plugin.location,
        }
    }
}

impl List {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        show(&self.plugins.registry()?, &self.result)
    }
}

/// Prints a registry's plugins.
pub(super) fn show(registry: &PluginRegistry, result: &ResultArgs) -> Result<(), Failure> {
    let mut refused = registry.refused.clone();
    let mut plugins = Vec::new();
    for described in registry.describe_all() {
        match described {
            Ok(plugin) => plugins.push(plugin),
            Err(error) => refused.push(error),
        }
    }
    if result.json {
        return output::print_json(&Listing {
            plugins: plugins.iter().map(Entry::new).collect(),
            shadowed: &registry.shadowed,
            refused,
            helpers: &registry.helpers,
            searched: &registry.searched,
        });
    }
    let mut text = if plugins.is_empty() { none_found(registry) } else { table(&plugins) };
    text.push_str(&shadows(&registry.shadowed));
    text.push_str(&refusals(&refused));
    text.push_str(&helpers(&registry.helpers));
    output::print(&text)
}

fn table(plugins: &[PluginInfo]) -> String {
    let mut table = Table::new(&["id", "version", "family", "samples", "location"]);
    for plugin in plugins {
        let description = &plugin.description;
        table.row([
            description.id.clone(),
            description.version.clone(),
            description.family.clone(),
            plugin.shape.to_string(),
            plugin.location.to_string(),
        ]);
    }
    table.lines()
}

fn none_found(registry: &PluginRegistry) -> String {
    let mut text = String::from("No plugins were found. These folders were searched:\n");
    for folder in &registry.searched {
        text.push_str(&format!("  {}\n", folder.path.display()));
    }
    text
}

/// Describes shadowed plugins. Libraries beside a build usually shadow the built-in plugins, which share one line.
fn shadows(shadowed: &[ShadowedPlugin]) -> String {
    if shadowed.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nNot used, because another file has the id:\n");
    let (builtin, libraries): (Vec<_>, Vec<_>) =
        shadowed.iter().partition(|shadowed| shadowed.location == PluginLocation::BuiltIn);
    for shadowed in libraries {
        let version = shadowed.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        text.push_str(&format!("  {}{version}  {}\n", shadowed.id, shadowed.location));
    }
    if !builtin.is_empty() {
        let ids: Vec<_> = builtin.iter().map(|shadowed| shadowed.id.as_str()).collect();
        text.push_str(&format!("  {}  built-in\n", ids.join(", ")));
    }
    text
}

fn helpers(libraries: &[PathBuf]) -> String {
    if libraries.is_empty() {
        return String::new();
    }
    let lines: String = libraries.iter().map(|path| format!("  {}\n", path.display())).collect();
    format!("\nLibraries without a plugin (the crate of a plugin calls export_plugin!):\n{lines}")
}

fn refusals(refused: &[LoadError]) -> String {
    if refused.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nRefused:\n");
    for error in refused {
        let reason = untrusted_text(&error.reason).replace('\n', "\n    ");
        text.push_str(&format!("  {}\n    {reason}\n", error.location));
        if let Some(hint) = &error.hint {
            text.push_str(&format!("    hint: {}\n", hint.replace('\n', "\n    ")));
        }
    }
    text
}
