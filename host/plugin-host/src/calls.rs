//! Calls into plugins: the plugin that each thread is calling, and the messages of plugins, which become `tracing`
//! events.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

use medcoss_abi::abi_stable::std_types::{RStr, RString};
use medcoss_abi::message::{Progress, Stop};
use medcoss_abi::{HostServices, service};

use crate::failed_allocation;
use crate::untrusted_text::untrusted_bytes;

/// Target of the events that plugins emit; each carries the plugin's id and version in the field `plugin`.
pub const PLUGIN_TARGET: &str = "medcoss::plugin";

thread_local! {
    /// The plugin that this thread is calling. Plugins spawn no threads, so a plugin's messages come on the caller's
    /// thread. The value has no destructor, so that [`current`] can read it when the process ends.
    static CURRENT: RefCell<ManuallyDrop<Option<Arc<str>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// How far a long call into a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenProgress {
    /// Id and version of the plugin, where its thread is known.
    pub plugin: Option<Arc<str>>,
    /// Things done.
    pub done: u64,
    /// Things in all; 0 where that is not known.
    pub total: u64,
    /// What is counted.
    pub what: String,
}

type Watch = Box<dyn Fn(OpenProgress) -> bool + Send + Sync>;

/// What watches the progress of plugins.
static WATCH: RwLock<Option<Watch>> = RwLock::new(None);

/// From now on `watch` gets how far long calls of plugins are, from any thread; when it answers true, the plugin is asked to stop.
/// There is one for the process; another takes its place.
pub fn watch_progress(watch: impl Fn(OpenProgress) -> bool + Send + Sync + 'static) {
    *WATCH.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watch));
}

/// Answers a plugin's request for a service: empty for one that is not known, or with a body that is not of its form.
extern "C" fn ask(name: RStr<'_>, body: RStr<'_>) -> RString {
    let answer = catch_unwind(AssertUnwindSafe(|| {
        if name.as_rslice().as_slice() != service::PROGRESS.as_bytes() {
            return String::new();
        }
        let Ok(Progress { done, total, what }) = serde_json::from_slice(body.as_rslice().as_slice()) else {
            return String::new();
        };
        let progress = OpenProgress { plugin: current(), done, total, what: untrusted_bytes(what.as_bytes()) };
        let watch = WATCH.read().unwrap_or_else(PoisonError::into_inner);
        let stop = watch.as_ref().is_some_and(|watch| watch(progress));
        serde_json::to_string(&Stop { stop }).unwrap_or_default()
    }));
    answer.unwrap_or_default().into()
}

/// The services that the host gives to plugins.
pub(crate) fn services() -> HostServices {
    HostServices { log: emit, ask }
}

/// Runs a call into the plugin `name`, so that the plugin's messages carry its name.
pub(crate) fn during<T>(name: &Arc<str>, call: impl FnOnce() -> T) -> T {
    failed_allocation::forget();
    let before = CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(name.clone()))));
    let answer = call();
    let own = CURRENT.with(|current| current.replace(before));
    drop(ManuallyDrop::into_inner(own));
    answer
}

/// The plugin that this thread is calling, or `None` outside of calls.
pub(crate) fn current() -> Option<Arc<str>> {
    CURRENT.with(|current| (**current.borrow()).clone())
}

/// Emits a plugin's message. A subscriber that panics must not unwind into the plugin.
extern "C" fn emit(level: u32, message: RStr<'_>) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // The contract requires UTF-8, but nothing guarantees it.
        let message = untrusted_bytes(message.as_rslice().as_slice());
        let name = current();
        let plugin = name.as_deref().unwrap_or("(unknown)");
        match level {
            0 | 1 => tracing::error!(target: PLUGIN_TARGET, plugin, "{message}"),
            2 => tracing::warn!(target: PLUGIN_TARGET, plugin, "{message}"),
            3 => tracing::info!(target: PLUGIN_TARGET, plugin, "{message}"),
            _ => tracing::debug!(target: PLUGIN_TARGET, plugin, "{message}"),
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    #[derive(Clone, Default)]
    struct Recorded(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Recorded {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            struct Text(String);
            impl Visit for Text {
                fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                    self.0.push_str(&format!(" {}={value:?}", field.name()));
                }
            }
            let mut text = Text(event.metadata().level().to_string());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }

    #[test]
    fn messages_of_plugins_become_events_with_their_name_and_without_control_characters() {
        let recorded = Recorded::default();
        tracing::subscriber::with_default(Registry::default().with(recorded.clone()), || {
            let log = services().log;
            during(&"gait 0.1.0".into(), || log(2, "two\u{1b}[31m leads".into()));
            log(1, "from nowhere".into());
            log(4, "detail".into());
        });
        let expected = [
            "WARN message=two\u{fffd}[31m leads plugin=\"gait 0.1.0\"",
            "ERROR message=from nowhere plugin=\"(unknown)\"",
            "DEBUG message=detail plugin=\"(unknown)\"",
        ];
        assert_eq!(*recorded.0.lock().unwrap(), expected);
    }

    #[test]
    fn progress_reaches_the_watch_and_its_answer_the_plugin() {
        let ask = services().ask;
        let body = r#"{"done":3,"total":9,"what":"slides\u001b surveyed"}"#;
        assert_eq!(ask("holograms".into(), body.into()).as_str(), "");
        assert_eq!(ask("progress".into(), "gibberish".into()).as_str(), "");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (reports, reports_again) = (seen.clone(), seen.clone());
        watch_progress(move |progress| {
            reports.lock().unwrap().push(progress);
            true
        });
        assert_eq!(during(&"gait 0.1.0".into(), || ask("progress".into(), body.into())).as_str(), r#"{"stop":true}"#);
        watch_progress(|_| panic!("no unwinding into the plugin"));
        assert_eq!(ask("progress".into(), body.into()).as_str(), "");
        let what = "slides\u{fffd} surveyed".to_owned();
        let expected = OpenProgress { plugin: Some("gait 0.1.0".into()), done: 3, total: 9, what };
        assert_eq!(*reports_again.lock().unwrap(), [expected]);
    }
}
