//! Calls of the table, with errors that say what an author can do.

use std::sync::{Mutex, PoisonError};

use medcoss_abi::abi_stable::std_types::{RResult, RStr, RString};
use medcoss_abi::message::{ErrorBody, Open};
use medcoss_abi::{DatasetHandle, HostServices, PluginError, PluginTable, code};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outcome::{Stop, violation};

/// Codes of version 1 of the contract, apart from that of a panic.
const CODES: [i32; 7] = [
    code::BAD_REQUEST,
    code::UNREADABLE,
    code::CORRUPT,
    code::UNSUPPORTED,
    code::UNKNOWN_OPERATION,
    code::SKIPPED,
    code::STOPPED,
];

/// A plugin whose header was accepted.
#[derive(Clone, Copy)]
pub(crate) struct Plugin {
    pub(crate) table: &'static PluginTable,
}

/// A call that failed.
#[derive(Debug, Clone)]
pub(crate) enum CallError {
    /// The plugin says so.
    Reported { operation: String, code: i32, message: String },
    /// The answer, or the error itself, is not as the contract says.
    Malformed { operation: String, what: String },
}

impl Plugin {
    /// Takes the table and gives it services, once in a process.
    pub(crate) fn attach(table: &'static PluginTable) -> Self {
        static ATTACHED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        let mut attached = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
        let address = std::ptr::from_ref(table).addr();
        if !attached.contains(&address) {
            (table.attach)(HostServices { log, ask });
            attached.push(address);
        }
        Self { table }
    }

    /// Calls `describe` and reads the answer.
    pub(crate) fn describe<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let answer = result("describe", (self.table.describe)())?;
        read("describe", answer.into_bytes().as_slice())
    }

    /// Calls `invoke` and reads the answer.
    pub(crate) fn invoke<T: DeserializeOwned>(self, operation: &str, body: &impl Serialize) -> Result<T, CallError> {
        let body = json(operation, body)?;
        let answer = result(operation, (self.table.invoke)(operation.into(), body.as_str().into()))?;
        read(operation, answer.into_bytes().as_slice())
    }

    /// Calls `open`.
    pub(crate) fn open(self, request: &Open) -> Result<DatasetHandle, CallError> {
        let body = json("open", request)?;
        let handle = result("open", (self.table.open)(body.as_str().into()))?;
        if handle.0.is_null() {
            return Err(malformed("open", "the dataset's handle is null"));
        }
        Ok(handle)
    }
}

impl CallError {
    /// A panic that the plugin caught, or an error that is not as the contract says: nothing that a rule may take for
    /// a refused request.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Reported { code, .. } => !CODES.contains(code),
            Self::Malformed { .. } => true,
        }
    }

    /// The code that was reported.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Reported { code, .. } => Some(*code),
            Self::Malformed { .. } => None,
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reported { operation, code, message } => {
                write!(f, "`{operation}` failed with {}: {message}", code_in_words(*code))
            }
            Self::Malformed { operation, what } => write!(f, "`{operation}`: {what}"),
        }
    }
}

/// A call that should have succeeded.
impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        let remedy = match &error {
            CallError::Reported { code: code::PANIC, .. } => PANIC_REMEDY,
            CallError::Reported { .. } => "the message is the plugin's own; fix what it names",
            CallError::Malformed { .. } => "answer with the JSON of the contract (`medcoss_abi::message`)",
        };
        violation(error.to_string(), remedy)
    }
}

/// Remedy for a panic.
pub(crate) const PANIC_REMEDY: &str =
    "turn unwrap, expect, indexing and arithmetic on what comes from files and options into errors";

/// `code 3 (corrupt)`.
pub(crate) fn code_in_words(given: i32) -> String {
    let word = match given {
        code::BAD_REQUEST => "bad request",
        code::UNREADABLE => "unreadable",
        code::CORRUPT => "corrupt",
        code::UNSUPPORTED => "unsupported",
        code::UNKNOWN_OPERATION => "unknown operation",
        code::SKIPPED => "skipped",
        code::STOPPED => "stopped",
        code::PANIC => "panic",
        _ => "not one of the contract's",
    };
    format!("code {given} ({word})")
}

/// Messages are the plugin's affair; most are about the damage that the rules do.
extern "C" fn log(_: u32, _: RStr<'_>) {}

/// No service is known here: a plugin must do without.
extern "C" fn ask(_: RStr<'_>, _: RStr<'_>) -> RString {
    RString::new()
}

/// The answer, or the error with its message read.
pub(crate) fn result<T>(operation: &str, answer: RResult<T, PluginError>) -> Result<T, CallError> {
    // Nothing is made a text before it is known to be UTF-8.
    answer.into_result().map_err(|PluginError { code, body }| {
        match serde_json::from_slice(body.into_bytes().as_slice()) {
            Ok(ErrorBody { message, .. }) if message.trim().is_empty() => {
                malformed(operation, format!("its error ({}) says nothing", code_in_words(code)))
            }
            Ok(ErrorBody { message, .. }) => CallError::Reported { operation: operation.into(), code, message },
            Err(error) => {
                malformed(operation, format!("its error ({}) is not JSON with a message: {error}", code_in_words(code)))
            }
        }
    })
}

/// JSON of the contract's form.
pub(crate) fn read<T: DeserializeOwned>(operation: &str, answer: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(answer).map_err(|error| {
        let start = String::from_utf8_lossy(&answer[..answer.len().min(80)]);
        malformed(operation, format!("its answer is not of the contract's form: {error}; it begins with {start:?}"))
    })
}

pub(crate) fn malformed(operation: &str, what: impl Into<String>) -> CallError {
    CallError::Malformed { operation: operation.into(), what: what.into() }
}

pub(crate) fn json(operation: &str, body: &impl Serialize) -> Result<String, CallError> {
    serde_json::to_string(body).map_err(|error| malformed(operation, format!("the request cannot be written: {error}")))
}
