//! Sample files, and datasets of files.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use medcoss_abi::abi_stable::std_types::{RResult, RStr, RString};
use medcoss_abi::message::{Open, Synthesise};
use medcoss_abi::{DatasetHandle, PluginError, code, operation};
use serde_json::{Value, json};

use super::account;
use super::dataset::{Answer, Dataset, Kind, LEFT, N_CALLS, N_OPEN, N_OPEN_EVER, answered, failed, unknown};
use super::fault::{Fault, current, is};

pub(super) extern "C" fn invoke(name: RStr<'_>, body: RStr<'_>) -> RResult<RString, PluginError> {
    answered(invoked(name.as_str(), body.as_str()).map(|answer| answer.to_string().into()))
}

fn invoked(name: &str, body: &str) -> Answer<Value> {
    if name == operation::SURVEY {
        return Ok(account::survey());
    }
    if name != operation::SYNTHESISE {
        return unknown(name).map(|_| json!({}));
    }
    if is(Fault::SynthesisePanics) {
        return failed(code::PANIC, "the plugin panicked: boo");
    }
    let request: Synthesise = serde_json::from_str(body).unwrap();
    let n = match current() {
        Fault::SynthesisesNothing => 0,
        Fault::SynthesisesTooFew => request.n_samples - 1,
        _ => request.n_samples,
    };
    for sample in 0..n {
        let mut bytes = b"BARE".to_vec();
        bytes.push(match current() {
            Fault::FilesOfTheMoment => N_CALLS.fetch_add(1, Ordering::Relaxed) as u8,
            Fault::FilesWithoutSeed => 0,
            _ => request.seed as u8,
        });
        bytes.extend((0..24).map(|at| (sample * 31 + at * 7) as u8 | 1));
        bytes.push(bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
        fs::write(request.folder.join(format!("s{sample:02}.bare")), bytes).unwrap();
    }
    let data = if is(Fault::SynthesisedIsElsewhere) { "gone" } else { "." };
    Ok(json!({ "data": [data], "options": {} }))
}

pub(super) extern "C" fn open(body: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    answered(opened(body.as_str()).map(|dataset| {
        if is(Fault::NullHandle) {
            return DatasetHandle(std::ptr::null());
        }
        N_OPEN.fetch_add(1, Ordering::SeqCst);
        DatasetHandle(Box::into_raw(Box::new(dataset)).cast_const().cast())
    }))
}

fn opened(body: &str) -> Answer<Dataset> {
    let request: Open = match serde_json::from_str(body) {
        Ok(request) => request,
        Err(_) if is(Fault::GibberishAccepted) => {
            return Ok(Dataset {
                kind: Kind::Numbers,
                files: vec![],
                left_out: vec![],
                shifted: false,
                number: 0,
                n_asked: AtomicUsize::new(0),
            });
        }
        Err(error) if is(Fault::GibberishOtherCode) => return failed(code::CORRUPT, error.to_string()),
        Err(error) => return failed(code::BAD_REQUEST, error.to_string()),
    };
    if body.contains("of_a_later_version") && is(Fault::UnknownFieldRefused) {
        return failed(code::BAD_REQUEST, "unknown field");
    }
    let kind = match &request.options {
        Value::Null if is(Fault::DefaultsRefused) => return failed(code::BAD_REQUEST, "give `words`"),
        Value::Null => Kind::Numbers,
        Value::Object(options) => {
            if let Some(name) = options.keys().find(|name| !["words", "rich", "level"].contains(&name.as_str())) {
                match current() {
                    Fault::UnknownOptionAccepted => {}
                    Fault::UnknownOptionPanics => return failed(code::PANIC, "unwrap"),
                    _ => return failed(code::BAD_REQUEST, format!("there is no option {name}")),
                }
            }
            let level = options.get("level").and_then(Value::as_i64).unwrap_or(1);
            if !(-2..=3).contains(&level) {
                match current() {
                    Fault::RangeIgnored => {}
                    Fault::RangeWithoutName => return failed(code::BAD_REQUEST, "something is out of range"),
                    _ => return failed(code::BAD_REQUEST, format!("level is {level}; it must be -2 to 3")),
                }
            }
            let is_set = |name: &str| options.get(name) == Some(&json!(true));
            match (is_set("words"), is_set("rich")) {
                (true, _) if is(Fault::PresetRefused) => return failed(code::BAD_REQUEST, "`words` cannot be true"),
                (true, _) => Kind::Words,
                (false, true) => Kind::Rich,
                (false, false) => Kind::Numbers,
            }
        }
        other => return failed(code::BAD_REQUEST, format!("options are {other}")),
    };
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for entry in &request.data {
        let path = request.base.join(entry);
        let Ok(found) = fs::read_dir(&path) else {
            if path.is_file() {
                files.push((entry.display().to_string(), path));
                continue;
            }
            match current() {
                Fault::MissingPathAccepted => files.push(("phantom".into(), path)),
                Fault::MissingPathPanics => return failed(code::PANIC, "unwrap"),
                _ => return failed(code::UNREADABLE, format!("{} is missing", entry.display())),
            }
            continue;
        };
        let names = found.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let (own, others): (Vec<_>, Vec<_>) = names.partition(|name| name.ends_with(".bare"));
        files.extend(own.into_iter().map(|name| (name.clone(), path.join(name))));
        left_out.extend(others);
    }
    files.sort();
    if is(Fault::OpensNothing) {
        files.clear();
    }
    match current() {
        Fault::LeavesThreads => {
            std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(60)));
        }
        Fault::LeavesFiles => LEFT.lock().unwrap().push(fs::File::open("/proc/self/status").unwrap()),
        _ => {}
    }
    let shifted = is(Fault::AssetsChangeSamples) && request.assets.is_some();
    let number = N_OPEN_EVER.fetch_add(1, Ordering::Relaxed);
    Ok(Dataset { kind, files, left_out, shifted, number, n_asked: AtomicUsize::new(0) })
}

pub(super) extern "C" fn close(handle: DatasetHandle) {
    N_OPEN.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: the kit passes what `open` gave, once.
    drop(unsafe { Box::from_raw(handle.0.cast_mut().cast::<Dataset>()) });
}
