//! Class maps of samples for segmentation: label maps as classes, token by token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::label_map::{LabelMap, LabelMapSource};
use crate::{Error, EvaluationError, Result, SettingError};

/// Number of samples whose label maps are read together.
const AT_ONCE: usize = 32;
/// Maximum number of foreground classes that are found in the masks.
const MOST_FOUND: usize = 16;
/// Maximum number of foreground classes.
const MOST: usize = 254;

/// Classes of a segmentation task, by label. Class 0 is always the background.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SegmentationClasses {
    /// One class: every label but 0. Masks of numbered instances are reduced to this class.
    Foreground(Foreground),
    /// One class for each of these labels, in this order; all other labels are background.
    Labels(Vec<u16>),
    /// Classes by name, each with its labels; all other labels are background. A label of several classes makes them overlap: an organ with labels 1 and 2,
    /// its tumour with label 2.
    Named(BTreeMap<String, Vec<u16>>),
}

/// Code of a voxel that neither loss nor score counts.
pub const IGNORED: u8 = 255;

/// The word `"foreground"` in settings, for [`SegmentationClasses::Foreground`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Foreground {
    /// `"foreground"`.
    #[serde(rename = "foreground")]
    Foreground,
}

impl SegmentationClasses {
    /// The foreground as one class: every label but 0.
    pub const FOREGROUND: Self = Self::Foreground(Foreground::Foreground);

    /// Checks that there are labels, and that the labels are distinct and not 0.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<()> {
        let labels = match self {
            Self::Foreground(_) => return Ok(()),
            Self::Labels(labels) => labels.clone(),
            Self::Named(classes) => {
                if let Some((name, _)) = classes.iter().find(|(_, labels)| labels.is_empty()) {
                    let expected = "at least one label";
                    return Err(SettingError::out_of_range(format!("classes.{name}"), "empty", expected).into());
                }
                self.labels()
            }
        };
        let wrong = |what: String| Err(SettingError::out_of_range("classes", format!("{labels:?}"), what).into());
        if labels.is_empty() || labels.len() > MOST {
            return wrong(format!("1 to {MOST} labels"));
        }
        if labels.contains(&0) {
            return wrong("labels without 0, which is the background".into());
        }
        match labels.iter().enumerate().find(|(at, label)| labels[..*at].contains(label)) {
            Some((_, twice)) => wrong(format!("each label once ({twice} is there twice)")),
            None => Ok(()),
        }
    }

    /// Labels that occur in the masks of samples, in ascending order, as classes.
    ///
    /// # Errors
    /// Masks that cannot be read, none but background, more than 16 labels.
    pub fn found_in(masks: &dyn LabelMapSource, indices: &[u64]) -> Result<Self> {
        let mut found = std::collections::BTreeSet::new();
        for some in indices.chunks(AT_ONCE) {
            for map in masks.label_maps(some)?.into_iter().flatten() {
                found.extend(map.values.into_iter().filter(|label| *label != 0));
            }
            if found.len() > MOST_FOUND {
                return Err(EvaluationError::TooManyLabels { limit: MOST_FOUND }.into());
            }
        }
        if found.is_empty() {
            return Err(unusable(format!("the masks of {} samples hold nothing but background", indices.len())));
        }
        Ok(Self::Labels(found.into_iter().collect()))
    }

    /// Names of the classes without the background.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Foreground(_) => vec!["foreground".into()],
            Self::Labels(labels) => labels.iter().map(u16::to_string).collect(),
            Self::Named(classes) => classes.keys().cloned().collect(),
        }
    }

    /// The labels of all classes, each once, in the order of the classes; for the foreground 1.
    pub fn labels(&self) -> Vec<u16> {
        match self {
            Self::Foreground(_) => vec![1],
            Self::Labels(labels) => labels.clone(),
            Self::Named(classes) => {
                let mut all: Vec<u16> = Vec::new();
                for label in classes.values().flatten() {
                    if !all.contains(label) {
                        all.push(*label);
                    }
                }
                all
            }
        }
    }

    /// Whether a label is of several classes.
    pub fn overlap(&self) -> bool {
        match self {
            Self::Named(classes) => classes.values().map(Vec::len).sum::<usize>() > self.labels().len(),
            _ => false,
        }
    }

    /// Classes of a code of [`ClassMaps`], as a sum of powers of two of which the first class has the 0th. Codes are classes, counted from 1, or, where
    /// classes overlap, places among [`SegmentationClasses::labels`], counted from 1.
    pub fn members(&self, code: u8) -> u16 {
        let Some(at) = usize::from(code).checked_sub(1) else { return 0 };
        match self {
            Self::Named(classes) if self.overlap() => {
                let label = self.labels().get(at).copied();
                let has = |labels: &Vec<u16>| label.is_some_and(|label| labels.contains(&label));
                classes.values().enumerate().map(|(class, labels)| u16::from(has(labels)) << class).sum()
            }
            _ => 1u16.checked_shl(at as u32).unwrap_or(0),
        }
    }

    /// Code of a label; 0 is the background.
    fn of(&self, label: u16) -> u8 {
        let place = |found: Option<usize>| found.map_or(0, |at| at as u8 + 1);
        match self {
            Self::Foreground(_) => u8::from(label != 0),
            Self::Labels(labels) => place(labels.iter().position(|class| *class == label)),
            Self::Named(_) if self.overlap() => place(self.labels().iter().position(|own| *own == label)),
            Self::Named(classes) => place(classes.values().position(|labels| labels.contains(&label))),
        }
    }
}

/// Class maps of samples: the class of every voxel, grouped by token.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassMaps {
    /// Number of voxels of a sample along each axis.
    pub shape: Vec<usize>,
    /// Number of tokens of a sample along each axis.
    pub grid: Vec<usize>,
    /// Names of the classes without the background.
    pub classes: Vec<String>,
    /// Indices of the samples.
    pub rows: Vec<u64>,
    /// Distance of neighbouring voxels of each sample in millimetres; none where unknown.
    pub spacing_mm: Vec<Option<Vec<f64>>>,
    /// Classes, `[rows, tokens, voxels of a token]`; 0 is the background.
    pub values: Vec<u8>,
    /// Samples without a label map, with the reason.
    pub invalid: Vec<(u64, String)>,
}

impl ClassMaps {
    /// Reads the label maps of samples. Samples without a label map are listed in `invalid`. Voxels with the label `ignored` count for nothing.
    ///
    /// # Errors
    /// Classes that make no sense, masks that cannot be read as a whole, not a single sample with a label map.
    pub fn read(
        masks: &dyn LabelMapSource,
        indices: &[u64],
        classes: &SegmentationClasses,
        ignored: Option<u16>,
    ) -> Result<Self> {
        classes.check()?;
        let mut read = Self {
            shape: Vec::new(),
            grid: masks.grid().to_vec(),
            classes: classes.names(),
            rows: Vec::new(),
            spacing_mm: Vec::new(),
            values: Vec::new(),
            invalid: Vec::new(),
        };
        for some in indices.chunks(AT_ONCE) {
            for (&index, map) in some.iter().zip(masks.label_maps(some)?) {
                match map {
                    Ok(map) => read.push(index, map, classes, ignored)?,
                    Err(sample) => read.invalid.push((index, sample.message)),
                }
            }
        }
        match (read.rows.is_empty(), read.invalid.first()) {
            (true, Some((_, first))) => Err(unusable(format!(
                "none of {} samples has a mask that can be read; the first: {first}",
                indices.len()
            ))),
            (true, None) => Err(unusable("there are no samples to read masks of".into())),
            _ => Ok(read),
        }
    }

    fn push(&mut self, index: u64, map: LabelMap, classes: &SegmentationClasses, ignored: Option<u16>) -> Result<()> {
        if self.rows.is_empty() {
            let fits = map.shape.len() == self.grid.len()
                && map.shape.iter().zip(&self.grid).all(|(side, n)| *side > 0 && side.is_multiple_of(*n));
            if !fits || map.shape.len() > 3 {
                let (shape, grid) = (&map.shape, &self.grid);
                return Err(unusable(format!(
                    "label maps have the shape {shape:?}; a multiple of the grid {grid:?} of at most three axes was expected"
                )));
            }
            self.shape.clone_from(&map.shape);
        }
        if map.shape != self.shape || map.values.len() != self.shape.iter().product::<usize>() {
            return Err(unusable(format!("label maps of {:?} and {:?} in one dataset", self.shape, map.shape)));
        }
        let n = map.values.len();
        let start = self.values.len();
        self.values.resize(start + n, 0);
        let mut last: Option<(u16, u8)> = None;
        for (place, label) in self.places().into_iter().zip(&map.values) {
            // Each label is looked up once for its run of voxels, of which masks have long ones.
            if last.is_none_or(|(known, _)| known != *label) {
                last = Some((*label, if Some(*label) == ignored { IGNORED } else { classes.of(*label) }));
            }
            self.values[start + place] = last.map_or(0, |(_, code)| code);
        }
        self.rows.push(index);
        self.spacing_mm.push(map.spacing_mm);
        Ok(())
    }

    /// Position of each voxel of a sample in token order: number of the token times its voxels, plus the voxel's position in the token. Tokens and
    /// their voxels are in row-major order.
    fn places(&self) -> Vec<usize> {
        let [shape, grid] = [three(&self.shape), three(&self.grid)];
        let block = [0, 1, 2].map(|axis| shape[axis] / grid[axis]);
        let mut places = Vec::with_capacity(shape.iter().product());
        for z in 0..shape[0] {
            for y in 0..shape[1] {
                for x in 0..shape[2] {
                    let at = [z, y, x];
                    let token = (0..3).fold(0, |token, axis| token * grid[axis] + at[axis] / block[axis]);
                    let within = (0..3).fold(0, |within, axis| within * block[axis] + at[axis] % block[axis]);
                    places.push(token * block.iter().product::<usize>() + within);
                }
            }
        }
        places
    }

    /// Number of classes, background included.
    pub fn n_classes(&self) -> usize {
        self.classes.len() + 1
    }

    /// Number of tokens of a sample.
    pub fn n_tokens(&self) -> usize {
        self.grid.iter().product()
    }

    /// Number of voxels of a sample.
    pub fn n_voxels(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of voxels of a token.
    pub fn n_in_token(&self) -> usize {
        self.n_voxels() / self.n_tokens().max(1)
    }

    /// Classes of the sample at position `at` of [`ClassMaps::rows`], `[tokens, voxels of a token]`.
    pub fn of(&self, at: usize) -> &[u8] {
        &self.values[at * self.n_voxels()..][..self.n_voxels()]
    }

    /// Classes in token order, reordered as an array of [`ClassMaps::shape`].
    pub fn in_space(&self, tokens: &[u8]) -> Vec<u8> {
        self.places().into_iter().map(|place| tokens[place]).collect()
    }

    /// Foreground size of each sample: number of voxels that are not background, or their volume in cubic millimetres (area in square millimetres)
    /// where every spacing is known. A label for other tasks.
    pub fn sizes(&self) -> Vec<f64> {
        let all_known = self.spacing_mm.iter().all(Option::is_some);
        let a_voxel = |at: usize| match &self.spacing_mm[at] {
            Some(spacing) if all_known => spacing.iter().product(),
            _ => 1.0,
        };
        let n = |at: usize| self.of(at).iter().filter(|class| ![0, IGNORED].contains(class)).count() as f64;
        (0..self.rows.len()).map(|at| n(at) * a_voxel(at)).collect()
    }
}

/// Sizes of up to three axes as three, with 1 for the missing ones in front.
pub(super) fn three(sides: &[usize]) -> [usize; 3] {
    let mut all = [1; 3];
    all[3 - sides.len()..].copy_from_slice(sides);
    all
}

fn unusable(detail: String) -> Error {
    EvaluationError::Masks { detail }.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::SampleReport;

    /// Label maps in memory.
    pub struct Painted {
        pub grid: Vec<usize>,
        pub maps: Vec<Option<LabelMap>>,
    }

    impl LabelMapSource for Painted {
        fn grid(&self) -> &[usize] {
            &self.grid
        }

        fn label_maps(&self, indices: &[u64]) -> Result<Vec<Result<LabelMap, SampleReport>>> {
            let missing = |slot| SampleReport::invalid(slot, "it has no mask");
            let map = |(slot, index): (usize, &u64)| self.maps[*index as usize].clone().ok_or(missing(slot));
            Ok(indices.iter().enumerate().map(map).collect())
        }
    }

    fn map(shape: &[usize], values: &[u16], spacing_mm: Option<Vec<f64>>) -> LabelMap {
        LabelMap { shape: shape.to_vec(), spacing_mm, values: values.to_vec() }
    }

    #[test]
    fn voxels_are_cut_into_tokens_and_put_together_again() {
        // Two by two tokens of one row and three columns.
        let values: Vec<u16> = (1..=12).collect();
        let masks = Painted { grid: vec![2, 2], maps: vec![Some(map(&[2, 6], &values, None)), None] };
        let classes = SegmentationClasses::Labels((1..=12).collect());
        let maps = ClassMaps::read(&masks, &[1, 0], &classes, None).unwrap();
        assert_eq!(maps.of(0), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!((maps.rows.as_slice(), maps.invalid.as_slice()), (&[0][..], &[(1, "it has no mask".into())][..]));

        // One by two tokens of two rows and three columns.
        let masks = Painted { grid: vec![1, 2], ..masks };
        let maps = ClassMaps::read(&masks, &[0], &classes, None).unwrap();
        assert_eq!(maps.of(0), [1, 2, 3, 7, 8, 9, 4, 5, 6, 10, 11, 12]);
        assert_eq!(maps.in_space(maps.of(0)), (1..=12).collect::<Vec<u8>>());
        assert_eq!((maps.n_tokens(), maps.n_in_token(), maps.n_classes()), (2, 6, 13));

        let volume: Vec<u16> = (0..2 * 4 * 6).map(|at| at % 5).collect();
        let masks = Painted { grid: vec![1, 2, 3], maps: vec![Some(map(&[2, 4, 6], &volume, None))] };
        let maps = ClassMaps::read(&masks, &[0], &SegmentationClasses::Labels(vec![1, 2, 3, 4]), None).unwrap();
        assert!(maps.in_space(maps.of(0)).iter().zip(&volume).all(|(class, label)| u16::from(*class) == *label));
        // The second token begins with the third column of the first rows.
        assert_eq!(maps.of(0)[8..12], [2, 3, 8 % 5, 9 % 5].map(|label| label as u8));
    }

    #[test]
    fn labels_become_classes_as_asked() {
        let masks = Painted { grid: vec![1], maps: vec![Some(map(&[6], &[0, 300, 7, 2, 300, 9], None)); 2] };
        let of = |classes: &SegmentationClasses| ClassMaps::read(&masks, &[0], classes, None).map(|maps| maps.values);
        assert_eq!(of(&SegmentationClasses::FOREGROUND).unwrap(), [0, 1, 1, 1, 1, 1]);
        assert_eq!(of(&SegmentationClasses::Labels(vec![300, 7])).unwrap(), [0, 1, 2, 0, 1, 0]);
        assert_eq!(
            SegmentationClasses::found_in(&masks, &[0, 1]).unwrap(),
            SegmentationClasses::Labels(vec![2, 7, 9, 300])
        );
        for (labels, message) in [
            (vec![], "1 to 254"),
            (vec![1, 0], "without 0, which is the background"),
            (vec![3, 4, 3], "3 is there twice"),
        ] {
            let error = of(&SegmentationClasses::Labels(labels)).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let classes: SegmentationClasses = serde_json::from_str("\"foreground\"").unwrap();
        assert_eq!(classes, SegmentationClasses::FOREGROUND);
        assert_eq!(
            serde_json::from_str::<SegmentationClasses>("[1, 2]").unwrap(),
            SegmentationClasses::Labels(vec![1, 2])
        );
    }

    #[test]
    fn masks_without_classes_are_refused() {
        let instances: Vec<u16> = (0..20).collect();
        let masks = Painted {
            grid: vec![2],
            maps: vec![
                None,
                Some(map(&[20], &instances, None)),
                Some(map(&[20], &[0; 20], None)),
                Some(map(&[3], &[1; 3], None)),
            ],
        };
        let found = |indices: &[u64]| SegmentationClasses::found_in(&masks, indices).unwrap_err().to_string();
        assert!(found(&[1]).contains("instance masks"));
        assert!(found(&[2, 0]).contains("hold nothing but background"));
        let read =
            |indices: &[u64]| ClassMaps::read(&masks, indices, &SegmentationClasses::FOREGROUND, None).map(|_| ());
        assert!(
            read(&[0])
                .unwrap_err()
                .to_string()
                .contains("none of 1 samples has a mask that can be read; the first: it")
        );
        assert!(read(&[]).unwrap_err().to_string().contains("no samples"));
        assert!(read(&[3]).unwrap_err().to_string().contains("[3]; a multiple of the grid [2]"));
        assert!(read(&[1, 3]).unwrap_err().to_string().contains("label maps of [20] and [3]"));
    }

    #[test]
    fn sizes_are_volumes_where_every_spacing_is_known() {
        let spacing = Some(vec![2.0, 0.5]);
        let mut maps =
            vec![Some(map(&[2, 2], &[1, 0, 2, 9], spacing)), Some(map(&[2, 2], &[0, 0, 1, 0], Some(vec![3.0, 3.0])))];
        let sizes = |maps: &[Option<LabelMap>]| {
            let masks = Painted { grid: vec![1, 1], maps: maps.to_vec() };
            ClassMaps::read(&masks, &[0, 1], &SegmentationClasses::FOREGROUND, None).unwrap().sizes()
        };
        assert_eq!(sizes(&maps), [3.0, 9.0]);
        maps[1].as_mut().unwrap().spacing_mm = None;
        assert_eq!(sizes(&maps), [3.0, 1.0]);
    }
}
