//! Segmentation masks: the operation `label-maps`.
//!
//! The rules know no file format, so they use the samples' own files as masks: these have the right names and the right size. A plugin may
//! refuse them with an error; but an answer must have the contract's form.

use std::path::PathBuf;

use medcoss_abi::label_maps::decode;
use medcoss_abi::message::{Geometry, LabelMaps, LabelMapsHeader};
use medcoss_abi::operation::LABEL_MAPS;

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin::{CallError, PANIC_REMEDY, malformed};
use crate::plugin_under_test::PluginUnderTest;
use crate::rules::operations::{json, not_known};

/// Samples whose masks are asked for.
const N_ASKED: usize = 3;

pub(super) fn label_maps(under_test: &mut PluginUnderTest) -> RuleResult {
    if !under_test.knows(LABEL_MAPS)? {
        return Err(not_known(LABEL_MAPS));
    }
    let samples = under_test.samples()?;
    let own = LabelMaps {
        base: samples.open.base.clone(),
        data: samples.open.data.clone(),
        indices: samples.indices.iter().take(N_ASKED).copied().collect(),
        ..LabelMaps::default()
    };
    let n = samples.dataset.len() as u64;
    for (what, request) in [
        ("a folder that does not exist", LabelMaps { data: vec![PathBuf::from("no/such/folder")], ..own.clone() }),
        ("a sample that does not exist", LabelMaps { indices: vec![n], ..own.clone() }),
    ] {
        refused(what, &asked(&samples.dataset, &request)?)?;
    }
    let Some((header, labels)) = answered(asked(&samples.dataset, &own)?)? else {
        return passed("the samples' own files are no masks, and were refused");
    };
    check(samples.dataset.geometry(), &header, own.indices.len())?;
    let n_labels: usize = header.shape.iter().product();
    let mut at = 0;
    for (slot, &index) in own.indices.iter().enumerate() {
        let alone = answered(asked(&samples.dataset, &LabelMaps { indices: vec![index], ..own.clone() })?)?;
        let n = if header.samples[slot].error.is_none() { n_labels } else { 0 };
        let same = alone.is_some_and(|(alone, values)| {
            alone.samples == header.samples[slot..=slot] && values == labels[at..at + n]
        });
        if !same {
            return Err(violation(
                format!(
                    "the mask of sample {} differs from that in a request with other samples",
                    samples.dataset.id(index)
                ),
                "make `label_map` depend on its arguments and the dataset alone",
            ));
        }
        at += n;
    }
    passed(match header.samples.iter().filter(|sample| sample.error.is_none()).count() {
        0 => "the samples' own files are no masks, and were refused one by one".into(),
        n => format!("{n} masks of {:?}", header.shape),
    })
}

/// An answer; a refused request is one too.
fn asked(dataset: &OpenDataset, request: &LabelMaps) -> Result<Result<Vec<u8>, CallError>, Stop> {
    let answer = dataset.query(LABEL_MAPS, json(request)?.as_bytes());
    match answer {
        Err(error) if error.is_fault() => Err(violation(error.to_string(), PANIC_REMEDY)),
        answer => Ok(answer),
    }
}

/// What has to be refused, as a whole or sample by sample.
fn refused(what: &str, answer: &Result<Vec<u8>, CallError>) -> Result<(), Stop> {
    let delivered = match answer {
        Err(_) => 0,
        Ok(answer) => decoded(answer)?.0.samples.iter().filter(|sample| sample.error.is_none()).count(),
    };
    match delivered {
        0 => Ok(()),
        n => Err(violation(
            format!("{what} gave {n} masks; an error was expected"),
            "let the SDK find the masks, and compare indices with the number of samples",
        )),
    }
}

fn decoded(answer: &[u8]) -> Result<(LabelMapsHeader, Vec<u16>), Stop> {
    Ok(decode(answer).map_err(|what| malformed(LABEL_MAPS, what))?)
}

fn answered(answer: Result<Vec<u8>, CallError>) -> Result<Option<(LabelMapsHeader, Vec<u16>)>, Stop> {
    match answer {
        Err(_) => Ok(None),
        Ok(answer) => decoded(&answer).map(Some),
    }
}

/// Checks the errors of an answer, then its number, shape and spacings.
fn check(geometry: &Geometry, header: &LabelMapsHeader, n_asked: usize) -> Result<(), Stop> {
    for error in header.samples.iter().filter_map(|sample| sample.error.as_ref()) {
        let (operation, code) = (LABEL_MAPS.to_owned(), error.code);
        let error = CallError::Reported { operation, code, message: error.message.clone() };
        if error.is_fault() {
            return Err(violation(error.to_string(), PANIC_REMEDY));
        }
    }
    medcoss_caller::label_maps::check(geometry, header, n_asked).map_err(|what| {
        violation(
            what,
            "answer with one note for each index, in their order; with the shape of the evaluation view, the grid's sides \
             times those of a token; with one positive distance for each axis, or none where it is not known",
        )
    })
}
