//! Magnetic resonance imaging: sub-volumes along the depth of a scan, each with intensities of mean 0 and variance 1,
//! cut into patches of 16x16x16. Intensities have no unit and differ from scan to scan, so each
//! sub-volume is standardised by itself.
//!
//! [`medcoss_formats::volume_source`] finds and reads files, [`medcoss_formats::volume_samples`] cuts scans into samples,
//! [`medcoss_sdk::volume_transform`] flips and masks, and `synthetic` makes the samples for demonstration and tests.

#![forbid(unsafe_code)]

mod synthetic;

use std::path::{Path, PathBuf};

use medcoss_formats::crop::Crop;
use medcoss_formats::foreground::Foreground;
use medcoss_formats::reference_preparation::{Preparation, ReferenceSteps};
use medcoss_formats::sub_volume_labels::MASK_EXTENSIONS;
use medcoss_formats::sub_volumes::SubVolumeSettings;
use medcoss_formats::volume_samples::{VolumeSamples, VolumeSettings};
use medcoss_formats::volume_source::{FILE_FORMATS, Hdf5Rules, ScanRules, SliceAxis};
use medcoss_formats::volume_survey;
use medcoss_sdk::affine::Affine;
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::volume_transform::{PATCH, VolumeTransform};
use medcoss_sdk::{
    Account, Dataset, Error, FileGrid, Fingerprint, FoundFile, Geometry, Modality, OpenRequest, Rendering, Sample,
    SampleRecord, SampleRng, Survey, Synthesised, Tokens, View, export_plugin, intensity, sample_rng, saved_samples,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values that become black and white in an image, in standard deviations from the mean. Fixed, so that a
/// reconstruction can be compared with its original; scans have more bright tails than dark ones.
const SHOWN: [f32; 2] = [-2.0, 4.0];

/// The MRI plugin.
pub struct Mri;

export_plugin!(mri, Mri);

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Depth, rows and columns of a sample in voxels: multiples of `patch_size`, up to 512.
    pub size: [usize; 3],
    /// Depth, rows and columns of a patch in voxels, from 1 to 32: 16 each, or those of the weights that the run begins with.
    pub patch_size: [usize; 3],
    /// Preparation of scans. `sub-volumes`: along the body's axes, by the options below. `reference`: raw scans as MedCoSS prepared
    /// them, planes squeezed to `size`, in tiles of its depth at half of it as stride; the file's axes are kept and its
    /// orientation is not looked at. `prepared`: NIfTI files that MedCoSS's scripts prepared, each a sample of `size`.
    pub preparation: Preparation,
    /// Where samples are cut out of a scan. `centre`: one after another along the depth, and the centre of each plane. `grid`: one after
    /// another along all three axes, so that they cover the scan. `random`: in training any place of the scan, in evaluation as `centre`.
    /// `foreground`: as `centre`, about the centre of what is foreground in the planes. `whole`: the whole scan is one sample, resized.
    /// All but `whole` follow `spacing_mm`; without it `centre` resizes planes to `size`, and the others keep the scan's voxels.
    pub crop: Crop,
    /// Stride in slices from one sample of a scan to the next, at least 1. The default is the depth of a sample. The last sample ends
    /// with the scan.
    pub stride: Option<usize>,
    /// Stride in rows and columns from one sample of a scan to the next, at least 1, with `crop = "grid"`. The default is the rows and columns
    /// of a sample. The last sample along each axis ends with the scan.
    pub stride_in_plane: Option<[usize; 2]>,
    /// Percentile of a scan's values above which voxels are foreground, 0 to 100, with `crop = "foreground"`.
    pub foreground_percentile: f64,
    /// Voxel spacing in millimetres (slices, rows, columns) that scans are resampled to, from 0.05 to 100. They are then cropped as
    /// `crop` says, or padded. Without a spacing, slices are kept, and `crop` says what becomes of rows and columns.
    pub spacing_mm: Option<[f32; 3]>,
    /// Fraction of the patches that are masked in training, above 0 and below 1.
    pub mask_ratio: f64,
    /// Fraction of a scan's slices to drop at each end, from 0 to below 0.5. None are dropped where too few would remain for one
    /// sample. The reference's preparation always drops a tenth; prepared files are taken whole.
    pub drop_ends_ratio: f64,
    /// Percentiles to which a sample's intensities are clipped before they are standardised, from 0 to 100, the lower first.
    pub percentiles: [f64; 2],
    /// Whether each sample's intensities are clipped and standardised to mean 0 and variance 1. Switch it off for scans that are
    /// standardised already. Prepared files are taken as they are.
    pub standardise: bool,
    /// Whether derived DICOM images, such as reformats and projections (Image Type DERIVED with MPR, MIP or REFORMATTED),
    /// are scans as well.
    pub reformats: bool,
    /// Name of the dataset with the scan in HDF5 files: `image`, `volumes/raw`. Not needed where each file has one dataset of three axes.
    pub dataset: Option<String>,
    /// The same of masks in HDF5 files, which may be the files of the scans themselves.
    pub mask_dataset: Option<String>,
    /// The axis of datasets in HDF5 files that is depth. `last`: they are arrays of x, y and slices, from right to left, anterior to
    /// posterior and inferior to superior. `first`: of slices, rows and columns.
    pub slice_axis: SliceAxis,
    /// Whether half of the training samples are flipped, each of them along every axis with probability 1/2.
    pub flip: bool,
    /// Memory in MiB for a cache of decoded scans, 4 bytes a voxel. Where all scans fit, each is decoded once. Otherwise only the
    /// slices of a sample are read, and the memory, at least 64 MiB, holds an index of access points into compressed files.
    pub cache_mb: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: [16, 192, 192],
            patch_size: [PATCH; 3],
            preparation: Preparation::SubVolumes,
            crop: Crop::Centre,
            stride: None,
            stride_in_plane: None,
            foreground_percentile: 75.0,
            spacing_mm: None,
            mask_ratio: 0.75,
            drop_ends_ratio: 0.1,
            percentiles: [0.2, 99.8],
            standardise: true,
            reformats: false,
            dataset: None,
            mask_dataset: None,
            slice_axis: SliceAxis::Last,
            flip: true,
            cache_mb: 512,
        }
    }
}

impl Options {
    /// The transform of sub-volumes to samples, after checking the ranges of all options.
    fn transform(&self) -> Result<VolumeTransform, Error> {
        let [lower, upper] = self.percentiles;
        if !(lower >= 0.0 && lower < upper && upper <= 100.0) {
            return Err(Error::bad_request(format!(
                "percentiles is [{lower}, {upper}]; it must be two numbers from 0 to 100, the lower first"
            )));
        }
        if !(0.0..=100.0).contains(&self.foreground_percentile) {
            let found = self.foreground_percentile;
            return Err(Error::bad_request(format!("foreground_percentile is {found}; it must be from 0 to 100")));
        }
        let transform = VolumeTransform {
            size: self.size,
            patch_size: self.patch_size,
            mask_ratio: self.mask_ratio,
            flip: self.flip,
        };
        transform.check()?;
        let sub_volumes = self.sub_volumes();
        sub_volumes.check()?;
        self.preparation.check_without(&sub_volumes)?;
        if self.preparation == Preparation::Reference && !self.standardise {
            return Err(Error::bad_request(
                "standardise is false, and preparation is \"reference\", which standardises each tile\n\
                 hint: set preparation to \"prepared\" for files that are standardised already",
            ));
        }
        Ok(transform)
    }

    /// Which files are scans.
    fn scans(&self) -> ScanRules {
        ScanRules { reformats: self.reformats, hdf5: self.hdf5(), ..ScanRules::MR }
    }

    /// What is read of HDF5 files.
    fn hdf5(&self) -> Hdf5Rules {
        let Self { dataset, mask_dataset, slice_axis, .. } = self;
        Hdf5Rules { dataset: dataset.clone(), mask_dataset: mask_dataset.clone(), slice_axis: *slice_axis }
    }

    /// How scans become samples.
    fn samples(&self) -> VolumeSettings {
        VolumeSettings::of(self.preparation, self.sub_volumes(), ReferenceSteps::Mri { percentiles: self.percentiles })
    }

    /// How scans are cut into sub-volumes.
    fn sub_volumes(&self) -> SubVolumeSettings {
        let Self { size, crop, stride, stride_in_plane, spacing_mm, drop_ends_ratio, cache_mb, .. } = *self;
        let (foreground, scans) = (Foreground::AbovePercentile(self.foreground_percentile), self.scans());
        SubVolumeSettings {
            size,
            crop,
            stride,
            stride_in_plane,
            spacing_mm,
            foreground,
            drop_ends_ratio,
            cache_mb,
            scans,
        }
    }
}

impl Modality for Mri {
    const ID: &'static str = "mri";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "magnetic resonance imaging, sub-volumes of scans, each standardised";
    const FAMILY: &'static str = "volume";
    const FILE_FORMATS: &'static [&'static str] = FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const MASK_EXTENSIONS: &'static [&'static str] = MASK_EXTENSIONS;
    const KNOWS_GRIDS: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[("mirror", "flip")];

    type Options = Options;
    type Dataset = Scans;

    fn option_presets() -> Vec<(&'static str, Value)> {
        let reference = json!({
            "size": [16, 192, 192],
            "preparation": "reference",
            "mask_ratio": 0.75,
            "percentiles": [0.2, 99.8],
            "standardise": true,
            "flip": true,
        });
        // What published weights need of files, without the reference's training.
        let published_weights = json!({ "preparation": "reference" });
        vec![("reference", reference), ("published-weights", published_weights)]
    }

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        Ok(options.transform()?.geometry_with_affines())
    }

    fn survey(base: &Path, data: &[PathBuf]) -> Result<Option<Survey>, Error> {
        volume_survey::survey(base, data, &ScanRules::MR).map(Some)
    }

    fn open(request: OpenRequest<Options>) -> Result<Scans, Error> {
        let transform = request.options.transform()?;
        let samples = VolumeSamples::open(&request.base, &request.data, request.options.samples())?;
        Ok(Scans { options: request.options, transform, samples })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Dataset of opened scans: one sub-volume, tile or prepared file is one sample.
#[derive(Debug)]
pub struct Scans {
    options: Options,
    transform: VolumeTransform,
    samples: VolumeSamples,
}

impl Scans {
    /// A whole block of intensities, of the size of a sample, and where its voxels lie in the file.
    fn block(&self, index: usize, view: View, rng: &mut SampleRng) -> Result<(Vec<f32>, Affine<3>), Error> {
        let samples = match &self.samples {
            VolumeSamples::SubVolumes(samples) => samples,
            VolumeSamples::Reference(samples) => return Ok((samples.read(index)?, samples.place(index)?)),
        };
        let (mut part, place) = samples.read_view(index, view, rng)?;
        if self.options.standardise {
            if let Some(range) = intensity::percentiles(&part.values, self.options.percentiles) {
                intensity::clip(&mut part.values, range);
            }
            intensity::standardise(&mut part.values);
        }
        // Around the head there is air, the darkest there is. It has no part in the statistics: how much of it there is
        // depends on the size of samples, not on the scan.
        let darkest = intensity::minimum(&part.values);
        Ok((part.padded(darkest), place))
    }
}

impl Dataset for Scans {
    fn geometry(&self) -> Geometry {
        self.transform.geometry_with_affines()
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        self.samples.record(index)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.samples.fingerprint()
    }

    fn account(&self) -> Option<&Account> {
        Some(self.samples.account())
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let (voxels, place) = self.block(index, view, rng)?;
        self.transform.write_placed_sample(voxels, &place, view, rng, sample)
    }

    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let write = |(position, &index): (usize, &usize)| {
            // The evaluation view draws no random numbers.
            let (voxels, _) = self.block(index, View::Evaluation, &mut sample_rng(0))?;
            self.samples.save(self.transform.size, voxels, position, folder)
        };
        let data = indices.iter().enumerate().map(write).collect::<Result<_, Error>>()?;
        let as_they_are = Options {
            preparation: self.options.preparation.of_saved_samples(),
            crop: Crop::Centre,
            stride: None,
            stride_in_plane: None,
            spacing_mm: None,
            drop_ends_ratio: 0.0,
            standardise: false,
            ..self.options.clone()
        };
        saved_samples::reopened_with(data, &as_they_are)
    }

    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        self.samples.label_map(index, mask)
    }

    fn grid(&self, index: usize) -> Option<FileGrid> {
        self.samples.grid(index)
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.transform.render(tokens, SHOWN)
    }
}
