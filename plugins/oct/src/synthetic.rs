//! Synthetic tomograms of a retina: bright layers that follow the curve of the fundus, a dent at the fovea, speckle,
//! and in half of the eyes a dark pocket of fluid, which is the label. Made for demonstrations and tests, not for
//! realism.
//!
//! Written in turn as folders of PNG, of JPEG and of PGM, and as DICOM of several frames; two eyes a patient.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageError, ImageFormat};
use medcoss_formats::dicom::write_multi_frame::{Kind, MultiFrameFile, WrittenFrames};
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, saved_samples, serde_json};

/// Columns, rows and slices of a volume.
const WIDTH: u32 = 72;
const HEIGHT: u32 = 56;
const N_SLICES: u32 = 7;
const TABLE: &str = "labels.csv";

/// Writes `n_samples` volumes, and a table of labels and patients.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut table = String::from("eye,finding,patient\n");
    for index in 0..n_samples {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        // By turns in a period that shares no factor with the four formats.
        let has_fluid = index % 3 == 1;
        let retina = Retina::draw(&mut rng, has_fluid);
        let n_slices = if index % 5 == 4 { N_SLICES - 4 } else { N_SLICES };
        let slices: Vec<GrayImage> = (0..n_slices).map(|slice| retina.slice(slice, &mut rng)).collect();
        let patient = format!("p{:02}", index / 2);
        let name = format!("eye_{index:04}");
        let own = folder.join(&patient);
        let failed =
            |error: std::io::Error| Error::unreadable(format!("{} cannot be made", own.display())).caused_by(&error);
        std::fs::create_dir_all(&own).map_err(failed)?;
        match index % 4 {
            3 => {
                dicom(&own.join(format!("{name}.dcm")), &slices, index)?;
                table.push_str(&format!("{name}.dcm"));
            }
            kind => {
                std::fs::create_dir(own.join(&name)).map_err(failed)?;
                for (number, slice) in slices.iter().enumerate() {
                    let (extension, content) = encoded(slice, kind)?;
                    // Without leading zeros, as some devices write them: order is by number, not by name.
                    saved_samples::write(&own.join(&name).join(format!("bscan_{number}.{extension}")), &content)?;
                }
                table.push_str(&name);
            }
        }
        table.push_str(&format!(",{},{patient}\n", if has_fluid { "fluid" } else { "dry" }));
    }
    saved_samples::write(&folder.join(TABLE), table.as_bytes())?;
    let options = serde_json::json!({
        "size": [6, 48, 64],
        "patch_size": [3, 16, 16],
        "mask_ratio": 0.75,
        "labels": { "file": TABLE, "key_column": "eye", "label_column": "finding", "group_column": "patient" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

/// Extension and content of a slice as PNG, JPEG or PGM.
fn encoded(slice: &GrayImage, kind: usize) -> Result<(&'static str, Vec<u8>), Error> {
    let failed = |error: ImageError| Error::bad_request("a slice cannot be encoded").caused_by(&error);
    let mut file = Cursor::new(Vec::new());
    match kind {
        0 => slice.write_to(&mut file, ImageFormat::Png).map_err(failed)?,
        1 => JpegEncoder::new_with_quality(&mut file, 90).encode_image(slice).map_err(failed)?,
        _ => {
            let header = format!("P5\n# a slice\n{WIDTH} {HEIGHT}\n255\n");
            return Ok(("pgm", [header.as_bytes(), slice.as_raw()].concat()));
        }
    }
    Ok((["png", "jpg"][kind], file.into_inner()))
}

fn dicom(path: &Path, slices: &[GrayImage], index: usize) -> Result<(), Error> {
    let frames: Vec<Vec<u8>> = slices.iter().map(|slice| slice.as_raw().clone()).collect();
    let file = MultiFrameFile {
        kind: Kind::Tomography { spacing_mm: [0.24, 0.0039, 0.0117] },
        series: &format!("2.25.{}", 700 + index),
        size: [HEIGHT as usize, WIDTH as usize],
        channels: 1,
        frames: WrittenFrames::Native(&frames),
    };
    file.write(path)
}

/// What one eye shows. Lengths are fractions of a slice's sides.
struct Retina {
    /// Depth of the inner surface, and by how much it curves.
    surface: f32,
    curve: f32,
    /// Depth and width of the fovea.
    fovea: [f32; 2],
    /// Brightness of the layers from the inside to the outside.
    layers: [f32; 6],
    thickness: f32,
    /// Centre (column, slice), and half axes of the fluid.
    fluid: Option<[f32; 4]>,
}

impl Retina {
    fn draw(rng: &mut SampleRng, has_fluid: bool) -> Self {
        let fluid = [
            rng.random_range(0.35..0.65),
            rng.random_range(0.3..0.7),
            rng.random_range(0.12..0.2),
            rng.random_range(0.07..0.11),
        ];
        Self {
            surface: rng.random_range(0.28..0.36),
            curve: rng.random_range(0.05..0.15),
            fovea: [rng.random_range(0.06..0.1), rng.random_range(0.08..0.14)],
            layers: [0.75, 0.5, 0.35, 0.45, 0.25, 0.9].map(|grey: f32| grey * rng.random_range(0.85..1.15)),
            thickness: rng.random_range(0.3..0.38),
            fluid: has_fluid.then_some(fluid),
        }
    }

    fn slice(&self, slice: u32, rng: &mut SampleRng) -> GrayImage {
        GrayImage::from_fn(WIDTH, HEIGHT, |x, y| {
            let [across, down] = [(x as f32 + 0.5) / WIDTH as f32, (y as f32 + 0.5) / HEIGHT as f32];
            let along = (slice as f32 + 0.5) / N_SLICES as f32;
            let speckle = 0.6 + 0.8 * rng.random::<f32>();
            let grey = self.grey([across, down, along]) * speckle;
            image::Luma([(grey.clamp(0.0, 1.0) * 255.0).round() as u8])
        })
    }

    fn grey(&self, [across, down, along]: [f32; 3]) -> f32 {
        let from_centre = (across - 0.5).hypot((along - 0.5) * 0.6);
        let [dent, width] = self.fovea;
        let inner =
            self.surface + self.curve * from_centre.powi(2) * 4.0 + dent * (-(from_centre / width).powi(2)).exp();
        let outer = self.surface + self.curve * from_centre.powi(2) * 4.0 + self.thickness;
        let within = (down - inner) / (outer - inner);
        if within < 0.0 {
            return 0.05;
        }
        if within > 1.0 {
            return 0.35 * (-(within - 1.0) * 3.0).exp();
        }
        if let Some([column, slice, wide, high]) = self.fluid {
            let middle = (inner + outer) / 2.0;
            let distance = ((across - column) / wide).hypot((down - middle) / high).hypot((along - slice) / 0.4);
            if distance < 1.0 {
                return 0.03;
            }
        }
        self.layers[((within * self.layers.len() as f32) as usize).min(self.layers.len() - 1)]
    }
}
