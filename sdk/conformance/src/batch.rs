//! A batch with wide guards and a fill pattern, and the comparison of samples.

use medcoss_caller::{FillPattern, Overwritten, SampleView, Shape, Side, View};

/// Buffers of samples of one shape, and what the last call did to their guards.
pub(crate) struct Batch {
    pub(crate) shape: Shape,
    pub(crate) pattern: FillPattern,
    pub(crate) buffers: medcoss_caller::Batch,
    pub(crate) overwritten: Vec<Overwritten>,
}

impl Batch {
    pub(crate) fn new(shape: &Shape, pattern: FillPattern) -> Self {
        Self { shape: shape.clone(), pattern, buffers: medcoss_caller::Batch::default(), overwritten: Vec::new() }
    }

    /// The sample in a slot.
    pub(crate) fn sample(&self, slot: usize) -> SampleView<'_> {
        self.buffers.sample(&self.shape, slot)
    }

    /// The first buffer whose guards were overwritten, if any: its name, and how far from its border.
    pub(crate) fn overrun(&self) -> Option<String> {
        let Overwritten { buffer, side, reach } = self.overwritten.first()?;
        Some(match side {
            Side::Behind => format!("`{buffer}` up to {reach} elements past its end"),
            Side::Before => format!("`{buffer}` from {reach} elements before its beginning"),
        })
    }

    /// What breaks the contract in the sample of a slot, if anything: the host refuses such a sample.
    pub(crate) fn flaw(&self, view: View, slot: usize) -> Option<String> {
        match self.overrun() {
            Some(what) => Some(format!("a buffer was written past: {what}")),
            None => self.buffers.check(&self.shape, view, slot).err(),
        }
    }

    /// Elements that still hold the pattern in this batch and in another one of another pattern: buffer, position, how many.
    pub(crate) fn unwritten(&self, other: &Self) -> Option<String> {
        debug_assert_ne!(self.pattern, other.pattern);
        let (a, b) = (&self.buffers, &other.buffers);
        let patterns = [self.pattern, other.pattern];
        // Neither pattern depends on what an empty sample has.
        let integers = patterns.map(|pattern| pattern.integer(0));
        let floats = patterns.map(|pattern| pattern.float().to_bits());
        let bytes = patterns.map(FillPattern::byte);
        let found = [
            ("tokens", left(&a.tokens, &b.tokens, |a, b| [a.to_bits(), b.to_bits()] == floats)),
            ("mask", left(&a.mask, &b.mask, |a, b| [*a, *b] == bytes)),
            ("ids", left(&a.ids, &b.ids, |a, b| [*a, *b] == integers)),
            ("labels", left(&a.labels, &b.labels, |a, b| [*a, *b] == integers)),
            ("lengths", left(&a.lengths, &b.lengths, |a, b| [*a, *b] == integers)),
            ("valid", left(&a.valid, &b.valid, |a, b| [*a, *b] == bytes)),
            ("targets", left(&a.targets, &b.targets, |a, b| [a.to_bits(), b.to_bits()] == floats)),
            ("coordinates", left(&a.coordinates, &b.coordinates, |a, b| [a.to_bits(), b.to_bits()] == floats)),
            ("affines", left(&a.affines, &b.affines, |a, b| [a.to_bits(), b.to_bits()] == floats)),
        ];
        let (buffer, (first, n)) = found.into_iter().find_map(|(buffer, found)| Some((buffer, found?)))?;
        Some(format!("{n} elements of `{buffer}`, the first at {first}"))
    }
}

/// The first position that still holds the pattern, and how many do.
fn left<T>(a: &[T], b: &[T], is_pattern: impl Fn(&T, &T) -> bool) -> Option<(usize, usize)> {
    let mut positions = a.iter().zip(b).enumerate().filter(|(_, (a, b))| is_pattern(a, b)).map(|(at, _)| at);
    let first = positions.next()?;
    Some((first, 1 + positions.count()))
}

/// The buffers of a sample of continuous tokens by name, in bits.
fn parts<'a>(sample: &SampleView<'_>) -> Vec<(&'a str, Vec<u32>)> {
    let SampleView::Continuous { tokens, mask, valid, targets, coordinates, affine } = sample else {
        return Vec::new();
    };
    let floats = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let bytes = |values: &[u8]| values.iter().map(|&value| value.into()).collect();
    vec![
        ("value", floats(tokens)),
        ("the mask of token", bytes(mask)),
        ("the validity of token", bytes(valid)),
        ("target value", floats(targets)),
        ("coordinate", floats(coordinates)),
        ("affine value", floats(affine)),
    ]
}

fn shown(part: &str, bits: Option<u32>) -> String {
    match bits {
        None => "missing".into(),
        Some(bits) if part.contains("token") => bits.to_string(),
        Some(bits) => f32::from_bits(bits).to_string(),
    }
}

/// Equality of bits, so that a NaN equals itself.
pub(crate) fn same(a: &SampleView<'_>, b: &SampleView<'_>) -> bool {
    match (a, b) {
        (SampleView::Continuous { .. }, SampleView::Continuous { .. }) => {
            parts(a).into_iter().zip(parts(b)).all(|((_, one), (_, other))| one == other)
        }
        _ => a == b,
    }
}

/// What distinguishes two samples that are not the same.
pub(crate) fn difference(a: &SampleView<'_>, b: &SampleView<'_>) -> String {
    match (a, b) {
        (SampleView::Continuous { .. }, SampleView::Continuous { .. }) => {
            let first_of = |(name, one): (&str, Vec<u32>), other: Vec<u32>| {
                let at = (0..one.len().max(other.len())).find(|&at| one.get(at) != other.get(at))?;
                let [one, other] = [one, other].map(|part| shown(name, part.get(at).copied()));
                Some(format!("{name} {at} is {one} and {other}"))
            };
            parts(a).into_iter().zip(parts(b)).find_map(|(one, (_, other))| first_of(one, other)).unwrap_or_default()
        }
        (SampleView::Discrete { ids, labels, length }, SampleView::Discrete { ids: i, labels: l, length: n }) => {
            if length != n {
                return format!("the length is {length} and {n}");
            }
            let (what, a, b) = if ids == i { ("label", labels, l) } else { ("id", ids, i) };
            let at = (0..a.len()).find(|&at| a[at] != b[at]).unwrap_or_default();
            format!("the {what} at {at} is {} and {}", a[at], b[at])
        }
        _ => "the kind of the tokens".into(),
    }
}
