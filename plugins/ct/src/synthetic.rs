//! Synthetic scans: a trunk with fat, muscle, lungs, heart, liver, vertebrae and ribs, changing from the abdomen up to
//! the neck.
//!
//! Made for demonstrations and tests, not for realism: enough structure that a model learns to fill in patches. Stored
//! as 16-bit integers with slope and intercept, compressed and not, with the file's axes in several orders; a third of
//! them as DICOM series.

use std::path::{Path, PathBuf};

use medcoss_formats::dicom::write::Modality;
use medcoss_formats::dicom_series_write::DicomSeries;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, in_file_order};
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, serde_json};

/// Samples that a scan gives: it has more than two and at most three times 16 slices.
const SAMPLES_A_SCAN: usize = 3;
const ROWS: usize = 60;
const COLUMNS: usize = 72;
/// Orders of the file's axes, in turn.
const FACING: [&str; 4] = ["LPS", "RAS", "LAS", "PIR"];

/// Writes scans for at least `n_samples` samples.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    for index in 0..n_samples.div_ceil(SAMPLES_A_SCAN) {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        let scan = scan(&mut rng)?;
        if index % 3 == 1 {
            write_series(folder, index, &scan)?;
            continue;
        }
        let (size, mut stored_values, placement) = in_file_order(&scan, FACING[index % FACING.len()])?;
        // Half of the scans as they come from a scanner, values from 0 on; the other half in Hounsfield units.
        let scaling = if index % 2 == 0 { [1.0, -1024.0] } else { [1.0, 0.0] };
        for value in &mut stored_values {
            *value -= f64::from(scaling[1]);
        }
        let big_endian = index % 3 == 2;
        let file = NiftiFile {
            size: &size,
            stored_values: &stored_values,
            datatype: NumberType::I16,
            placement,
            scaling,
            big_endian,
        };
        let extension = if index % 4 == 3 { "nii" } else { "nii.gz" };
        file.write(&folder.join(format!("scan_{index:04}.{extension}")))?;
    }
    Ok(Synthesised { data: vec![PathBuf::from(".")], options: serde_json::json!({"size": [16, 64, 64]}) })
}

/// Writes a scan as a folder of slices.
fn write_series(folder: &Path, index: usize, scan: &Volume) -> Result<(), Error> {
    let folder = folder.join(format!("scan_{index:04}"));
    std::fs::create_dir(&folder)
        .map_err(|error| Error::unreadable(format!("{} cannot be made", folder.display())).caused_by(&error))?;
    let series = format!("2.25.{}", 100_000_000 + index);
    let (facing, rescale) = (FACING[index % FACING.len()], [1.0, -1024.0]);
    DicomSeries { volume: scan, facing, modality: Modality::Ct, series: &series, rescale }.write(&folder)
}

/// Parameters of a patient. Lengths are fractions of half the field of view.
struct Patient {
    width: f32,
    thickness: f32,
    fat: f32,
    /// Height, from 0 (lowest slice) to 1, above which there are lungs.
    diaphragm: f32,
    heart: f32,
    /// Liver and heart in Hounsfield units: contrast agent or none.
    enhanced: f32,
    curve: f32,
    vertebra: f32,
}

fn scan(rng: &mut SampleRng) -> Result<Volume, Error> {
    let patient = Patient {
        width: rng.random_range(0.78..0.95),
        thickness: rng.random_range(0.6..0.8),
        fat: rng.random_range(0.03..0.12),
        diaphragm: rng.random_range(0.3..0.6),
        heart: rng.random_range(0.2..0.3),
        enhanced: rng.random_range(50.0..180.0),
        curve: rng.random_range(-0.08..0.08),
        vertebra: rng.random_range(3.0..5.0),
    };
    let depth = rng.random_range(36..=48);
    let spacing = [rng.random_range(2.0..5.0), 5.0, 5.0];
    let mut voxels = Vec::with_capacity(depth * ROWS * COLUMNS);
    for slice in 0..depth {
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let place = |at: usize, n: usize| 2.0 * (at as f32 + 0.5) / n as f32 - 1.0;
                let height = slice as f32 / (depth - 1) as f32;
                let hounsfield = patient.at(place(column, COLUMNS), place(row, ROWS), height, slice as f32);
                voxels.push((hounsfield + rng.random_range(-12.0_f32..12.0)).round());
            }
        }
    }
    Volume::new([depth, ROWS, COLUMNS], spacing, voxels)
}

impl Patient {
    /// Hounsfield units at `x` (-1 right to 1 left), `y` (-1 anterior to 1 posterior), `height` (0 to 1), and in which
    /// slice.
    fn at(&self, x: f32, y: f32, height: f32, slice: f32) -> f32 {
        // Shoulders taper to the neck.
        let taper = 1.0 - 0.45 * ((height - 0.8) / 0.2).clamp(0.0, 1.0);
        let (width, thickness) = (self.width * taper, self.thickness * taper);
        let body = ellipse(x, y, width, thickness);
        if body > 1.0 {
            return -1000.0;
        }
        let spine = x - self.curve * (3.0 * height).sin();
        let back = 0.6 * thickness;
        if ellipse(spine, y - back, 0.13, 0.14) <= 1.0 {
            let is_disc = (slice / self.vertebra).fract() < 0.25;
            return if is_disc { 90.0 } else { 450.0 };
        }
        if ellipse(spine, y - back - 0.17, 0.05, 0.05) <= 1.0 {
            return 30.0;
        }
        if ellipse(x, y, width - self.fat, thickness - self.fat) > 1.0 {
            return -100.0;
        }
        let chest = ((height - self.diaphragm) / 0.12).clamp(0.0, 1.0) * ((1.0 - height) / 0.2).clamp(0.0, 1.0);
        if chest > 0.05 {
            return self.chest([x, y], [width, thickness], chest, body, slice);
        }
        if height < self.diaphragm && ellipse(x + 0.35 * width, y + 0.05, 0.5 * width, 0.6 * thickness) <= 1.0 {
            return 0.4 * self.enhanced + 40.0;
        }
        45.0
    }

    /// Hounsfield units within the wall of the chest. `chest` grows from 0 to 1 away from its ends, `body` is 1 on the
    /// skin.
    fn chest(&self, [x, y]: [f32; 2], [width, thickness]: [f32; 2], chest: f32, body: f32, slice: f32) -> f32 {
        // Ribs: pieces of the wall that slant downwards as they come forward.
        if (0.62..0.72).contains(&body) && (slice / 3.0 + 0.8 * y).rem_euclid(1.0) < 0.4 {
            return 350.0;
        }
        if ellipse(x - 0.12, y + 0.2, self.heart, self.heart) <= chest {
            return self.enhanced;
        }
        let lung = 0.36 * width * chest;
        if ellipse(x.abs() - 0.42 * width, y, lung, 0.62 * thickness * chest) <= 1.0 {
            return -830.0;
        }
        40.0
    }
}

/// 1 on the ellipse with these half axes, less inside.
fn ellipse(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    (x / half_width).powi(2) + (y / half_height).powi(2)
}
