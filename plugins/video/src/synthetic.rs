//! Synthetic clips: a beating ventricle in the fan of an ultrasound probe, with speckle. Hearts beat well or weakly, which is the
//! label.
//!
//! Made for demonstrations and tests, not for realism. Written in turn as folders of PNG frames, of JPEG frames, and as GIF.

use std::f32::consts::TAU;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use gif::{Encoder, EncodingError, Frame};
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageError, ImageFormat};
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, saved_samples, serde_json};

const WIDTH: u32 = 80;
const HEIGHT: u32 = 72;
const N_FRAMES: usize = 20;
const TABLE: &str = "labels.csv";

/// Writes `n_samples` clips and a table of labels.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut table = String::from("clip,function\n");
    for index in 0..n_samples {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        // By turns in a period that shares no factor with the three formats.
        let weak = index % 2 == 1;
        let frames = Heart::draw(&mut rng, weak).film(&mut rng);
        let name = format!("clip_{index:04}");
        match index % 3 {
            2 => saved_samples::write(
                &folder.join(format!("{name}.gif")),
                &animation(&frames).map_err(|error| failed(&error))?,
            )?,
            format => images(&folder.join(&name), &frames, format == 1)?,
        }
        table.push_str(&format!("{name},{}\n", if weak { "weak" } else { "normal" }));
    }
    saved_samples::write(&folder.join(TABLE), table.as_bytes())?;
    let options = serde_json::json!({
        "num_frames": 8,
        "frame_stride": 1,
        "size": 64,
        "colour": false,
        "labels": { "file": TABLE, "key_column": "clip", "label_column": "function" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::bad_request("a frame cannot be encoded").caused_by(error)
}

/// What one clip shows. Lengths are fractions of the frame's height.
struct Heart {
    half_axes: [f32; 2],
    centre: [f32; 2],
    tilt: f32,
    /// Fraction by which the axes shorten.
    stroke: f32,
    frames_a_beat: f32,
    phase: f32,
    wall: f32,
}

impl Heart {
    fn draw(rng: &mut SampleRng, weak: bool) -> Self {
        let stroke = if weak { rng.random_range(0.04..0.1) } else { rng.random_range(0.25..0.4) };
        Self {
            half_axes: [rng.random_range(0.14..0.19), rng.random_range(0.22..0.3)],
            centre: [rng.random_range(-0.08..0.08), rng.random_range(0.5..0.6)],
            tilt: rng.random_range(-0.4..0.4),
            stroke,
            frames_a_beat: rng.random_range(7.0..12.0),
            phase: rng.random(),
            wall: rng.random_range(0.05..0.08),
        }
    }

    fn film(&self, rng: &mut SampleRng) -> Vec<GrayImage> {
        let speckle: Vec<f32> = (0..WIDTH * HEIGHT).map(|_| rng.random::<f32>()).collect();
        let frame = |number: usize| {
            let shrunk = self.contraction(number as f32);
            GrayImage::from_fn(WIDTH, HEIGHT, |x, y| {
                let grain = 0.6 * speckle[(y * WIDTH + x) as usize] + 0.4 * rng.random::<f32>();
                let value = self.brightness([x, y], shrunk) * (0.5 + grain);
                image::Luma([(value.clamp(0.0, 1.0) * 255.0).round() as u8])
            })
        };
        (0..N_FRAMES).map(frame).collect()
    }

    /// How much the axes have shortened: a quick squeeze and a slow filling.
    fn contraction(&self, frame: f32) -> f32 {
        let beat = (frame / self.frames_a_beat + self.phase).fract();
        self.stroke * (0.5 - 0.5 * (TAU * beat.sqrt()).cos())
    }

    fn brightness(&self, [x, y]: [u32; 2], shrunk: f32) -> f32 {
        let side = (x as f32 + 0.5 - WIDTH as f32 / 2.0) / HEIGHT as f32;
        let depth = (y as f32 + 0.5) / HEIGHT as f32;
        // A fan of a right angle with the probe at the top.
        if side.abs() > depth + 0.03 || side.hypot(depth) > 0.98 {
            return 0.0;
        }
        let (dx, dy) = (side - self.centre[0], depth - self.centre[1]);
        let (sin, cos) = self.tilt.sin_cos();
        let (along, across) = (cos * dy + sin * dx, cos * dx - sin * dy);
        let [half_width, half_length] = self.half_axes.map(|axis| axis * (1.0 - shrunk));
        let inner = (across / half_width).hypot(along / half_length);
        // Muscle does not vanish: the wall thickens as the ventricle shrinks.
        let wall = self.wall * (1.0 + shrunk);
        let outer = (across / (half_width + wall)).hypot(along / (half_length + wall));
        match (inner <= 1.0, outer <= 1.0) {
            (true, _) => 0.06,
            (false, true) => 0.75,
            (false, false) => 0.3 * (1.0 - 0.5 * depth),
        }
    }
}

fn images(folder: &Path, frames: &[GrayImage], jpeg: bool) -> Result<(), Error> {
    std::fs::create_dir(folder)
        .map_err(|error| Error::unreadable(format!("{} cannot be made", folder.display())).caused_by(&error))?;
    for (number, frame) in frames.iter().enumerate() {
        let mut file = Cursor::new(Vec::new());
        let encoded: Result<(), ImageError> = if jpeg {
            frame.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 90))
        } else {
            frame.write_to(&mut file, ImageFormat::Png)
        };
        encoded.map_err(|error| failed(&error))?;
        // Without leading zeros, as some devices write them: order is by number, not by name.
        let name = format!("frame_{number}.{}", if jpeg { "jpg" } else { "png" });
        saved_samples::write(&folder.join(name), file.get_ref())?;
    }
    Ok(())
}

fn animation(frames: &[GrayImage]) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let greys: Vec<u8> = (0..=255).flat_map(|grey| [grey; 3]).collect();
    let mut encoder = Encoder::new(&mut file, WIDTH as u16, HEIGHT as u16, &greys)?;
    for frame in frames {
        let buffer = frame.as_raw().as_slice().into();
        encoder.write_frame(&Frame { width: WIDTH as u16, height: HEIGHT as u16, buffer, ..Frame::default() })?;
    }
    drop(encoder);
    Ok(file)
}
