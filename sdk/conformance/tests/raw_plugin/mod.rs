//! A plugin written against the contract without the SDK, so that it can break the contract. It keeps the contract unless a [`Fault`] is set.
//!
//! A sample is a file of 30 bytes: `BARE`, a seed's byte, 24 values, and the sum of all before. With the option `words`
//! its values are ids of a vocabulary, else three tokens in each of four places of two numbers; with `rich` the last token does not exist, and samples have targets,
//! a coordinate and an affine, and some have nothing to learn.

mod account;
mod description;
mod fault;
mod filling;
mod label_maps;
mod opening;
mod queries;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult};
use medcoss_abi::{DatasetHandle, HostServices, PluginError, PluginHeader, PluginTable, code};
use serde_json::json;

use description::describe;
pub use fault::{Fault, set};
use fault::{current, is};
use filling::fill;
use opening::{invoke, open};
use queries::query;

static N_CALLS: AtomicUsize = AtomicUsize::new(0);
static N_OPEN: AtomicUsize = AtomicUsize::new(0);
static N_OPEN_EVER: AtomicUsize = AtomicUsize::new(0);
static LEFT: Mutex<Vec<fs::File>> = Mutex::new(Vec::new());

/// The plugin.
pub static HEADER: PluginHeader = PluginHeader::new(PluginTable { attach, describe, invoke, open, query, fill, close });

struct Dataset {
    kind: Kind,
    files: Vec<(String, PathBuf)>,
    /// Files of another kind.
    left_out: Vec<String>,
    shifted: bool,
    /// Which of all datasets ever opened it is.
    number: usize,
    n_asked: AtomicUsize,
}

/// What samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Numbers,
    Rich,
    Words,
}

type Answer<T> = Result<T, (i32, String)>;

fn failed<T>(code: i32, message: impl Into<String>) -> Answer<T> {
    Err((code, message.into()))
}

fn answered<T>(answer: Answer<T>) -> RResult<T, PluginError> {
    match answer {
        Ok(answer) => ROk(answer),
        Err((code, message)) => {
            let body = if is(Fault::ErrorWithoutJson) { message } else { json!({ "message": message }).to_string() };
            RErr(PluginError { code, body: body.into() })
        }
    }
}

extern "C" fn attach(_: HostServices) {}

extern "C" fn close(handle: DatasetHandle) {
    N_OPEN.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: the kit passes what `open` gave, once.
    drop(unsafe { Box::from_raw(handle.0.cast_mut().cast::<Dataset>()) });
}

fn unknown(name: &str) -> Answer<Vec<u8>> {
    match current() {
        Fault::AnswersAnything => Ok(b"{}".to_vec()),
        Fault::OtherCodeForUnknown => failed(code::BAD_REQUEST, format!("{name}?")),
        _ => failed(code::UNKNOWN_OPERATION, format!("there is no operation {name}")),
    }
}

/// The values of a file.
fn decoded(path: &Path) -> Answer<Vec<u8>> {
    let fault = current();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return failed(code::UNREADABLE, error.to_string()),
    };
    if bytes.is_empty() && fault == Fault::EmptyDelivered {
        return Ok(vec![3; 24]);
    }
    if bytes.is_empty() && fault == Fault::EmptyPanics {
        return failed(code::PANIC, "index 0 of 0");
    }
    if bytes.len() != 30 {
        return match fault {
            Fault::TruncatedPanics if !bytes.is_empty() => failed(code::PANIC, "index 29 of fewer"),
            Fault::TruncatedNotANumber if !bytes.is_empty() => Ok(vec![0; 24]),
            _ => failed(code::CORRUPT, format!("{} bytes", bytes.len())),
        };
    }
    if bytes[29] != bytes[..29].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) {
        return match fault {
            Fault::ChangedPanics => failed(code::PANIC, "the sum differs"),
            Fault::ChangedUnknownCode => failed(77, "the sum differs"),
            _ => failed(code::CORRUPT, "the sum differs"),
        };
    }
    Ok(bytes[5..29].to_vec())
}
