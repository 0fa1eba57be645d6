//! The operations on an open dataset.

use medcoss_abi::label_maps::encode;
use medcoss_abi::message::{
    FileGrid, Geometry, Grids, Info, Keep, LabelMapError, LabelMapNote, LabelMaps, LabelMapsHeader, Records, Render,
    SampleRecord, SaveAssets, Synthesised,
};
use medcoss_abi::{code, framed, operation};
use serde::Serialize;

use super::panics::contained;
use crate::label_map::LabelMap;
use crate::mask_files::MaskFiles;
use crate::{Dataset, Error, Modality, Tokens, sample_id};

/// Names of the operations of a modality.
pub(super) fn operations<M: Modality>() -> Vec<String> {
    let always = [
        operation::SYNTHESISE,
        operation::SURVEY,
        operation::INFO,
        operation::RECORDS,
        operation::ACCOUNT,
        operation::SAVE_ASSETS,
    ];
    let optional = [
        M::RENDERS.is_some().then_some(operation::RENDER),
        M::SAVES_SAMPLES.then_some(operation::KEEP),
        (!M::MASK_EXTENSIONS.is_empty()).then_some(operation::LABEL_MAPS),
        M::KNOWS_GRIDS.then_some(operation::GRIDS),
    ];
    always.into_iter().chain(optional.into_iter().flatten()).map(String::from).collect()
}

/// The answer of an operation.
///
/// # Errors
/// Those of the operation, one that the modality does not have.
pub(super) fn answer<M: Modality>(dataset: &M::Dataset, name: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(match name {
        operation::INFO => {
            let (n_samples, geometry) = (dataset.len() as u64, dataset.geometry());
            json(&Info { n_samples, geometry, fingerprint: dataset.fingerprint().hex() })?.into_bytes()
        }
        operation::RECORDS => json(&records(dataset, parse(body)?))?.into_bytes(),
        operation::ACCOUNT => {
            let request = parse(body)?;
            json(&dataset.account().map(|account| account.page(request)))?.into_bytes()
        }
        operation::SAVE_ASSETS => {
            let request: SaveAssets = parse(body)?;
            json(&dataset.save_assets(&request.folder)?)?.into_bytes()
        }
        operation::KEEP if M::SAVES_SAMPLES => json(&save_samples(dataset, &parse(body)?)?)?.into_bytes(),
        operation::LABEL_MAPS if !M::MASK_EXTENSIONS.is_empty() => {
            label_maps(dataset, M::MASK_EXTENSIONS, &parse(body)?)?
        }
        operation::GRIDS if M::KNOWS_GRIDS => json(&grids(dataset, &parse(body)?)?)?.into_bytes(),
        operation::RENDER if M::RENDERS.is_some() => render(dataset, body)?,
        other => return Err(unknown::<M>(other)),
    })
}

/// A page of records, with texts that the contract allows.
fn records(dataset: &impl Dataset, Records { first, count }: Records) -> Vec<SampleRecord> {
    let n = dataset.len();
    let first = usize::try_from(first).unwrap_or(n).min(n);
    let end = first.saturating_add(usize::try_from(count).unwrap_or(n)).min(n);
    let text = |text: Option<String>| text.filter(|text| !text.is_empty()).map(sample_id::within_limits);
    let record = |index| {
        let record = dataset.record(index);
        SampleRecord {
            id: sample_id::within_limits(record.id),
            file: text(record.file),
            group: text(record.group),
            label: text(record.label),
            pair: text(record.pair),
            ..record
        }
    };
    (first..end).map(record).collect()
}

fn save_samples(dataset: &impl Dataset, request: &Keep) -> Result<Synthesised, Error> {
    dataset.save_samples(&existing(dataset, &request.indices)?, &request.folder)
}

fn existing(dataset: &impl Dataset, indices: &[u64]) -> Result<Vec<usize>, Error> {
    let n = dataset.len();
    let index = |&index: &u64| {
        let found = usize::try_from(index).ok().filter(|&index| index < n);
        found.ok_or_else(|| Error::bad_request(format!("sample {index} does not exist; there are {n}")))
    };
    indices.iter().map(index).collect()
}

fn grids(dataset: &impl Dataset, request: &Grids) -> Result<Vec<Option<FileGrid>>, Error> {
    Ok(existing(dataset, &request.indices)?.into_iter().map(|index| dataset.grid(index)).collect())
}

/// A sample that has no label map does not take the others with it.
fn label_maps(dataset: &impl Dataset, extensions: &[&str], request: &LabelMaps) -> Result<Vec<u8>, Error> {
    let indices = existing(dataset, &request.indices)?;
    let files = MaskFiles::find(request, extensions)?;
    let names: Vec<String> = (0..dataset.len()).map(|index| dataset.record(index).file().to_owned()).collect();
    let masks = files.of_all(names.iter().map(String::as_str));
    let label_map = |&index: &usize| {
        let mask = masks[names[index].as_str()].as_ref().map_err(Error::clone)?;
        contained(|| dataset.label_map(index, mask))
    };
    let maps: Vec<Result<LabelMap, Error>> = indices.iter().map(label_map).collect();
    let shape = maps.iter().flatten().map(|map| map.shape().to_vec()).next();
    let header = LabelMapsHeader {
        // Without a single label map there is no shape to tell.
        shape: shape.unwrap_or_default(),
        samples: maps.iter().map(note).collect(),
    };
    if let Some(other) = maps.iter().flatten().find(|map| map.shape() != header.shape) {
        let (other, one) = (other.shape(), &header.shape);
        return Err(Error::bad_request(format!("label maps of {one:?} and {other:?} in one dataset")));
    }
    encode(&header, maps.iter().flatten().map(LabelMap::values))
        .map_err(|error| Error::bad_request(format!("answer: {error}")))
}

fn note(map: &Result<LabelMap, Error>) -> LabelMapNote {
    match map {
        Ok(map) => LabelMapNote { spacing_mm: map.spacing_mm().map(<[f64]>::to_vec), error: None },
        Err(error) => LabelMapNote {
            spacing_mm: None,
            error: Some(LabelMapError { code: error.code(), message: error.to_string() }),
        },
    }
}

/// Renders a sample. What is hidden reaches the plugin as 0.
fn render(dataset: &impl Dataset, body: &[u8]) -> Result<Vec<u8>, Error> {
    let refused = |what: String| Error::bad_request(format!("request: {what}"));
    let (Render { parts }, mut rest): (Render, _) = framed::split(body).map_err(refused)?;
    let geometry = dataset.geometry();
    let (kind, n_tokens, n_values) = match &geometry {
        Geometry::Continuous(grid) => {
            let n_tokens: usize = grid.grid.iter().product();
            ("tokens", n_tokens, n_tokens * grid.d_token)
        }
        Geometry::Discrete(sequence) => ("ids", sequence.length, sequence.length),
    };
    let (mut words, mut hidden): (&[[u8; 4]], Option<Vec<bool>>) = (&[], None);
    for part in &parts {
        let is_values = part == kind;
        let flags_hidden_as = match part.as_str() {
            "mask" => 1,
            "valid" => 0,
            _ if is_values => 2,
            other => return Err(refused(format!("a part {other:?} of a sample with {kind}"))),
        };
        let n_bytes = if is_values { 4 * n_values } else { n_tokens };
        let (bytes, behind) = rest
            .split_at_checked(n_bytes)
            .ok_or_else(|| refused(format!("{part} has {} bytes instead of {n_bytes}", rest.len())))?;
        rest = behind;
        if is_values {
            words = bytes.as_chunks::<4>().0;
        } else {
            let hidden = hidden.get_or_insert_with(|| vec![false; n_tokens]);
            hidden.iter_mut().zip(bytes).for_each(|(hidden, &flag)| *hidden |= flag == flags_hidden_as);
        }
    }
    if !rest.is_empty() || words.len() != n_values {
        return Err(refused(format!(
            "{} values of a sample that has {n_values}, {} bytes more",
            words.len(),
            rest.len()
        )));
    }
    match geometry {
        Geometry::Continuous(grid) => {
            let mut values: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
            if let Some(hidden) = &hidden {
                let tokens = values.chunks_exact_mut(grid.d_token.max(1)).zip(hidden);
                tokens.filter(|(_, is_hidden)| **is_hidden).for_each(|(token, _)| token.fill(0.0));
            }
            dataset.render(Tokens::Continuous { values: &values, hidden: hidden.as_deref() })
        }
        Geometry::Discrete(_) => {
            let ids: Vec<i32> = words.iter().map(|&word| i32::from_le_bytes(word)).collect();
            dataset.render(Tokens::Discrete(&ids))
        }
    }
}

pub(super) fn unknown<M: Modality>(name: &str) -> Error {
    Error::new(code::UNKNOWN_OPERATION, format!("plugin {} knows no operation {name:?}", M::ID))
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::bad_request(format!("request: {error}")))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::bad_request(format!("answer: {error}")))
}
