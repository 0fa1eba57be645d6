//! How far a plugin is with a long call, such as listing a million files: a spinner on a terminal, a line at intervals elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use medcoss_plugin_host::{OpenProgress, watch_progress};
use medcoss_runtime::numbers::count;

use crate::terminal::{self, escaped};
use crate::{interrupt, messages};

/// Time after which a call is long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// A call that reports its progress.
struct LongCall {
    what: String,
    began: Instant,
    last_line: Option<Instant>,
    spinner: Option<ProgressBar>,
}

static CALL: Mutex<Option<LongCall>> = Mutex::new(None);

/// Shows the progress of plugins from now on, and stops them when someone asks to stop.
pub(crate) fn show() {
    watch_progress(|progress| {
        report(&progress);
        interrupt::requested()
    });
}

fn report(progress: &OpenProgress) {
    let mut call = CALL.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if call.as_ref().is_none_or(|call| call.what != progress.what) {
        end(call.take());
        *call = Some(LongCall { what: progress.what.clone(), began: now, last_line: None, spinner: None });
    }
    let is_done = progress.total > 0 && progress.done >= progress.total;
    let Some(current) = call.as_mut() else { return };
    if is_done {
        end(call.take());
    } else if now - current.began >= PATIENCE {
        current.tell(&in_words(progress, now - current.began), now);
    }
}

/// Removes the spinner of a call that has ended.
fn end(call: Option<LongCall>) {
    if let Some(spinner) = call.and_then(|call| call.spinner) {
        messages::show_above(None);
        spinner.finish_and_clear();
    }
}

impl LongCall {
    fn tell(&mut self, line: &str, now: Instant) {
        if std::io::stderr().is_terminal() {
            let spinner = self.spinner.get_or_insert_with(|| {
                let spinner = ProgressBar::new_spinner();
                // The template is a constant; with a wrong one the default still shows progress.
                let style = ProgressStyle::with_template("{spinner} {msg}");
                spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                messages::show_above(Some(spinner.clone()));
                spinner
            });
            spinner.set_message(escaped(line).into_owned());
            spinner.tick();
        } else if self.last_line.is_none_or(|last| now - last >= INTERVAL) {
            self.last_line = Some(now);
            terminal::write_error_line(line);
        }
    }
}

/// One line: who, how many of how many, how fast.
fn in_words(OpenProgress { plugin, done, total, what }: &OpenProgress, time: Duration) -> String {
    let number = |n: u64| count(usize::try_from(n).unwrap_or(usize::MAX));
    let of = if *total > 0 { format!(" of {}", number(*total)) } else { String::new() };
    let rate = number((*done as f64 / time.as_secs_f64().max(0.001)) as u64);
    let plugin = plugin.as_deref().unwrap_or("plugin");
    format!("{plugin}: {}{of} {what}, {rate}/s", number(*done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_line_with_a_rate() {
        let progress =
            OpenProgress { plugin: Some("ct 0.1.0".into()), done: 120_000, total: 0, what: "files listed".into() };
        let line = in_words(&progress, Duration::from_secs(2));
        assert_eq!(line, "ct 0.1.0: 120\u{202f}000 files listed, 60\u{202f}000/s");
        let known = OpenProgress { total: 240_000, ..progress };
        assert!(in_words(&known, Duration::from_secs(2)).contains("120\u{202f}000 of 240\u{202f}000 files listed"));
    }
}
