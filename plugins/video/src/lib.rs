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

use medcoss_formats::deidentify::Deidentifier;
use medcoss_sdk::image::Region;
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{
    Dataset, Error, Fingerprint, Geometry, Modality, OpenRequest, Rendering, Sample, SampleRecord, SampleRng,
    Synthesised, Tokens, View, encode_png, export_plugin, patch, saved_samples,
};

use clip::Clip;
use clip_info::ClipInfo;
pub use options::Options;
use options::TUBE;

/// Aspect ratios of random crops, as in torchvision.
const ASPECT: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Frames in a rendered image, evenly spaced.
const N_RENDERED: usize = 4;

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
        &[("frames", "num_frames"), ("every", "frame_stride")];

    type Options = Options;
    type Dataset = Clips;

    fn geometry(options: &Options) -> Result<Geometry, Error> {
        options.check()?;
        options.geometry()
    }

    fn open(request: OpenRequest<Options>) -> Result<Clips, Error> {
        let options = request.options;
        let geometry = Self::geometry(&options)?;
        let clips = clip::find(&request.base, &request.data)?;
        let mut records: Vec<SampleRecord> = clips.iter().map(|clip| clip.files()[0].record()).collect();
        if let Some(table) = &options.labels {
            let named: Vec<_> = clips.iter().map(Clip::named).collect();
            table.annotate(&request.base, &named, &mut records)?;
        }
        Ok(Clips { options: Options { labels: None, ..options }, geometry, clips, records })
    }

    fn synthesise(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
        synthetic::write(folder, n_samples, seed)
    }
}

/// Value of hidden tubes in a rendered image: middle grey.
const HIDDEN: f32 = 0.5;

/// Dataset of opened clips: one clip is one sample.
pub struct Clips {
    /// Those of saved samples, which have no labels.
    options: Options,
    geometry: Geometry,
    clips: Vec<Clip>,
    records: Vec<SampleRecord>,
}

impl Clips {
    /// Frames of a sample `[frames, size, size, channels]`: the middle ones, whole, or any of them, cropped and flipped.
    fn frames(&self, clip: &Clip, mut rng: Option<&mut SampleRng>) -> Result<Vec<f32>, Error> {
        let Options { num_frames: frames, frame_stride, size, .. } = self.options;
        let ClipInfo { n_frames, width, height } = clip.info()?;
        let span = (frames - 1) * frame_stride + 1;
        let Some(spare) = n_frames.checked_sub(span) else {
            return Err(Error::unsupported(format!(
                "the clip has {n_frames} frames; {frames} frames with a stride of {frame_stride} need {span}\nhint: lower option num_frames or frame_stride"
            )));
        };
        let (mut first, mut region, mut flipped) = (spare / 2, Region::centre_square(width, height), false);
        if let Some(rng) = &mut rng {
            first = rng.random_range(0..=spare);
            region = Region::random_crop(*rng, width, height, self.options.crop_scale, ASPECT);
            flipped = self.options.horizontal_flip && rng.random();
        }
        let wanted: Vec<_> = (0..frames).map(|frame| first + frame * frame_stride).collect();
        let mut pixels = Vec::with_capacity(frames * size * size * self.options.channels());
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
        self.geometry.clone()
    }

    fn len(&self) -> usize {
        self.clips.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        self.records[index].clone()
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        self.clips.iter().flat_map(Clip::files).for_each(|file| fingerprint.add_file(file));
        fingerprint
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let (tokens, masked) = sample.continuous()?;
        let (clip, options) = (&self.clips[index], &self.options);
        let random = (view == View::Training).then_some(&mut *rng);
        let pixels = self.frames(clip, random).map_err(|error| error.in_context(clip.id()))?;
        patch::patchify_3d(&pixels, options.pixels(), TUBE, tokens);
        if view == View::Training {
            options.masking().draw(rng, &options.grid(), &[], masked)?;
        }
        Ok(())
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
                Clip::Images { files, .. } => {
                    for (number, file) in files.iter().enumerate() {
                        deidentifier.copy(file, number, &folder.join(&own))?;
                    }
                }
            }
            Ok(own.into())
        };
        saved_samples::reopened_with(indices.iter().enumerate().map(copy).collect::<Result<_, Error>>()?, &self.options)
    }

    /// Four evenly spaced frames side by side, the first on the left.
    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        let [frames, size, _, channels] = self.options.pixels();
        let tokens = tokens.filled(HIDDEN)?;
        if tokens.len() != frames * size * size * channels {
            let found = tokens.len();
            return Err(Error::bad_request(format!(
                "{found} values are no {frames} frames of {size}x{size}x{channels}"
            )));
        }
        let mut pixels = vec![0.0; tokens.len()];
        patch::unpatchify_3d(&tokens, self.options.pixels(), TUBE, &mut pixels);
        let mut image = Vec::with_capacity(N_RENDERED * size * size * channels);
        for row in 0..size {
            for shown in 0..N_RENDERED {
                let frame = (2 * shown + 1) * frames / (2 * N_RENDERED);
                image.extend_from_slice(&pixels[(frame * size + row) * size * channels..][..size * channels]);
            }
        }
        encode_png(&image, N_RENDERED * size, size, channels)
    }
}
