//! Radiographs: grey images of 8 bit and more as three equal channels in `[0, 1]`, cut into patches of 16x16.
//!
//! `reader` finds and reads files; crops, flips and masking are those of [`medcoss_sdk::image_transform`]; the
//! samples for demonstration and tests are painted in `synthetic`.

#![forbid(unsafe_code)]

mod reader;
mod survey;
mod synthetic;

use std::path::{Path, PathBuf};

use medcoss_formats::aspect_ratio::AspectRatio;
use medcoss_formats::bit_depth;
use medcoss_formats::deidentify::Deidentifier;
use medcoss_formats::label_image;
use medcoss_sdk::image::Resizable;
use medcoss_sdk::image_transform::{ImageTransform, PATCH};
use medcoss_sdk::label_map::{LabelMap, check_fits};
use medcoss_sdk::labels::{FileFacts, LabelTable};
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Account, Dataset, Error, FileGrid, Fingerprint, Found, FoundFile, Geometry, Modality, OpenRequest, Rendering,
    Sample, SampleRecord, SampleRng, Survey, Synthesised, Tokens, View, export_plugin, saved_samples,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The radiograph plugin.
pub struct Xray;

export_plugin!(xray, Xray);

/// Settings of the plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Side of the square samples in pixels: a multiple of `patch_size`, up to 512.
    pub size: usize,
    /// Side of a square patch in pixels, from 1 to 32: 16, or that of the weights that the run begins with.
    pub patch_size: usize,
    /// Fraction of the patches that are masked in training, above 0 and below 1.
    pub mask_ratio: f64,
    /// `kept`: the evaluation view is the centred square. `squeezed`: the whole image is first squeezed to the square by Pillow's
    /// bicubic interpolation, and random crops are taken from that.
    pub aspect_ratio: AspectRatio,
    /// Least and largest fraction of an image's area in a random crop, in training.
    pub crop_scale: [f64; 2],
    /// Whether training samples are flipped left to right with probability 1/2.
    pub horizontal_flip: bool,
    /// Bits that image files of more than 8 bits use, from 8 to 32: the largest number of so many bits becomes white. Without this option
    /// each file has its own: what its sBIT chunk states (PNG), or else the smallest of 8, 10, 12, 14, 16, 20, 24 and 32 that holds its
    /// largest number. DICOM files state their own scale.
    pub bit_depth: Option<u32>,
    /// Table with a label for each file. Only evaluation looks at labels.
    pub labels: Option<LabelTable>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            size: 224,
            patch_size: PATCH,
            mask_ratio: 0.75,
            aspect_ratio: AspectRatio::Kept,
            crop_scale: [0.2, 1.0],
            horizontal_flip: true,
            bit_depth: None,
            labels: None,
        }
    }
}

impl Options {
    /// The settings of samples, after checking their ranges.
    fn transform(&self) -> Result<ImageTransform, Error> {
        let transform = ImageTransform {
            size: self.size,
            patch_size: self.patch_size,
            mask_ratio: self.mask_ratio,
            crop_scale: self.crop_scale,
            horizontal_flip: self.horizontal_flip,
            vertical_flip: false,
        };
        transform.check()?;
        if let Some(bits) = self.bit_depth {
            bit_depth::check("bit_depth", bits)?;
        }
        Ok(transform)
    }
}

impl Modality for Xray {
    const ID: &'static str = "xray";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "radiographs, one image a sample";
    const FAMILY: &'static str = "image";
    const FILE_FORMATS: &'static [&'static str] = reader::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const MASK_EXTENSIONS: &'static [&'static str] = label_image::MASK_EXTENSIONS;
    const KNOWS_GRIDS: bool = true;

    type Options = Options;
    type Dataset = Radiographs;

    fn option_presets() -> Vec<(&'static str, Value)> {
        let reference = json!({
            "size": 224,
            "mask_ratio": 0.75,
            "aspect_ratio": "squeezed",
            "crop_scale": [0.2, 1.0],
            "horizontal_flip": true,
            "bit_depth": 16,
        });
        // What published weights need of files, without the reference's training.
        let published_weights = json!({ "aspect_ratio": "squeezed" });
        vec![("reference", reference), ("published-weights", published_weights)]
    }

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        Ok(options.transform()?.geometry_with_affines())
    }

    fn survey(base: &Path, data: &[PathBuf]) -> Result<Option<Survey>, Error> {
        survey::survey(base, data).map(Some)
    }

    fn open(request: OpenRequest<Options>) -> Result<Radiographs, Error> {
        let transform = request.options.transform()?;
        let Found { files, account } = reader::find(&request.base, &request.data, request.options.bit_depth)?;
        let facts = FileFacts::of_files(request.options.labels.as_ref(), &request.base, &files)?;
        let options = Options { labels: None, ..request.options };
        Ok(Radiographs { options, transform, files, facts, account })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Dataset of opened radiographs: one file is one sample, of files with several frames or pages the first.
pub struct Radiographs {
    /// Those of saved samples, which have no labels.
    options: Options,
    transform: ImageTransform,
    files: Vec<FoundFile>,
    facts: Vec<FileFacts>,
    account: Account,
}

impl Dataset for Radiographs {
    fn geometry(&self) -> Geometry {
        self.transform.geometry_with_affines()
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        let mut record = self.files[index].record();
        self.facts[index].annotate(&mut record);
        record
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for file in &self.files {
            fingerprint.add_file(file);
        }
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let file = &self.files[index];
        file.check_unchanged()?;
        let Options { aspect_ratio, bit_depth, size, .. } = self.options;
        let image = reader::read(file, bit_depth)?;
        let in_file = aspect_ratio.place([image.height(), image.width()], size);
        let (framed, place) = self.transform.placed_view(&aspect_ratio.applied(image, size)?, view, rng)?;
        self.transform.write_placed_sample(framed, &place.then(&in_file), view, rng, sample)
    }

    /// The pixels of the files bit by bit, and without what identifies a patient.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let mut deidentifier = Deidentifier::default();
        let copy = |(position, &index): (usize, &usize)| deidentifier.copy(&self.files[index], position, folder);
        let copies = indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?;
        deidentifier.warn_of_burned_in_annotations();
        saved_samples::reopened_with(copies, &self.options)
    }

    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let file = &self.files[index];
        let (image, labels) = (reader::read(file, self.options.bit_depth)?, label_image::read_labels(mask)?);
        check_fits(&mask.id, labels.shape(), &file.id, &[image.height(), image.width()])?;
        self.transform.evaluation_labels(&self.options.aspect_ratio.applied_to_labels(labels, self.options.size)?)
    }

    fn grid(&self, index: usize) -> Option<FileGrid> {
        let file = &self.files[index];
        file.check_unchanged().and_then(|()| reader::grid(file)).ok()
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.transform.render(tokens)
    }
}
