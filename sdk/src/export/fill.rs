//! The filling of a batch, a sample at a time.

use medcoss_abi::abi_stable::std_types::{RSliceMut, RVec};
use medcoss_abi::message::{Continuous, Discrete, Geometry};
use medcoss_abi::{ExtraBuffer, FillBuffers, FillRequest, NOT_A_TARGET, SampleReport, VIEW_PLAIN, VIEW_TRAIN, extra};

use super::panics::contained;
use crate::{Dataset, Error, Patches, Sample, View, sample_rng};

/// Fills a batch.
///
/// # Errors
/// A view that does not exist, buffers of other sizes than the request needs. What is wrong with a single sample is reported.
pub(super) fn fill_samples(
    dataset: &impl Dataset,
    request: FillRequest<'_>,
    buffers: FillBuffers<'_>,
) -> Result<RVec<SampleReport>, Error> {
    let view = match request.view {
        VIEW_PLAIN => View::Evaluation,
        VIEW_TRAIN => View::Training,
        other => return Err(Error::bad_request(format!("view {other} is neither {VIEW_PLAIN} nor {VIEW_TRAIN}"))),
    };
    let (indices, seeds) = (request.indices.as_slice(), request.seeds.as_slice());
    let n = indices.len();
    let geometry = dataset.geometry();
    let misfit = || Error::bad_request(format!("the buffers do not fit {n} samples of {geometry:?}"));
    if seeds.len() != n {
        return Err(misfit());
    }
    let load = |slot: usize, sample: Sample<'_>| {
        let index = usize::try_from(indices[slot]).ok().filter(|&index| index < dataset.len()).ok_or_else(|| {
            Error::bad_request(format!("sample {} does not exist; there are {}", indices[slot], dataset.len()))
        })?;
        dataset.load(index, view, &mut sample_rng(seeds[slot]), sample)
    };
    let mut reports = RVec::new();
    let mut report = |slot: usize, outcome: Result<(), Error>| {
        if let Err(error) = outcome {
            reports.push(SampleReport { slot: slot as u64, code: error.code(), message: error.to_string().into() });
        }
    };
    match &geometry {
        Geometry::Continuous(geometry) => {
            let mut patches = BatchOfPatches::new(geometry, n, buffers).ok_or_else(misfit)?;
            for slot in 0..n {
                let sample = patches.of(slot);
                report(slot, contained(|| load(slot, Sample::Continuous(sample))));
            }
        }
        Geometry::Discrete(geometry) => {
            let mut words = BatchOfWords::new(geometry, n, buffers).ok_or_else(misfit)?;
            for slot in 0..n {
                let sample = words.of(slot);
                report(slot, contained(|| load(slot, sample)));
            }
        }
    }
    Ok(reports)
}

/// A buffer and its elements a sample; the buffer is empty where the caller does not want it.
struct Part<'a, T> {
    values: &'a mut [T],
    a_sample: usize,
}

impl<T: Copy> Part<'_, T> {
    /// The part of a sample, filled.
    fn of(&mut self, slot: usize, fill: T) -> &mut [T] {
        if self.values.is_empty() {
            return &mut [];
        }
        let part = &mut self.values[slot * self.a_sample..][..self.a_sample];
        part.fill(fill);
        part
    }
}

struct BatchOfPatches<'a> {
    tokens: Part<'a, f32>,
    mask: Part<'a, u8>,
    valid: Part<'a, u8>,
    /// Validity of a sample that the caller does not want, so that plugins need not ask.
    unwanted_valid: Vec<u8>,
    targets: Part<'a, f32>,
    coordinates: Part<'a, f32>,
    affines: Part<'a, f32>,
}

impl<'a> BatchOfPatches<'a> {
    /// `None` where a buffer has another size than `n` samples need. Kinds of buffers that are not known are left alone.
    fn new(geometry: &Continuous, n: usize, buffers: FillBuffers<'a>) -> Option<Self> {
        let FillBuffers { tokens, mask, extras, .. } = buffers;
        let n_tokens: usize = geometry.grid.iter().product();
        let n_axes = geometry.grid.len();
        let [mut targets, mut coordinates, mut affines] = [const { None }; 3];
        let mut valid = None;
        for ExtraBuffer { kind, floats, bytes, .. } in extras {
            match kind {
                extra::VALID => valid = Some(bytes),
                extra::TARGETS => targets = Some(floats),
                extra::COORDINATES => coordinates = Some(floats),
                extra::AFFINES => affines = Some(floats),
                _ => {}
            }
        }
        let d_target = geometry.targets.d_target.unwrap_or(0);
        Some(Self {
            tokens: part(Some(tokens), n, n_tokens * geometry.d_token)?,
            mask: part(Some(mask), n, n_tokens)?,
            unwanted_valid: vec![1; if geometry.validity && valid.is_none() { n_tokens } else { 0 }],
            valid: part(valid, n, n_tokens)?,
            targets: part(targets, n, n_tokens * d_target)?,
            coordinates: part(coordinates, n, n_tokens * geometry.coordinates.len())?,
            affines: part(affines, n, n_axes * (n_axes + 1))?,
        })
    }

    fn of(&mut self, slot: usize) -> Patches<'_> {
        self.unwanted_valid.fill(1);
        let valid = match self.unwanted_valid.is_empty() {
            true => self.valid.of(slot, 1),
            false => &mut self.unwanted_valid,
        };
        Patches {
            tokens: self.tokens.of(slot, 0.0),
            mask: self.mask.of(slot, 0),
            valid,
            targets: self.targets.of(slot, 0.0),
            coordinates: self.coordinates.of(slot, 0.0),
            affine: self.affines.of(slot, 0.0),
        }
    }
}

struct BatchOfWords<'a> {
    ids: Part<'a, i32>,
    labels: Part<'a, i32>,
    lengths: &'a mut [i32],
    padding_id: i32,
}

impl<'a> BatchOfWords<'a> {
    fn new(geometry: &Discrete, n: usize, buffers: FillBuffers<'a>) -> Option<Self> {
        let FillBuffers { ids, labels, lengths, .. } = buffers;
        Some(Self {
            ids: part(Some(ids), n, geometry.length)?,
            labels: part(Some(labels), n, geometry.length)?,
            lengths: part(Some(lengths), n, 1)?.values,
            padding_id: geometry.padding_id,
        })
    }

    fn of(&mut self, slot: usize) -> Sample<'_> {
        Sample::Discrete {
            ids: self.ids.of(slot, self.padding_id),
            labels: self.labels.of(slot, NOT_A_TARGET),
            length: &mut self.lengths[slot],
        }
    }
}

/// A buffer of `n` samples, or the empty one that is not there; `None` where its size is another.
fn part<T>(buffer: Option<RSliceMut<'_, T>>, n: usize, a_sample: usize) -> Option<Part<'_, T>> {
    let values = buffer.map(RSliceMut::into_mut_slice);
    match values {
        None => Some(Part { values: &mut [], a_sample }),
        Some(values) => (values.len() == n * a_sample).then_some(Part { values, a_sample }),
    }
}
