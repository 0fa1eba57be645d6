//! Synthetic scans: a head with scalp, skull, grey and white matter, ventricles and now and then a bright lesion, under
//! an uneven coil.
//!
//! Made for demonstrations and tests, not for realism: enough structure that a model learns to fill in patches.
//! Intensities have another scale in every scan; floating point and 8-bit files in turn, compressed and not, with the
//! file's axes in several orders; a third of them as DICOM series.

use std::path::{Path, PathBuf};

use medcoss_formats::dicom::write::Modality;
use medcoss_formats::dicom_series_write::DicomSeries;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, in_file_order};
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, SampleRng, Synthesised, sample_rng, serde_json};

/// Samples that a scan gives at least: a tenth of its slices at either end is left out, and more than 16 remain.
const SAMPLES_A_SCAN: usize = 2;
const ROWS: usize = 56;
const COLUMNS: usize = 48;
/// Orders of the file's axes, in turn.
const FACING: [&str; 4] = ["RAS", "LPS", "LAS", "PIR"];

/// Writes scans for at least `n_samples` samples.
pub(crate) fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    for index in 0..n_samples.div_ceil(SAMPLES_A_SCAN) {
        let mut rng = sample_rng(seed.wrapping_add((index as u64) << 32));
        let is_byte = index % 3 == 1;
        let brightest = if is_byte { 240.0 } else { rng.random_range(300.0..3000.0) };
        let scan = scan(&mut rng, brightest)?;
        if index % 3 == 2 {
            write_series(folder, index, &scan)?;
            continue;
        }
        let (size, stored_values, placement) = in_file_order(&scan, FACING[index % FACING.len()])?;
        let file = NiftiFile {
            size: &size,
            stored_values: &stored_values,
            datatype: if is_byte { NumberType::U8 } else { NumberType::F32 },
            placement,
            scaling: [1.0, 0.0],
            big_endian: index % 5 == 4,
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
    let series = format!("2.25.{}", 200_000_000 + index);
    let (facing, rescale) = (FACING[index % FACING.len()], [0.25, 0.0]);
    DicomSeries { volume: scan, facing, modality: Modality::Mr, series: &series, rescale }.write(&folder)
}

/// An ellipsoid: centre and half axes as (depth, rows, columns), in fractions of half the field of view.
#[derive(Clone, Copy)]
struct Ellipsoid {
    centre: [f32; 3],
    half: [f32; 3],
}

impl Ellipsoid {
    fn holds(&self, place: [f32; 3]) -> bool {
        (0..3).map(|axis| ((place[axis] - self.centre[axis]) / self.half[axis]).powi(2)).sum::<f32>() <= 1.0
    }
}

/// Parameters of a patient.
struct Patient {
    head: [f32; 3],
    ventricle: f32,
    folds: f32,
    lesion: Option<Ellipsoid>,
    /// Loss of brightness along each axis, from the coil.
    coil: [f32; 3],
}

fn scan(rng: &mut SampleRng, brightest: f32) -> Result<Volume, Error> {
    let head = [rng.random_range(0.95..1.2), rng.random_range(0.85..0.95), rng.random_range(0.75..0.9)];
    let lesion = rng.random_bool(0.5).then(|| Ellipsoid {
        centre: [rng.random_range(-0.4..0.4), rng.random_range(-0.4..0.4), rng.random_range(-0.4..0.4)],
        half: [0; 3].map(|_| rng.random_range(0.08..0.2)),
    });
    let patient = Patient {
        head,
        ventricle: rng.random_range(0.7..1.4),
        folds: rng.random_range(9.0..14.0),
        lesion,
        coil: [0; 3].map(|_| rng.random_range(-0.2..0.2)),
    };
    let depth = rng.random_range(36..=44);
    let spacing = [rng.random_range(1.0..5.0), 4.0, 4.0];
    let mut voxels = Vec::with_capacity(depth * ROWS * COLUMNS);
    for slice in 0..depth {
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let place = [(slice, depth), (row, ROWS), (column, COLUMNS)]
                    .map(|(at, n)| 2.0 * (at as f32 + 0.5) / n as f32 - 1.0);
                let shading: f32 = 1.0 + (0..3).map(|axis| patient.coil[axis] * place[axis]).sum::<f32>();
                let signal = patient.at(place) * shading + rng.random_range(-0.02_f32..0.02);
                voxels.push(brightest * signal.clamp(0.0, 1.0));
            }
        }
    }
    Volume::new([depth, ROWS, COLUMNS], spacing, voxels)
}

impl Patient {
    /// Signal from 0 to 1 at (depth, row, column), each from -1 to 1.
    fn at(&self, place: [f32; 3]) -> f32 {
        let shell = |scale: f32| Ellipsoid { centre: [-0.1, 0.0, 0.0], half: self.head.map(|half| half * scale) };
        let [z, y, x] = place;
        if !shell(1.0).holds(place) {
            return 0.0;
        }
        if !shell(0.94).holds(place) {
            return 0.85;
        }
        if !shell(0.86).holds(place) {
            return 0.08;
        }
        if self.lesion.is_some_and(|lesion| lesion.holds(place)) {
            return 0.95;
        }
        // Two ventricles beside the middle, longer from front to back.
        let beside = Ellipsoid { centre: [0.1, 0.05, 0.13], half: [0.22, 0.4, 0.09].map(|half| half * self.ventricle) };
        if beside.holds([z, y, x.abs()]) {
            return 0.15;
        }
        // White matter with a folded border; the gap between the halves is dark.
        if x.abs() < 0.02 && y.abs() > 0.3 {
            return 0.2;
        }
        let folded = 0.68 + 0.06 * (self.folds * y).sin() * (self.folds * x).cos() * (self.folds * z).cos();
        if shell(folded).holds(place) { 0.7 } else { 0.45 }
    }
}
