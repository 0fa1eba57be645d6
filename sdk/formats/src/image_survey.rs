//! What the image files among data are like, for the surveys of the plugins for images.

use std::collections::BTreeMap;

use medcoss_sdk::image::Image;
use medcoss_sdk::serde_json::json;
use medcoss_sdk::{Account, Fact, Found, FoundFile, SuitedOption, Survey};

use crate::image_file;

/// Images that are looked at, evenly spaced.
const MAX_IMAGES: usize = 16;
/// Files above this size in bytes are not decoded for a survey.
const MAX_BYTES: u64 = 1 << 25;
/// Files of more than 8 bits that are read when a dataset is opened, to say how many bits they use.
const MAX_DEPTHS: usize = 32;
/// Mean difference of an image's channels from which it is in colour: stained tissue has 0.1 and more, a grey image in a
/// file of three channels less than 0.01.
const COLOURFUL: f32 = 0.03;
/// Sides of a patch and of samples by default, of the plugins for images.
const PATCH: usize = 16;
const SIDE: usize = 224;

/// How sure a modality can be of image files, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sureness {
    /// Of grey ones.
    pub of_grey: f64,
    /// Of those in colour.
    pub of_colour: f64,
}

/// What image files are like.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ImageSurvey {
    /// Number of images that were looked at.
    pub n_images: usize,
    /// Number of them in colour.
    pub n_colourful: usize,
    /// Rows and columns: medians.
    pub size: [usize; 2],
}

impl ImageSurvey {
    /// Looks at some of the files; those that cannot be read are passed over.
    pub fn of(files: &[&FoundFile]) -> Self {
        let n = files.len().min(MAX_IMAGES);
        let evenly = (0..n).map(|at| files[at * files.len() / n]);
        let images: Vec<Image> = evenly
            .filter(|file| file.bytes <= MAX_BYTES)
            .filter_map(|file| image_file::read_image(&file.path).ok())
            .collect();
        let median = |side: fn(&Image) -> usize| {
            let mut sides: Vec<usize> = images.iter().map(side).collect();
            sides.sort_unstable();
            sides.get(sides.len() / 2).copied().unwrap_or_default()
        };
        Self {
            n_images: images.len(),
            n_colourful: images.iter().filter(|image| colour_of(image) > COLOURFUL).count(),
            size: [median(Image::height), median(Image::width)],
        }
    }

    /// The survey of data of which `n_certain` files say that they are of the modality, and the others are images. `certain` says so of
    /// the first, `looked_at` of the images that were looked at.
    pub fn survey(
        &self,
        found: &Found,
        (n_certain, certain): (usize, &str),
        sureness: Sureness,
        looked_at: &str,
    ) -> Survey {
        let n = found.files.len();
        let colourful = self.n_colourful as f64 / self.n_images.max(1) as f64;
        let of_images = match self.n_images {
            0 => 0.0,
            _ => sureness.of_grey * (1.0 - colourful) + sureness.of_colour * colourful,
        };
        let kept = n as f64 / (n + found.account.left_out().len()).max(1) as f64;
        let fit = kept * (n_certain as f64 + (n - n_certain) as f64 * of_images) / n.max(1) as f64;
        let certain = (n_certain > 0).then(|| format!("{n_certain} files are {certain}"));
        let looked_at = (self.n_images > 0).then(|| looked_at.to_owned());
        let why: Vec<String> = certain.into_iter().chain(looked_at).collect();
        let why = if why.is_empty() { "no image could be looked at".into() } else { why.join("; ") };
        Survey { fit: fit.clamp(0.0, 1.0), why, ..Survey::default() }
    }

    /// Adds the size of the images as a fact; `noun` is what they are: "tiles".
    pub fn add_size(&self, noun: &str, survey: &mut Survey) {
        let [rows, columns] = self.size;
        if self.n_images > 0 {
            let value = format!("{rows} x {columns}, median of {} {noun}", self.n_images);
            survey.facts.push(Fact { name: "pixels".into(), value });
        }
    }

    /// Proposes samples of the size of the images, where these are smaller than the default.
    pub fn propose_size(&self, noun: &str, survey: &mut Survey) {
        let [rows, columns] = self.size;
        let side = rows.min(columns) / PATCH * PATCH;
        if (PATCH..SIDE).contains(&side) {
            let reason = format!("{noun} of {rows} x {columns} would be enlarged by the default, {SIDE}");
            survey.options.push(SuitedOption { name: "size".into(), value: json!(side), reason });
        }
    }
}

/// Mean distance of the largest from the smallest channel.
fn colour_of(image: &Image) -> f32 {
    if image.channels() < 3 {
        return 0.0;
    }
    let pixels = image.pixels().chunks_exact(image.channels());
    let n = pixels.len().max(1) as f32;
    let range = |pixel: &[f32]| {
        let most = pixel.iter().copied().fold(f32::MIN, f32::max);
        most - pixel.iter().copied().fold(f32::MAX, f32::min)
    };
    pixels.map(range).sum::<f32>() / n
}

/// Says which images of more than 8 bits use fewer than their files have, by some of these files: their whites differ.
pub fn notice_used_bits(deep: &[&FoundFile], account: &mut Account) {
    // Evenly spread, so that the same files are looked at each time.
    let n_looked_at = deep.len().min(MAX_DEPTHS);
    let looked_at = (0..n_looked_at).map(|number| deep[number * deep.len() / n_looked_at]);
    let mut n_of_depth = BTreeMap::new();
    for file in looked_at {
        if let Ok((_, Some(depth))) = image_file::read_grey_by_depth(&file.path, None) {
            *n_of_depth.entry((depth.stored, depth.used)).or_insert(0) += 1;
        }
    }
    for ((stored, used), n) in n_of_depth {
        if used < stored {
            let (white, n_deep) = ((1_u64 << used) - 1, deep.len());
            account.notice(
                n,
                n_looked_at,
                format!(
                    "images of {stored} bits use {used}: {white} becomes white ({n_looked_at} of {n_deep} such images were looked at; \
                     set bit_depth to scale all alike)"
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_in_three_channels_is_not_in_colour() {
        let image = |pixel: [f32; 3]| Image::new([2, 2, 3], pixel.repeat(4)).unwrap();
        assert_eq!(colour_of(&image([0.5, 0.5, 0.5])), 0.0);
        assert!((colour_of(&image([0.9, 0.3, 0.6])) - 0.6).abs() < 1e-6);
        assert_eq!(colour_of(&Image::new([1, 2, 1], vec![0.1, 0.9]).unwrap()), 0.0);
        assert_eq!(ImageSurvey::of(&[]), ImageSurvey::default());
    }

    #[test]
    fn files_that_say_what_they_are_count_more_than_images_of_the_right_colour() {
        let path = std::path::PathBuf::new();
        let file = || FoundFile { path: path.clone(), id: "a".into(), entry: 0, bytes: 0, modified: None };
        let mut found = Found { files: vec![file(), file(), file(), file()], ..Found::default() };
        (0..5).for_each(|_| found.account.count_file());
        found.account.leave_out("b", "another kind of file");
        let looked = ImageSurvey { n_images: 2, n_colourful: 1, size: [70, 50] };
        let sureness = Sureness { of_grey: 0.6, of_colour: 0.2 };
        let mut survey = looked.survey(&found, (1, "DICOM"), sureness, "1 of 2 images is grey");
        assert!((survey.fit - 0.8 * (1.0 + 3.0 * 0.4) / 4.0).abs() < 1e-9, "{}", survey.fit);
        assert_eq!(survey.why, "1 files are DICOM; 1 of 2 images is grey");
        looked.add_size("tiles", &mut survey);
        looked.propose_size("tiles", &mut survey);
        assert_eq!(survey.facts[0].value, "70 x 50, median of 2 tiles");
        assert_eq!((&survey.options[0].value, survey.options[0].name.as_str()), (&json!(48), "size"));
        let none = ImageSurvey::default().survey(&Found::default(), (0, "DICOM"), sureness, "");
        assert_eq!((none.fit, none.why.as_str()), (0.0, "no image could be looked at"));
    }
}
