//! A plugin written against the bare contract, so that nothing contains its faults. It is valid unless it is asked to
//! misbehave, see the crate.
//!
//! Its data are 24 synthetic samples: of 6 tokens of 4 values, or, when asked for a fault at `discrete`, of 6 ids.

use std::ffi::c_void;
use std::sync::OnceLock;

use medcoss_abi::abi_stable::StableAbi;
use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::{
    DatasetHandle, FillBuffers, FillRequest, HostServices, NOT_A_TARGET, PluginError, PluginHeader, PluginTable,
    SampleReport, VIEW_TRAIN, code, operation,
};
use medcoss_misbehaving::{STEERING, act, deed};
use serde_json::{Value, json};

const N_SAMPLES: usize = 24;
const N_TOKENS: usize = 6;
const D_TOKEN: usize = 4;
const N_MASKED: usize = 3;
const VOCABULARY: i32 = 11;
const GIGABYTE: usize = 1 << 30;

/// Writable, so that the constructor can damage it.
#[used]
#[unsafe(export_name = "medcoss_plugin_v1_misbehaving")]
#[unsafe(link_section = ".data")]
static mut HEADER: PluginHeader = PluginHeader::new(PluginTable { attach, describe, invoke, open, query, fill, close });

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;

static SERVICES: OnceLock<HostServices> = OnceLock::new();

extern "C" fn constructor() {
    act("constructor");
    let header = (&raw mut HEADER).cast::<u8>();
    // SAFETY: the places of the header's fields, which is this library's own; no other code reads it yet.
    unsafe {
        match deed("header").as_deref() {
            Some("magic") => header.write(b'M'),
            Some("version") => header.add(16).cast::<u32>().write(7),
            Some("layout-format") => header.add(24).cast::<u32>().write(12),
            Some("size") => header.add(28).cast::<u32>().write(8),
            Some("layout") => {
                let other: *const c_void = std::ptr::from_ref(<HostServices as StableAbi>::LAYOUT).cast();
                header.add(32).cast::<*const c_void>().write(other);
            }
            _ => {}
        }
    }
}

extern "C" fn attach(services: HostServices) {
    let _ = SERVICES.set(services);
    act("attach");
}

fn is_discrete() -> bool {
    std::env::var(medcoss_misbehaving::VARIABLE).is_ok_and(|asked| asked.starts_with("discrete:"))
}

fn geometry() -> Value {
    match is_discrete() {
        false => json!({ "kind": "continuous", "grid": [N_TOKENS], "d_token": D_TOKEN, "n_masked": N_MASKED }),
        true => {
            json!({ "kind": "discrete", "length": N_TOKENS, "vocabulary": VOCABULARY, "padding_id": 0, "mask_id": 1 })
        }
    }
}

/// Text that is not UTF-8.
fn text(bytes: Vec<u8>) -> RString {
    // SAFETY: none where it is not UTF-8, which this plugin tests.
    unsafe { RString::from_utf8_unchecked(RVec::from(bytes)) }
}

fn error<T>(body: Vec<u8>) -> RResult<T, PluginError> {
    RErr(PluginError { code: code::CORRUPT, body: text(body) })
}

extern "C" fn describe() -> RResult<RString, PluginError> {
    let mut honest = json!({
        "id": "misbehaving", "version": "1.0.0", "summary": "whatever it is asked for", "family": "series",
        "geometry": geometry(), "reads": [], "options": { "type": "object" }, "renders": null,
        "operations": ["info", "records", "save-assets"]
    });
    if is_discrete() {
        honest["family"] = "words".into();
    }
    let axes =
        |grid: Value, d_token: Value| json!({ "kind": "continuous", "grid": grid, "d_token": d_token, "n_masked": 3 });
    match act("describe").as_deref() {
        Some("not-utf8") => return ROk(text(b"{\"id\": \"\xff\xfe\"}".to_vec())),
        Some("not-json") => return ROk(text(b"Hello!".to_vec())),
        Some("gigabyte-answer") => return ROk(text(vec![0; GIGABYTE + 1])),
        Some("gigabyte-error") => return error(vec![0; GIGABYTE]),
        Some("not-utf8-error") => return error(b"\xff\xfe damaged".to_vec()),
        Some("other-id") => honest["id"] = "ct".into(),
        Some("escapes") => {
            honest["summary"] = STEERING.into();
            honest["reads"] = json!([STEERING]);
            let property = json!({ "type": "string", "default": STEERING, "description": STEERING });
            honest["options"]["properties"] = json!({ STEERING: property });
        }
        Some("escaping-error") => {
            return error(json!({ "message": STEERING, "causes": [STEERING] }).to_string().into_bytes());
        }
        Some("huge") => honest["geometry"] = axes(json!([1u64 << 20, 1 << 20]), json!(1)),
        Some("overflow") => honest["geometry"] = axes(json!([1u64 << 40, 1u64 << 40]), json!(u64::MAX)),
        Some("negative") => honest["geometry"] = axes(json!([-1]), json!(4)),
        Some("no-tokens") => honest["geometry"] = axes(json!([]), json!(4)),
        Some("future-rendering") => honest["renders"] = "hologram".into(),
        _ => {}
    }
    ROk(honest.to_string().into())
}

extern "C" fn invoke(_: RStr<'_>, _: RStr<'_>) -> RResult<RString, PluginError> {
    act("invoke");
    ROk(json!({ "data": ["."], "options": {} }).to_string().into())
}

extern "C" fn open(_: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    match act("open").as_deref() {
        Some("null") => ROk(DatasetHandle(std::ptr::null())),
        Some("gigabyte-error") => error(vec![0; GIGABYTE]),
        _ => ROk(DatasetHandle((&raw const HEADER).cast())),
    }
}

extern "C" fn query(_: DatasetHandle, name: RStr<'_>, _: RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError> {
    let asked = act("query");
    let asked = asked.as_deref();
    if asked == Some("not-utf8") {
        return ROk(b"[\"\xff\"]".to_vec().into());
    }
    if asked == Some("gigabyte-answer") {
        return ROk(vec![0; GIGABYTE + 1].into());
    }
    let mut records: Vec<Value> =
        (0..N_SAMPLES).map(|index| json!({ "id": format!("synthetic/{index:02}") })).collect();
    match asked {
        Some("same-ids") => records[5] = records[4].clone(),
        Some("absolute-ids") => records[5]["id"] = "/etc/passwd".into(),
        Some("few-records") => drop(records.pop()),
        Some("many-records") => records.push(json!({ "id": "synthetic/more" })),
        Some("unknown-entry") => records[5]["entry"] = 9.into(),
        Some("unknown-fields") => records.iter_mut().for_each(|record| record["aura"] = json!({ "colour": "blue" })),
        _ => {}
    }
    let answer = match name.as_str() {
        operation::INFO => {
            let mut geometry = match asked {
                Some("huge") => {
                    json!({ "kind": "continuous", "grid": [1u64 << 40], "d_token": 1u64 << 40, "n_masked": 1 })
                }
                _ => geometry(),
            };
            match asked {
                Some("requires") => geometry["requires"] = json!(["validity", "holograms"]),
                Some("unknown-fields") => geometry["aura"] = "blue".into(),
                _ => {}
            }
            let n_samples = if asked == Some("endless") { u64::MAX } else { N_SAMPLES as u64 };
            json!({ "n_samples": n_samples, "geometry": geometry, "fingerprint": "0123456789abcdef" })
        }
        operation::RECORDS => json!(records),
        _ => json!([]),
    };
    ROk(answer.to_string().into_bytes().into())
}

extern "C" fn fill(
    _: DatasetHandle,
    request: FillRequest<'_>,
    buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    let asked = act("fill").or_else(|| deed("discrete"));
    let asked = asked.as_deref();
    if asked == Some("nothing") {
        return ROk(RVec::new());
    }
    if is_discrete() {
        fill_ids(request, buffers, asked);
        return ROk(RVec::new());
    }
    let past_end = buffers.tokens.len();
    let tokens = buffers.tokens.into_mut_slice();
    for (slot, (&index, &seed)) in request.indices.iter().zip(request.seeds.iter()).enumerate() {
        for (at, value) in tokens[slot * N_TOKENS * D_TOKEN..][..N_TOKENS * D_TOKEN].iter_mut().enumerate() {
            let wave = (index as f32 * 0.7 + at as f32 * 0.3).sin();
            let gain = if request.view == VIEW_TRAIN { 1.0 + (seed % 97) as f32 * 1e-3 } else { 1.0 };
            *value = wave * gain + nudge(asked);
        }
    }
    let mask = buffers.mask.into_mut_slice();
    for (slot, mask) in mask.chunks_mut(N_TOKENS).enumerate() {
        mask.fill(0);
        if request.view == VIEW_TRAIN {
            (0..N_MASKED).for_each(|nth| mask[(request.seeds[slot] as usize + 2 * nth) % N_TOKENS] = 1);
        }
    }
    let mut errors = RVec::new();
    match asked {
        Some("nan") => tokens[3] = f32::NAN,
        Some("infinity") => tokens[3] = f32::INFINITY,
        Some("mask-2") => mask[2] = 2,
        Some("mask-all") => mask.fill(1),
        // SAFETY: none; writing past the end is the fault.
        Some("past-end") => (0..3).for_each(|at| unsafe { tokens.as_mut_ptr().add(past_end + at).write(0.5) }),
        Some("unknown-slot") => errors.push(SampleReport { slot: 1 << 40, code: 3, message: "x".into() }),
        Some("gigabyte-error") => {
            errors.push(SampleReport { slot: 0, code: code::CORRUPT, message: text(vec![0; GIGABYTE]) });
        }
        Some("not-utf8-error") => {
            errors.push(SampleReport { slot: 0, code: code::CORRUPT, message: text(b"\xff damaged".to_vec()) });
        }
        Some("error") => return error(br#"{"message": "the disk is on fire"}"#.to_vec()),
        Some("escapes") => errors.push(SampleReport { slot: 0, code: code::CORRUPT, message: STEERING.into() }),
        Some("log-from-threads") => log_from_threads(),
        _ => {}
    }
    ROk(errors)
}

fn fill_ids(request: FillRequest<'_>, buffers: FillBuffers<'_>, asked: Option<&str>) {
    let (ids, labels, lengths) =
        (buffers.ids.into_mut_slice(), buffers.labels.into_mut_slice(), buffers.lengths.into_mut_slice());
    for (slot, &index) in request.indices.iter().enumerate() {
        let own = &mut ids[slot * N_TOKENS..][..N_TOKENS];
        own.iter_mut().enumerate().for_each(|(at, id)| *id = 2 + (index as i32 + at as i32) % (VOCABULARY - 2));
        let targets = &mut labels[slot * N_TOKENS..][..N_TOKENS];
        targets.fill(NOT_A_TARGET);
        lengths[slot] = N_TOKENS as i32;
        if request.view == VIEW_TRAIN {
            targets[1] = own[1];
            own[1] = 1;
        }
    }
    match asked {
        Some("id-range") => ids[2] = VOCABULARY,
        Some("id-negative") => ids[2] = -1,
        Some("label-range") => labels[2] = VOCABULARY,
        Some("length-long") => lengths[0] = N_TOKENS as i32 + 1,
        Some("length-negative") => lengths[0] = i32::MIN,
        _ => {}
    }
}

/// A value that differs from call to call: by the time, or by a counter on which threads race.
fn nudge(asked: Option<&str>) -> f32 {
    static mut COUNTER: u32 = 0;
    match asked {
        Some("by-time") => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
            now.subsec_nanos() as f32 * 1e-10
        }
        // SAFETY: none; the data race is the fault.
        Some("race") => unsafe {
            let counter = (&raw mut COUNTER).read_volatile().wrapping_add(1);
            (&raw mut COUNTER).write_volatile(counter);
            (counter % 1000) as f32 * 1e-4
        },
        _ => 0.0,
    }
}

fn log_from_threads() {
    let Some(services) = SERVICES.get() else { return };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                (0..5).for_each(|n| (services.log)(2, format!("{n} from thread {thread}").as_str().into()))
            });
        }
    });
}

extern "C" fn close(_: DatasetHandle) {
    act("close");
}
