//! Stained tissue: tiles, and whole slides cut into tiles, as RGB in `[0, 1]` in patches of 16x16.
//!
//! `tiles` finds the samples and reads them, `slide_formats` names the kinds of slides, `grid` cuts slides into tiles, `tissue` decides which of them are worth
//! reading, `stain` varies the colours, `synthetic` paints samples for demonstration and tests; crops, flips and
//! masking are those of [`medcoss_sdk::image_transform`]. Colours are taken as they are: there is no stain normalisation and no
//! colour management.

#![forbid(unsafe_code)]

mod grid;
mod options;
mod slide_formats;
mod stain;
mod survey;
mod synthetic;
mod tiles;
mod tissue;

use std::path::{Path, PathBuf};

use medcoss_formats::deidentify::Deidentifier;
use medcoss_formats::label_image;
use medcoss_sdk::image::Resizable;
use medcoss_sdk::image_transform::ImageTransform;
use medcoss_sdk::label_map::LabelMap;
use medcoss_sdk::labels::FileFacts;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Account, Dataset, Error, FileGrid, Fingerprint, Found, FoundFile, Geometry, Modality, OpenRequest, Rendering,
    Sample, SampleRecord, SampleRng, Survey, Synthesised, Tokens, View, export_plugin, saved_samples,
};

pub use options::{ChannelOrder, Options};
use tiles::Tiles;

/// The plugin.
pub struct Pathology;

export_plugin!(pathology, Pathology);

impl Modality for Pathology {
    const ID: &'static str = "pathology";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "stained tissue, tiles and whole slides, one tile a sample";
    const FAMILY: &'static str = "image";
    const FILE_FORMATS: &'static [&'static str] = tiles::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const MASK_EXTENSIONS: &'static [&'static str] = label_image::MASK_EXTENSIONS;
    const KNOWS_GRIDS: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] =
        &[("slide_tile", "tile_size"), ("tissue_ratio", "min_tissue_ratio")];

    type Options = Options;
    type Dataset = Tissue;

    fn option_presets() -> Vec<(&'static str, Value)> {
        let reference = json!({
            "size": 224,
            "mask_ratio": 0.75,
            "aspect_ratio": "squeezed",
            "channel_order": "bgr",
            "crop_scale": [0.2, 1.0],
            "horizontal_flip": true,
            "vertical_flip": false,
            "bit_depth": 16,
            "stain_jitter": 0.0,
        });
        // What published weights need of files, without the reference's training.
        let published_weights = json!({ "aspect_ratio": "squeezed", "channel_order": "bgr" });
        vec![("reference", reference), ("published-weights", published_weights)]
    }

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        options.check()?;
        Ok(options.transform().geometry_with_affines())
    }

    fn survey(base: &Path, data: &[PathBuf]) -> Result<Option<Survey>, Error> {
        survey::survey(base, data).map(Some)
    }

    fn open(request: OpenRequest<Options>) -> Result<Tissue, Error> {
        let options = request.options;
        options.check()?;
        let Found { files, mut account } = tiles::find(&request.base, &request.data)?;
        let facts = FileFacts::of_files(options.labels.as_ref(), &request.base, &files)?;
        let mut fingerprint = Fingerprint::default();
        for file in &files {
            fingerprint.add_file(file);
        }
        let (transform, tiles) = (options.transform(), Tiles::list(files, &options, &mut account)?);
        Ok(Tissue { options: Options { labels: None, ..options }, transform, tiles, facts, fingerprint, account })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Opened tiles and slides.
pub struct Tissue {
    /// Those of saved samples, which have no labels.
    options: Options,
    transform: ImageTransform,
    tiles: Tiles,
    /// One a file.
    facts: Vec<FileFacts>,
    fingerprint: Fingerprint,
    account: Account,
}

impl Dataset for Tissue {
    fn geometry(&self) -> Geometry {
        self.transform.geometry_with_affines()
    }

    fn len(&self) -> usize {
        self.tiles.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        let mut record = self.tiles.record(index);
        self.facts[self.tiles.file_of(index)].annotate(&mut record);
        record
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let Options { aspect_ratio, size, stain_jitter, .. } = self.options;
        let tile = self.tiles.read(index)?;
        let in_file = aspect_ratio.place([tile.height(), tile.width()], size).then(&self.tiles.place(index));
        let (mut framed, place) = self.transform.placed_view(&aspect_ratio.applied(tile, size)?, view, rng)?;
        if view == View::Training && stain_jitter > 0.0 {
            framed = framed.into_rgb();
            stain::jitter(rng, stain_jitter, &mut framed);
        }
        if framed.channels() == 3 {
            self.options.channel_order.convert(framed.pixels_mut());
        }
        self.transform.write_placed_sample(framed, &place.then(&in_file), view, rng, sample)
    }

    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let mut deidentifier = Deidentifier::default();
        let write = |(position, &index): (usize, &usize)| self.tiles.save(index, position, folder, &mut deidentifier);
        let copies = indices.iter().enumerate().map(write).collect::<Result<_, Error>>()?;
        deidentifier.warn_of_burned_in_annotations();
        saved_samples::reopened_with(copies, &self.options)
    }

    fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let labels = self.options.aspect_ratio.applied_to_labels(self.tiles.labels(index, mask)?, self.options.size)?;
        self.transform.evaluation_labels(&labels)
    }

    fn grid(&self, index: usize) -> Option<FileGrid> {
        self.tiles.file_grid(index).ok()
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let (values, hidden) = tokens.partly_hidden()?;
        let mut values = values.to_vec();
        self.options.channel_order.convert(&mut values);
        self.transform.render(Tokens::Continuous { values: &values, hidden })
    }
}
