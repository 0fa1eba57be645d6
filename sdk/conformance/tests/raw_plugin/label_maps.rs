//! The masks of samples.

use std::sync::atomic::Ordering;

use medcoss_abi::code;
use medcoss_abi::label_maps::encode;
use medcoss_abi::message::LabelMaps;
use serde_json::json;

use super::dataset::{Answer, Dataset, Kind, N_CALLS, decoded, failed};
use super::fault::{Fault, current};

/// A file's values are its labels: two in each token.
pub(super) fn labelled(dataset: &Dataset, request: &LabelMaps) -> Answer<Vec<u8>> {
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
