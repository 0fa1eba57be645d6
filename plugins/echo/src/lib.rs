//! Echocardiograms: ultrasound clips of the heart, cut into tubes of 2 frames x 16 x 16 pixels, in the token family
//! `video`, whose parameters they share with medical video of other kinds.
//!
//! [`medcoss_formats::clip_transform`] makes tubes and masks, and the defaults are those of the plugin `video`. With
//! option `frame_seconds` frames are chosen by the clip's frame rate, and positions count in seconds: clips of 30 and
//! of 80 frames a second then show a beat alike.
//!
//! Read are DICOM files of ultrasound (`dicom` of the SDK's readers: native, RLE, JPEG, JPEG-LS and JPEG 2000 frames,
//! grey, RGB, YCbCr and palettes), and AVI with motion JPEG, in which EchoNet-Dynamic is published (`avi`). Clips in
//! other codecs are converted once, without loss that counts:
//!
//! ```sh
//! ffmpeg -i clip.mp4 -c:v mjpeg -q:v 2 -an clip.avi
//! ```
//!
//! Devices write names and numbers into frames. Option `frame_area` crops frames to the region of tissue that a DICOM
//! file states; where it states none, and in AVI, such text stays, in samples as in saved copies. `clip` finds and
//! copies files, `timing` chooses frames, `synthetic` makes the samples for demonstration and tests.

#![forbid(unsafe_code)]

mod avi;
mod clip;
mod options;
mod synthetic;
mod timing;

use std::path::{Path, PathBuf};

use medcoss_formats::clip_transform::{ASPECT, ClipTransform};
use medcoss_formats::deidentify::Deidentifier;
use medcoss_formats::group_by::grouped_facts;
use medcoss_sdk::image::Region;
use medcoss_sdk::labels::FileFacts;
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Account, Dataset, Error, Fingerprint, Found, FoundFile, Geometry, Modality, OpenRequest, Rendering, Sample,
    SampleRecord, SampleRng, Synthesised, Tokens, View, export_plugin, saved_samples,
};

use clip::{Clip, ClipInfo};
pub use options::{FrameArea, Options, ShortClips};

/// The echocardiography plugin.
pub struct Echo;

export_plugin!(echo, Echo);

impl Modality for Echo {
    const ID: &'static str = "echo";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "echocardiograms, a stretch of a clip a sample";
    const FAMILY: &'static str = "video";
    const FILE_FORMATS: &'static [&'static str] = clip::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] = &[("group_column", "labels.group_column")];

    type Options = Options;
    type Dataset = Clips;

    fn option_presets() -> Vec<(&'static str, Value)> {
        // EchoNet-Dynamic (Ouyang et al., Nature 2020): 32 frames, every second one, of 112 pixels.
        let echonet = json!({ "num_frames": 32, "frame_stride": 2, "size": 112 });
        // Sixteen frames of a second, whatever the frame rate.
        let in_seconds = json!({ "num_frames": 16, "frame_seconds": 0.0625 });
        vec![("echonet-dynamic", echonet), ("in-seconds", in_seconds)]
    }

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        Ok(options.transform()?.geometry())
    }

    fn open(request: OpenRequest<Options>) -> Result<Clips, Error> {
        let OpenRequest { base, data, options, .. } = request;
        let transform = options.transform()?;
        let Found { files, account } = clip::find(&base, &data)?;
        let facts = grouped_facts(&base, &files, options.labels.as_ref(), options.group_by)?;
        Ok(Clips { options: Options { labels: None, ..options }, transform, files, facts, account })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Dataset of opened clips: one clip is one sample.
pub struct Clips {
    /// Those of saved samples, which have no labels.
    options: Options,
    transform: ClipTransform,
    files: Vec<FoundFile>,
    /// Label, group and what else is known of each file.
    facts: Vec<FileFacts>,
    account: Account,
}

/// How frames of a training sample differ from the file's, all alike.
struct Change {
    region: Region,
    is_flipped: bool,
    gain: f32,
}

impl Clips {
    /// The part of a clip's frames from which views are taken.
    fn area(&self, info: &ClipInfo) -> Region {
        let whole = Region { left: 0, top: 0, width: info.width, height: info.height };
        info.region.filter(|_| self.options.frame_area == FrameArea::Ultrasound).unwrap_or(whole)
    }

    /// Pixels of a sample `[frames, size, size, channels]` of as many frames as there are: the middle ones, whole, or
    /// any of them, changed.
    fn pixels(&self, file: &FoundFile, mut rng: Option<&mut SampleRng>) -> Result<Vec<f32>, Error> {
        let Options { size, colour, .. } = self.options;
        let mut clip = Clip::open(file)?;
        let info = clip.info();
        let frames = timing::frames(&info, &self.options, rng.as_deref_mut())?;
        let area = self.area(&info);
        let within = |part: Region| Region { left: area.left + part.left, top: area.top + part.top, ..part };
        let change = match rng {
            None => {
                Change { region: within(Region::centre_square(area.width, area.height)), is_flipped: false, gain: 1.0 }
            }
            Some(rng) => Change {
                region: within(Region::random_crop(rng, area.width, area.height, self.options.crop_scale, ASPECT)),
                is_flipped: rng.random::<bool>() && self.options.horizontal_flip,
                gain: 1.0 + self.options.brightness * rng.random_range(-1.0..=1.0_f32),
            },
        };
        let mut pixels = Vec::with_capacity(frames.len() * self.transform.frame_values());
        let mut last = None;
        for frame in frames {
            // A slow clip shows a frame several times.
            if last != Some(frame) {
                let mut image = clip.read(frame, colour)?.resized(change.region, size, size)?;
                if change.is_flipped {
                    image.flip_horizontal();
                }
                pixels.extend(image.pixels().iter().map(|value| (value * change.gain).min(1.0)));
            } else {
                pixels.extend_from_within(pixels.len() - self.transform.frame_values()..);
            }
            last = Some(frame);
        }
        Ok(pixels)
    }
}

impl Dataset for Clips {
    fn geometry(&self) -> Geometry {
        self.transform.geometry()
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
        self.files.iter().for_each(|file| fingerprint.add_file_ends(file));
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let random = (view == View::Training).then_some(&mut *rng);
        let pixels = self.pixels(&self.files[index], random)?;
        self.transform.write_sample(pixels, view, rng, sample.patches()?)
    }

    /// Whole clips, so that training goes on from any stretch of them, each in a folder of its own. The pixels of the
    /// files as they are compressed, and what decoding needs.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let mut deidentifier = Deidentifier::default();
        let copy = |(position, &index): (usize, &usize)| {
            let own = PathBuf::from(saved_samples::name(position, ""));
            clip::copy(&self.files[index], &folder.join(&own), &mut deidentifier).map(|name| own.join(name))
        };
        let copies = indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?;
        deidentifier.warn_of_burned_in_annotations();
        saved_samples::reopened_with(copies, &self.options)
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.transform.render(tokens)
    }
}
