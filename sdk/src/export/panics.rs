//! Panics, contained inside of the plugin: they become errors that name their place.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use medcoss_abi::code;

use crate::Error;

thread_local! {
    /// Contained calls on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Where the last panic of a contained call was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on the place of a panic within a contained call is remembered instead of printed. Panics elsewhere go where they went
/// before: the SDK may be linked into a program with panics of its own.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
                before(info);
            } else {
                remember(info);
            }
        }));
    });
}

fn remember(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|place| format!("{}:{}:{}", place.file(), place.line(), place.column()));
    let _ = PLACE.try_with(|remembered| remembered.try_borrow_mut().map(|mut remembered| *remembered = place));
}

/// The result of a call, or the panic that ended it as an error.
pub(super) fn contained<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    let outcome = catch_unwind(AssertUnwindSafe(call));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome.unwrap_or_else(|payload| Err(panicked(payload)))
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| text.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    // A payload may panic when it is dropped; it is small, and a panicking plugin is on its way out.
    std::mem::forget(payload);
    let place = PLACE.with(RefCell::take).map(|place| format!(" (at {place})")).unwrap_or_default();
    Error::new(code::PANIC, format!("the plugin panicked: {text}{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_panic_names_its_place_and_is_not_printed_and_nesting_is_counted() {
        watch();
        let line = line!() + 1;
        let error = contained(|| -> Result<(), Error> { panic!("three {}", "leads") }).unwrap_err();
        assert_eq!(error.code(), code::PANIC);
        let expected = format!("the plugin panicked: three leads (at {}:{line}:", file!());
        assert!(error.message().starts_with(&expected), "{error}");
        let nested = contained(|| {
            contained(|| -> Result<(), Error> { std::panic::panic_any(7) }).unwrap_err();
            Err::<(), _>(Error::corrupt("after"))
        });
        assert_eq!(nested.unwrap_err().message(), "after");
        assert_eq!(DEPTH.get(), 0);
    }
}
