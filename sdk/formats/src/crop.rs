//! Settings of sub-volumes, and crops of scans: where the samples of a scan begin, and which voxels they are made of. Headers decide it,
//! but for the foreground.

use std::ops::Range;

use medcoss_sdk::schemars::JsonSchema;
use medcoss_sdk::serde::{Deserialize, Serialize};
use medcoss_sdk::volume::Sampling;
use medcoss_sdk::{Account, Error, SampleRng, rand::RngExt};

use crate::foreground::Foreground;
use crate::nifti::MAX_VOXELS;
use crate::volume_source::{ScanRules, VolumeInfo};

/// Largest number of voxels along an axis after resampling; a spacing that makes more is a mistake in the file or the
/// settings.
const MAX_SIDE: usize = 1 << 16;
/// Most samples of a scan.
const MAX_SAMPLES: usize = 1 << 20;

/// Range of the target spacing in millimetres.
const SPACING_MM: std::ops::RangeInclusive<f32> = 0.05..=100.0;
/// Largest memory for decoded volumes, in MiB.
const MAX_CACHE_MB: usize = 1 << 20;

/// How samples are cut out of a scan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", crate = "medcoss_sdk::serde")]
#[schemars(crate = "medcoss_sdk::schemars")]
pub enum Crop {
    /// One after another along the depth, the centre of each plane (MONAI's `CenterSpatialCrop`).
    #[default]
    Centre,
    /// One after another along all three axes, so that they cover the scan (MONAI's `GridPatch`).
    Grid,
    /// In training a random place of the scan (MONAI's `RandSpatialCrop`), in evaluation that of `Centre`.
    Random,
    /// As `Centre`, about the centre of the foreground of the planes (MONAI's `CropForeground`).
    Foreground,
    /// The whole scan, resized (MONAI's `Resize`).
    Whole,
}

/// First voxel of a sample along each axis, at the spacing of samples.
pub(crate) type Start = [usize; 3];

/// Settings of the sub-volumes of scans.
#[derive(Debug, Clone, PartialEq)]
pub struct SubVolumeSettings {
    /// `[depth, rows, columns]` of a sub-volume in voxels.
    pub size: [usize; 3],
    /// How sub-volumes are cut out of a scan.
    pub crop: Crop,
    /// Slices from one sub-volume to the next; `None` means the depth. The last sub-volume ends with the scan.
    pub stride: Option<usize>,
    /// With [`Crop::Grid`] rows and columns from one sub-volume to the next; `None` means those of a sub-volume.
    pub stride_in_plane: Option<[usize; 2]>,
    /// Spacing `[depth, rows, columns]` in millimetres to which scans are resampled first; rows and columns are then
    /// cropped or padded. `None` keeps the voxels, but [`Crop::Centre`] stretches rows and columns to the size.
    pub spacing_mm: Option<[f32; 3]>,
    /// With [`Crop::Foreground`] what is foreground.
    pub foreground: Foreground,
    /// Fraction of the slices to leave out at either end, where enough remain for one sub-volume.
    pub drop_ends_ratio: f64,
    /// Memory for decoded volumes, in MiB. Where they do not fit, it is for the indices of compressed files, and at
    /// least 64.
    pub cache_mb: usize,
    /// Which DICOM files are scans of the modality, and what is outside of a scan.
    pub scans: ScanRules,
}

impl SubVolumeSettings {
    /// Checks the ranges, but for `size`, which [`medcoss_sdk::volume_transform::VolumeTransform::check`] does.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name in the options.
    pub fn check(&self) -> Result<(), Error> {
        if self.stride == Some(0) {
            return Err(Error::bad_request("stride is 0; it must be at least 1"));
        }
        if let Some(spacing) = self.spacing_mm.filter(|spacing| !spacing.iter().all(|mm| SPACING_MM.contains(mm))) {
            let (least, most) = SPACING_MM.into_inner();
            return Err(Error::bad_request(format!(
                "spacing_mm is {spacing:?}; depth, rows and columns must be from {least} to {most}"
            )));
        }
        self.check_crop()?;
        if !(0.0..0.5).contains(&self.drop_ends_ratio) {
            let found = self.drop_ends_ratio;
            return Err(Error::bad_request(format!("drop_ends_ratio is {found}; it must be at least 0 and below 0.5")));
        }
        if self.cache_mb > MAX_CACHE_MB {
            let found = self.cache_mb;
            return Err(Error::bad_request(format!("cache_mb is {found}; it must be at most {MAX_CACHE_MB}")));
        }
        Ok(())
    }

    /// Whether a volume is too large to be held as a whole.
    pub(crate) fn is_large(&self, n_voxels: u64) -> bool {
        !self.fits(n_voxels) || n_voxels > MAX_VOXELS
    }

    /// Whether so many voxels fit into `cache_mb`.
    pub(crate) fn fits(&self, n_voxels: u64) -> bool {
        // `cache_mb` is limited, so that the shift does not overflow.
        n_voxels <= (self.cache_mb as u64) << 18
    }
}

impl SubVolumeSettings {
    /// Checks that the settings of a crop go together.
    ///
    /// # Errors
    /// The first setting that has no part in the crop.
    fn check_crop(&self) -> Result<(), Error> {
        if let Some(strides) = self.stride_in_plane {
            if self.crop != Crop::Grid {
                return Err(Error::bad_request(
                    "stride_in_plane is set, and crop is not \"grid\", which alone moves in the plane\n\
                     hint: set crop to \"grid\", or leave stride_in_plane out",
                ));
            }
            if strides.contains(&0) {
                return Err(Error::bad_request(format!("stride_in_plane is {strides:?}; each must be at least 1")));
            }
        }
        let of_parts = [("spacing_mm", self.spacing_mm.is_some()), ("stride", self.stride.is_some())];
        if self.crop == Crop::Whole
            && let Some((name, _)) = of_parts.iter().find(|(_, is_set)| *is_set)
        {
            return Err(Error::bad_request(format!(
                "{name} is set, and crop is \"whole\", which resizes the whole scan to size\n\
                 hint: leave {name} out, or set crop to \"grid\""
            )));
        }
        Ok(())
    }

    /// Voxels of a scan along each axis, at the spacing of samples. Without one they are those of the scan.
    pub(crate) fn scan_size(&self, info: &VolumeInfo) -> Result<[usize; 3], Error> {
        let Some(target) = self.spacing_mm else { return Ok(info.size) };
        info.check_has_spacing("spacing_mm")?;
        let mut size = info.size;
        for (axis, side) in size.iter_mut().enumerate() {
            let (found, target) = (info.spacing_mm[axis], target[axis]);
            let n = (*side as f64 * f64::from(found) / f64::from(target)).round() as usize;
            // Crops about a centre do not depend on how long the axis is.
            let is_cut_along = axis == 0 || matches!(self.crop, Crop::Grid | Crop::Random);
            if n > MAX_SIDE && is_cut_along {
                let what = ["slices", "rows", "columns"][axis];
                return Err(Error::unsupported(format!(
                    "{side} {what} of {found} mm become {n} of {target} mm; at most {MAX_SIDE} are cut"
                )));
            }
            *side = n.max(1);
        }
        Ok(size)
    }

    /// Slices of a scan that are not left out, at the spacing of samples.
    fn kept_slices(&self, n_slices: usize) -> Range<usize> {
        let dropped = (n_slices as f64 * self.drop_ends_ratio) as usize;
        if n_slices - 2 * dropped >= self.size[0] { dropped..n_slices - dropped } else { 0..n_slices }
    }

    /// Where the samples of a scan begin.
    pub(crate) fn starts(&self, info: &VolumeInfo) -> Result<Vec<Start>, Error> {
        let [n_slices, n_rows, n_columns] = self.scan_size(info)?;
        let [depth, rows, columns] = self.size;
        if self.crop == Crop::Whole {
            return Ok(vec![[0; 3]]);
        }
        let slices = starts_along(self.kept_slices(n_slices), depth, self.stride);
        if self.crop != Crop::Grid {
            return Ok(slices.map(|first| [first, 0, 0]).collect());
        }
        let [down, across] = self.stride_in_plane.map_or([None; 2], |strides| strides.map(Some));
        let (of_rows, of_columns) = (starts_along(0..n_rows, rows, down), starts_along(0..n_columns, columns, across));
        let n = [slices.clone().count(), of_rows.clone().count(), of_columns.clone().count()];
        let n_samples = n.iter().fold(1usize, |product, &n| product.saturating_mul(n));
        if n_samples > MAX_SAMPLES {
            return Err(Error::unsupported(format!(
                "{n_slices} slices of {n_rows} x {n_columns} voxels become {n_samples} samples; at most {MAX_SAMPLES} are cut\n\
                 hint: raise stride, stride_in_plane, size or spacing_mm"
            )));
        }
        let mut starts = Vec::with_capacity(n_samples);
        for slice in slices {
            for row in of_rows.clone() {
                starts.extend(of_columns.clone().map(|column| [slice, row, column]));
            }
        }
        Ok(starts)
    }

    /// What stands behind the id of the scan in that of a sample.
    pub(crate) fn suffix(&self, [slice, row, column]: Start) -> String {
        match self.crop {
            Crop::Whole => String::new(),
            Crop::Grid => format!("#z={slice:04},y={row:04},x={column:04}"),
            Crop::Centre | Crop::Random | Crop::Foreground => format!("#z={slice:04}"),
        }
    }

    /// A random place of a sample. Along an axis that is shorter than it the sample is centred.
    pub(crate) fn random_start(&self, info: &VolumeInfo, rng: &mut SampleRng) -> Result<Start, Error> {
        let size = self.scan_size(info)?;
        let kept = [self.kept_slices(size[0]), 0..size[1], 0..size[2]];
        Ok([0, 1, 2].map(|axis| {
            let Range { start, end } = kept[axis];
            rng.random_range(start..=end.saturating_sub(self.size[axis]).max(start))
        }))
    }

    /// Sampling positions of a sample that begins at `start`. `is_placed`: along rows and columns too, and not about the centre. `foreground`
    /// has the rows and columns of the scan that hold it.
    pub(crate) fn samplings(
        &self,
        info: &VolumeInfo,
        start: Start,
        is_placed: bool,
        foreground: Option<&[Range<usize>; 2]>,
    ) -> Result<[Sampling; 3], Error> {
        if self.crop == Crop::Whole {
            return Ok([0, 1, 2].map(|axis| Sampling::stretched(info.size[axis], self.size[axis])));
        }
        let scan_size = self.scan_size(info)?;
        let step =
            |axis: usize| self.spacing_mm.map(|target| f64::from(target[axis]) / f64::from(info.spacing_mm[axis]));
        // All voxels of the scan along an axis, at the spacing of samples.
        let all = |axis: usize| match step(axis) {
            Some(step) => Sampling::centred(info.size[axis], scan_size[axis], step),
            None => Sampling::voxels(0, scan_size[axis]),
        };
        let placed = |axis: usize| {
            let (n, side) = (scan_size[axis], self.size[axis]);
            let first = if n < side { -(((side - n) / 2) as isize) } else { start[axis] as isize };
            all(axis).window(first, side)
        };
        // About the middle of some voxels of the scan.
        let about = |axis: usize, part: Range<usize>| match step(axis) {
            Some(step) => Sampling::centred(part.len(), self.size[axis], step).shifted(part.start as f64),
            None => {
                let spare = part.len() as isize - self.size[axis] as isize;
                Sampling::voxels(part.start as isize + spare / 2, self.size[axis])
            }
        };
        let in_plane = |axis: usize| match (self.crop, foreground) {
            _ if is_placed => placed(axis),
            (Crop::Foreground, Some(foreground)) => about(axis, foreground[axis - 1].clone()),
            (Crop::Centre, _) if self.spacing_mm.is_none() => Sampling::stretched(info.size[axis], self.size[axis]),
            _ => about(axis, 0..info.size[axis]),
        };
        Ok([placed(0), in_plane(1), in_plane(2)])
    }

    /// Reports the scans that are padded or cropped to the size of a sample.
    pub(crate) fn report(&self, scans: &[&VolumeInfo], account: &mut Account) {
        if self.crop == Crop::Whole {
            return;
        }
        let [depth, rows, columns] = self.size;
        let sizes: Vec<[usize; 3]> = scans.iter().filter_map(|info| self.scan_size(info).ok()).collect();
        let count = |is: &dyn Fn(&[usize; 3]) -> bool| sizes.iter().filter(|size| is(size)).count();
        let all = scans.len();
        let sliced = format!("scans have fewer slices than size[0] ({depth}) and are padded");
        account.notice(count(&|size| size[0] < depth), all, sliced);
        // Without a spacing, whole planes are stretched, and keep all that they have.
        if self.crop == Crop::Centre && self.spacing_mm.is_none() {
            return;
        }
        let at_spacing = if self.spacing_mm.is_some() { " at spacing_mm" } else { "" };
        let what_becomes = match self.crop {
            Crop::Centre | Crop::Whole => Some("and lose the rest"),
            Crop::Foreground => Some("and keep those about the foreground"),
            Crop::Random => Some("of which training sees a random part, and evaluation the centre"),
            Crop::Grid => None,
        };
        if let Some(what_becomes) = what_becomes {
            let wide = format!(
                "scans have more than size[1] x size[2] ({rows} x {columns}) rows or columns{at_spacing} {what_becomes}"
            );
            account.notice(count(&|size| size[1] > rows || size[2] > columns), all, wide);
        }
        let small = format!(
            "scans have fewer than size[1] x size[2] ({rows} x {columns}) rows or columns{at_spacing} and are padded"
        );
        account.notice(count(&|size| size[1] < rows || size[2] < columns), all, small);
    }
}

/// Starts of samples of `side` voxels within a part of an axis. The last one ends with the part.
fn starts_along(part: Range<usize>, side: usize, stride: Option<usize>) -> impl Iterator<Item = usize> + Clone {
    let last = part.end.saturating_sub(side).max(part.start);
    let regular = (part.start..=last).step_by(stride.unwrap_or(side).max(1));
    let ends_there = (last - part.start).is_multiple_of(stride.unwrap_or(side).max(1));
    regular.chain((!ends_there).then_some(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_cover_an_axis_to_its_end() {
        let starts = |part, side, stride| starts_along(part, side, stride).collect::<Vec<_>>();
        assert_eq!(starts(0..40, 16, None), [0, 16, 24]);
        assert_eq!(starts(0..32, 16, None), [0, 16]);
        assert_eq!(starts(3..30, 16, Some(5)), [3, 8, 13, 14]);
        assert_eq!(starts(0..12, 16, Some(5)), [0]);
        assert_eq!(starts(7..23, 16, None), [7]);
    }
}
