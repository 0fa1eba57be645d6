//! Synthetic echocardiograms: two chambers in the fan of a probe, the larger of which beats well or weakly, which is
//! the label, with a scale and letters beside the fan. Made for demonstrations and tests, not for realism.
//!
//! Written in turn as AVI with motion JPEG, as DICOM with native RGB frames, with JPEG frames, and with grey frames;
//! two clips a patient.

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::grayscale;
use medcoss_formats::dicom::write_multi_frame::{Kind, MultiFrameFile, WrittenFrames};
use medcoss_sdk::image::Region;
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, saved_samples, serde_json};

use crate::avi;

const WIDTH: u32 = 96;
const HEIGHT: u32 = 80;
/// The part of a frame that shows tissue.
const FAN: Region = Region { left: 12, top: 4, width: 72, height: 72 };
const N_FRAMES: usize = 18;
const TABLE: &str = "labels.csv";

/// Writes `n_samples` clips, and a table of labels and patients.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut table = String::from("clip,function,patient\n");
    for index in 0..n_samples {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        // By turns in a period that shares no factor with the four formats.
        let weak = index % 3 == 1;
        let n_frames = if index % 5 == 4 { N_FRAMES / 3 } else { N_FRAMES };
        let frames = Heart::draw(&mut rng, weak).film(n_frames, &mut rng);
        let patient = format!("p{:02}", index / 2);
        let name = format!("echo_{index:04}.{}", if index % 4 == 0 { "avi" } else { "dcm" });
        let own = folder.join(&patient);
        std::fs::create_dir_all(&own)
            .map_err(|error| Error::unreadable(format!("{} cannot be made", own.display())).caused_by(&error))?;
        clip(&own.join(&name), index, &frames)?;
        table.push_str(&format!("{name},{},{patient}\n", if weak { "weak" } else { "normal" }));
    }
    saved_samples::write(&folder.join(TABLE), table.as_bytes())?;
    let options = serde_json::json!({
        "num_frames": 8,
        "frame_stride": 2,
        "size": 64,
        "colour": false,
        "labels": { "file": TABLE, "key_column": "clip", "label_column": "function", "group_column": "patient" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

fn clip(path: &Path, index: usize, frames: &[RgbImage]) -> Result<(), Error> {
    let size = [HEIGHT as usize, WIDTH as usize];
    let file = |channels, frames| {
        MultiFrameFile {
            kind: Kind::Ultrasound { frame_time_ms: 33.3, region: Some(FAN) },
            series: &format!("2.25.{}", 800 + index),
            size,
            channels,
            frames,
        }
        .write(path)
    };
    match index % 4 {
        0 => {
            avi::write(path, [WIDTH as usize, HEIGHT as usize], Some(0.02), frames.len(), |frame| jpeg(&frames[frame]))
        }
        1 => {
            let frames: Vec<Vec<u8>> = frames.iter().map(|frame| frame.as_raw().clone()).collect();
            file(3, WrittenFrames::Native(&frames))
        }
        2 => {
            let frames = frames.iter().map(jpeg).collect::<Result<Vec<_>, Error>>()?;
            file(3, WrittenFrames::Jpeg(&frames))
        }
        _ => {
            let frames: Vec<Vec<u8>> = frames.iter().map(|frame| grayscale(frame).into_raw()).collect();
            file(1, WrittenFrames::Native(&frames))
        }
    }
}

fn jpeg(frame: &RgbImage) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let encoded = JpegEncoder::new_with_quality(&mut file, 90).encode_image(frame);
    encoded.map_err(|error| Error::bad_request("a frame cannot be encoded").caused_by(&error))?;
    Ok(file)
}

/// What one clip shows. Lengths are fractions of the fan's height.
struct Heart {
    half_axes: [f32; 2],
    centre: [f32; 2],
    /// Fraction by which the axes shorten.
    stroke: f32,
    frames_a_beat: f32,
    phase: f32,
}

impl Heart {
    fn draw(rng: &mut SampleRng, weak: bool) -> Self {
        let stroke = if weak { rng.random_range(0.03..0.08) } else { rng.random_range(0.3..0.4) };
        Self {
            half_axes: [rng.random_range(0.12..0.16), rng.random_range(0.2..0.26)],
            centre: [rng.random_range(-0.06..0.02), rng.random_range(0.45..0.52)],
            stroke,
            frames_a_beat: rng.random_range(7.0..10.0),
            phase: rng.random(),
        }
    }

    fn film(&self, n_frames: usize, rng: &mut SampleRng) -> Vec<RgbImage> {
        let speckle: Vec<f32> = (0..WIDTH * HEIGHT).map(|_| rng.random::<f32>()).collect();
        let frame = |number: usize| {
            let beat = (number as f32 / self.frames_a_beat + self.phase).fract();
            let shrunk = self.stroke * (0.5 - 0.5 * (TAU * beat.sqrt()).cos());
            RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
                let grain = 0.4 + 0.8 * speckle[(y * WIDTH + x) as usize];
                let value = (self.brightness([x, y], shrunk) * grain).clamp(0.0, 1.0) * 255.0;
                // Letters and a scale in colour beside the fan.
                let is_text = x < 8 && y % 9 < 5 && (x * 7 + y * 3) % 5 < 3;
                image::Rgb(if is_text { [250, 220, 60] } else { [value.round() as u8; 3] })
            })
        };
        (0..n_frames).map(frame).collect()
    }

    fn brightness(&self, [x, y]: [u32; 2], shrunk: f32) -> f32 {
        let side = (x as f32 + 0.5 - FAN.left as f32 - FAN.width as f32 / 2.0) / FAN.height as f32;
        let depth = (y as f32 + 0.5 - FAN.top as f32) / FAN.height as f32;
        // A fan of a right angle with the probe at the top.
        if depth < 0.0 || side.abs() > depth.min(0.5) || side.hypot(depth) > 0.98 {
            return 0.0;
        }
        let chamber = |[across, down]: [f32; 2], size: f32| {
            let [wide, high] = self.half_axes.map(|axis| axis * size * (1.0 - shrunk));
            ((side - across) / wide).hypot((depth - down) / high)
        };
        let [across, down] = self.centre;
        let inner = chamber(self.centre, 1.0).min(chamber([across + 0.3, down + 0.05], 0.6));
        if inner < 1.0 { 0.06 } else { 0.35 + 0.5 * (-(inner - 1.0) * 4.0).exp() }
    }
}
