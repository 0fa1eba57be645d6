//! Values that `fill` writes into the buffers.

use medcoss_abi::NOT_A_TARGET;

use crate::open_dataset::seed_of;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::PluginUnderTest;
use crate::samples_under_test::Samples;
use medcoss_caller::{
    FillPattern, SampleView, Shape, View, first_not_finite, first_outside_vocabulary, first_past_length,
    is_in_vocabulary, n_masked as n_masked_tokens,
};

/// Seeds that each sample is read with in the training view.
const N_SEEDS: u64 = 3;

pub(super) fn bounds(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let seed = under_test.request.seed;
    for view in View::ALL {
        for indices in samples.indices.chunks(samples.batch_size()) {
            let batch = samples.dataset.read(view, indices, seed, FillPattern::EmptySample)?;
            if let Some(what) = batch.overrun() {
                return Err(violation(
                    format!("a request of {} samples wrote past a buffer: {what}", indices.len()),
                    "write within the sample's own part only; check lengths before unsafe code",
                ));
            }
        }
    }
    passed("")
}

pub(super) fn written(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    let seed = under_test.request.seed;
    for view in View::ALL {
        for indices in samples.indices.chunks(samples.batch_size()) {
            let [first, second] = [FillPattern::Invalid, FillPattern::OtherInvalid]
                .map(|pattern| samples.dataset.read(view, indices, seed, pattern));
            if let Some(what) = first?.unwritten(&second?) {
                return Err(violation(
                    format!("in the {view} of {} samples were left as they came: {what}", indices.len()),
                    "write every element of the sample's buffers, zeros and padding too",
                ));
            }
        }
    }
    passed("")
}

pub(super) fn finite(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = continuous(under_test)?;
    every(&samples, under_test.request.seed, |id, _, sample| {
        let SampleView::Continuous { tokens, .. } = sample else { return Ok(()) };
        match first_not_finite(tokens) {
            None => Ok(()),
            Some(at) => Err(violation(
                format!("value {at} of sample {id} is {}; a finite number was expected", tokens[at]),
                "guard divisions by a range or deviation of zero; refuse files that hold such values",
            )),
        }
    })
}

pub(super) fn mask_values(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = continuous(under_test)?;
    every(&samples, under_test.request.seed, |id, _, sample| {
        let SampleView::Continuous { mask, .. } = sample else { return Ok(()) };
        match mask.iter().position(|&value| value > 1) {
            None => Ok(()),
            Some(at) => Err(violation(
                format!("the mask of token {at} of sample {id} is {}; 0 or 1 was expected", mask[at]),
                "write 1 for masked and 0 for visible",
            )),
        }
    })
}

pub(super) fn mask_count(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = continuous(under_test)?;
    let Shape::Continuous { n_masked, n_tokens, .. } = samples.dataset.shape else { return passed("") };
    for round in 0..N_SEEDS {
        samples.each(View::Training, seed_of(under_test.request.seed, round), |id, sample| {
            let SampleView::Continuous { mask, .. } = sample else { return Ok(()) };
            let found = n_masked_tokens(mask);
            if found == n_masked {
                return Ok(());
            }
            Err(violation(
                format!("{found} of {n_tokens} tokens of sample {id} are masked; n_masked is {n_masked}"),
                "mask exactly `n_masked` tokens of every sample, whatever the scheme (see the SDK's `mask`)",
            ))
        })?;
    }
    passed(format!("{n_masked} of {n_tokens} tokens, {:.1} %", 100.0 * n_masked as f64 / n_tokens as f64))
}

pub(super) fn lengths(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = discrete(under_test)?;
    let Shape::Discrete { padding_id, .. } = samples.dataset.shape else { return passed("") };
    every(&samples, under_test.request.seed, |id, _, sample| {
        let SampleView::Discrete { ids, length, .. } = sample else { return Ok(()) };
        let Some(n) = usize::try_from(length).ok().filter(|&n| n <= ids.len()) else {
            return Err(violation(
                format!("the length of sample {id} is {length}; 0 to {} was expected", ids.len()),
                "cut what is longer, and count tokens without padding",
            ));
        };
        match first_past_length(ids, n, padding_id) {
            None => Ok(()),
            Some(at) => Err(violation(
                format!(
                    "sample {id} has {n} tokens, but the id at {at} is {}; the padding id {padding_id} was expected",
                    ids[at]
                ),
                "count every token that is no padding, and fill the rest with the padding id",
            )),
        }
    })
}

pub(super) fn token_ids(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = discrete(under_test)?;
    let Shape::Discrete { vocabulary, .. } = samples.dataset.shape else { return passed("") };
    every(&samples, under_test.request.seed, |id, _, sample| {
        let SampleView::Discrete { ids, .. } = sample else { return Ok(()) };
        match first_outside_vocabulary(ids, vocabulary) {
            None => Ok(()),
            Some(at) => Err(violation(
                format!("the id at {at} of sample {id} is {}; it must be in 0..{vocabulary}", ids[at]),
                "map what is not in the vocabulary to the id of unknown tokens",
            )),
        }
    })
}

pub(super) fn targets(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = discrete(under_test)?;
    let Shape::Discrete { vocabulary, .. } = samples.dataset.shape else { return passed("") };
    let (mut n_targets, mut n_tokens) = (0, 0);
    for round in 0..N_SEEDS {
        samples.each(View::Training, seed_of(under_test.request.seed, round), |id, sample| {
            let SampleView::Discrete { labels, length, .. } = sample else { return Ok(()) };
            let n = usize::try_from(length).unwrap_or_default().min(labels.len());
            let bad = |&at: &usize| {
                labels[at] != NOT_A_TARGET && (!is_in_vocabulary(labels[at], vocabulary) || at >= n)
            };
            if let Some(at) = (0..labels.len()).find(bad) {
                return Err(violation(
                    format!(
                        "the target at {at} of sample {id} is {}; {NOT_A_TARGET} was expected, or an id in 0..{vocabulary} \
                         before the length {n}",
                        labels[at]
                    ),
                    "write the id to predict at masked positions and NOT_A_TARGET everywhere else",
                ));
            }
            n_targets += labels.iter().filter(|&&label| label != NOT_A_TARGET).count();
            n_tokens += n;
            Ok(())
        })?;
    }
    if n_targets == 0 {
        return Err(violation(
            format!("of {n_tokens} tokens in the training view none is a target; some were expected"),
            "mask tokens in the training view, and write what they were as targets",
        ));
    }
    passed(format!("{:.1} % of {n_tokens} tokens", 100.0 * n_targets as f64 / n_tokens.max(1) as f64))
}

pub(super) fn evaluation_view(under_test: &mut PluginUnderTest) -> RuleResult {
    let samples = under_test.samples()?;
    samples.each(View::Evaluation, under_test.request.seed, |id, sample| {
        let (what, found) = match sample {
            SampleView::Continuous { mask, .. } => ("tokens are masked", n_masked_tokens(mask)),
            SampleView::Discrete { labels, .. } => {
                ("tokens are targets", labels.iter().filter(|&&label| label != NOT_A_TARGET).count())
            }
        };
        if found == 0 {
            return Ok(());
        }
        Err(violation(
            format!("in the evaluation view of sample {id} {found} {what}; none were expected"),
            "mask in the training view only: features of whole samples are taken from the plain one",
        ))
    })?;
    passed("")
}

pub(super) fn every(
    samples: &Samples,
    seed: u64,
    mut look: impl FnMut(&str, View, SampleView<'_>) -> Result<(), Stop>,
) -> RuleResult {
    samples.each(View::Evaluation, seed, |id, sample| look(id, View::Evaluation, sample))?;
    for round in 0..N_SEEDS {
        samples.each(View::Training, seed_of(seed, round), |id, sample| look(id, View::Training, sample))?;
    }
    passed(format!("{} samples, {} times", samples.indices.len(), N_SEEDS + 1))
}

pub(super) fn continuous(under_test: &mut PluginUnderTest) -> Result<std::rc::Rc<Samples>, Stop> {
    let samples = under_test.samples()?;
    match samples.dataset.shape {
        Shape::Continuous { .. } => Ok(samples),
        Shape::Discrete { .. } => Err(Stop::Skip("its tokens are ids, which this rule does not concern".into())),
    }
}

fn discrete(under_test: &mut PluginUnderTest) -> Result<std::rc::Rc<Samples>, Stop> {
    let samples = under_test.samples()?;
    match samples.dataset.shape {
        Shape::Discrete { .. } => Ok(samples),
        Shape::Continuous { .. } => Err(Stop::Skip("its tokens are vectors, which this rule does not concern".into())),
    }
}
