//! Messages of a working command on standard error: one line for each `tracing` event of this project's crates.
//!
//! ```text
//! warning: plugin xray 0.1.0: a.png has no date
//! ```
//!
//! A message of several lines is indented from its second line on, so that no text in it looks like a message of its
//! own. Results are not messages: they go to standard output, see `output`.

use std::fmt::{Debug, Write as _};
use std::sync::{PoisonError, RwLock};

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::terminal;

/// Prefix of the targets whose events are shown. Events of other crates are not shown.
const OWN_TARGETS: &str = "medcoss";

/// The progress bar on the terminal, if there is one.
static BAR: RwLock<Option<ProgressBar>> = RwLock::new(None);

/// Shows messages from now on: warnings and errors with verbosity 0, also information with 1, everything with 2 and
/// more.
pub(crate) fn install(verbosity: u8) {
    let most_verbose = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let subscriber = Registry::default().with(Lines { most_verbose, sink: to_standard_error });
    // Fails only where a subscriber is already installed; then that subscriber shows messages.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Shows messages above a bar from now on, or without a bar.
pub(crate) fn show_above(bar: Option<ProgressBar>) {
    *BAR.write().unwrap_or_else(PoisonError::into_inner) = bar;
}

fn to_standard_error(line: &str) {
    let write = || terminal::write_error_line(line);
    match BAR.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A `tracing` layer that passes each event to a sink as one line.
struct Lines<F> {
    most_verbose: LevelFilter,
    sink: F,
}

impl<S: Subscriber, F: Fn(&str) + 'static> Layer<S> for Lines<F> {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.most_verbose && metadata.target().starts_with(OWN_TARGETS)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most_verbose)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let label = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        (self.sink)(&indented(&format!("{label}: {}{}", fields.plugin, fields.message)));
    }
}

/// A message whose lines from the second on are indented, but for its remedy.
pub(crate) fn indented(message: &str) -> String {
    message.replace('\n', "\n  ").replace("\n  hint: ", "\nhint: ")
}

/// The shown fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    /// Prefix `plugin ID VERSION: ` of a plugin's own messages.
    plugin: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "plugin" => write!(self.plugin, "plugin {value:?}: "),
            _ => Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn events_become_lines_with_level_and_plugin() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let copy = lines.clone();
        let sink = move |line: &str| copy.lock().unwrap().push(line.to_string());
        let subscriber = Registry::default().with(Lines { most_verbose: LevelFilter::INFO, sink });
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: medcoss_plugin_host::PLUGIN_TARGET, plugin = "gait 0.1.0", "two leads");
            tracing::info!("{} of {}\nerror: 3\nhint: 4", 1, 2);
            tracing::debug!("below the verbosity");
            tracing::error!(target: "another_crate", "not of this project");
        });
        assert_eq!(
            *lines.lock().unwrap(),
            ["warning: plugin gait 0.1.0: two leads", "info: 1 of 2\n  error: 3\nhint: 4"]
        );
    }
}
