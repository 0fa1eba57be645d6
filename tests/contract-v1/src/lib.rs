//! The smallest whole plugin of version 1 of the contract: lines of three numbers, a sample a line, as two tokens of which one is masked.
//! Written against the bare contract, since the SDK goes on changing and this must not.

use std::path::PathBuf;
use std::sync::OnceLock;

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::message::{Open, Records, Synthesise};
use medcoss_abi::{
    DatasetHandle, FillBuffers, FillRequest, HostServices, PluginError, PluginHeader, PluginTable, SampleReport,
    VIEW_TRAIN, code, operation,
};
use serde_json::json;

/// The exported header.
#[used]
#[unsafe(export_name = "medcoss_plugin_v1_contract_v1")]
pub static HEADER: PluginHeader =
    PluginHeader::new(PluginTable { attach, describe, invoke, open, query, fill, close });

static SERVICES: OnceLock<HostServices> = OnceLock::new();

const GEOMETRY: &str = r#"{"kind":"continuous","grid":[2],"d_token":3,"n_masked":1}"#;

/// Numbers of a line, or none if it is bad.
type Line = Option<[f32; 6]>;

extern "C" fn attach(services: HostServices) {
    let _ = SERVICES.set(services);
}

fn failed<T>(code: i32, message: String) -> RResult<T, PluginError> {
    RErr(PluginError { code, body: json!({ "message": message }).to_string().into() })
}

extern "C" fn describe() -> RResult<RString, PluginError> {
    let described = format!(
        r#"{{"id":"contract_v1","version":"1.0.0","summary":"lines of six numbers","family":"series","geometry":{GEOMETRY},
            "reads":["numbers.txt"],"options":{{"type":"object","properties":{{}}}},"renders":null,
            "operations":["synthesise","info","records","save-assets"]}}"#
    );
    ROk(described.into())
}

extern "C" fn invoke(name: RStr<'_>, body: RStr<'_>) -> RResult<RString, PluginError> {
    let request: Synthesise = match serde_json::from_str(body.as_str()) {
        Ok(request) if name.as_str() == operation::SYNTHESISE => request,
        Ok(_) => return failed(code::UNKNOWN_OPERATION, format!("no operation {name}")),
        Err(error) => return failed(code::BAD_REQUEST, error.to_string()),
    };
    let line = |n: usize| {
        let numbers = (0..6).map(|at| format!("{}", (n * 6 + at) as f32 * 0.25 + (request.seed % 7) as f32));
        format!("{}\n", numbers.collect::<Vec<_>>().join(" "))
    };
    let text: String = (0..request.n_samples).map(line).collect();
    match std::fs::write(request.folder.join("numbers.txt"), text) {
        Ok(()) => ROk(r#"{"data":["numbers.txt"],"options":{}}"#.into()),
        Err(error) => failed(code::UNREADABLE, error.to_string()),
    }
}

fn read(request: &Open) -> std::io::Result<Vec<Line>> {
    let files: Vec<PathBuf> = request.data.iter().map(|entry| request.base.join(entry)).collect();
    let mut lines = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file)?.lines() {
            let numbers: Vec<f32> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
            lines.push(numbers.try_into().ok());
        }
    }
    Ok(lines)
}

extern "C" fn open(body: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    let request: Open = match serde_json::from_str(body.as_str()) {
        Ok(request) => request,
        Err(error) => return failed(code::BAD_REQUEST, error.to_string()),
    };
    match read(&request) {
        Ok(lines) => {
            if let Some(services) = SERVICES.get() {
                (services.log)(3, format!("{} lines", lines.len()).as_str().into());
            }
            ROk(DatasetHandle(Box::into_raw(Box::new(lines)) as *const ()))
        }
        Err(error) => failed(code::UNREADABLE, error.to_string()),
    }
}

fn lines<'a>(handle: DatasetHandle) -> &'a [Line] {
    // SAFETY: the host passes a handle that `open` gave and that it has not closed.
    unsafe { &*(handle.0 as *const Vec<Line>) }
}

extern "C" fn query(handle: DatasetHandle, name: RStr<'_>, body: RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError> {
    let lines = lines(handle);
    let answer = match name.as_str() {
        operation::INFO => {
            let bits = lines.iter().flatten().flatten().map(|value| u64::from(value.to_bits()));
            let digest = bits.fold(7, |sum: u64, bits| sum.wrapping_mul(31).wrapping_add(bits));
            let n_samples = lines.len();
            format!(r#"{{"n_samples":{n_samples},"geometry":{GEOMETRY},"fingerprint":"{digest:016x}"}}"#)
        }
        operation::RECORDS => match serde_json::from_slice(body.as_slice()) {
            Ok(Records { first, count }) => {
                let (n, first) = (lines.len(), usize::try_from(first).unwrap_or(usize::MAX));
                let page = (0..n).skip(first).take(usize::try_from(count).unwrap_or(n));
                json!(page.map(|n| json!({ "id": format!("numbers.txt#{n}") })).collect::<Vec<_>>()).to_string()
            }
            Err(error) => return failed(code::BAD_REQUEST, error.to_string()),
        },
        operation::SAVE_ASSETS => "[]".into(),
        other => return failed(code::UNKNOWN_OPERATION, format!("no operation {other}")),
    };
    ROk(answer.into_bytes().into())
}

extern "C" fn fill(
    handle: DatasetHandle,
    request: FillRequest<'_>,
    buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    let lines = lines(handle);
    let (tokens, mask) = (buffers.tokens.into_mut_slice(), buffers.mask.into_mut_slice());
    let mut errors = RVec::new();
    for (slot, (&index, &seed)) in request.indices.iter().zip(request.seeds.iter()).enumerate() {
        let Some(numbers) = lines[index as usize] else {
            let message = "it has not six numbers";
            errors.push(SampleReport { slot: slot as u64, code: code::CORRUPT, message: message.into() });
            continue;
        };
        tokens[slot * 6..][..6].copy_from_slice(&numbers);
        mask[slot * 2..][..2].fill(0);
        if request.view == VIEW_TRAIN {
            mask[slot * 2 + (seed % 2) as usize] = 1;
        }
    }
    ROk(errors)
}

extern "C" fn close(handle: DatasetHandle) {
    // SAFETY: the host passes a handle that `open` gave, once, and uses it no more.
    drop(unsafe { Box::from_raw(handle.0 as *mut Vec<Line>) });
}
