//! JPEG 2000 frames.

use super::pixels::Pixels;
use super::raster::Raster;
use crate::decode_failure::Failure;
use crate::jpeg2000_stream::{self, Component};

/// Decodes a frame of JPEG 2000.
pub(crate) fn decode(bytes: &[u8], pixels: &Pixels) -> Result<Raster, Failure> {
    // The standard forbids a JP2 file around the code stream, and some writers add one.
    let code = jpeg2000_stream::code(bytes)?;
    let [columns, rows] = jpeg2000_stream::size(code)?;
    if (rows, columns) != (pixels.rows, pixels.columns) {
        let Pixels { rows: header_rows, columns: header_columns, .. } = pixels;
        return Err(Failure::Corrupt(format!(
            "an image of {columns}x{rows}, where the header states {header_columns}x{header_rows}"
        )));
    }
    let components = jpeg2000_stream::decode(code)?;
    let precision = components.first().map(|component| component.bit_depth);
    let samples = interleaved(components, pixels)?;
    Ok(Raster { samples, planar: false, is_rgb: false, precision })
}

fn interleaved(components: Vec<Component>, pixels: &Pixels) -> Result<Vec<i32>, Failure> {
    let n = components.len();
    if n != pixels.n_samples || !components.iter().all(|component| component.samples.len() == pixels.n_pixels()) {
        return Err(Failure::Unsupported(format!("JPEG 2000 of {n} components that are not of the image's size")));
    }
    let planes: Vec<Vec<i32>> = components.into_iter().map(|component| component.samples).collect();
    Ok(match planes.as_slice() {
        [first, second, third] => (0..pixels.n_pixels()).flat_map(|at| [first[at], second[at], third[at]]).collect(),
        _ => planes.into_iter().next().unwrap_or_default(),
    })
}
