//! Converts a resampled sub-volume of a scan to a sample of the `volume` family: a grid of patches, flipped and masked in training.
//!
//! Shared by the 3-D plugins, so that their tokens have one geometry. File formats and intensities are each plugin's own. The counterpart
//! for images is [`crate::image_transform`].

use rand::RngExt;

use medcoss_abi::message::{Axis, Continuous, Geometry};

use crate::affine::Affine;
use crate::volume::{Sampling, Volume, flip};
use crate::{Error, Patches, Sample, SampleRng, Tokens, View, encode_png, mask, patch};

/// Usual side of a patch in voxels.
pub const PATCH: usize = 16;
/// Largest side of a patch in voxels: that of published vision transformers.
const LARGEST_PATCH: usize = 32;
/// Largest side of a sample, by the size of the model's position table.
const LARGEST: usize = 512;
/// Slices in a rendered image, evenly spaced.
const N_RENDERED: usize = 4;

/// The transform of volumes to samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VolumeTransform {
    /// `[depth, rows, columns]` of a sample in voxels.
    pub size: [usize; 3],
    /// `[depth, rows, columns]` of a patch in voxels, usually [`PATCH`] each.
    pub patch_size: [usize; 3],
    /// Fraction of the patches that are masked in training.
    pub mask_ratio: f64,
    /// Whether half of the training samples are flipped, each of them along every axis with probability 1/2.
    pub flip: bool,
}

impl VolumeTransform {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name in the options.
    pub fn check(&self) -> Result<(), Error> {
        let patch = self.patch_size;
        if !patch.iter().all(|side| (1..=LARGEST_PATCH).contains(side)) {
            return Err(Error::bad_request(format!(
                "patch_size is {patch:?}; depth, rows and columns must be from 1 to {LARGEST_PATCH}"
            )));
        }
        let is_side = |axis: usize| {
            let side = self.size[axis];
            side != 0 && side.is_multiple_of(patch[axis]) && side <= LARGEST
        };
        if !(0..3).all(is_side) {
            return Err(Error::bad_request(format!(
                "size is {:?}; depth, rows and columns must be multiples of {patch:?} up to {LARGEST}",
                self.size
            )));
        }
        if !(self.mask_ratio > 0.0 && self.mask_ratio < 1.0) {
            return Err(Error::bad_request(format!(
                "mask_ratio is {}; it must be above 0 and below 1",
                self.mask_ratio
            )));
        }
        if self.n_masked() == self.n_tokens() {
            return Err(Error::bad_request(format!(
                "mask_ratio {} leaves none of the {} patches visible\nhint: lower it, or raise size",
                self.mask_ratio,
                self.n_tokens()
            )));
        }
        Ok(())
    }

    /// Grid of patches.
    pub fn geometry(&self) -> Geometry {
        Geometry::Continuous(Continuous {
            grid: self.grid().to_vec(),
            d_token: self.patch_size.iter().product(),
            n_masked: self.n_masked(),
            patch: self.patch_size.to_vec(),
            axes: ["depth", "row", "column"].map(Axis::named).into(),
            ..Continuous::default()
        })
    }

    /// The geometry of samples whose affines are written, as [`VolumeTransform::load`] and
    /// [`VolumeTransform::write_placed_sample`] do.
    pub fn geometry_with_affines(&self) -> Geometry {
        match self.geometry() {
            Geometry::Continuous(continuous) => Geometry::Continuous(Continuous { affines: true, ..continuous }),
            discrete @ Geometry::Discrete(_) => discrete,
        }
    }

    /// Resizes a whole volume to the size of a sample, and writes it as one. The axes of the volume are those of its file.
    ///
    /// # Errors
    /// A sample with token ids.
    pub fn load(&self, volume: &Volume, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let samplings = [0, 1, 2].map(|axis| Sampling::stretched(volume.size()[axis], self.size[axis]));
        let voxels = volume.resampled(samplings)?.padded(0.0);
        self.write_placed_sample(voxels, &Affine::of_samplings(samplings), view, rng, sample)
    }

    /// As [`VolumeTransform::write_sample`], with the affine of the sample: `place` maps its voxels, before they are flipped, to those of the
    /// file.
    ///
    /// # Errors
    /// Those of [`VolumeTransform::write_sample`].
    pub fn write_placed_sample(
        &self,
        voxels: Vec<f32>,
        place: &Affine<3>,
        view: View,
        rng: &mut SampleRng,
        sample: Sample<'_>,
    ) -> Result<(), Error> {
        let mut patches = sample.patches()?;
        let affine = std::mem::take(&mut patches.affine);
        let flips = self.write(voxels, view, rng, patches)?;
        let mut place = *place;
        for axis in (0..3).filter(|&axis| flips[axis]) {
            place = place.flipped(axis, self.size[axis]);
        }
        place.write(self.patch_size, affine);
        Ok(())
    }

    /// Writes tokens and mask of voxels `[depth, rows, columns]`; in training they are flipped first.
    ///
    /// # Errors
    /// Voxels of another size, a sample with token ids.
    pub fn write_sample(
        &self,
        voxels: Vec<f32>,
        view: View,
        rng: &mut SampleRng,
        sample: Sample<'_>,
    ) -> Result<(), Error> {
        self.write(voxels, view, rng, sample.patches()?).map(|_| ())
    }

    /// Writes tokens and mask; says along which axes they were flipped.
    fn write(
        &self,
        mut voxels: Vec<f32>,
        view: View,
        rng: &mut SampleRng,
        patches: Patches<'_>,
    ) -> Result<[bool; 3], Error> {
        let Patches { tokens, mask, .. } = patches;
        let [depth, rows, columns] = self.size;
        let n_values = depth * rows * columns;
        if voxels.len() != n_values || tokens.len() != n_values || mask.len() != self.n_tokens() {
            let found = voxels.len();
            return Err(Error::bad_request(format!("{found} values do not fit samples of {depth}x{rows}x{columns}")));
        }
        let mut flips = [false; 3];
        if view == View::Training && self.flip && rng.random::<bool>() {
            for (axis, is_flipped) in flips.iter_mut().enumerate() {
                *is_flipped = rng.random::<bool>();
                if *is_flipped {
                    flip(&mut voxels, self.size, axis);
                }
            }
        }
        patch::patchify_3d(&voxels, [depth, rows, columns, 1], self.patch_size, tokens);
        if view == View::Training {
            mask::random(rng, self.n_masked(), mask);
        }
        Ok(flips)
    }

    /// Converts tokens back to an image, as PNG: four evenly spaced slices side by side, the first on the left. `[black,
    /// white]` are the values that become black and white.
    ///
    /// # Errors
    /// Tokens of another kind or number.
    pub fn render(&self, tokens: Tokens<'_>, [black, white]: [f32; 2]) -> Result<Vec<u8>, Error> {
        let tokens = tokens.filled((black + white) / 2.0)?;
        let [depth, rows, columns] = self.size;
        if tokens.len() != depth * rows * columns {
            let found = tokens.len();
            return Err(Error::bad_request(format!("{found} values are no block of {depth}x{rows}x{columns}")));
        }
        let mut voxels = vec![0.0; tokens.len()];
        patch::unpatchify_3d(&tokens, [depth, rows, columns, 1], self.patch_size, &mut voxels);
        let mut image = Vec::with_capacity(N_RENDERED * rows * columns);
        for row in 0..rows {
            for shown in 0..N_RENDERED {
                let slice = (2 * shown + 1) * depth / (2 * N_RENDERED);
                let run = &voxels[(slice * rows + row) * columns..][..columns];
                image.extend(run.iter().map(|value| (value - black) / (white - black)));
            }
        }
        encode_png(&image, N_RENDERED * columns, rows, 1)
    }

    /// Patches along each axis.
    fn grid(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.size[axis] / self.patch_size[axis])
    }

    fn n_tokens(&self) -> usize {
        self.grid().iter().product()
    }

    fn n_masked(&self) -> usize {
        mask::n_masked(self.n_tokens(), self.mask_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_rng;

    const TRANSFORM: VolumeTransform =
        VolumeTransform { size: [16, 32, 48], patch_size: [PATCH; 3], mask_ratio: 0.75, flip: true };

    fn write_sample(transform: VolumeTransform, view: View, seed: u64) -> (Vec<f32>, Vec<u8>) {
        let n: usize = transform.size.iter().product();
        let voxels = (0..n).map(|v| v as f32).collect();
        let (mut tokens, mut mask) = (vec![0.0; n], vec![0; 6]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        transform.write_sample(voxels, view, &mut sample_rng(seed), sample).unwrap();
        (tokens, mask)
    }

    #[test]
    fn tokens_are_cubes_in_the_order_of_the_grid() {
        let (tokens, mask) = write_sample(TRANSFORM, View::Evaluation, 0);
        let Geometry::Continuous(Continuous { grid, d_token, n_masked, patch, .. }) = TRANSFORM.geometry() else {
            panic!()
        };
        assert_eq!((grid, d_token, n_masked, patch), (vec![1, 2, 3], 4096, 5, vec![16; 3]));
        // Token 4 is grid place [0, 1, 1]: its first voxel is slice 0, row 16, column 16; its next slice is 32 * 48 on.
        assert_eq!(tokens[4 * 4096], (16 * 48 + 16) as f32);
        assert_eq!(tokens[4 * 4096 + 256], (32 * 48 + 16 * 48 + 16) as f32);
        assert_eq!(mask, [0; 6]);
    }

    #[test]
    fn training_samples_are_flipped_half_of_the_time_in_all_ways() {
        let (plain, _) = write_sample(TRANSFORM, View::Evaluation, 0);
        let mut ways = std::collections::BTreeMap::new();
        for seed in 0..800 {
            let (tokens, mask) = write_sample(TRANSFORM, View::Training, seed);
            assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 5);
            *ways.entry(tokens[0] as usize).or_insert(0) += 1;
        }
        // The first voxel shows which corner came first: 8 corners, the own one with probability 1/2 + 1/16.
        assert_eq!(ways.len(), 8);
        let own = ways[&(plain[0] as usize)];
        assert!((400..500).contains(&own), "{own} of 800, expected about 450");
        for (corner, n) in ways {
            assert!(corner == 0 || (25..80).contains(&n), "{n} of 800, expected about 50");
        }
    }

    #[test]
    fn a_volume_of_another_size_is_stretched_to_the_block() {
        // Twice as many slices, half as many rows and columns, values rising along depth alone: 0 to 31 in steps of 1.
        let voxels = (0..32 * 16 * 24).map(|at| (at / (16 * 24)) as f32).collect();
        let volume = Volume::new([32, 16, 24], [1.0; 3], voxels).unwrap();
        let (mut tokens, mut mask) = (vec![0.0; 16 * 32 * 48], vec![0; 6]);
        let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
        TRANSFORM.load(&volume, View::Evaluation, &mut sample_rng(0), sample).unwrap();
        // Slice 5 of 16 lies between slices 10 and 11, the same everywhere in the plane of every patch.
        for patch in tokens.chunks_exact(16 * 16 * 16) {
            assert!(patch[5 * 256..6 * 256].iter().all(|value| (value - 10.5).abs() < 0.1));
        }
    }

    #[test]
    fn flipping_can_be_switched_off() {
        let still = VolumeTransform { flip: false, ..TRANSFORM };
        let (plain, _) = write_sample(still, View::Evaluation, 0);
        assert!((0..20).all(|seed| write_sample(still, View::Training, seed).0 == plain));
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let refused = |transform: VolumeTransform, name: &str| {
            let error = transform.check().unwrap_err();
            assert!(error.message().starts_with(name), "{error}");
        };
        for size in [[0, 32, 32], [16, 40, 32], [16, 32, 528]] {
            refused(VolumeTransform { size, ..TRANSFORM }, "size");
        }
        for mask_ratio in [0.0, 1.0, f64::NAN, 0.95] {
            refused(VolumeTransform { mask_ratio, ..TRANSFORM }, "mask_ratio");
        }
        TRANSFORM.check().unwrap();
    }

    #[test]
    fn a_rendering_shows_four_slices_side_by_side() {
        let (tokens, _) = write_sample(TRANSFORM, View::Evaluation, 0);
        let png = TRANSFORM.render(Tokens::values(&tokens), [0.0, 16.0 * 32.0 * 48.0]).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (192, 32));
        // Slices 2, 6, 10 and 14 of 16: each starts at that fraction of white.
        let starts = [0, 48, 96, 144].map(|column| i32::from(pixels[column]));
        assert!(starts.iter().zip([32, 96, 159, 223]).all(|(a, b)| (a - b).abs() <= 1), "{starts:?}");
        assert!(TRANSFORM.render(Tokens::values(&tokens[1..]), [0.0, 1.0]).is_err());
    }
}
