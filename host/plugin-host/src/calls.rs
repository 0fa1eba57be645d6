//! Calls into plugins: the plugin that each thread is calling, and the messages of plugins, which become `tracing`
//! events.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use medcoss_abi::HostServices;
use medcoss_abi::abi_stable::std_types::RStr;

use crate::failed_allocation;
use crate::untrusted_text::untrusted_bytes;

/// Target of the events that plugins emit; each carries the plugin's id and version in the field `plugin`.
pub const PLUGIN_TARGET: &str = "medcoss::plugin";

thread_local! {
    /// The plugin that this thread is calling. Plugins spawn no threads, so a plugin's messages come on the caller's
    /// thread. The value has no destructor, so that [`current`] can read it when the process ends.
    static CURRENT: RefCell<ManuallyDrop<Option<Arc<str>>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// The services that the host gives to plugins.
pub(crate) fn services() -> HostServices {
    HostServices { log: emit }
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
}
