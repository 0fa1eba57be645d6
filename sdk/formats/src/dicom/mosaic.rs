//! Mosaics of Siemens scanners: the slices of a volume side by side in one image, row by row.
//!
//! The number of slices and the direction from one to the next are in a private header ([`super::siemens_csa`]). Without
//! it, Acquisition Matrix (0018,1310) states the size of a tile, tiles without signal at the end are no slices, and slices
//! run along the normal of the image. Positions are those of dcm2niix and nibabel: Image Position (Patient) is the corner
//! of the whole mosaic laid around the centre of a slice, so that a slice begins half of the difference further in.

use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use medcoss_sdk::Error;

use super::attributes::{numbers, texts};
use super::decode::stored_samples;
use super::frames::Frames;
use super::image_plane::{Plane, dot};
use super::object::Object;
use super::pixels::Pixels;
use super::siemens_csa;

/// Largest number of slices of a mosaic.
const MAX_SLICES: f64 = 4096.0;

/// Whether a file is a mosaic, by Image Type.
pub(super) fn is_mosaic(object: &Object) -> bool {
    texts(&object.header, tags::IMAGE_TYPE).iter().any(|kind| kind == "MOSAIC")
}

/// What is known of the slices of a mosaic.
struct Layout {
    n_slices: usize,
    /// Rows and columns of a slice.
    size: [usize; 2],
    /// Slices in a row of tiles.
    n_across: usize,
}

/// The slices of a mosaic, as planes.
///
/// # Errors
/// A file that does not say how many slices it has, or how they lie.
pub(super) fn planes(object: &mut Object, pixels: &Pixels) -> Result<Vec<Plane>, Error> {
    let header = Object::private_value(&object.path, siemens_csa::CREATOR, Tag(0x0029, siemens_csa::IMAGE_HEADER));
    let header = header.unwrap_or_default();
    let Layout { n_slices, size: [rows, columns], n_across } = layout(object, pixels, &header)?;
    let path = object.path.display();
    let no_place = || {
        Error::unsupported(format!(
            "{path} has the slices of a volume side by side in one image (a mosaic), and does not say how they lie\nhint: \
             convert the series to NIfTI, with dcm2niix"
        ))
    };
    let mut whole = Plane::all(object, pixels).into_iter().next().ok_or_else(no_place)?;
    let (Some(position), Some([along_columns, along_rows])) = (whole.position, whole.directions) else {
        return Err(no_place());
    };
    let ([down, across], Some(step)) = (whole.spacing_mm.ok_or_else(no_place)?, whole.step_mm) else {
        return Err(no_place());
    };
    let normal = whole.normal();
    // Slices may run against the normal of the image.
    let stated =
        siemens_csa::numbers(&header, "SliceNormalVector").and_then(|vector| <[f64; 3]>::try_from(vector).ok());
    let sign = stated.map_or(1.0, |stated| if dot(stated, normal) < 0.0 { -1.0 } else { 1.0 });
    let half = |all: usize, own: usize| (all - own) as f64 / 2.0;
    let [right, below] = [half(pixels.columns, columns) * across, half(pixels.rows, rows) * down];
    whole.size = [rows, columns];
    let plane = |slice: usize| {
        let above = sign * step * slice as f64;
        let corner = [0, 1, 2]
            .map(|axis| position[axis] + right * along_columns[axis] + below * along_rows[axis] + above * normal[axis]);
        Plane {
            position: Some(corner),
            location: None,
            tile: Some([slice / n_across * rows, slice % n_across * columns]),
            marks: Arc::clone(&whole.marks),
            ..whole.clone()
        }
    };
    Ok((0..n_slices).map(plane).collect())
}

fn layout(object: &mut Object, pixels: &Pixels, header: &[u8]) -> Result<Layout, Error> {
    let path = object.path.display().to_string();
    let odd = |what: String| {
        Error::unsupported(format!(
            "{path} has the slices of a volume side by side in one image (a mosaic), {what}\nhint: convert the series to \
             NIfTI, with dcm2niix"
        ))
    };
    let whole = [pixels.rows, pixels.columns];
    if pixels.n_frames != 1 {
        return Err(odd(format!("in {} frames; one is read", pixels.n_frames)));
    }
    let stated = siemens_csa::numbers(header, "NumberOfImagesInMosaic").and_then(|found| found.first().copied());
    let stated = stated.or_else(|| stated_in_header(object));
    if let Some(n) = stated.filter(|&n| (1.0..=MAX_SLICES).contains(&n) && n.fract() == 0.0) {
        let n_across = (1..).find(|side| side * side >= n as usize).unwrap_or(1);
        if whole.iter().any(|side| side % n_across != 0) {
            let [rows, columns] = whole;
            return Err(odd(format!(
                "which states {n} slices; {columns}x{rows} pixels are not {n_across}x{n_across} tiles"
            )));
        }
        return Ok(Layout { n_slices: n as usize, size: whole.map(|side| side / n_across), n_across });
    }
    // Rows and columns of the acquisition, each by frequency or by phase; two of the four are 0.
    let matrix = numbers(&object.header, tags::ACQUISITION_MATRIX).unwrap_or_default();
    let [first, second, third, fourth] = matrix[..] else {
        return Err(odd(String::from(
            "and states neither the number of its slices nor its Acquisition Matrix (0018,1310)",
        )));
    };
    let size = [first.max(third), second.max(fourth)];
    let is_size = |at: usize| size[at] >= 1.0 && size[at].fract() == 0.0 && whole[at].is_multiple_of(size[at] as usize);
    if !is_size(0) || !is_size(1) {
        let ([rows, columns], [down, across]) = (whole, size);
        return Err(odd(format!(
            "and {columns}x{rows} pixels are not tiles of its Acquisition Matrix, {across}x{down}"
        )));
    }
    let size = size.map(|side| side as usize);
    let [n_down, n_across] = [whole[0] / size[0], whole[1] / size[1]];
    if n_down * n_across < 2 || n_down * n_across > MAX_SLICES as usize {
        return Err(odd(format!("and its Acquisition Matrix makes {} tiles of it", n_down * n_across)));
    }
    let n_slices = n_with_signal(object, pixels, size, n_down * n_across)?;
    Ok(Layout { n_slices, size, n_across })
}

/// Number of Images in Mosaic (0019,xx0A), which some files have beside the private header or instead of it.
fn stated_in_header(object: &Object) -> Option<f64> {
    let value = Object::private_value(&object.path, "SIEMENS MR HEADER", Tag(0x0019, 0x0a))?;
    // Of representation US, little-endian or unknown and hence little-endian.
    let bytes: [u8; 2] = value.get(..2)?.try_into().ok()?;
    Some(f64::from(u16::from_le_bytes(bytes)))
}

/// Number of tiles up to the last one that is not 0: the tiles after the slices are empty.
fn n_with_signal(
    object: &mut Object,
    pixels: &Pixels,
    [rows, columns]: [usize; 2],
    n_tiles: usize,
) -> Result<usize, Error> {
    let frames = Frames::find(object, pixels)?;
    let samples = stored_samples(object, pixels, &frames, 0)?;
    let n_across = pixels.columns / columns;
    let has_signal = |tile: &usize| {
        let start = tile / n_across * rows * pixels.columns + tile % n_across * columns;
        (0..rows).any(|row| samples[start + row * pixels.columns..][..columns].iter().any(|&sample| sample != 0))
    };
    Ok((0..n_tiles).rev().find(has_signal).map_or(1, |last| last + 1))
}

/// A tile of a frame of `columns` columns.
pub(super) fn cut<T: Copy>(frame: &[T], columns: usize, [top, left]: [usize; 2], [high, wide]: [usize; 2]) -> Vec<T> {
    let rows = frame.chunks_exact(columns).skip(top).take(high);
    rows.flat_map(|row| &row[left..left + wide]).copied().collect()
}
