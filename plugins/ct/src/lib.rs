//! Computed tomography: sub-volumes along the depth of a scan, Hounsfield units within a window as values in `[-1, 1]`,
//! cut into patches of 16x16x16.
//!
//! Which files are read is in [`medcoss_formats::volume_source`], and how scans are cut in
//! [`medcoss_formats::sub_volumes`]; flipping and masking are those of [`medcoss_sdk::volume_transform`]; the samples for
//! demonstration and tests are made in `synthetic`.

#![forbid(unsafe_code)]
#![forbid(unsafe_code)]

mod synthetic;

use std::path::Path;

use medcoss_formats::sub_volume_labels::MASK_EXTENSIONS;
use medcoss_formats::sub_volumes::{self, SubVolumeSettings, SubVolumes};
use medcoss_formats::volume_source::FILE_FORMATS;
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::volume_transform::VolumeTransform;
use medcoss_sdk::{
    Dataset, Error, Fingerprint, FoundFile, Geometry, Modality, OpenRequest, Rendering, Sample, SampleRng, Synthesised,
    Tokens, View, export_plugin, intensity, saved_samples,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Value of the lower end of the window, which air outside of the scan is taken for.
const DARKEST: f32 = -1.0;
/// Values that become black and white in an image: the whole window.
const SHOWN: [f32; 2] = [-1.0, 1.0];

/// The plugin.
pub struct Ct;

export_plugin!(ct, Ct);

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Depth, rows and columns of a sample in voxels: multiples of 16, up to 512.
    pub size: [usize; 3],
    /// Slices from one sample of a scan to the next, at least 1; without it, the depth of a sample. The last sample
    /// ends with the scan.
    pub stride: Option<usize>,
    /// Voxel spacing in millimetres (slices, rows, columns) that scans are brought to, from 0.05 to 100; they are then
    /// cropped or padded about their middle. Without it, slices stay as they are and are stretched to rows and columns.
    pub spacing_mm: Option<[f32; 3]>,
    /// Fraction of the patches that are masked in training, above 0 and below 1.
    pub mask_ratio: f64,
    /// Hounsfield units that become -1 and 1, the lower first; values beyond are clipped.
    pub hu_range: [f32; 2],
    /// Whether half of the training samples are flipped, along each axis with probability 1/2.
    pub flip: bool,
    /// Memory in MiB for decoded scans, 4 bytes a voxel: where all of them fit, each is decoded once and kept. Where they do
    /// not, only the slices of a sample are read. In compressed files, which are read as a whole once, the memory then holds
    /// places to go on from, a MiB apart or more; it is at least 64.
    pub cache_mb: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: [16, 192, 192],
            stride: None,
            spacing_mm: None,
            mask_ratio: 0.75,
            hu_range: [-1024.0, 1024.0],
            flip: true,
            cache_mb: 512,
        }
    }
}

impl Options {
    /// The settings of samples, after checking their ranges.
    fn transform(&self) -> Result<VolumeTransform, Error> {
        let [lowest, highest] = self.hu_range;
        if !(lowest.is_finite() && highest.is_finite() && lowest < highest) {
            return Err(Error::bad_request(format!(
                "hu_range is [{lowest}, {highest}]; it must be two numbers of Hounsfield units, the lower first"
            )));
        }
        let transform = VolumeTransform { size: self.size, mask_ratio: self.mask_ratio, flip: self.flip };
        transform.check()?;
        self.settings().check()?;
        Ok(transform)
    }

    /// How scans are cut.
    fn settings(&self) -> SubVolumeSettings {
        let Self { size, stride, spacing_mm, cache_mb, .. } = *self;
        SubVolumeSettings { size, stride, spacing_mm, drop_ends_ratio: 0.0, cache_mb, dicom_modality: "CT" }
    }
}

impl Modality for Ct {
    const ID: &'static str = "ct";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "computed tomography, sub-volumes of scans in Hounsfield units";
    const FAMILY: &'static str = "volume";
    const FILE_FORMATS: &'static [&'static str] = FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const MASK_EXTENSIONS: &'static [&'static str] = MASK_EXTENSIONS;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[("window", "hu_range"), ("mirror", "flip")];

    type Options = Options;
    type Dataset = Scans;

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        Ok(options.transform()?.geometry())
    }

    fn open(request: OpenRequest<Options>) -> Result<Scans, Error> {
        let transform = request.options.transform()?;
        let sub_volumes = SubVolumes::open(&request.base, &request.data, request.options.settings())?;
        Ok(Scans { options: request.options, transform, sub_volumes })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Opened scans, a sub-volume a sample.
#[derive(Debug)]
pub struct Scans {
    options: Options,
    transform: VolumeTransform,
    sub_volumes: SubVolumes,
}

impl Dataset for Scans {
    fn geometry(&self) -> Geometry {
        self.transform.geometry()
    }

    fn len(&self) -> usize {
        self.sub_volumes.len()
    }

    fn id(&self, index: usize) -> String {
        self.sub_volumes.id(index)
    }

    fn file_id(&self, index: usize) -> String {
        self.sub_volumes.file_id(index).into()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.sub_volumes.fingerprint()
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let mut part = self.sub_volumes.read(index)?;
        intensity::scale_range(&mut part.values, self.options.hu_range);
        self.transform.write_sample(part.padded(DARKEST), view, rng, sample)
    }

    /// In Hounsfield units. Where there is no scan there is air, as dark as the window goes.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let air = self.options.hu_range[0];
        let write = |(position, &index): (usize, &usize)| {
            sub_volumes::save(self.transform.size, self.sub_volumes.read(index)?.padded(air), position, folder)
        };
        let data = indices.iter().enumerate().map(write).collect::<Result<_, Error>>()?;
        saved_samples::reopened_with(data, &Options { stride: None, spacing_mm: None, ..self.options.clone() })
    }

    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        self.sub_volumes.label_map(index, mask)
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.transform.render(tokens, SHOWN)
    }
}
