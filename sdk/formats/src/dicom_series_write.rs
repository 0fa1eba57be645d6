//! Writer of a volume as a DICOM series, one file for each slice: for synthetic samples and tests.

use std::path::Path;

use medcoss_sdk::Error;
use medcoss_sdk::volume::Volume;

use crate::dicom::write::{DicomFile, Modality, Place};
use crate::nifti_write::{Placement, in_file_order};

/// A series to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct DicomSeries<'a> {
    /// The scan.
    pub volume: &'a Volume,
    /// Directions towards which columns, rows and slices run, a letter each: `LPS` keeps the order of the volume.
    pub facing: &'a str,
    /// Modality (0008,0060) of the files.
    pub modality: Modality,
    /// Series Instance UID: digits and points.
    pub series: &'a str,
    /// `[slope, intercept]`: value = stored value * slope + intercept. Stored values are signed integers of 16 bit.
    pub rescale: [f64; 2],
}

impl DicomSeries<'_> {
    /// Writes the slices into a folder that exists. File names count backwards, against the positions of the slices.
    ///
    /// # Errors
    /// Letters that do not name three axes, a folder that cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let (size, values, placement) = in_file_order(self.volume, self.facing)?;
        let Placement::Sform(steps) = placement else {
            return Err(Error::bad_request("a series has its slices placed by steps"));
        };
        let [columns, rows, n_slices] = [0, 1, 2].map(|axis| usize::from(size[axis]));
        // Steps of the volume are to the right and anterior, positions in DICOM to the left and posterior.
        let steps = steps.map(|[right, anterior, superior]| [-right, -anterior, superior].map(f64::from));
        let lengths = steps.map(|step| step.iter().map(|part| part * part).sum::<f64>().sqrt());
        let direction = |axis: usize| steps[axis].map(|part| if part == 0.0 { 0.0 } else { part / lengths[axis] });
        let [slope, intercept] = self.rescale;
        let slices = values.chunks_exact(columns * rows);
        for (slice, values) in slices.enumerate() {
            let stored: Vec<i32> = values
                .iter()
                .map(|value| ((value - intercept) / slope).round().clamp(-32768.0, 32767.0) as i32)
                .collect();
            let place = Place {
                position: steps[2].map(|part| part * slice as f64),
                directions: [direction(0), direction(1)],
                spacing_mm: [lengths[1], lengths[0]],
                thickness_mm: lengths[2],
            };
            let file = DicomFile {
                modality: self.modality,
                series: self.series,
                number: slice + 1,
                size: [rows, columns],
                stored: &stored,
                bits_stored: 16,
                signed: true,
                inverted: false,
                rescale: Some(self.rescale),
                window: None,
                place: Some(place),
            };
            file.write(&folder.join(format!("slice_{:04}.dcm", n_slices - 1 - slice)))?;
        }
        Ok(())
    }
}
