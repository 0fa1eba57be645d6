//! The setup of the run: plugins with their digests, and the configuration with every default.

use maud::{Markup, html};

use super::history::RunHistory;
use super::section::Section;

pub(crate) fn section(run: &RunHistory) -> Section {
    let mut gaps: Vec<String> =
        run.plugins.as_ref().err().map(|reason| format!("plugins.lock: {reason}")).into_iter().collect();
    if run.anonymous {
        gaps.push("data and configuration: an anonymous report shows no paths and names".into());
    }
    let lead = "Everything that is needed to repeat the run, but for the data.";
    Section { id: "setup", title: "Configuration and plugins", lead, body: Some(body(run)), gaps }
}

fn body(run: &RunHistory) -> Markup {
    html! {
        @if let Ok(plugins) = &run.plugins {
            details {
                summary { "Plugins" }
                div.wide { table {
                    thead { tr { th { "plugin" } th { "version" } th { "file" } th { "SHA-256" } } }
                    tbody { @for plugin in plugins { tr {
                        td { (plugin.id) }
                        td { (plugin.version) }
                        td { (plugin.file) }
                        td { code { (plugin.sha256.as_deref().unwrap_or("-")) } }
                    } } }
                } }
            }
        }
        @if !run.anonymous { (data_and_configuration(run)) }
    }
}

fn data_and_configuration(run: &RunHistory) -> Markup {
    html! {
        details {
            summary { "Data" }
            div.wide { table {
                thead { tr { th { "stage" } th { "data" } th { "fingerprint" } } }
                tbody { @for (stage, section) in run.stages.iter().zip(&run.finished.config.stages) { tr {
                    td { (stage.number) " " (stage.modality) }
                    td { (section.data.paths().iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")) }
                    td { code { (stage.state.as_ref().map_or("-", |state| state.fingerprint.as_str())) } }
                } } }
            } }
        }
        details {
            summary { "Configuration" }
            pre { (run.record) }
        }
    }
}
