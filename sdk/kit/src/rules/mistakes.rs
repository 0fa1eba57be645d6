//! Requests that a plugin has to refuse.

use std::path::PathBuf;

use medcoss_abi::abi_stable::std_types::RStr;
use medcoss_abi::code;
use medcoss_abi::message::Open;
use serde_json::Value;

use crate::batch::{Batch, Ground};
use crate::opened::{Opened, View};
use crate::plugin::{CallError, PANIC_REMEDY, result};
use crate::ruling::{Ruling, Stop, breach, holds};
use crate::subject::Subject;

pub(super) fn missing_path(subject: &mut Subject) -> Ruling {
    let plugin = subject.plugin()?;
    let synthetic = subject.synthetic()?;
    let empty = subject.new_folder("nothing")?;
    let cases: [(&str, Vec<PathBuf>); 2] =
        [("a path that does not exist", vec!["no/such/file".into()]), ("an empty folder", vec![".".into()])];
    for (what, data) in cases {
        let open = Open { base: empty.clone(), data, ..synthetic.open.clone() };
        match Opened::new(plugin, &open) {
            Err(error) => refused(what, &error)?,
            // The host refuses data without samples itself.
            Ok(opened) if opened.ids.is_empty() => {}
            Ok(opened) => {
                return Err(breach(
                    format!("{what} was opened with {} samples; an error was expected", opened.ids.len()),
                    "list files with the SDK's `find_files`, which complains of what is missing",
                ));
            }
        }
    }
    holds("")
}

pub(super) fn bad_index(subject: &mut Subject) -> Ruling {
    let samples = subject.samples()?;
    let n = samples.dataset.ids.len() as u64;
    for index in [n, n + 1, u64::from(u32::MAX) + 1, u64::MAX] {
        let mut batch = Batch::new(samples.dataset.shape, 1, Ground::Empty);
        let what = format!("sample {index} of {n}");
        match samples.dataset.fill(View::Plain, &[index], &[1], &mut batch) {
            Err(error) => refused(&what, &error)?,
            Ok(bad) => match bad.first() {
                Some(bad) => {
                    let (code, message) = (bad.code, bad.message.clone());
                    refused(&what, &CallError::Reported { operation: "fill".into(), code, message })?;
                }
                None => {
                    return Err(breach(
                        format!("{what} was delivered; an error was expected"),
                        "compare indices with the number of samples",
                    ));
                }
            },
        }
    }
    holds("")
}

pub(super) fn bad_request(subject: &mut Subject) -> Ruling {
    let plugin = subject.plugin()?;
    let synthetic = subject.synthetic()?;
    let open = |body: &str| {
        let answer = result("open", (plugin.table.open)(RStr::from_str(body)));
        answer.map(|handle| (plugin.table.close)(handle))
    };
    let strange = Open { options: Value::String("no table".into()), ..synthetic.open.clone() };
    let strange = serde_json::to_string(&strange).unwrap_or_default();
    for body in ["", "{", "[]", "{\"base\": 3}", "\u{0}", &strange] {
        let what = format!("the request {body:?}");
        match open(body) {
            Err(error) => {
                refused(&what, &error)?;
                if error.code() != Some(code::BAD_REQUEST) {
                    return Err(breach(
                        format!("{what} gave {error}; BAD_REQUEST was expected"),
                        "use Error::bad_request",
                    ));
                }
            }
            Ok(()) => {
                return Err(breach(
                    format!("`open` accepted {what}; an error was expected"),
                    "read requests with serde, and report what it says",
                ));
            }
        }
    }
    holds("")
}

/// An error of the contract, and no panic.
pub(super) fn refused(what: &str, error: &CallError) -> Result<(), Stop> {
    if !error.is_fault() {
        return Ok(());
    }
    let remedy = if error.code() == Some(code::PANIC) {
        PANIC_REMEDY
    } else {
        "report an error with one of the contract's codes"
    };
    Err(breach(format!("{what}: {error}; an error of the contract was expected"), remedy))
}
