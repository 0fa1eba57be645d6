//! JPEG frames. `jpeg-decoder` decodes DCT of 8 bit and lossless JPEG of up to 16; `openreadout-codecs` decodes DCT of 12 bit.
//!
//! Sizes in the compressed stream are compared with the header before decoding.

use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
use openreadout_codecs::{CodecError, jpeg_decode_limited};

use super::pixels::{Photometric, Pixels};
use super::raster::Raster;
use crate::decode_failure::Failure;

/// Largest number of scans of a frame; progressive ones have about ten.
const MAX_SCANS: usize = 100;

/// Facts that a stream of JPEG or JPEG-LS states before its first scan.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stream {
    /// Second byte of the frame's marker.
    frame: u8,
    pub(super) precision: u32,
    rows: usize,
    columns: usize,
    n_components: usize,
    /// Identifiers of the components.
    names: [u8; 3],
    is_jfif: bool,
    /// Colour transform that Adobe's marker states.
    adobe: Option<u8>,
}

impl Stream {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let mut stream = Self::default();
        let mut at = 2;
        while let Some(&[0xff, marker]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            if marker == 0xff || (0xd0..=0xd8).contains(&marker) {
                at += if marker == 0xff { 1 } else { 2 };
                continue;
            }
            let Some(&length) = bytes.get(at + 2..).and_then(<[u8]>::first_chunk) else { break };
            let length = usize::from(u16::from_be_bytes(length)).max(2);
            let segment = bytes.get(at + 4..at + 2 + length).unwrap_or_default();
            match (marker, segment) {
                (0xe0, [b'J', b'F', b'I', b'F', ..]) => stream.is_jfif = true,
                (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                    stream.adobe = Some(*transform);
                }
                // Frame headers of every process, JPEG-LS included; not the tables of Huffman and arithmetic coding.
                (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7, &[precision, a, b, c, d, n, ..]) => {
                    stream.frame = marker;
                    stream.precision = u32::from(precision);
                    stream.rows = usize::from(u16::from_be_bytes([a, b]));
                    stream.columns = usize::from(u16::from_be_bytes([c, d]));
                    stream.n_components = usize::from(n);
                    for (name, component) in stream.names.iter_mut().zip(segment[6..].chunks(3)) {
                        *name = component[0];
                    }
                    return Ok(stream);
                }
                (0xda | 0xd9, _) => break,
                _ => {}
            }
            at += 2 + length;
        }
        Err(Failure::Corrupt(String::from("no JPEG frame")))
    }

    pub(super) fn check(&self, pixels: &Pixels) -> Result<(), Failure> {
        let found = [self.rows, self.columns, self.n_components];
        let expected = [pixels.rows, pixels.columns, pixels.n_samples];
        if found != expected {
            let ([rows, columns, n], [header_rows, header_columns, header_n]) = (found, expected);
            return Err(Failure::Corrupt(format!(
                "an image of {columns}x{rows}x{n}, where the header states {header_columns}x{header_rows}x{header_n}"
            )));
        }
        Ok(())
    }

    /// Whether three components are YCbCr: by the stream, or else by the header.
    fn is_ybr(&self, pixels: &Pixels) -> bool {
        match self.adobe {
            Some(transform) => transform != 0,
            None if self.is_jfif => true,
            None if self.names == *b"RGB" => false,
            None => pixels.photometric != Photometric::Rgb,
        }
    }
}

/// Decodes a frame of JPEG.
pub(crate) fn decode(bytes: &[u8], pixels: &Pixels) -> Result<Raster, Failure> {
    let stream = Stream::parse(bytes)?;
    stream.check(pixels)?;
    check_scans(bytes)?;
    let n_bytes = 2 * pixels.n_pixels() * pixels.n_samples;
    let is_cosine = stream.frame != 0xc3;
    if is_cosine && stream.precision == 12 {
        let raster = jpeg_decode_limited(&with_plain_scans(bytes), n_bytes).map_err(failure)?;
        let is_rgb = pixels.n_samples == 3;
        return Ok(Raster { samples: words(&raster.data), planar: false, is_rgb, precision: Some(12) });
    }
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(n_bytes);
    decoder.read_info().map_err(|error| jpeg_failure(&error))?;
    let is_ybr = is_cosine && stream.is_ybr(pixels);
    if pixels.n_samples == 3 {
        decoder.set_color_transform(if is_ybr { ColorTransform::YCbCr } else { ColorTransform::RGB });
    }
    let decoded = decoder.decode().map_err(|error| jpeg_failure(&error))?;
    let samples = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L16) => {
            let (pairs, _) = decoded.as_chunks::<2>();
            pairs.iter().map(|&pair| i32::from(u16::from_ne_bytes(pair))).collect()
        }
        _ => decoded.into_iter().map(i32::from).collect(),
    };
    // Lossless colour is returned as stored; the header says which colour space it has.
    Ok(Raster { samples, planar: false, is_rgb: is_cosine, precision: Some(stream.precision) })
}

/// The stream with the spectral selection of sequential scans that the standard requires. Some scanners write zeros,
/// which have no meaning in such scans.
fn with_plain_scans(bytes: &[u8]) -> Vec<u8> {
    let mut stream = bytes.to_vec();
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = stream.get(at..).and_then(<[u8]>::first_chunk) {
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
        if marker == 0xda {
            if let Some(selection) = stream.get_mut(end - 3..end) {
                selection.copy_from_slice(&[0, 63, 0]);
            }
            break;
        }
        at = end;
    }
    stream
}

/// Refuses a frame with too many scans: each scan of a progressive frame is a pass over all pixels, for a few bytes.
fn check_scans(bytes: &[u8]) -> Result<(), Failure> {
    let n_scans = bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
    if n_scans > MAX_SCANS {
        return Err(Failure::Unsupported(format!("a JPEG of {n_scans} scans; at most {MAX_SCANS} are read")));
    }
    Ok(())
}

pub(super) fn words(bytes: &[u8]) -> Vec<i32> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|&pair| i32::from(u16::from_le_bytes(pair))).collect()
}

fn jpeg_failure(error: &jpeg_decoder::Error) -> Failure {
    match error {
        jpeg_decoder::Error::Unsupported(what) => {
            Failure::Unsupported(format!("JPEG of an unsupported kind: {what:?}"))
        }
        other => Failure::Corrupt(other.to_string()),
    }
}

pub(super) fn failure(error: CodecError) -> Failure {
    match error {
        CodecError::Unsupported { detail, .. } => {
            Failure::Unsupported(format!("JPEG of an unsupported kind: {detail}"))
        }
        other => Failure::Corrupt(other.to_string()),
    }
}
