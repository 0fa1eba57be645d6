//! Settings of the plugin, and what they mean in samples.

use medcoss_formats::group_by::GroupBy;
use medcoss_sdk::labels::LabelTable;
use medcoss_sdk::{Axis, Continuous, Error, Geometry, choices, mask, options};

/// Largest sides of a sample, and of a patch: slices, rows, columns.
const LARGEST: [usize; 3] = [256, 1024, 1024];
const LARGEST_PATCH: [usize; 3] = [16, 64, 64];

choices! {
    /// What happens to volumes that have fewer slices than a sample.
    pub enum ShortVolumes {
        /// They are invalid samples.
        Refuse,
        /// Tokens behind the last slice do not exist.
        Mark,
    }
}

choices! {
    /// Which tokens are masked in training.
    pub enum Masking {
        /// Any.
        Random,
        /// The same places in all slices. Harder: neighbouring slices look alike.
        Tubes,
    }
}

options! {
    /// Settings of the plugin. The defaults are patches, masked share and size of OCTCube (Liu et al. 2024, arXiv 2408.11227), with fewer slices.
    pub struct Options {
        /// Slices, rows and columns of a sample: multiples of `patch_size`, up to 256, 1024 and 1024. With 1 slice each
        /// B-scan is a sample.
        pub size: [usize; 3] = [24, 256, 256],
        /// Slices, rows and columns of a token, up to 16, 64 and 64. Slices lie further apart than pixels, so a token has
        /// few of them.
        pub patch_size: [usize; 3] = [3, 16, 16],
        /// Stride in slices from one sample of a volume to the next; 0 stands for the slices of a sample. The last sample
        /// ends with the volume.
        pub stride: usize = 0,
        /// Volumes with fewer slices than a sample: `mark` (tokens behind the last slice do not exist) or `refuse` (invalid
        /// samples).
        pub short_volumes: ShortVolumes = ShortVolumes::Mark,
        /// Fraction of the tokens that are masked in training, above 0 and below 1.
        pub mask_ratio: f64 = 0.9 => Open(0.0, 1.0),
        /// Which tokens are masked: `random`, or `tubes`, the same places in all slices.
        pub masking: Masking = Masking::Random,
        /// Least and largest fraction of a slice's area in a random crop, in training. All slices of a sample are cropped alike.
        pub crop_scale: [f64; 2] = [0.6, 1.0] => LeftOpen(0.0, 1.0),
        /// Whether training samples are flipped left to right with probability 1/2, which makes a right eye a left one.
        pub horizontal_flip: bool = true,
        /// Largest relative change of brightness in training, 0 to below 1: all slices of a sample are scaled by one random
        /// factor.
        pub brightness: f32 = 0.1 => 0.0..1.0,
        /// Samples whose grey has a smaller standard deviation than this, 0 to 1, are skipped in training: there is nothing
        /// to learn.
        pub flat: f32 = 0.005 => 0.0..=1.0,
        /// Table with a label for each volume, by the name of its file or of its folder of slices, and more: the column of
        /// the patient, `group_column`, makes the samples of one patient a group. Only evaluation looks at labels and groups.
        pub labels: Option<LabelTable> = None,
        /// What is a group where the table names none: `file` (each volume) or `folder` (all volumes of a folder, a patient).
        pub group_by: GroupBy = GroupBy::File,
    }
}

impl Options {
    /// Checks what the ranges of single options cannot say.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self { size, patch_size, mask_ratio, crop_scale: [least, most], .. } = *self;
        let refused = |text: String| Err(Error::bad_request(text));
        if !(0..3).all(|axis| (1..=LARGEST_PATCH[axis]).contains(&patch_size[axis])) {
            return refused(format!(
                "patch_size is {patch_size:?}; slices, rows and columns must be 1 to {LARGEST_PATCH:?}"
            ));
        }
        let is_side =
            |axis: usize| (1..=LARGEST[axis]).contains(&size[axis]) && size[axis].is_multiple_of(patch_size[axis]);
        if !(0..3).all(is_side) {
            return refused(format!(
                "size is {size:?}; it must be multiples of patch_size {patch_size:?}, up to {LARGEST:?}"
            ));
        }
        if self.n_masked() == self.grid().iter().product::<usize>() {
            return refused(format!("mask_ratio {mask_ratio} leaves no token visible\nhint: lower it, or raise size"));
        }
        if least > most {
            return refused(format!("crop_scale is [{least}, {most}]; the smaller fraction must come first"));
        }
        Ok(())
    }

    /// A grid of slices, rows and columns, of one channel.
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry::Continuous(Continuous {
            grid: self.grid().to_vec(),
            d_token: self.patch_size.iter().product(),
            n_masked: self.n_masked(),
            patch: self.patch_size.to_vec(),
            axes: ["depth", "row", "column"].map(Axis::named).into(),
            validity: self.short_volumes == ShortVolumes::Mark && self.size[0] > self.patch_size[0],
            affines: true,
            ..Continuous::default()
        })
    }

    /// Slices, rows and columns in tokens.
    pub(crate) fn grid(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.size[axis] / self.patch_size[axis])
    }

    /// Masked tokens of the places of one slice, with masked tubes.
    pub(crate) fn n_masked_plane(&self) -> usize {
        let [_, rows, columns] = self.grid();
        mask::n_masked(rows * columns, self.mask_ratio)
    }

    pub(crate) fn n_masked(&self) -> usize {
        match self.masking {
            Masking::Random => mask::n_masked(self.grid().iter().product(), self.mask_ratio),
            Masking::Tubes => self.grid()[0] * self.n_masked_plane(),
        }
    }
}
