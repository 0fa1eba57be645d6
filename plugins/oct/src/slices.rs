//! Slices of a sample: which, how they are cropped, flipped and resized, and how they are saved.

use std::path::Path;

use image::{ImageBuffer, ImageFormat, Luma};
use medcoss_sdk::affine::Affine;
use medcoss_sdk::image::{Image, Region};
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, saved_samples};

use crate::options::Options;

/// First slice of each sample of a volume. The last sample ends with the volume; a volume with fewer slices is one sample.
pub(crate) fn starts(n_slices: usize, options: &Options) -> Vec<usize> {
    let depth = options.size[0];
    let Some(last) = n_slices.checked_sub(depth).filter(|last| *last > 0) else { return vec![0] };
    let mut starts: Vec<usize> = (0..=last).step_by(if options.stride == 0 { depth } else { options.stride }).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// Standard deviation of the grey of all slices.
pub(crate) fn deviation(slices: &[Image]) -> f32 {
    let (mut n, mut sum, mut squares) = (0, 0.0, 0.0);
    for &value in slices.iter().flat_map(Image::pixels) {
        let value = f64::from(value);
        (n, sum, squares) = (n + 1, sum + value, squares + value * value);
    }
    let mean = sum / f64::from(n.max(1));
    (squares / f64::from(n.max(1)) - mean * mean).max(0.0).sqrt() as f32
}

/// Slices at the size of a sample, `[slices, rows, columns]`; in training, where there is a generator, cropped, flipped
/// and brightened alike. Also the map from their rows and columns to those of the file.
///
/// # Errors
/// Slices without pixels.
pub(crate) fn resized(
    slices: &mut [Image],
    rng: Option<&mut SampleRng>,
    options: &Options,
) -> Result<(Vec<f32>, Affine<2>), Error> {
    let [_, rows, columns] = options.size;
    let Some((width, height)) = slices.first().map(|slice| (slice.width(), slice.height())) else {
        return Err(Error::corrupt("the volume has no slices"));
    };
    let (mut region, mut is_flipped, mut gain) = (Region { left: 0, top: 0, width, height }, false, 1.0);
    if let Some(rng) = rng {
        let [least, most] = options.crop_scale;
        // Of the slice's own proportions.
        let side = rng.random_range(least..=most).sqrt();
        let cut = |whole: usize| ((whole as f64 * side).round() as usize).clamp(1, whole);
        (region.width, region.height) = (cut(width), cut(height));
        region.left = rng.random_range(0..=width - region.width);
        region.top = rng.random_range(0..=height - region.height);
        is_flipped = rng.random::<bool>() && options.horizontal_flip;
        gain = 1.0 + options.brightness * rng.random_range(-1.0..=1.0_f32);
    }
    let mut pixels = Vec::with_capacity(slices.len() * rows * columns);
    for slice in slices {
        let mut slice = slice.resized(region, columns, rows)?;
        if is_flipped {
            slice.flip_horizontal();
        }
        pixels.extend(slice.pixels().iter().map(|value| (value * gain).min(1.0)));
    }
    let place = Affine::of_region(region, columns, rows);
    Ok((pixels, if is_flipped { place.flipped(1, columns) } else { place }))
}

/// Writes slices as numbered PNG of 16 bits into a new folder.
///
/// # Errors
/// A folder that cannot be written to.
pub(crate) fn save(slices: &[Image], folder: &Path) -> Result<(), Error> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Error::unreadable(format!("{} cannot be written", folder.display())).caused_by(error)
    };
    std::fs::create_dir(folder).map_err(|error| failed(&error))?;
    for (number, slice) in slices.iter().enumerate() {
        let words = slice.pixels().iter().map(|value| (value * 65535.0).round() as u16).collect::<Vec<_>>();
        let image = ImageBuffer::<Luma<u16>, _>::from_raw(slice.width() as u32, slice.height() as u32, words)
            .ok_or_else(|| Error::corrupt("a slice has no pixels"))?;
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png).map_err(|error| failed(&error))?;
        saved_samples::write(&folder.join(saved_samples::name(number, ".png")), file.get_ref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_cover_a_volume_to_its_end() {
        let starts = |n_slices, stride| {
            super::starts(
                n_slices,
                &Options { size: [6, 16, 16], patch_size: [3, 16, 16], stride, ..Options::default() },
            )
        };
        assert_eq!(starts(20, 0), [0, 6, 12, 14]);
        assert_eq!(starts(12, 0), [0, 6]);
        assert_eq!(starts(9, 2), [0, 2, 3]);
        assert_eq!((starts(6, 0), starts(1, 0)), (vec![0], vec![0]));
    }

    #[test]
    fn the_deviation_is_that_of_all_slices() {
        let slice = |value| Image::new([2, 2, 1], vec![value; 4]).unwrap();
        assert!((deviation(&[slice(0.2), slice(0.6)]) - 0.2).abs() < 1e-6);
        assert_eq!(deviation(&[]), 0.0);
    }
}
