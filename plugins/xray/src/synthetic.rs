//! Synthetic radiographs: a body, two lung fields, ribs, a heart, and in half of them an opacity in one lung.
//!
//! Made for demonstrations and tests, not for realism: enough structure that a model learns to fill in patches, and a
//! label that a probe can find. Written in turn as 8-bit PNG, 16-bit PNG, JPEG, and DICOM of 12 bit with low values black
//! and with low values white.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, ImageError, ImageFormat, ImageResult, Luma};
use medcoss_formats::dicom::write::{DicomFile, Modality};
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, serde_json};

const WIDTH: u32 = 120;
const HEIGHT: u32 = 104;
const TABLE: &str = "labels.csv";

/// Writes `n_samples` radiographs and a table of labels.
///
/// # Errors
/// Files that cannot be written.
pub fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut rng = sample_rng(seed);
    let mut table = String::from("file,finding\n");
    for index in 0..n_samples {
        // By turns in a period that shares no factor with the five formats.
        let chest = Chest::draw(&mut rng, index % 2 == 1);
        let grey = chest.paint(&mut rng);
        let extension = ["png", "png", "jpg", "dcm", "dcm"][index % 5];
        let name = format!("chest_{index:04}.{extension}");
        let path = folder.join(&name);
        let failed = |error: ImageError| Error::bad_request(format!("{name} cannot be encoded")).caused_by(&error);
        match index % 5 {
            0 => save(&path, &eight_bit_png(&grey).map_err(failed)?)?,
            1 => save(&path, &sixteen_bit_png(&grey).map_err(failed)?)?,
            2 => save(&path, &jpeg(&grey).map_err(failed)?)?,
            3 => dicom(&path, &grey, index, false)?,
            _ => dicom(&path, &grey, index, true)?,
        }
        table.push_str(&format!("{name},{}\n", if chest.opacity.is_some() { "opacity" } else { "clear" }));
    }
    save(&folder.join(TABLE), table.as_bytes())?;
    let options = serde_json::json!({
        "size": 64,
        "labels": { "file": TABLE, "key_column": "file", "label_column": "finding" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

/// What one radiograph shows. Lengths are in half widths of the image; the origin is its centre, `y` goes down.
struct Chest {
    /// Half axes of the lungs, and how far their centres lie from the spine.
    lung: [f32; 3],
    /// Half axes of the heart.
    heart: [f32; 2],
    rib_spacing: f32,
    rib_phase: f32,
    /// Overall exposure.
    brightness: f32,
    /// Centre and radius of the opacity.
    opacity: Option<[f32; 3]>,
}

impl Chest {
    fn draw(rng: &mut SampleRng, with_opacity: bool) -> Self {
        let lung = [rng.random_range(0.25..0.33), rng.random_range(0.5..0.62), rng.random_range(0.38..0.46)];
        let side = if rng.random::<bool>() { 1.0 } else { -1.0 };
        let opacity =
            [side * (lung[2] + rng.random_range(-0.1..0.1)), rng.random_range(-0.35..0.35), rng.random_range(0.1..0.2)];
        Self {
            lung,
            heart: [rng.random_range(0.2..0.3), rng.random_range(0.22..0.32)],
            rib_spacing: rng.random_range(0.17..0.22),
            rib_phase: rng.random_range(0.0..1.0),
            brightness: rng.random_range(0.85..1.1),
            opacity: with_opacity.then_some(opacity),
        }
    }

    /// Grey values in `[0, 1]`, row by row, with a little grain.
    fn paint(&self, rng: &mut SampleRng) -> Vec<f32> {
        let mut grey = Vec::with_capacity((WIDTH * HEIGHT) as usize);
        for row in 0..HEIGHT {
            for column in 0..WIDTH {
                let x = (column as f32 + 0.5) / WIDTH as f32 * 2.0 - 1.0;
                let y = ((row as f32 + 0.5) / HEIGHT as f32 * 2.0 - 1.0) * HEIGHT as f32 / WIDTH as f32;
                let grain = rng.random_range(-0.02..0.02);
                grey.push((self.density(x, y) * self.brightness + grain).clamp(0.0, 1.0));
            }
        }
        grey
    }

    /// How bright a place is: the sum of what lies in the beam.
    fn density(&self, x: f32, y: f32) -> f32 {
        let [lung_x, lung_y, apart] = self.lung;
        let body = inside(x, y + 0.1, [0.0, 0.0], [0.95, 1.5]);
        let lungs = inside(x, y, [-apart, -0.05], [lung_x, lung_y]).max(inside(x, y, [apart, -0.05], [lung_x, lung_y]));
        let heart = inside(x, y, [0.14, 0.25], self.heart);
        let spine = (-(x / 0.09).powi(2)).exp();
        // Ribs run down and outwards from the spine.
        let along = (y + 0.5 * x * x) / self.rib_spacing + self.rib_phase;
        let ribs = (0.5 + 0.5 * (along * std::f32::consts::TAU).cos()).powi(4);
        let air = lungs * (1.0 - heart);
        let shadow = self.opacity.map_or(0.0, |[centre_x, centre_y, radius]| {
            let distance = ((x - centre_x).powi(2) + (y - centre_y).powi(2)).sqrt();
            (-(distance / radius).powi(2)).exp()
        });
        0.04 + body * (0.55 + 0.1 * y - air * (0.38 - 0.13 * ribs) + 0.2 * spine + 0.15 * heart + 0.3 * shadow)
    }
}

/// 1 inside an ellipse, 0 outside, with a soft edge.
fn inside(x: f32, y: f32, centre: [f32; 2], half_axes: [f32; 2]) -> f32 {
    let distance = ((x - centre[0]) / half_axes[0]).hypot((y - centre[1]) / half_axes[1]);
    1.0 / (1.0 + ((distance - 1.0) * 20.0).exp())
}

fn eight_bit(grey: &[f32]) -> Vec<u8> {
    grey.iter().map(|value| (value * 255.0).round() as u8).collect()
}

fn eight_bit_png(grey: &[f32]) -> ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut file,
        &eight_bit(grey),
        WIDTH,
        HEIGHT,
        image::ExtendedColorType::L8,
        ImageFormat::Png,
    )?;
    Ok(file.into_inner())
}

fn sixteen_bit_png(grey: &[f32]) -> ImageResult<Vec<u8>> {
    let image = ImageBuffer::from_fn(WIDTH, HEIGHT, |column, row| {
        Luma([(grey[(row * WIDTH + column) as usize] * 65535.0).round() as u16])
    });
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

fn jpeg(grey: &[f32]) -> ImageResult<Vec<u8>> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode(
        &eight_bit(grey),
        WIDTH,
        HEIGHT,
        image::ExtendedColorType::L8,
    )?;
    Ok(file)
}

/// 12 bits of 16. `inverted` stores bright as low, and states a window; otherwise the values speak for themselves.
fn dicom(path: &Path, grey: &[f32], number: usize, inverted: bool) -> Result<(), Error> {
    let bits = |value: f32| (if inverted { 1.0 - value } else { value } * 4095.0).round() as i32;
    let stored: Vec<i32> = grey.iter().map(|&value| bits(value)).collect();
    DicomFile {
        modality: Modality::Radiography,
        series: &format!("2.25.{}", 7_000_000 + number),
        number: 1,
        size: [HEIGHT as usize, WIDTH as usize],
        stored: &stored,
        bits_stored: 12,
        signed: false,
        inverted,
        rescale: None,
        window: inverted.then_some([2048.0, 4096.0]),
        place: None,
    }
    .write(path)
}

fn save(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content)
        .map_err(|error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error))
}
