//! Requests that a plugin has to refuse.

use std::path::PathBuf;

use medcoss_abi::abi_stable::std_types::RStr;
use medcoss_abi::message::{Open, SampleRecord};
use medcoss_abi::{code, operation};
use medcoss_caller::{FillPattern, View};
use serde_json::Value;

use crate::batch::Batch;
use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin::{CallError, PANIC_REMEDY, read, result};
use crate::plugin_under_test::PluginUnderTest;
use crate::rules::options::expect_code;

pub(super) fn missing_path(under_test: &mut PluginUnderTest) -> RuleResult {
    let plugin = under_test.plugin()?;
    let synthetic = under_test.synthetic()?;
    let empty = under_test.new_folder("nothing")?;
    let cases: [(&str, Vec<PathBuf>); 2] =
        [("a path that does not exist", vec!["no/such/file".into()]), ("an empty folder", vec![".".into()])];
    for (what, data) in cases {
        let open = Open { base: empty.clone(), data, ..synthetic.open.clone() };
        match OpenDataset::new(plugin, &open) {
            Err(error) => refused(what, &error)?,
            // The host refuses data without samples itself.
            Ok(opened) if opened.records.is_empty() => {}
            Ok(opened) => {
                return Err(violation(
                    format!("{what} was opened with {} samples; an error was expected", opened.len()),
                    "list files with the SDK's `find_files`, which complains of what is missing",
                ));
            }
        }
    }
    passed("")
}

pub(super) fn invalid_index(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let n = samples.dataset.len() as u64;
    for index in [n, n + 1, u64::from(u32::MAX) + 1, u64::MAX] {
        let mut batch = Batch::new(&samples.dataset.shape, FillPattern::EmptySample);
        let what = format!("sample {index} of {n}");
        match samples.dataset.fill(View::Evaluation, &[index], &[1], &mut batch) {
            Err(error) => refused(&what, &error)?,
            Ok(bad) => match bad.first() {
                Some(bad) => {
                    let (code, message) = (bad.code, bad.message.clone());
                    refused(&what, &CallError::Reported { operation: "fill".into(), code, message })?;
                }
                None => {
                    return Err(violation(
                        format!("{what} was fill; an error was expected"),
                        "compare indices with the number of samples",
                    ));
                }
            },
        }
    }
    passed("")
}

pub(super) fn invalid_request(under_test: &mut PluginUnderTest) -> RuleResult {
    let plugin = under_test.plugin()?;
    let synthetic = under_test.synthetic()?;
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
                    return Err(violation(
                        format!("{what} gave {error}; BAD_REQUEST was expected"),
                        "use Error::bad_request",
                    ));
                }
            }
            Ok(()) => {
                return Err(violation(
                    format!("`open` accepted {what}; an error was expected"),
                    "read requests with serde, and report what it says",
                ));
            }
        }
    }
    passed("")
}

pub(super) fn unknown_view(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let remedy = "refuse views that are not known with BAD_REQUEST: later hosts may ask for others";
    for view in [2, 77, u32::MAX] {
        let mut batch = Batch::new(&samples.dataset.shape, FillPattern::EmptySample);
        match samples.dataset.fill_raw(view, (&[samples.indices[0]], &[1]), &mut batch, &[], None) {
            Ok(_) => return Err(violation(format!("view {view} was filled; an error was expected"), remedy)),
            Err(error) => expect_code(&error, code::BAD_REQUEST, remedy)?,
        }
    }
    passed("")
}

/// Requests with further fields are answered as without.
pub(super) fn unknown_field(under_test: &mut PluginUnderTest) -> RuleResult {
    let (plugin, samples) = (under_test.plugin()?, under_test.samples()?);
    let remedy =
        "ignore fields of requests that are not known: later hosts send new ones (only options refuse unknown names)";
    let with_more = |body: &str| body.replacen('{', "{\"of_a_later_version\":{\"x\":[1]},", 1);
    let body = with_more(&serde_json::to_string(&samples.open).unwrap_or_default());
    match result("open", (plugin.table.open)(RStr::from_str(&body))) {
        Ok(handle) => (plugin.table.close)(handle),
        Err(error) => return Err(violation(format!("with a further field {error}; a dataset was expected"), remedy)),
    }
    let body = with_more("{\"first\":0,\"count\":1}");
    let page: Vec<SampleRecord> = samples
        .dataset
        .query(operation::RECORDS, body.as_bytes())
        .and_then(|answer| read(operation::RECORDS, &answer))
        .map_err(|error| violation(format!("with a further field {error}; records were expected"), remedy))?;
    match page.as_slice() {
        [record] if *record == samples.dataset.records[0] => passed(""),
        _ => Err(violation("with a further field `records` answers otherwise", remedy)),
    }
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
    Err(violation(format!("{what}: {error}; an error of the contract was expected"), remedy))
}
