//! Checks of segmentation masks: the answer to `label-maps`.

use medcoss_abi::message::{Continuous, Geometry, LabelMapsHeader};

/// Checks number, shape and spacings of an answer, whose length was compared with them.
///
/// # Errors
/// What was found and what was expected.
pub fn check(geometry: &Geometry, header: &LabelMapsHeader, n_asked: usize) -> Result<(), String> {
    let LabelMapsHeader { shape, samples } = header;
    if samples.len() != n_asked {
        return Err(format!("it answers with {} masks for {n_asked} samples", samples.len()));
    }
    if samples.iter().all(|sample| sample.error.is_some()) {
        return Ok(());
    }
    let Geometry::Continuous(Continuous { grid, d_token, patch, .. }) = geometry else {
        return Err("it answers with masks of samples without a grid".into());
    };
    let fits =
        shape.len() == grid.len() && shape.iter().zip(grid).all(|(side, n)| *side > 0 && side.is_multiple_of(*n));
    let block: Vec<usize> = if fits { shape.iter().zip(grid).map(|(side, n)| side / n).collect() } else { vec![0] };
    let n_values: usize = block.iter().product();
    if n_values == 0 || !d_token.is_multiple_of(n_values) || !(patch.is_empty() || block == *patch) {
        return Err(format!(
            "its masks have the shape {shape:?}; samples are a grid of {grid:?} tokens of {d_token} values, and each token \
             is a block of the same size"
        ));
    }
    let is_valid = |mm: &Vec<f64>| mm.len() == shape.len() && mm.iter().all(|mm| mm.is_finite() && *mm > 0.0);
    match samples.iter().filter_map(|sample| sample.spacing_mm.as_ref()).find(|spacing| !is_valid(spacing)) {
        Some(spacing) => Err(format!("a mask of {shape:?} has a spacing of {spacing:?} mm; each must be positive")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::message::{LabelMapError, LabelMapNote};

    fn checked(shape: &[usize], spacings: &[Option<Vec<f64>>], n_asked: usize) -> Result<(), String> {
        let geometry = Geometry::grid(vec![2, 3], 12 * 3, 1);
        let samples = spacings.iter().map(|mm| LabelMapNote { spacing_mm: mm.clone(), error: None }).collect();
        check(&geometry, &LabelMapsHeader { shape: shape.to_vec(), samples }, n_asked)
    }

    #[test]
    fn masks_of_another_shape_number_or_spacing_are_refused() {
        assert_eq!(checked(&[6, 12], &[None, Some(vec![0.5, 2.0])], 2), Ok(()));
        assert_eq!(checked(&[8, 9], &[None], 1), Ok(()), "three channels, or one in larger blocks");
        assert_eq!(checked(&[6, 12], &[None], 2).unwrap_err(), "it answers with 1 masks for 2 samples");
        let patched =
            Continuous { grid: vec![2, 3], d_token: 36, n_masked: 1, patch: vec![3, 4], ..Continuous::default() };
        let header =
            |shape: &[usize]| LabelMapsHeader { shape: shape.to_vec(), samples: vec![LabelMapNote::default()] };
        let patched = Geometry::Continuous(patched);
        assert_eq!(check(&patched, &header(&[6, 12]), 1), Ok(()));
        assert!(check(&patched, &header(&[8, 9]), 1).is_err(), "another block than the patch");
        for shape in [&[7, 12][..], &[6], &[6, 12, 1], &[0, 0], &[10, 15], &[usize::MAX - 1, 3]] {
            assert!(checked(shape, &[None], 1).unwrap_err().starts_with("its masks have the shape"), "{shape:?}");
        }
        for spacing in [vec![1.0], vec![1.0, 0.0], vec![1.0, f64::INFINITY]] {
            assert!(checked(&[6, 12], &[Some(spacing)], 1).unwrap_err().contains("must be positive"));
        }
        let words = Geometry::sequence(9, 9, 0, 1);
        let mut header = LabelMapsHeader { shape: vec![], samples: vec![LabelMapNote::default()] };
        assert!(check(&words, &header, 1).unwrap_err().contains("without a grid"));
        header.samples[0].error = Some(LabelMapError { code: 2, message: "no mask".into() });
        assert_eq!(check(&words, &header, 1), Ok(()));
    }
}
