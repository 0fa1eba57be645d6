//! What samples have beside tokens and mask, and samples that have nothing to learn.

use medcoss_abi::abi_stable::std_types::RSliceMut;
use medcoss_abi::{ExtraBuffer, code, extra};
use medcoss_caller::{
    ALL_EXTRAS, FillPattern, SampleView, Shape, View, check_affine, check_coordinates, check_valid, first_not_finite,
};

use crate::batch::Batch;
use crate::open_dataset::seed_of;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::PluginUnderTest;
use crate::rules::fill::{continuous, every};
use crate::samples_under_test::Samples;

/// A kind of buffer that no version of the contract has.
const UNKNOWN_KIND: u32 = 0x00dd_ba11;
/// Seeds that each sample is tried with in the search for skipped ones.
const N_SEEDS: u64 = 8;

pub(super) fn valid(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = declaring(under_test, extra::VALID, "validity")?;
    let Shape::Continuous { d_token, .. } = samples.dataset.shape else { return passed("") };
    every(&samples, under_test.request.seed, |id, view, sample| {
        let SampleView::Continuous { tokens, mask, valid, .. } = sample else { return Ok(()) };
        // Other faults of values and masks are other rules' business.
        check_valid(valid, mask, tokens, d_token, view).map_err(|what| {
            violation(
                format!("in the {view} of sample {id}: {what}"),
                "write 0 into the values of tokens that do not exist, mask among those that do (see the SDK's `Masking`), and skip what cannot be masked",
            )
        })
    })
}

pub(super) fn target_values(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = declaring(under_test, extra::TARGETS, "targets of its own")?;
    every(&samples, under_test.request.seed, |id, _, sample| {
        let SampleView::Continuous { targets, .. } = sample else { return Ok(()) };
        match first_not_finite(targets) {
            None => Ok(()),
            Some(at) => Err(violation(
                format!("target value {at} of sample {id} is {}; a finite number was expected", targets[at]),
                "write a target for every token, masked or not",
            )),
        }
    })
}

pub(super) fn coordinates(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = declaring(under_test, extra::COORDINATES, "coordinates")?;
    let ranges = samples.dataset.shape.extras().map(|extras| extras.coordinates.clone()).unwrap_or_default();
    every(&samples, under_test.request.seed, |id, _, sample| {
        let SampleView::Continuous { coordinates, valid, .. } = sample else { return Ok(()) };
        check_coordinates(coordinates, &ranges, valid).map_err(|what| {
            violation(
                format!("sample {id}: {what}"),
                "state the range that coordinates have, and write 0 for tokens that do not exist",
            )
        })
    })
}

pub(super) fn affines(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = declaring(under_test, extra::AFFINES, "affines")?;
    let n_axes = samples.dataset.shape.n_axes();
    every(&samples, under_test.request.seed, |id, view, sample| {
        let SampleView::Continuous { affine, .. } = sample else { return Ok(()) };
        check_affine(affine, n_axes).map_err(|what| {
            violation(
                format!("in the {view} of sample {id}: {what}"),
                "write the affine in both views, from tokens to voxels of the file",
            )
        })
    })
}

pub(super) fn optional(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = continuous(under_test)?;
    let dataset = &samples.dataset;
    let n_declared = ALL_EXTRAS.iter().filter(|&&kind| dataset.shape.n_extra(kind).is_some()).count();
    if n_declared == 0 {
        return Err(Stop::Skip("its samples have nothing beside tokens and mask".into()));
    }
    for view in View::ALL {
        for &index in &samples.indices {
            let seeds = [seed_of(under_test.request.seed, index)];
            let with = dataset.read_seeded(view, &[index], &seeds, FillPattern::EmptySample)?;
            let mut without = Batch::new(&dataset.shape, FillPattern::EmptySample);
            dataset.fill_raw(view.code(), (&[index], &seeds), &mut without, &[], None)?;
            let parts = |batch: &Batch| {
                let bits: Vec<u32> = batch.buffers.tokens.iter().map(|value| value.to_bits()).collect();
                (bits, batch.buffers.mask.clone())
            };
            if parts(&with) != parts(&without) {
                return Err(violation(
                    format!(
                        "in the {view} sample {} has other tokens or another mask where no extra buffer is asked for",
                        dataset.id(index)
                    ),
                    "draw the same random numbers whether a buffer is wanted or not",
                ));
            }
        }
    }
    passed(format!("{n_declared} kinds"))
}

pub(super) fn unknown_kind(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let (dataset, index) = (&samples.dataset, samples.indices[0]);
    let seeds = [seed_of(under_test.request.seed, index)];
    let (mut floats, mut words, mut bytes) = (vec![7.5f32; 64], vec![77u16; 64], vec![7u8; 64]);
    let more = ExtraBuffer {
        kind: UNKNOWN_KIND,
        floats: RSliceMut::from_mut_slice(&mut floats),
        words: RSliceMut::from_mut_slice(&mut words),
        bytes: RSliceMut::from_mut_slice(&mut bytes),
    };
    let mut batch = Batch::new(&dataset.shape, FillPattern::EmptySample);
    let remedy = "pass over kinds of buffers that are not known: later hosts have new ones";
    let reported = dataset.fill_raw(View::Evaluation.code(), (&[index], &seeds), &mut batch, ALL_EXTRAS, Some(more));
    match reported {
        Err(error) => {
            return Err(violation(format!("with a buffer of an unknown kind {error}; samples were expected"), remedy));
        }
        Ok(reported) if !reported.is_empty() => {
            let message = &reported[0].message;
            return Err(violation(
                format!("with a buffer of an unknown kind a sample could not be read: {message}"),
                remedy,
            ));
        }
        Ok(_) => {}
    }
    let untouched = floats.iter().all(|&value| value == 7.5)
        && words.iter().all(|&word| word == 77)
        && bytes.iter().all(|&byte| byte == 7);
    match untouched {
        true => passed(""),
        false => Err(violation("a buffer of an unknown kind was written to", remedy)),
    }
}

/// What is skipped is skipped again with the same seed, and is complete in the evaluation view.
pub(super) fn skip(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let (dataset, seed) = (&samples.dataset, under_test.request.seed);
    let is_skipped = |index: u64, seed: u64| -> Result<bool, Stop> {
        let mut batch = Batch::new(&dataset.shape, FillPattern::EmptySample);
        let reported = dataset.fill(View::Training, &[index], &[seed], &mut batch)?;
        Ok(reported.first().is_some_and(|reported| reported.code == code::SKIPPED))
    };
    let mut n_skipped = 0;
    let (mut skipped_flaw, mut other_flaw) = (None, None);
    for index in dataset.all().take(samples.indices.len() * 4) {
        let mut skips = false;
        for round in 0..N_SEEDS {
            let seed = seed_of(seed, index * N_SEEDS + round);
            let [first, again] = [is_skipped(index, seed)?, is_skipped(index, seed)?];
            if first != again {
                return Err(violation(
                    format!(
                        "sample {} is skipped in training with a seed, and not with the same seed",
                        dataset.id(index)
                    ),
                    "decide by the sample and its seed alone",
                ));
            }
            skips |= first;
            n_skipped += usize::from(first);
        }
        let mut batch = Batch::new(&dataset.shape, FillPattern::Invalid);
        let reported = dataset.fill(View::Evaluation, &[index], &[seed], &mut batch)?;
        if let Some(flaw) = batch.flaw(View::Evaluation, 0).filter(|_| reported.is_empty()) {
            let place = if skips { &mut skipped_flaw } else { &mut other_flaw };
            place.get_or_insert_with(|| format!("sample {}: {flaw}", dataset.id(index)));
        }
    }
    // Flaws that other samples have as well are other rules' business.
    if let (Some(flaw), None) = (skipped_flaw, other_flaw) {
        return Err(violation(
            format!("what is skipped is not complete in the evaluation view: {flaw}"),
            "fill the evaluation view before a sample is skipped: its features may still be wanted",
        ));
    }
    match n_skipped {
        0 => Err(Stop::Skip("no sample was skipped".into())),
        n => passed(format!("{n} times a sample was skipped")),
    }
}

/// Samples that have a kind of extra buffer.
fn declaring(under_test: &mut PluginUnderTest, kind: u32, name: &str) -> Result<std::rc::Rc<Samples>, Stop> {
    let samples = under_test.samples()?;
    match samples.dataset.shape.n_extra(kind) {
        Some(_) => Ok(samples),
        None => Err(Stop::Skip(format!("its geometry declares no {name}"))),
    }
}
