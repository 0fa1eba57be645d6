//! An open dataset and its files, and what all functions of the plugin share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult};
use medcoss_abi::{PluginError, code};
use serde_json::json;

use super::fault::{Fault, current, is};

pub(super) static N_CALLS: AtomicUsize = AtomicUsize::new(0);
pub(super) static N_OPEN: AtomicUsize = AtomicUsize::new(0);
pub(super) static N_OPEN_EVER: AtomicUsize = AtomicUsize::new(0);
pub(super) static LEFT: Mutex<Vec<fs::File>> = Mutex::new(Vec::new());

pub(super) struct Dataset {
    pub kind: Kind,
    pub files: Vec<(String, PathBuf)>,
    /// Files of another kind.
    pub left_out: Vec<String>,
    pub shifted: bool,
    /// Which of all datasets ever opened it is.
    pub number: usize,
    pub n_asked: AtomicUsize,
}

/// What samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Numbers,
    Rich,
    Words,
}

pub(super) type Answer<T> = Result<T, (i32, String)>;

pub(super) fn failed<T>(code: i32, message: impl Into<String>) -> Answer<T> {
    Err((code, message.into()))
}

pub(super) fn answered<T>(answer: Answer<T>) -> RResult<T, PluginError> {
    match answer {
        Ok(answer) => ROk(answer),
        Err((code, message)) => {
            let body = if is(Fault::ErrorWithoutJson) { message } else { json!({ "message": message }).to_string() };
            RErr(PluginError { code, body: body.into() })
        }
    }
}

pub(super) fn unknown(name: &str) -> Answer<Vec<u8>> {
    match current() {
        Fault::AnswersAnything => Ok(b"{}".to_vec()),
        Fault::OtherCodeForUnknown => failed(code::BAD_REQUEST, format!("{name}?")),
        _ => failed(code::UNKNOWN_OPERATION, format!("there is no operation {name}")),
    }
}

/// The values of a file.
pub(super) fn decoded(path: &Path) -> Answer<Vec<u8>> {
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
