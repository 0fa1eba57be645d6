//! A plugin written against the contract without the SDK, so that it can break the contract. It keeps the contract unless a [`Fault`] is set.
//!
//! A sample is a file of 30 bytes: `BARE`, a seed's byte, 24 values, and the sum of all before. With the option `words`
//! its values are ids of a vocabulary, else three tokens in each of four places of two numbers; with `rich` the last token does not exist, and samples have targets,
//! a coordinate and an affine, and some have nothing to learn.

mod account;
mod fault;
mod grids;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::label_maps::encode;
use medcoss_abi::message::{Keep, LabelMaps, Open, Records, Render, SampleRecord, SaveAssets, Synthesise};
use medcoss_abi::{
    DatasetHandle, ExtraBuffer, FillBuffers, FillRequest, HostServices, NOT_A_TARGET, PluginError, PluginHeader,
    PluginTable, SampleReport, VIEW_TRAIN, code, extra, framed, operation,
};
use serde_json::{Value, json};

pub use fault::{Fault, set};
use fault::{current, is, is_main_thread};

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

fn geometry(kind: Kind) -> Value {
    let mut geometry = match kind {
        Kind::Words => {
            json!({ "kind": "discrete", "length": 32, "vocabulary": 300, "padding_id": 299, "mask_id": 298 })
        }
        Kind::Numbers => json!({ "kind": "continuous", "grid": [3, 4], "d_token": 2, "n_masked": 7 }),
        Kind::Rich => json!({
            "kind": "continuous", "grid": [3, 4], "d_token": 2, "n_masked": 7, "validity": true, "affines": true,
            "targets": { "d_target": 3 }, "coordinates": [{ "name": "x", "range": [-1.0, 1.0] }],
            "requires": ["validity"]
        }),
    };
    if is(Fault::RequiresUndeclared) {
        geometry["requires"] = json!(["affines"]);
    }
    geometry
}

extern "C" fn describe() -> RResult<RString, PluginError> {
    let mut description = json!({
        "id": "bare", "version": "2.0.0", "summary": "bytes", "family": "series", "reads": ["BARE (.bare)"],
        "operations": ["synthesise", "survey", "info", "records", "account", "save-assets", "keep", "label-maps", "grids", "render"],
        "geometry": geometry(Kind::Numbers), "renders": "text",
        "options": { "type": "object", "additionalProperties": false, "properties": {
            "words": { "type": "boolean", "default": false, "description": "Ids of words instead of numbers." },
            "rich": { "type": "boolean", "default": false, "description": "Numbers and more." },
            "level": { "type": "integer", "minimum": -2, "maximum": 3, "default": 1, "description": "Nothing." } },
            "x-option-order": ["words", "level"], "x-option-presets": { "text": { "words": true } } }
    });
    let option = "/options/properties/words";
    match current() {
        Fault::DescriptionIsGibberish => return ROk("{".into()),
        Fault::DescriptionChanges => {
            description["summary"] = json!(format!("described {} times", N_CALLS.fetch_add(1, Ordering::Relaxed)));
        }
        Fault::BadFamily => description["family"] = json!("My Family"),
        Fault::FamilyOfImages => description["family"] = json!("image"),
        Fault::OrderOfNothing => description["options"]["x-option-order"] = json!(["words", "wordz"]),
        Fault::BadVersion => description["version"] = json!("two"),
        Fault::NoSummary => description["summary"] = json!(" "),
        Fault::NoReads => description["reads"] = json!([]),
        Fault::LacksAnOperation => description["operations"] = json!(["synthesise", "info", "save-assets", "render"]),
        Fault::RendersWithoutSaying => description["renders"] = json!(null),
        Fault::NoImage | Fault::HalfAPicture => description["renders"] = json!("png"),
        Fault::SizesOverflow => description["geometry"]["grid"] = json!([u64::MAX, 4]),
        Fault::AllMasked => description["geometry"]["n_masked"] = json!(12),
        Fault::OptionWithoutDefault => {
            description.pointer_mut(option).unwrap().as_object_mut().unwrap().remove("default");
        }
        Fault::OptionWithoutDescription => {
            description.pointer_mut(option).unwrap().as_object_mut().unwrap().remove("description");
        }
        Fault::DefaultOutOfRange => description.pointer_mut(option).unwrap()["enum"] = json!([true]),
        Fault::PresetOfNothing => description["options"]["x-option-presets"]["text"] = json!({ "letters": true }),
        Fault::PresetOfAnotherType => description["options"]["x-option-presets"]["text"] = json!({ "words": 1 }),
        Fault::RequiredOption => description["options"]["required"] = json!(["words"]),
        _ => {}
    }
    ROk(description.to_string().into())
}

extern "C" fn invoke(name: RStr<'_>, body: RStr<'_>) -> RResult<RString, PluginError> {
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

fn unknown(name: &str) -> Answer<Vec<u8>> {
    match current() {
        Fault::AnswersAnything => Ok(b"{}".to_vec()),
        Fault::OtherCodeForUnknown => failed(code::BAD_REQUEST, format!("{name}?")),
        _ => failed(code::UNKNOWN_OPERATION, format!("there is no operation {name}")),
    }
}

extern "C" fn open(body: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
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

extern "C" fn query(handle: DatasetHandle, name: RStr<'_>, body: RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError> {
    // SAFETY: the kit passes what `open` gave and it has not closed.
    let dataset = unsafe { &*handle.0.cast::<Dataset>() };
    answered(queried(dataset, name.as_str(), body.as_slice()).map(RVec::from))
}

fn queried(dataset: &Dataset, name: &str, body: &[u8]) -> Answer<Vec<u8>> {
    let fault = current();
    let answer = match name {
        operation::INFO => info(dataset),
        operation::RECORDS => records(dataset, serde_json::from_slice(body).unwrap()),
        operation::ACCOUNT => account::account(dataset),
        operation::SAVE_ASSETS => {
            let request: SaveAssets = serde_json::from_slice(body).unwrap();
            let name = if fault == Fault::AssetsElsewhere { "../words.txt" } else { "words.txt" };
            fs::write(request.folder.join(name), "words").unwrap();
            json!([name])
        }
        operation::KEEP => kept(dataset, &serde_json::from_slice(body).unwrap()),
        operation::GRIDS => grids::grids(dataset, &serde_json::from_slice(body).unwrap())?,
        operation::LABEL_MAPS => return labelled(dataset, &serde_json::from_slice(body).unwrap()),
        operation::RENDER => return rendered(dataset, body),
        other => return unknown(other),
    };
    Ok(answer.to_string().into_bytes())
}

fn info(dataset: &Dataset) -> Value {
    let mut sum = 7u64;
    for byte in dataset.files.iter().flat_map(|(_, path)| fs::read(path).unwrap_or_default()) {
        sum = sum.wrapping_mul(31).wrapping_add(byte.into());
    }
    let fault = current();
    let fingerprint = match fault {
        Fault::FingerprintOfWords => "fingerprint".into(),
        Fault::FingerprintOfTheMoment => format!("{:016x}", N_OPEN_EVER.load(Ordering::Relaxed)),
        Fault::FingerprintOfNothing => "0123456789abcdef".into(),
        Fault::InfoChanges if dataset.n_asked.fetch_add(1, Ordering::Relaxed) > 0 => "fedcba9876543210".into(),
        _ => format!("{sum:016x}"),
    };
    let geometry = match fault {
        Fault::OtherGeometry => json!({ "kind": "continuous", "grid": [4, 3], "d_token": 2, "n_masked": 7 }),
        _ => geometry(dataset.kind),
    };
    json!({ "n_samples": dataset.files.len(), "geometry": geometry, "fingerprint": fingerprint })
}

fn records(dataset: &Dataset, page: Records) -> Value {
    let fault = current();
    let n = dataset.files.len();
    let first = usize::try_from(page.first).unwrap_or(n).min(n);
    let mut end = first.saturating_add(usize::try_from(page.count).unwrap_or(n)).min(n);
    if fault == Fault::PagesTooLarge && page.count == 3 {
        end = (first + 4).min(n);
    }
    let record = |at: usize| {
        let mut record = SampleRecord::new(dataset.files[at].0.as_str());
        if n > 1 && at == 1 {
            match fault {
                Fault::DoubleId => record.id = dataset.files[0].0.clone(),
                Fault::AbsoluteId => record.id = format!("/tmp/{}", record.id),
                Fault::ClimbingId => record.id = format!("../{}", record.id),
                Fault::UnstableIds => record.id = format!("{}", dataset.number),
                Fault::EntryOutOfRange => record.entry = Some(7),
                Fault::EmptyGroup => record.group = Some(String::new()),
                Fault::NegativeWeight => record.weight = Some(-1.0),
                Fault::MetadataOfTables => drop(record.metadata.insert("site".into(), json!({}))),
                _ => {}
            }
        }
        record
    };
    json!((first..end).map(record).collect::<Vec<_>>())
}

fn kept(dataset: &Dataset, request: &Keep) -> Value {
    let mut indices = request.indices.clone();
    if is(Fault::KeepsBackwards) {
        indices.reverse();
    }
    let mut data = Vec::new();
    for (place, &index) in indices.iter().enumerate() {
        let mut bytes = fs::read(&dataset.files[index as usize].1).unwrap();
        if is(Fault::KeepsRounded) {
            bytes[5] &= 0xf0;
            bytes[29] = bytes[..29].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        }
        let path = request.folder.join(format!("k{place}.bare"));
        fs::write(&path, bytes).unwrap();
        data.push(if is(Fault::KeepsAbsolute) { path } else { Path::new(path.file_name().unwrap()).into() });
    }
    json!({ "data": data, "options": { "words": dataset.kind == Kind::Words, "rich": dataset.kind == Kind::Rich } })
}

/// A file's values are its labels: two in each token.
fn labelled(dataset: &Dataset, request: &LabelMaps) -> Answer<Vec<u8>> {
    let fault = current();
    if dataset.kind == Kind::Words {
        return failed(code::UNSUPPORTED, "words have no labels");
    }
    if request.data.iter().any(|entry| !request.base.join(entry).exists()) && fault != Fault::MasksOfNothing {
        return failed(code::UNREADABLE, "no such folder");
    }
    if fault == Fault::MasksPanic {
        return failed(code::PANIC, "unwrap");
    }
    let (mut samples, mut values) = (Vec::new(), Vec::new());
    for &index in &request.indices {
        let place = (index as usize, dataset.files.len());
        if place.0 >= place.1 && fault != Fault::MasksOfNoSample {
            return failed(code::BAD_REQUEST, format!("sample {} of {}", place.0, place.1));
        }
        let file = dataset.files.get(place.0).unwrap_or(&dataset.files[0]);
        let mut labels: Vec<u16> = decoded(&file.1)?.into_iter().map(u16::from).collect();
        if fault == Fault::MasksOfTheMoment {
            labels[3] = N_CALLS.fetch_add(1, Ordering::Relaxed) as u16;
        }
        values.push(labels);
        samples.push(match fault {
            Fault::MasksWithoutSpacing => json!({ "spacing_mm": [1.0, 0.0] }),
            Fault::OneMaskPanics => json!({ "error": { "code": code::PANIC, "message": "unwrap" } }),
            _ => json!({ "spacing_mm": [0.5, 2.0] }),
        });
    }
    if matches!(fault, Fault::OneMaskPanics) {
        values.clear();
    }
    if fault == Fault::MasksTooFew && samples.len() > 1 {
        samples.pop();
        values.pop();
    }
    let shape = match fault {
        Fault::MasksOfOtherShape => [8, 3],
        Fault::OtherGeometry => [4, 6],
        _ => [3, 8],
    };
    let header = serde_json::from_value(json!({ "shape": shape, "samples": samples })).unwrap();
    let mut answer = encode(&header, values.iter().map(Vec::as_slice)).unwrap();
    if fault == Fault::MasksLackALabel {
        answer.truncate(answer.len() - 2);
    }
    Ok(answer)
}

fn rendered(dataset: &Dataset, body: &[u8]) -> Answer<Vec<u8>> {
    let (Render { parts }, values) = framed::split(body).or_else(|what| failed(code::BAD_REQUEST, what))?;
    let n_values = if dataset.kind == Kind::Words { 32 * 4 } else { 24 * 4 };
    let expected = n_values + 12 * (parts.len() - 1);
    if values.len() != expected && !is(Fault::RendersAnything) {
        return failed(code::BAD_REQUEST, format!("{} bytes", values.len()));
    }
    let mask = &values[n_values.min(values.len())..];
    let shown: u32 = values
        .chunks(8)
        .zip(mask)
        .filter(|(_, masked)| **masked == 0)
        .flat_map(|(token, _)| token)
        .map(|&byte| u32::from(byte))
        .sum();
    let hidden: u32 = values
        .chunks(8)
        .zip(mask)
        .filter(|(_, masked)| **masked == 1)
        .flat_map(|(token, _)| token)
        .map(|&byte| u32::from(byte))
        .sum();
    Ok(match current() {
        Fault::RendersHidden => format!("some words {shown} {hidden}").into_bytes(),
        Fault::NoImage => b"no image".to_vec(),
        Fault::HalfAPicture => b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec(),
        _ => format!("some words {shown}").into_bytes(),
    })
}

extern "C" fn fill(
    handle: DatasetHandle,
    request: FillRequest<'_>,
    mut buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    // SAFETY: the kit passes what `open` gave and it has not closed.
    let dataset = unsafe { &*handle.0.cast::<Dataset>() };
    let train = request.view == VIEW_TRAIN;
    if request.view > VIEW_TRAIN && !is(Fault::UnknownViewDelivered) {
        let body = json!({ "message": format!("there is no view {}", request.view) }).to_string();
        return RErr(PluginError { code: code::BAD_REQUEST, body: body.into() });
    }
    let n = request.indices.len();
    match current() {
        // Hidden from the optimiser, which leaves out unused memory.
        Fault::LeaksMemory => drop(std::hint::black_box(Box::leak(vec![1u8; 2048].into_boxed_slice()))),
        Fault::Slow => std::thread::sleep(std::time::Duration::from_millis(20)),
        _ => {}
    }
    let mut extras = std::mem::take(&mut buffers.extras);
    if extras.iter().any(|extra| extra.kind > extra::AFFINES) {
        match current() {
            Fault::UnknownExtraRefused => {
                let body = json!({ "message": "what is this?" }).to_string();
                return RErr(PluginError { code: code::UNSUPPORTED, body: body.into() });
            }
            Fault::UnknownExtraWritten => extras.iter_mut().for_each(|extra| {
                if let Some(byte) = extra.bytes.as_mut_slice().first_mut() {
                    *byte = 1;
                }
            }),
            _ => {}
        }
    }
    let mut errors = RVec::new();
    for slot in 0..n {
        let mut random = request.seeds[slot] | 1;
        if is(Fault::ExtrasChangeMasks) && !extras.is_empty() {
            random += 2;
        }
        match current() {
            Fault::CountsCalls => random += 2 * N_CALLS.fetch_add(1, Ordering::Relaxed) as u64,
            Fault::PlaceInBatch => random += 2 * slot as u64,
            Fault::SizeOfBatch => random += 2 * n as u64,
            Fault::ByThread if !is_main_thread() => random += 2,
            Fault::SameMasks => random = 1,
            Fault::PlainIsMasked if !train => random = 1,
            Fault::ShareAStatic => random += 2 * N_OPEN.load(Ordering::SeqCst) as u64,
            _ => {}
        }
        if let Err((code, message)) = filled(dataset, request.indices[slot], train, random, slot, &mut buffers) {
            let slot = if is(Fault::SlotOutOfRange) { n } else { slot };
            let mut message = message.into_bytes();
            if is(Fault::MessageNotUtf8) {
                message.extend(b"\xff\xfe");
            }
            // SAFETY: none for the fault; a plugin may be as wrong.
            let message = unsafe { RString::from_utf8_unchecked(RVec::from(message)) };
            errors.push(SampleReport { slot: slot as u64, code, message });
            continue;
        }
        if dataset.kind == Kind::Rich {
            extras.iter_mut().for_each(|extra| filled_extra(extra, slot, train));
            let is_skipped = match current() {
                Fault::SkipsAtRandom => N_CALLS.fetch_add(1, Ordering::Relaxed).is_multiple_of(3),
                _ => is_flat(dataset, request.indices[slot]) && (!train || request.seeds[slot].is_multiple_of(2)),
            };
            if is_skipped {
                errors.push(SampleReport { slot: slot as u64, code: code::SKIPPED, message: "flat".into() });
                if is(Fault::SkippedIsEmpty) {
                    buffers.tokens[slot * 24..][..24].fill(f32::NAN);
                }
            }
        }
    }
    ROk(errors)
}

/// Whether there is nothing to learn from a file, by its first value.
fn is_flat(dataset: &Dataset, index: u64) -> bool {
    dataset
        .files
        .get(index as usize)
        .and_then(|(_, path)| fs::read(path).ok()?.get(5).map(|value| value / 2 % 4 == 3))
        .unwrap_or(false)
}

/// What a rich sample has beside tokens and mask.
fn filled_extra(extra: &mut ExtraBuffer<'_>, slot: usize, train: bool) {
    let fault = current();
    match extra.kind {
        extra::VALID => {
            let valid = &mut extra.bytes[slot * 12..][..12];
            valid.fill(1);
            valid[11] = 0;
            if fault == Fault::ValidityTwo {
                valid[3] = 2;
            }
        }
        extra::TARGETS => {
            let targets = &mut extra.floats[slot * 36..][..36];
            targets.fill(0.5);
            if fault == Fault::TargetNotANumber {
                targets[7] = f32::NAN;
            }
        }
        extra::COORDINATES => {
            let coordinates = &mut extra.floats[slot * 12..][..12];
            coordinates.fill(0.25);
            coordinates[11] = if fault == Fault::CoordinateOfNothing { 0.25 } else { 0.0 };
            if fault == Fault::CoordinateOutOfRange {
                coordinates[2] = 1.5;
            }
        }
        extra::AFFINES => {
            let affine = &mut extra.floats[slot * 6..][..6];
            affine.copy_from_slice(&[4.0, 0.0, 1.0, 0.0, -2.0, 8.0]);
            if fault == Fault::AffineOfNoVolume && train {
                affine[4] = 0.0;
            }
        }
        _ => {}
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

fn filled(
    dataset: &Dataset,
    index: u64,
    train: bool,
    mut random: u64,
    slot: usize,
    buffers: &mut FillBuffers<'_>,
) -> Answer<()> {
    let fault = current();
    let Some((_, path)) = dataset.files.get(usize::try_from(index).unwrap_or(usize::MAX)) else {
        return match fault {
            Fault::BadIndexDelivered => Ok(()),
            Fault::BadIndexPanics => failed(code::PANIC, "index out of bounds"),
            _ => failed(code::BAD_REQUEST, format!("there is no sample {index}")),
        };
    };
    match fault {
        Fault::LoadPanics => return failed(code::PANIC, "unwrap"),
        Fault::LoadFails | Fault::SlotOutOfRange | Fault::MessageNotUtf8 => {
            return failed(code::UNSUPPORTED, "such files are not read");
        }
        _ => {}
    }
    let mut values = decoded(path)?;
    if dataset.shifted {
        values[0] ^= 64;
    }
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    if dataset.kind == Kind::Words {
        let ids = &mut buffers.ids[slot * 32..][..32];
        let labels = &mut buffers.labels[slot * 32..][..32];
        for (at, id) in ids.iter_mut().enumerate() {
            match values.get(at) {
                Some(&value) => *id = value.into(),
                None if fault == Fault::LeavesPadding && at == 31 => {}
                None => *id = 299,
            }
        }
        labels.fill(NOT_A_TARGET);
        buffers.lengths[slot] = 24;
        if train && fault != Fault::NoTargets {
            for _ in 0..5 {
                let at = (draw() % 24) as usize;
                labels[at] = values[at].into();
                ids[at] = 298;
            }
        }
        match fault {
            Fault::LengthTooLarge => buffers.lengths[slot] = 33,
            Fault::WordsBehindTheLength => ids[27] = 5,
            Fault::IdOutOfRange => ids[3] = 300,
            Fault::NegativeId => ids[3] = -1,
            Fault::TargetOutOfRange if train => labels[3] = 300,
            Fault::TargetInPadding if train => labels[25] = 3,
            Fault::PlainHasTargets if !train => labels[3] = 3,
            _ => {}
        }
        return Ok(());
    }
    let tokens = &mut buffers.tokens[slot * 24..][..24];
    let mask = &mut buffers.mask[slot * 12..][..12];
    let left = tokens[23];
    for (token, value) in tokens.iter_mut().zip(&values) {
        // Zero is in no valid file.
        let bad = fault == Fault::TruncatedNotANumber && *value == 0;
        *token = if bad { f32::NAN } else { f32::from(*value) / 255.0 };
    }
    if dataset.kind == Kind::Rich && fault != Fault::NothingHasValues {
        tokens[22..].fill(0.0);
    }
    if fault == Fault::LeavesAValue {
        tokens[23] = left;
    }
    mask.fill(0);
    if train || fault == Fault::PlainIsMasked {
        let mut left = match fault {
            Fault::MaskTooFew => 6,
            Fault::MaskTooManySometimes => 7 + usize::from(draw() % 8 == 0),
            _ => 7,
        };
        while left > 0 {
            let at = (draw() % 12) as usize;
            left -= usize::from(mask[at] == 0);
            mask[at] = 1;
        }
    }
    match fault {
        Fault::PlainWithChance if !train => tokens[0] = (draw() % 1000) as f32,
        Fault::CountsCalls | Fault::PlaceInBatch | Fault::SizeOfBatch | Fault::ByThread | Fault::ShareAStatic
            if train =>
        {
            tokens[1] = (draw() % 1000) as f32;
        }
        Fault::NotANumber => tokens[13] = f32::NAN,
        Fault::Infinite if train => tokens[13] = f32::NEG_INFINITY,
        Fault::MaskTwo if train => {
            if let Some(masked) = mask.iter_mut().find(|masked| **masked == 1) {
                *masked = 2;
            }
        }
        // SAFETY: none is claimed. This is the fault that the guards are there for, and they are long enough for it.
        Fault::WritesPastTheEnd => unsafe { *buffers.tokens.as_mut_ptr().add(buffers.tokens.len() + 2) = 0.5 },
        // SAFETY: as above.
        Fault::WritesBeforeTheBeginning => unsafe { *buffers.tokens.as_mut_ptr().sub(1) = 0.5 },
        // SAFETY: as above.
        Fault::WritesMaskPastTheEnd if train => unsafe { *buffers.mask.as_mut_ptr().add(buffers.mask.len()) = 1 },
        _ => {}
    }
    Ok(())
}

extern "C" fn close(handle: DatasetHandle) {
    N_OPEN.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: the kit passes what `open` gave, once.
    drop(unsafe { Box::from_raw(handle.0.cast_mut().cast::<Dataset>()) });
}
