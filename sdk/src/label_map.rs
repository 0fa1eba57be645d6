//! Label maps: the segmentation masks of samples. The result of [`crate::Dataset::label_map`], and the cropping and resampling of labels.
//!
//! Labels are categories: they are resampled by nearest neighbour and never averaged. (In this crate a mask hides tokens in training;
//! hence the other word.) The file of a sample is found in `mask_files`.

use crate::Error;
use crate::image::Region;
use crate::volume::Sampling;

/// Labels of an image or volume, of a file or of a sample: 0 is the background.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    shape: Vec<usize>,
    values: Vec<u16>,
    spacing_mm: Option<Vec<f64>>,
}

impl LabelMap {
    /// Labels `[rows, columns]`, `[depth, rows, columns]` or of any other number of axes, the last one fastest.
    ///
    /// # Errors
    /// No labels, labels that do not have this shape.
    pub fn new(shape: &[usize], values: Vec<u16>) -> Result<Self, Error> {
        let expected = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        if values.is_empty() || expected != Some(values.len()) {
            return Err(Error::bad_request(format!("{} labels are no label map of {shape:?}", values.len())));
        }
        Ok(Self { shape: shape.to_vec(), values, spacing_mm: None })
    }

    /// The same with the distance of neighbours along each axis, as far as it is known.
    ///
    /// # Errors
    /// Another number of axes, a distance that is not positive.
    pub fn with_spacing_mm(self, spacing_mm: &[f64]) -> Result<Self, Error> {
        let fits = spacing_mm.len() == self.shape.len() && spacing_mm.iter().all(|mm| mm.is_finite() && *mm > 0.0);
        if !fits {
            let shape = &self.shape;
            return Err(Error::bad_request(format!("{spacing_mm:?} mm is no spacing of a label map of {shape:?}")));
        }
        Ok(Self { spacing_mm: Some(spacing_mm.to_vec()), ..self })
    }

    /// Length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The labels, the last axis fastest.
    pub fn values(&self) -> &[u16] {
        &self.values
    }

    /// Distance of neighbours along each axis in millimetres, where it is known.
    pub fn spacing_mm(&self) -> Option<&[f64]> {
        self.spacing_mm.as_deref()
    }

    /// The labels at the positions of samplings, one an axis: each from the nearest pixel, 0 outside. Without a spacing.
    ///
    /// # Errors
    /// Another number of axes.
    pub fn sampled(&self, samplings: &[Sampling]) -> Result<Self, Error> {
        if samplings.len() != self.shape.len() {
            let (n, shape) = (samplings.len(), &self.shape);
            return Err(Error::bad_request(format!("{n} samplings of a label map of {shape:?}")));
        }
        // Axis by axis from the slowest: runs of all faster axes are copied as a whole.
        let mut values = self.values.clone();
        for (axis, sampling) in samplings.iter().enumerate() {
            let inner: usize = self.shape[axis + 1..].iter().product();
            let from = sampling.nearest(self.shape[axis]);
            let mut sampled = Vec::with_capacity(values.len() / self.shape[axis] * from.len());
            for block in values.chunks_exact(self.shape[axis] * inner) {
                for place in &from {
                    match place {
                        Some(place) => sampled.extend_from_slice(&block[place * inner..][..inner]),
                        None => sampled.resize(sampled.len() + inner, 0),
                    }
                }
            }
            values = sampled;
        }
        let shape: Vec<usize> = samplings.iter().map(Sampling::n).collect();
        Self::new(&shape, values)
    }

    /// A region of an image's labels at another size: what [`crate::image::Image::resized`] is for the image.
    ///
    /// # Errors
    /// Labels of a volume, a region that is empty or not inside the image, a target without pixels.
    pub fn resized(&self, region: Region, width: usize, height: usize) -> Result<Self, Error> {
        let Region { left, top, width: wide, height: high } = region;
        let inside = |start: usize, n: usize, all: usize| n > 0 && start.checked_add(n).is_some_and(|end| end <= all);
        let valid = matches!(*self.shape, [rows, columns] if inside(top, high, rows) && inside(left, wide, columns));
        if !valid || width == 0 || height == 0 {
            let shape = &self.shape;
            return Err(Error::bad_request(format!(
                "{region:?} of a label map of {shape:?} cannot become {width}x{height}"
            )));
        }
        let rows = Sampling::stretched(high, height).shifted(top as f64);
        self.sampled(&[rows, Sampling::stretched(wide, width).shifted(left as f64)])
    }
}

/// Makes sure that a mask file has the shape of the file that it labels, `[rows, columns]` or `[depth, rows, columns]`.
///
/// # Errors
/// Another shape: the error names both files and both shapes.
pub fn check_fits(mask: &str, found: &[usize], sample: &str, expected: &[usize]) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (by(found), by(expected));
    Err(Error::bad_request(format!(
        "mask {mask} is {found}, and {sample} is {expected}; both must have the same size\n\
         hint: export the mask in the geometry of its sample"
    )))
}

fn by(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::volume::Volume;

    fn numbered(shape: &[usize]) -> LabelMap {
        LabelMap::new(shape, (0..shape.iter().product::<usize>() as u16).collect()).unwrap()
    }

    #[test]
    fn enlarging_repeats_labels_and_shrinking_takes_the_middle_one() {
        let row = LabelMap::new(&[1, 3], vec![7, 8, 9]).unwrap();
        let whole = Region { left: 0, top: 0, width: 3, height: 1 };
        assert_eq!(row.resized(whole, 6, 1).unwrap().values(), [7, 7, 8, 8, 9, 9]);
        assert_eq!(row.resized(whole, 1, 2).unwrap().values(), [8, 8]);
        let last = Region { left: 1, top: 0, width: 2, height: 1 };
        assert_eq!(row.resized(last, 4, 1).unwrap().values(), [8, 8, 9, 9]);
    }

    #[test]
    fn whole_steps_copy_labels_and_background_surrounds_them() {
        let map = numbered(&[5, 7, 9]);
        let part = map.sampled(&[Sampling::voxels(-1, 3), Sampling::voxels(5, 4), Sampling::voxels(0, 9)]).unwrap();
        assert_eq!(part.shape(), [3, 4, 9]);
        for (at, &value) in part.values().iter().enumerate() {
            let (z, y, x) = (at / 36, at / 9 % 4, at % 9);
            let expected = if z == 0 || y > 1 { 0 } else { ((z - 1) * 63 + (y + 5) * 9 + x) as u16 };
            assert_eq!(value, expected, "at {z} {y} {x}");
        }
    }

    /// A blob that is neither centred nor round.
    fn is_inside(z: f64, y: f64, x: f64) -> bool {
        ((z - 7.2) / 4.0).powi(2) + ((y - 11.0) / 6.5).powi(2) + ((x - 17.4) / 8.0).powi(2) < 1.0
    }

    #[test]
    fn labels_follow_a_volume_through_crops_and_resampling() {
        // Two routes: nearest labels, and 0 and 1 resampled linearly and cut at one half. They differ at borders alone.
        let [n_z, n_y, n_x] = [15, 23, 31];
        let inside: Vec<bool> = (0..n_z * n_y * n_x)
            .map(|at| is_inside((at / (n_y * n_x)) as f64, (at / n_x % n_y) as f64, (at % n_x) as f64))
            .collect();
        let labels = LabelMap::new(&[n_z, n_y, n_x], inside.iter().map(|&inside| u16::from(inside)).collect()).unwrap();
        let voxels = inside.iter().map(|&inside| f32::from(u8::from(inside))).collect();
        let volume = Volume::new([n_z, n_y, n_x], [1.0; 3], voxels).unwrap();
        let samplings = [
            [Sampling::voxels(3, 9), Sampling::stretched(23, 40), Sampling::stretched(31, 16)],
            [Sampling::centred(15, 20, 0.7), Sampling::centred(23, 33, 1.1), Sampling::centred(31, 64, 0.4)],
        ];
        for samplings in samplings {
            let linear = volume.resampled(samplings).unwrap().padded(0.0);
            let nearest = labels.sampled(&samplings).unwrap();
            let sizes: Vec<usize> = samplings.iter().map(Sampling::n).collect();
            assert_eq!(nearest.shape(), sizes);
            let n_inside = nearest.values().iter().filter(|&&label| label == 1).count();
            let sure = linear.iter().zip(nearest.values()).filter(|(value, _)| !(0.15..0.85).contains(*value));
            let n_wrong = sure.clone().filter(|(value, label)| (**value > 0.5) != (**label == 1)).count();
            assert!(n_inside > 500 && sure.count() > linear.len() * 9 / 10, "{n_inside}");
            assert!(n_wrong * 200 < n_inside, "{n_wrong} of {n_inside}");
        }
    }

    #[test]
    fn labels_follow_an_image_through_its_evaluation_view() {
        let [height, width] = [37, 53];
        let inside: Vec<bool> = (0..height * width)
            .map(|at| is_inside(7.2, (at / width) as f64 * 0.7, (at % width) as f64 * 0.8))
            .collect();
        let labels = LabelMap::new(&[height, width], inside.iter().map(|&is| 300 * u16::from(is)).collect()).unwrap();
        let pixels = inside.iter().map(|&inside| f32::from(u8::from(inside))).collect();
        let image = Image::new([height, width, 1], pixels).unwrap();
        let region = Region::centre_square(width, height);
        let (cubic, nearest) = (image.resized(region, 64, 64).unwrap(), labels.resized(region, 64, 64).unwrap());
        assert_eq!(nearest.shape(), [64, 64]);
        let sure = cubic.pixels().iter().zip(nearest.values()).filter(|(value, _)| !(0.2..0.8).contains(*value));
        let n_wrong = sure.clone().filter(|(value, label)| (**value > 0.5) != (**label == 300)).count();
        assert!(sure.count() > 3700 && n_wrong == 0, "{n_wrong}");
    }

    #[test]
    fn shapes_regions_and_spacings_that_make_no_sense_are_refused() {
        assert!(LabelMap::new(&[2, 3], vec![0; 5]).is_err());
        assert!(LabelMap::new(&[usize::MAX, 3], vec![0; 5]).is_err());
        let map = numbered(&[4, 6]);
        for region in [
            Region { left: 4, top: 0, width: 3, height: 2 },
            Region { left: usize::MAX, top: 0, width: 2, height: 2 },
            Region { left: 0, top: 0, width: 0, height: 2 },
        ] {
            assert!(map.resized(region, 3, 3).is_err(), "{region:?}");
        }
        assert!(map.sampled(&[Sampling::voxels(0, 2)]).is_err());
        assert!(map.clone().with_spacing_mm(&[1.0]).is_err());
        assert!(map.clone().with_spacing_mm(&[1.0, 0.0]).is_err());
        assert!(check_fits("labels/a.png", &[4, 6], "images/a.jpeg", &[4, 6]).is_ok());
        let error = check_fits("labels/a.png", &[4, 6], "images/a.jpeg", &[6, 4]).unwrap_err();
        let expected = "mask labels/a.png is 4x6, and images/a.jpeg is 6x4; both must have the same size";
        assert_eq!(error.message().lines().next(), Some(expected));
    }
}
