//! Medical video, such as ultrasound and endoscopy: short clips, cut into tubes of 2 frames x 16 x 16 pixels; a token family of
//! its own, `video`.
//!
//! Tubes, and the mask that is the same at every time, are those of VideoMAE (Tong et al., *VideoMAE: Masked Autoencoders are
//! Data-Efficient Learners for Self-Supervised Video Pre-Training*, NeurIPS 2022, arXiv 2203.12602, sections 3.2 and 3.3): a
//! patch that were masked at one time only could be copied from the frame before.
//!
//! `clip` finds clips and reads frames, `animation` decodes GIF, and `synthetic` makes the samples for demonstration and tests. Frame times
//! are ignored: frames are assumed to be evenly spaced.

#![forbid(unsafe_code)]

mod animation;
mod clip;
mod clip_info;
mod gif_metadata;
mod options;
mod synthetic;

use std::path::Path;

use medcoss_formats::clip_transform::{ASPECT, ClipTransform};
use medcoss_formats::deidentify::Deidentifier;
use medcoss_formats::group_by::grouped_facts;
use medcoss_sdk::image::Region;
use medcoss_sdk::labels::FileFacts;
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{
    Account, Dataset, Error, Fingerprint, Geometry, Modality, OpenRequest, Rendering, Sample, SampleRecord, SampleRng,
    Synthesised, Tokens, View, export_plugin, saved_samples,
};

use clip::Clip;
use clip_info::ClipInfo;
pub use options::{Options, ShortClips};

/// The video plugin.
pub struct Video;

export_plugin!(video, Video);

impl Modality for Video {
    const ID: &'static str = "video";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "medical video, a stretch of a clip a sample";
    const FAMILY: &'static str = "video";
    const FILE_FORMATS: &'static [&'static str] = clip::FILE_FORMATS;
    const RENDERS: Option<Rendering> = Some(Rendering::Png);
    const SAVES_SAMPLES: bool = true;
    const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] =
        &[("frames", "num_frames"), ("every", "frame_stride"), ("group_column", "labels.group_column")];

    type Options = Options;
    type Dataset = Clips;

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        Ok(options.transform()?.geometry())
    }

    fn open(request: OpenRequest<Options>) -> Result<Clips, Error> {
        let OpenRequest { base, data, options, .. } = request;
        let transform = options.transform()?;
        let (clips, account) = clip::find(&base, &data)?;
        let named: Vec<_> = clips.iter().map(Clip::named).collect();
        let facts = grouped_facts(&base, &named, options.labels.as_ref(), options.group_by)?;
        Ok(Clips { options: Options { labels: None, ..options }, transform, clips, facts, account })
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
    clips: Vec<Clip>,
    /// Label, group and what else is known of each clip.
    facts: Vec<FileFacts>,
    account: Account,
}

impl Clips {
    /// Frames of a sample `[frames, size, size, channels]`: the middle ones, whole, or any of them, cropped and flipped.
    fn frames(&self, clip: &Clip, mut rng: Option<&mut SampleRng>) -> Result<Vec<f32>, Error> {
        let Options { num_frames: frames, frame_stride, size, .. } = self.options;
        let ClipInfo { n_frames, width, height } = clip.info()?;
        let span = (frames - 1) * frame_stride + 1;
        let spare = n_frames.saturating_sub(span);
        if n_frames < span && self.options.short_clips == ShortClips::Refuse {
            return Err(Error::unsupported(format!(
                "the clip has {n_frames} frames; {frames} frames with a stride of {frame_stride} need {span}\nhint: lower option num_frames or frame_stride, or set short_clips = \"mark\""
            )));
        }
        let (mut first, mut region, mut flipped) = (spare / 2, Region::centre_square(width, height), false);
        if let Some(rng) = &mut rng {
            first = rng.random_range(0..=spare);
            region = Region::random_crop(*rng, width, height, self.options.crop_scale, ASPECT);
            flipped = self.options.horizontal_flip && rng.random();
        }
        let wanted = (0..frames).map(|frame| first + frame * frame_stride);
        let wanted: Vec<_> = wanted.take_while(|&frame| frame < n_frames).collect();
        let mut pixels = Vec::with_capacity(frames * self.transform.frame_values());
        clip.read(&wanted, |frame| {
            if (frame.width(), frame.height()) != (width, height) {
                let (w, h) = (frame.width(), frame.height());
                return Err(Error::corrupt(format!("its first frame is {width}x{height}, another is {w}x{h}")));
            }
            let frame = if self.options.colour { frame.into_rgb() } else { frame.into_grey() };
            let mut frame = frame.resized(region, size, size)?;
            if flipped {
                frame.flip_horizontal();
            }
            pixels.extend_from_slice(frame.pixels());
            Ok(())
        })?;
        Ok(pixels)
    }
}

impl Dataset for Clips {
    fn geometry(&self) -> Geometry {
        self.transform.geometry()
    }

    fn len(&self) -> usize {
        self.clips.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        let mut record = self.clips[index].files()[0].record();
        self.facts[index].annotate(&mut record);
        record
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        self.clips.iter().flat_map(Clip::files).for_each(|file| fingerprint.add_file(file));
        fingerprint
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let clip = &self.clips[index];
        let random = (view == View::Training).then_some(&mut *rng);
        let pixels = self.frames(clip, random).map_err(|error| error.in_context(clip.id()))?;
        self.transform.write_sample(pixels, view, rng, sample.patches()?)
    }

    /// Whole clips, so that training goes on from any stretch of them, each in a folder of its own. The pixels of the files bit by bit,
    /// and nothing else of them.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let mut deidentifier = Deidentifier::default();
        let copy = |(position, &index): (usize, &usize)| {
            let own = saved_samples::name(position, "");
            let failed = |error: std::io::Error| {
                Error::unreadable(format!("{} cannot be made in {}", own, folder.display())).caused_by(&error)
            };
            std::fs::create_dir(folder.join(&own)).map_err(failed)?;
            match &self.clips[index] {
                Clip::Gif(file) => {
                    let damaged = || Error::corrupt(format!("{} is damaged and cannot be copied", file.id));
                    let copy = gif_metadata::without_metadata(&file.read()?).ok_or_else(damaged)?;
                    saved_samples::write(&folder.join(&own).join(saved_samples::name(0, ".gif")), &copy)?;
                }
                Clip::Images(series) => {
                    for (number, file) in series.files.iter().enumerate() {
                        deidentifier.copy(file, number, &folder.join(&own))?;
                    }
                }
            }
            Ok(own.into())
        };
        saved_samples::reopened_with(indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?, &self.options)
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.transform.render(tokens)
    }
}
