//! Optical coherence tomography of the retina: B-scans of an eye as volumes, cut into patches of few slices and many
//! pixels; a token family of its own, `oct`.
//!
//! The patch is that of OCTCube (Liu et al., *OCTCube-M: A 3D multimodal optical coherence tomography foundation
//! model*, 2024, arXiv 2408.11227): 3 slices of 16 x 16 pixels. Neighbouring slices of a volume lie some ten times
//! further apart than the pixels of a slice, so cubes of the family `volume` would see too much of one and too little
//! of the other, and its spacing means another thing; and the parameters of photographs, `image`, would not see
//! neighbours at all. With a depth of one slice every B-scan is a sample, as in data sets of single B-scans.
//!
//! Every slice is brought to the size of a sample as a whole, whatever its proportions: pixels are seldom square, and
//! files seldom say so. Slices stay in the order of the file. `volume` finds volumes and reads slices, `pgm` reads PGM,
//! `slices` crops, flips and saves them, `synthetic` makes the samples for demonstration and tests. Of TIFF files the
//! first page is read. Formats of devices (.e2e, .fda, .img) must be exported as DICOM or images.

#![forbid(unsafe_code)]

mod options;
mod pgm;
mod slices;
mod synthetic;
mod volume;

use std::path::Path;

use medcoss_formats::group_by::grouped_facts;
use medcoss_sdk::labels::FileFacts;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Account, Dataset, Error, FileGrid, Fingerprint, Geometry, Modality, OpenRequest, Patches, Rendering, Sample,
    SampleRecord, SampleRng, Synthesised, Tokens, View, encode_png, export_plugin, log, mask, patch, saved_samples,
};

pub use options::{Masking, Options, ShortVolumes};
use volume::{Volume, VolumeInfo};

/// Slices in a rendered image, evenly spaced.
const N_RENDERED: usize = 4;
/// Value of hidden patches in a rendered image: middle grey.
const HIDDEN: f32 = 0.5;

/// The OCT plugin.
pub struct Oct;

export_plugin!(oct, Oct);

impl Modality for Oct {
    const ID: &'static str = "oct";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "optical coherence tomography of the retina, some B-scans of a volume a sample";
    const FAMILY: &'static str = "oct";
    const FILE_FORMATS: &'static [&'static str] = volume::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const KNOWS_GRIDS: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[("group_column", "labels.group_column")];

    type Options = Options;
    type Dataset = Volumes;

    fn option_presets() -> Vec<(&'static str, Value)> {
        let octcube =
            json!({ "size": [60, 256, 256], "patch_size": [3, 16, 16], "mask_ratio": 0.9, "masking": "random" });
        let b_scans = json!({ "size": [1, 224, 224], "patch_size": [1, 16, 16], "mask_ratio": 0.75 });
        vec![("octcube", octcube), ("b-scans", b_scans)]
    }

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        options.check()?;
        Ok(options.geometry())
    }

    fn open(request: OpenRequest<Options>) -> Result<Volumes, Error> {
        let OpenRequest { base, data, options, .. } = request;
        options.check()?;
        let (found, account) = volume::find(&base, &data)?;
        let named: Vec<_> = found.iter().map(Volume::named).collect();
        let facts = grouped_facts(&base, &named, options.labels.as_ref(), options.group_by)?;
        let (mut volumes, mut windows) = (Vec::new(), Vec::new());
        for (number, (volume, facts)) in found.into_iter().zip(facts).enumerate() {
            let info = volume.info();
            let starts = info.as_ref().map_or_else(|_| vec![0], |info| slices::starts(info.n_slices, &options));
            windows.extend(starts.into_iter().map(|first| (number, first)));
            volumes.push(Entry { volume, info, facts });
        }
        let errors: Vec<&Error> = volumes.iter().filter_map(|entry| entry.info.as_ref().err()).collect();
        if let Some(first) = errors.first() {
            log::warn(&format!("{} of {} volumes cannot be read; the first: {first}", errors.len(), volumes.len()));
        }
        Ok(Volumes { options: Options { labels: None, ..options }, volumes, windows, account })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// A volume with what is known of it. A volume whose header cannot be read counts as one sample, which fails when it is
/// loaded.
struct Entry {
    volume: Volume,
    info: Result<VolumeInfo, Error>,
    facts: FileFacts,
}

/// Dataset of opened volumes: some slices of a volume are a sample.
pub struct Volumes {
    /// Those of saved samples, which have no labels.
    options: Options,
    volumes: Vec<Entry>,
    /// Volume and first slice of each sample.
    windows: Vec<(usize, usize)>,
    account: Account,
}

impl Volumes {
    /// The slices of a sample, of which there may be fewer than its depth.
    fn slices(&self, index: usize) -> Result<Vec<medcoss_sdk::image::Image>, Error> {
        let (number, first) = self.windows[index];
        let Entry { volume, info, .. } = &self.volumes[number];
        let n_slices = info.as_ref().map_err(Error::clone)?.n_slices;
        let depth = self.options.size[0];
        if n_slices < depth && self.options.short_volumes == ShortVolumes::Refuse {
            return Err(Error::unsupported(format!(
                "the volume has {n_slices} slices, but a sample {depth}\nhint: lower the first of size, or set short_volumes = \"mark\""
            )));
        }
        volume.read(first..n_slices.min(first + depth))
    }
}

impl Dataset for Volumes {
    fn geometry(&self) -> Geometry {
        self.options.geometry()
    }

    fn len(&self) -> usize {
        self.windows.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        let (number, first) = self.windows[index];
        let Entry { volume, info, facts } = &self.volumes[number];
        let file = &volume.files()[0];
        let is_one = info.as_ref().map_or(true, |info| info.n_slices <= self.options.size[0]);
        let mut record = if is_one { file.record() } else { file.record_of_part(format!("b={first:04}")) };
        if let Ok(VolumeInfo { spacing_mm: Some(spacing_mm), .. }) = info {
            record.metadata.insert("spacing_mm".into(), json!(spacing_mm));
        }
        facts.annotate(&mut record);
        record
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        self.volumes.iter().flat_map(|entry| entry.volume.files()).for_each(|file| fingerprint.add_file_ends(file));
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let Patches { tokens, mask, valid, affine, .. } = sample.patches()?;
        let options = &self.options;
        let [depth, rows, columns] = options.size;
        let mut read = self.slices(index)?;
        let deviation = slices::deviation(&read);
        let n_read = read.len();
        let random = (view == View::Training).then_some(&mut *rng);
        let (mut pixels, plane) = slices::resized(&mut read, random, options)?;
        plane.within_slices(self.windows[index].1).write(options.patch_size, affine);
        // A patch of which some slices are there is whole: the last slice stands for those behind it.
        let n_there = n_read.next_multiple_of(options.patch_size[0]).min(depth);
        let last = pixels[(n_read - 1) * rows * columns..].to_vec();
        (n_read..n_there).for_each(|_| pixels.extend_from_slice(&last));
        pixels.resize(depth * rows * columns, 0.0);
        patch::patchify_3d(&pixels, [depth, rows, columns, 1], options.patch_size, tokens);
        let grid = options.grid();
        let n_valid = n_there / options.patch_size[0] * grid[1] * grid[2];
        let exists: Vec<u8> = (0..mask.len()).map(|token| u8::from(token < n_valid)).collect();
        if !valid.is_empty() {
            valid.copy_from_slice(&exists);
        }
        if view == View::Training {
            match options.masking {
                Masking::Random => mask::random_valid(rng, options.n_masked(), &exists, mask)?,
                Masking::Tubes => mask::tube(rng, grid, options.n_masked_plane(), mask),
            }
        }
        if deviation < options.flat {
            return Err(Error::skip(format!("the deviation of its grey is {deviation:.4}, below {}", options.flat)));
        }
        Ok(())
    }

    /// The slices of each sample as PNG of 16 bits in a folder of its own: grey as it is displayed, and nothing else of
    /// the files.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let mut n_burned_in = 0;
        let mut copies = Vec::new();
        for (position, &index) in indices.iter().enumerate() {
            let own = saved_samples::name(position, "");
            slices::save(&self.slices(index)?, &folder.join(&own))?;
            n_burned_in += usize::from(self.volumes[self.windows[index].0].volume.states_burned_in_annotation());
            copies.push(own.into());
        }
        if n_burned_in > 0 {
            log::warn(&format!(
                "{n_burned_in} of {} copied samples state annotations in their pixels (Burned In Annotation is YES); copies are not cropped\n\
                 hint: remove such files from the data, or keep buffers by reference",
                indices.len()
            ));
        }
        saved_samples::reopened_with(copies, &self.options)
    }

    fn grid(&self, index: usize) -> Option<FileGrid> {
        let Entry { volume, info, .. } = &self.volumes[self.windows[index].0];
        let VolumeInfo { n_slices, spacing_mm } = info.as_ref().ok()?;
        let [rows, columns] = volume.plane().ok()?;
        let spacing_mm = spacing_mm.map(Vec::from);
        Some(FileGrid { spacing_mm, ..FileGrid::of_shape([*n_slices, rows, columns]) })
    }

    /// Four evenly spaced slices side by side, the first on the left.
    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let tokens = tokens.filled(HIDDEN)?;
        let [depth, rows, columns] = self.options.size;
        if tokens.len() != depth * rows * columns {
            let found = tokens.len();
            return Err(Error::bad_request(format!("{found} values are no {depth} slices of {columns}x{rows}")));
        }
        let mut pixels = vec![0.0; tokens.len()];
        patch::unpatchify_3d(&tokens, [depth, rows, columns, 1], self.options.patch_size, &mut pixels);
        let n_shown = N_RENDERED.min(depth);
        let mut image = Vec::with_capacity(n_shown * rows * columns);
        for row in 0..rows {
            for shown in 0..n_shown {
                let slice = (2 * shown + 1) * depth / (2 * n_shown);
                image.extend_from_slice(&pixels[(slice * rows + row) * columns..][..columns]);
            }
        }
        encode_png(&image, n_shown * columns, rows, 1)
    }
}
