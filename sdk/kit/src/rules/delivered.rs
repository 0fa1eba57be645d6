//! What a `fill` leaves in the buffers.

use medcoss_abi::NOT_A_TARGET;

use crate::batch::{Batch, Ground, SampleView};
use crate::opened::{View, seed_of};
use crate::ruling::{Ruling, Stop, breach, holds};
use crate::shape::Shape;
use crate::subject::{Samples, Subject};

/// Seeds that each sample is read with in the training view.
const N_SEEDS: u64 = 3;

pub(super) fn bounds(subject: &mut Subject) -> Ruling {
    let samples = subject.samples()?;
    let seed = subject.request.seed;
    for view in [View::Plain, View::Train] {
        for indices in samples.indices.chunks(samples.batch_size()) {
            let batch = samples.dataset.read(view, indices, seed, Ground::Empty)?;
            if let Some(what) = batch.overrun().first() {
                return Err(breach(
                    format!("a request of {} samples wrote past a buffer: {what}", indices.len()),
                    "write within the sample's own part only; check lengths before unsafe code",
                ));
            }
        }
    }
    holds("")
}

pub(super) fn written(subject: &mut Subject) -> Ruling {
    let samples = subject.samples()?;
    let seed = subject.request.seed;
    for view in [View::Plain, View::Train] {
        for indices in samples.indices.chunks(samples.batch_size()) {
            let [first, second] =
                [Ground::First, Ground::Second].map(|ground| samples.dataset.read(view, indices, seed, ground));
            if let Some(what) = first?.unwritten(&second?).first() {
                return Err(breach(
                    format!("in the {} of {} samples were left as they came: {what}", name(view), indices.len()),
                    "write every element of the sample's buffers, zeros and padding too",
                ));
            }
        }
    }
    holds("")
}

pub(super) fn finite(subject: &mut Subject) -> Ruling {
    let samples = continuous(subject)?;
    every(&samples, subject.request.seed, |id, _, sample| {
        let SampleView::Continuous { tokens, .. } = sample else { return Ok(()) };
        match tokens.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(breach(
                format!("value {at} of sample {id} is {}; a finite number was expected", tokens[at]),
                "guard divisions by a range or deviation of zero; refuse files that hold such values",
            )),
        }
    })
}

pub(super) fn mask_values(subject: &mut Subject) -> Ruling {
    let samples = continuous(subject)?;
    every(&samples, subject.request.seed, |id, _, sample| {
        let SampleView::Continuous { mask, .. } = sample else { return Ok(()) };
        match mask.iter().position(|&value| value > 1) {
            None => Ok(()),
            Some(at) => Err(breach(
                format!("the mask of token {at} of sample {id} is {}; 0 or 1 was expected", mask[at]),
                "write 1 for masked and 0 for visible",
            )),
        }
    })
}

pub(super) fn mask_count(subject: &mut Subject) -> Ruling {
    let samples = continuous(subject)?;
    let Shape::Continuous { n_masked, n_tokens, .. } = samples.dataset.shape else { return holds("") };
    for round in 0..N_SEEDS {
        samples.each(View::Train, seed_of(subject.request.seed, round), |id, sample| {
            let SampleView::Continuous { mask, .. } = sample else { return Ok(()) };
            let found = mask.iter().filter(|&&value| value != 0).count();
            if found == n_masked {
                return Ok(());
            }
            Err(breach(
                format!("{found} of {n_tokens} tokens of sample {id} are masked; n_masked is {n_masked}"),
                "mask exactly `n_masked` tokens of every sample, whatever the scheme (see the SDK's `mask`)",
            ))
        })?;
    }
    holds(format!("{n_masked} of {n_tokens} tokens, {:.1} %", 100.0 * n_masked as f64 / n_tokens as f64))
}

pub(super) fn lengths(subject: &mut Subject) -> Ruling {
    let samples = discrete(subject)?;
    let Shape::Discrete { padding_id, .. } = samples.dataset.shape else { return holds("") };
    every(&samples, subject.request.seed, |id, _, sample| {
        let SampleView::Discrete { ids, length, .. } = sample else { return Ok(()) };
        let Some(n) = usize::try_from(length).ok().filter(|&n| n <= ids.len()) else {
            return Err(breach(
                format!("the length of sample {id} is {length}; 0 to {} was expected", ids.len()),
                "cut what is longer, and count tokens without padding",
            ));
        };
        match ids[n..].iter().position(|&id| id != padding_id) {
            None => Ok(()),
            Some(past) => Err(breach(
                format!(
                    "sample {id} has {n} tokens, but the id at {} is {}; the padding id {padding_id} was expected",
                    n + past,
                    ids[n + past]
                ),
                "count every token that is no padding, and fill up with the padding id",
            )),
        }
    })
}

pub(super) fn token_ids(subject: &mut Subject) -> Ruling {
    let samples = discrete(subject)?;
    let Shape::Discrete { vocabulary, .. } = samples.dataset.shape else { return holds("") };
    every(&samples, subject.request.seed, |id, _, sample| {
        let SampleView::Discrete { ids, .. } = sample else { return Ok(()) };
        match ids.iter().position(|&id| !in_vocabulary(id, vocabulary)) {
            None => Ok(()),
            Some(at) => Err(breach(
                format!("the id at {at} of sample {id} is {}; it must be in 0..{vocabulary}", ids[at]),
                "map what is not in the vocabulary to the id of unknown tokens",
            )),
        }
    })
}

pub(super) fn targets(subject: &mut Subject) -> Ruling {
    let samples = discrete(subject)?;
    let Shape::Discrete { vocabulary, .. } = samples.dataset.shape else { return holds("") };
    let (mut n_targets, mut n_tokens) = (0, 0);
    for round in 0..N_SEEDS {
        samples.each(View::Train, seed_of(subject.request.seed, round), |id, sample| {
            let SampleView::Discrete { labels, length, .. } = sample else { return Ok(()) };
            let n = usize::try_from(length).unwrap_or_default().min(labels.len());
            let bad = |&at: &usize| {
                labels[at] != NOT_A_TARGET && (!in_vocabulary(labels[at], vocabulary) || at >= n)
            };
            if let Some(at) = (0..labels.len()).find(bad) {
                return Err(breach(
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
        return Err(breach(
            format!("of {n_tokens} tokens in the training view none is a target; some were expected"),
            "mask tokens in the training view, and write what they were as targets",
        ));
    }
    holds(format!("{:.1} % of {n_tokens} tokens", 100.0 * n_targets as f64 / n_tokens.max(1) as f64))
}

pub(super) fn plain_view(subject: &mut Subject) -> Ruling {
    let samples = subject.samples()?;
    samples.each(View::Plain, subject.request.seed, |id, sample| {
        let (what, found) = match sample {
            SampleView::Continuous { mask, .. } => {
                ("tokens are masked", mask.iter().filter(|&&value| value != 0).count())
            }
            SampleView::Discrete { labels, .. } => {
                ("tokens are targets", labels.iter().filter(|&&label| label != NOT_A_TARGET).count())
            }
        };
        if found == 0 {
            return Ok(());
        }
        Err(breach(
            format!("in the plain view of sample {id} {found} {what}; none were expected"),
            "mask in the training view only: features of whole samples are taken from the plain one",
        ))
    })?;
    holds("")
}

fn every(samples: &Samples, seed: u64, mut look: impl FnMut(&str, View, SampleView<'_>) -> Result<(), Stop>) -> Ruling {
    samples.each(View::Plain, seed, |id, sample| look(id, View::Plain, sample))?;
    for round in 0..N_SEEDS {
        samples.each(View::Train, seed_of(seed, round), |id, sample| look(id, View::Train, sample))?;
    }
    holds(format!("{} samples, {} times", samples.indices.len(), N_SEEDS + 1))
}

/// What breaks the contract in a delivered sample, if anything: the host refuses such a sample.
pub(crate) fn flaw(shape: Shape, view: View, batch: &Batch, slot: usize) -> Option<String> {
    if let Some(what) = batch.overrun().first() {
        return Some(format!("a buffer was written past: {what}"));
    }
    match (shape, batch.sample(slot)) {
        (Shape::Continuous { n_masked, .. }, SampleView::Continuous { tokens, mask }) => {
            let expected = if view == View::Train { n_masked } else { 0 };
            let found = mask.iter().filter(|&&value| value != 0).count();
            match tokens.iter().find(|value| !value.is_finite()) {
                Some(value) => Some(format!("a value is {value}")),
                None if mask.iter().any(|&value| value > 1) => Some("the mask holds others than 0 and 1".into()),
                None if found != expected => Some(format!("{found} tokens are masked instead of {expected}")),
                None => None,
            }
        }
        (Shape::Discrete { vocabulary, .. }, SampleView::Discrete { ids, labels, length }) => {
            let label = |&label: &i32| label != NOT_A_TARGET && !in_vocabulary(label, vocabulary);
            if !usize::try_from(length).is_ok_and(|n| n <= ids.len()) {
                return Some(format!("the length is {length}"));
            }
            let bad =
                ids.iter().find(|&&id| !in_vocabulary(id, vocabulary)).or_else(|| labels.iter().find(|&l| label(l)));
            bad.map(|bad| format!("an id is {bad}"))
        }
        _ => None,
    }
}

fn in_vocabulary(id: i32, vocabulary: usize) -> bool {
    usize::try_from(id).is_ok_and(|id| id < vocabulary)
}

fn name(view: View) -> &'static str {
    match view {
        View::Plain => "plain view",
        View::Train => "training view",
    }
}

fn continuous(subject: &mut Subject) -> Result<std::rc::Rc<Samples>, Stop> {
    let samples = subject.samples()?;
    match samples.dataset.shape {
        Shape::Continuous { .. } => Ok(samples),
        Shape::Discrete { .. } => Err(Stop::Skip("its tokens are ids, which this rule does not concern".into())),
    }
}

fn discrete(subject: &mut Subject) -> Result<std::rc::Rc<Samples>, Stop> {
    let samples = subject.samples()?;
    match samples.dataset.shape {
        Shape::Discrete { .. } => Ok(samples),
        Shape::Continuous { .. } => Err(Stop::Skip("its tokens are vectors, which this rule does not concern".into())),
    }
}
