//! Answers about an open dataset.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use medcoss_abi::abi_stable::std_types::{RResult, RSlice, RStr, RVec};
use medcoss_abi::message::{Keep, Records, Render, SampleRecord, SaveAssets};
use medcoss_abi::{DatasetHandle, PluginError, code, framed, operation};
use serde_json::{Value, json};

use super::account;
use super::dataset::{Answer, Dataset, Kind, N_OPEN_EVER, answered, failed, unknown};
use super::description::geometry;
use super::fault::{Fault, current, is};
use super::grids::grids;
use super::label_maps::labelled;

pub(super) extern "C" fn query(
    handle: DatasetHandle,
    name: RStr<'_>,
    body: RSlice<'_, u8>,
) -> RResult<RVec<u8>, PluginError> {
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
        operation::GRIDS => grids(dataset, &serde_json::from_slice(body).unwrap())?,
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
