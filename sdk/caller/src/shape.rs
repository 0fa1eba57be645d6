//! Sizes that a plugin declares, checked once: from a [`Shape`] on, products do not overflow and buffers have a limit.

use std::collections::BTreeSet;

use medcoss_abi::extra;
use medcoss_abi::message::{Axis, Continuous, Coordinate, Discrete, Geometry, PretextTask};

use crate::answers::{MAX_ID_BYTES, check_fingerprint, is_identifier};

/// Most numbers in a sample: 256 MiB of `f32`.
pub const MAX_VALUES: usize = 1 << 26;
/// Most tokens in a sample. Attention is quadratic in it; no model comes near.
pub const MAX_TOKENS: usize = 1 << 20;
/// Most axes of a grid, and coordinates of a token.
pub const MAX_AXES: usize = 8;
/// Most values of a token's target.
pub const MAX_TARGET: usize = 1 << 16;
/// Most ids in a vocabulary.
pub const MAX_VOCABULARY: usize = 1 << 24;

/// Shape of a dataset's samples, in range.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Continuous tokens: vectors of numbers on a grid.
    Continuous {
        /// Tokens along each axis, slowest first; none is zero.
        grid: Vec<usize>,
        /// Product of the grid, up to [`MAX_TOKENS`].
        n_tokens: usize,
        /// Values in a token, at least 1; times `n_tokens` up to [`MAX_VALUES`].
        d_token: usize,
        /// Tokens masked in the training view: at least 1, and at least one is left.
        n_masked: usize,
        /// What samples have beside tokens and mask.
        extras: Extras,
    },
    /// Discrete tokens: ids from a vocabulary.
    Discrete {
        /// Tokens in a sample, padding included: 1 to [`MAX_TOKENS`].
        length: usize,
        /// Ids are in `0..vocabulary`: up to [`MAX_VOCABULARY`].
        vocabulary: usize,
        /// Id of the padding token.
        padding_id: i32,
        /// Id of the mask token.
        mask_id: i32,
    },
}

/// What samples of continuous tokens may have beside tokens and mask.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras {
    /// Whether tokens may not exist.
    pub validity: bool,
    /// Values of a token's target, where targets are not the tokens.
    pub d_target: Option<usize>,
    /// Smallest and largest value of each coordinate of a token.
    pub coordinates: Vec<[f64; 2]>,
    /// Whether each sample has an affine map to its file.
    pub affines: bool,
}

impl Shape {
    /// The checked shape of a geometry that a plugin declared.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn new(geometry: &Geometry) -> Result<Self, String> {
        match geometry {
            Geometry::Continuous(geometry) => continuous(geometry),
            Geometry::Discrete(geometry) => discrete(geometry),
        }
    }

    /// Tokens in a sample.
    pub fn n_tokens(&self) -> usize {
        match *self {
            Self::Continuous { n_tokens, .. } => n_tokens,
            Self::Discrete { length, .. } => length,
        }
    }

    /// Axes of the grid; 0 for a sequence of ids.
    pub fn n_axes(&self) -> usize {
        match self {
            Self::Continuous { grid, .. } => grid.len(),
            Self::Discrete { .. } => 0,
        }
    }

    /// What samples have beside tokens and mask.
    pub fn extras(&self) -> Option<&Extras> {
        match self {
            Self::Continuous { extras, .. } => Some(extras),
            Self::Discrete { .. } => None,
        }
    }

    /// Elements of an extra buffer in a sample; `None` for a kind that samples do not have.
    pub fn n_extra(&self, kind: u32) -> Option<usize> {
        let (extras, n_tokens, n_axes) = (self.extras()?, self.n_tokens(), self.n_axes());
        match kind {
            extra::VALID => extras.validity.then_some(n_tokens),
            extra::TARGETS => extras.d_target.map(|d_target| n_tokens * d_target),
            extra::COORDINATES => (!extras.coordinates.is_empty()).then_some(n_tokens * extras.coordinates.len()),
            extra::AFFINES => extras.affines.then_some(n_axes * (n_axes + 1)),
            _ => None,
        }
    }

    /// Numbers in a sample: values of its tokens, or ids.
    pub fn n_values(&self) -> usize {
        match *self {
            Self::Continuous { n_tokens, d_token, .. } => n_tokens * d_token,
            Self::Discrete { length, .. } => length,
        }
    }
}

/// For people: `14 x 14 tokens of 768 values, 147 masked`, `112 tokens of 30522 ids`.
impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Continuous { grid, d_token, n_masked, .. } => {
                let grid: Vec<_> = grid.iter().map(usize::to_string).collect();
                write!(f, "{} tokens of {d_token} values, {n_masked} masked", grid.join(" x "))
            }
            Self::Discrete { length, vocabulary, .. } => write!(f, "{length} tokens of {vocabulary} ids"),
        }
    }
}

fn continuous(geometry: &Continuous) -> Result<Shape, String> {
    let Continuous { grid, d_token, n_masked, .. } = geometry;
    let (d_token, n_masked) = (*d_token, *n_masked);
    if grid.len() > MAX_AXES {
        return Err(format!("the grid has {} axes; it must have at most {MAX_AXES}", grid.len()));
    }
    let n_tokens = grid.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    let n_tokens = match n_tokens.filter(|&n| (1..=MAX_TOKENS).contains(&n) && !grid.is_empty()) {
        Some(n_tokens) => n_tokens,
        None => return Err(format!("the grid is {grid:?}; its product must be 1 to {MAX_TOKENS} tokens")),
    };
    if n_tokens.checked_mul(d_token).is_none_or(|n_values| !(1..=MAX_VALUES).contains(&n_values)) {
        return Err(format!(
            "a sample has {n_tokens} tokens of {d_token} values; together 1 to {MAX_VALUES} are allowed"
        ));
    }
    if n_masked == 0 || n_masked >= n_tokens {
        return Err(format!("{n_masked} of {n_tokens} tokens are masked in training; it must be some and not all"));
    }
    let extras = Extras {
        validity: geometry.validity,
        d_target: geometry.targets.d_target,
        coordinates: geometry.coordinates.iter().map(|coordinate| coordinate.range).collect(),
        affines: geometry.affines,
    };
    check_meaning(geometry, n_tokens)?;
    Ok(Shape::Continuous { grid: grid.clone(), n_tokens, d_token, n_masked, extras })
}

/// Checks what a geometry says of its patches, axes, targets and coordinates.
fn check_meaning(geometry: &Continuous, n_tokens: usize) -> Result<(), String> {
    let Continuous { grid, d_token, patch, axes, targets, coordinates, pretext, .. } = geometry;
    if !patch.is_empty() {
        let n_places = patch.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).unwrap_or(0);
        if patch.len() != grid.len() || n_places == 0 || !d_token.is_multiple_of(n_places) {
            return Err(format!(
                "the patch is {patch:?}; it must have a side for each of {} axes, whose product divides the {d_token} values of a token",
                grid.len()
            ));
        }
    }
    if !axes.is_empty() && axes.len() != grid.len() {
        return Err(format!("{} axes are named of {}; it must be all or none", axes.len(), grid.len()));
    }
    for (at, (axis, &side)) in axes.iter().zip(grid).enumerate() {
        let Axis { name, step, unit, places } = axis;
        if !is_identifier(name) || axes[..at].iter().any(|other| other.name == *name) {
            return Err(format!("axis {at} is called {name:?}; it must be a lower-case word, and no other axis's"));
        }
        if step.is_some() != unit.is_some() || step.is_some_and(|step| !(step.is_finite() && step > 0.0)) {
            return Err(format!(
                "axis {name} has the step {step:?} and the unit {unit:?}; both must be given, the step above 0"
            ));
        }
        if unit.as_ref().is_some_and(|unit| !is_identifier(unit)) {
            return Err(format!("axis {name} has the unit {unit:?}; it must be a lower-case word, such as mm or s"));
        }
        if !places.is_empty() {
            let distinct: BTreeSet<&String> = places.iter().collect();
            let is_name = |place: &String| {
                !place.is_empty() && place.len() <= MAX_ID_BYTES && !place.chars().any(char::is_control)
            };
            if step.is_some() || places.len() != side || distinct.len() != side || !places.iter().all(is_name) {
                return Err(format!(
                    "axis {name} names {} places; it must name each of {side} once, and have no step",
                    places.len()
                ));
            }
        }
    }
    if targets
        .d_target
        .is_some_and(|n| !(1..=MAX_TARGET).contains(&n) || n_tokens.checked_mul(n).is_none_or(|n| n > MAX_VALUES))
    {
        return Err(format!(
            "a token's target has {} values; it must be 1 to {MAX_TARGET}, and {MAX_VALUES} in a sample",
            targets.d_target.unwrap_or_default()
        ));
    }
    if coordinates.len() > MAX_AXES || n_tokens.checked_mul(coordinates.len()).is_none_or(|n| n > MAX_VALUES) {
        return Err(format!("tokens have {} coordinates; it must be at most {MAX_AXES}", coordinates.len()));
    }
    for (at, Coordinate { name, range: [least, most], .. }) in coordinates.iter().enumerate() {
        if !is_identifier(name) || coordinates[..at].iter().any(|other| other.name == *name) {
            return Err(format!("coordinate {at} is called {name:?}; it must be a lower-case word, and no other's"));
        }
        if !(least.is_finite() && most.is_finite() && least < most) {
            return Err(format!(
                "coordinate {name} has the range [{least}, {most}]; it must be two numbers, the smaller first"
            ));
        }
    }
    check_pretext(pretext)
}

fn check_pretext(pretext: &[PretextTask]) -> Result<(), String> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match pretext.iter().find(|task| !is_name(&task.name)) {
        None => Ok(()),
        Some(task) => {
            Err(format!("a pretext task is called {:?}; it must be lower-case words with hyphens", task.name))
        }
    }
}

fn discrete(geometry: &Discrete) -> Result<Shape, String> {
    let Discrete { length, vocabulary, padding_id, mask_id, .. } = *geometry;
    if !(1..=MAX_TOKENS).contains(&length) {
        return Err(format!("the length is {length}; it must be 1 to {MAX_TOKENS}"));
    }
    if vocabulary > MAX_VOCABULARY {
        return Err(format!("the vocabulary has {vocabulary} ids; it must have at most {MAX_VOCABULARY}"));
    }
    let special = geometry.special_ids.iter().map(|&id| ("special", id));
    for (name, id) in [("padding", padding_id), ("mask", mask_id)].into_iter().chain(special) {
        if usize::try_from(id).map_or(true, |id| id >= vocabulary) {
            return Err(format!("the {name} id is {id}; it must be in 0..{vocabulary}"));
        }
    }
    if padding_id == mask_id {
        return Err(format!("padding and mask have the same id, {mask_id}"));
    }
    if let Some(digest) = &geometry.vocabulary_digest {
        check_fingerprint(digest)
            .map_err(|_| format!("the vocabulary's digest is {digest:?}; it must be 8 to 128 hexadecimal digits"))?;
    }
    check_pretext(&geometry.pretext)?;
    Ok(Shape::Discrete { length, vocabulary, padding_id, mask_id })
}

/// Checks that a caller knows what a geometry requires.
///
/// # Errors
/// The first name that is not among the known ones.
pub fn check_requires(geometry: &Geometry, known: &[&str]) -> Result<(), String> {
    match geometry.requires().iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("it requires {name:?}, which this version does not know")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(grid: &[usize], d_token: usize, n_masked: usize) -> Result<Shape, String> {
        Shape::new(&Geometry::grid(grid.to_vec(), d_token, n_masked))
    }

    fn text(length: usize, vocabulary: usize, padding_id: i32, mask_id: i32) -> Result<Shape, String> {
        Shape::new(&Geometry::sequence(length, vocabulary, padding_id, mask_id))
    }

    #[test]
    fn valid_geometries_are_multiplied_out() {
        let volume = grid(&[2, 3, 5], 7, 11).unwrap();
        assert_eq!((volume.n_tokens(), volume.n_values()), (30, 210));
        assert_eq!(volume.to_string(), "2 x 3 x 5 tokens of 7 values, 11 masked");
        let words = text(9, 31, 0, 4).unwrap();
        assert_eq!((words.n_tokens(), words.n_values()), (9, 9));
        assert_eq!(words.to_string(), "9 tokens of 31 ids");
    }

    #[test]
    fn products_that_overflow_or_are_zero_are_refused() {
        let huge = 1 << 40;
        for (axes, d_token) in [
            (&[][..], 4),
            (&[3, 0], 4),
            (&[huge, huge], 4),
            (&[MAX_TOKENS, 2], 1),
            (&[5], 0),
            (&[5], usize::MAX),
            (&[MAX_TOKENS], 65),
        ] {
            assert!(grid(axes, d_token, 1).is_err(), "{axes:?} x {d_token}");
        }
        assert!(grid(&[MAX_TOKENS], 64, 1).is_ok());
    }

    #[test]
    fn some_tokens_are_masked_and_some_are_not() {
        assert!(grid(&[5], 2, 0).is_err());
        assert!(grid(&[5], 2, 5).is_err());
        assert!(grid(&[5], 2, 4).is_ok());
    }

    #[test]
    fn special_ids_are_distinct_members_of_the_vocabulary() {
        for (length, vocabulary, padding_id, mask_id) in
            [(0, 9, 0, 1), (5, 9, -1, 1), (5, 9, 0, 9), (5, 9, 3, 3), (5, 0, 0, 1), (5, MAX_VOCABULARY + 1, 0, 1)]
        {
            assert!(text(length, vocabulary, padding_id, mask_id).is_err());
        }
        assert!(text(5, 9, 8, 0).is_ok());
    }

    #[test]
    fn what_is_said_of_patches_axes_targets_and_coordinates_must_fit_the_grid() {
        let sound = Continuous {
            grid: vec![2, 3],
            d_token: 24,
            n_masked: 3,
            patch: vec![1, 8],
            axes: vec![Axis::of_places("lead", ["I", "II"]), Axis::measured("time", 0.3, "s")],
            validity: true,
            coordinates: vec![Coordinate { name: "x".into(), unit: Some("mm".into()), range: [-1.0, 1.0] }],
            affines: true,
            pretext: vec![PretextTask { name: "masked-patches".into(), ..PretextTask::default() }],
            ..Continuous::default()
        };
        assert_eq!(sound.n_channels(), Some(3));
        let shape = Shape::new(&Geometry::Continuous(sound.clone())).unwrap();
        assert_eq!([extra::VALID, extra::COORDINATES, extra::AFFINES].map(|kind| shape.n_extra(kind)), [Some(6); 3]);
        assert_eq!([extra::TARGETS, 99].map(|kind| shape.n_extra(kind)), [None; 2]);
        type Fault = (fn(&mut Continuous), &'static str);
        let faults: [Fault; 16] = [
            (|g| g.patch = vec![8], "the patch is [8]"),
            (|g| g.patch = vec![5, 2], "the patch is [5, 2]"),
            (|g| g.patch = vec![0, 2], "the patch is [0, 2]"),
            (|g| g.patch = vec![usize::MAX, 2], "the patch is"),
            (|g| drop(g.axes.pop()), "1 axes are named of 2"),
            (|g| g.axes[1].name = "lead".into(), "axis 1 is called \"lead\""),
            (|g| g.axes[1].name = "Time".into(), "axis 1 is called \"Time\""),
            (|g| g.axes[1].unit = None, "axis time has the step Some(0.3) and the unit None"),
            (|g| g.axes[1].step = Some(0.0), "axis time has the step Some(0.0)"),
            (|g| g.axes[0].places = vec!["I".into(); 2], "axis lead names 2 places; it must name each of 2 once"),
            (|g| g.axes[0].places.push("III".into()), "axis lead names 3 places"),
            (|g| g.targets.d_target = Some(0), "a token's target has 0 values"),
            (|g| g.targets.d_target = Some(MAX_TARGET + 1), "a token's target has 65537 values"),
            (|g| g.coordinates[0].range = [1.0, 1.0], "coordinate x has the range [1, 1]"),
            (|g| g.coordinates = vec![g.coordinates[0].clone(); 9], "tokens have 9 coordinates"),
            (|g| g.pretext[0].name = "Masked".into(), "a pretext task is called \"Masked\""),
        ];
        for (fault, expected) in faults {
            let mut geometry = sound.clone();
            fault(&mut geometry);
            let message = Shape::new(&Geometry::Continuous(geometry)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        assert!(grid(&[1; 9], 1, 1).unwrap_err().contains("9 axes"));
        let words = Discrete {
            special_ids: vec![9],
            ..Discrete { length: 3, vocabulary: 9, mask_id: 1, ..Discrete::default() }
        };
        assert!(Shape::new(&Geometry::Discrete(words)).unwrap_err().contains("the special id is 9"));
    }

    #[test]
    fn a_requirement_that_is_not_known_is_refused_by_name() {
        let requires = vec!["validity".to_owned(), "holograms".into()];
        let geometry = Geometry::Continuous(Continuous { requires, ..Continuous::default() });
        assert_eq!(check_requires(&geometry, &["validity", "holograms"]), Ok(()));
        let message = check_requires(&geometry, &["validity"]).unwrap_err();
        assert_eq!(message, "it requires \"holograms\", which this version does not know");
    }
}
