//! JPEG-LS frames: grey, and colours that follow each other, by the decoder of one component in `openreadout-codecs`.
//!
//! Some writers pad a frame to an even length before its end marker instead of after it. The decoder takes no such bytes, so that
//! they are left out here.

use openreadout_codecs::{Raster as Decoded, jpegls_decode_limited};

use super::jpeg::{Stream, failure, words};
use super::pixels::Pixels;
use super::raster::Raster;
use crate::decode_failure::Failure;

/// Second bytes of the markers of a frame, a scan and its parameters, and of the start and end of an image.
const FRAME: u8 = 0xf7;
const SCAN: u8 = 0xda;
const PARAMETERS: u8 = 0xf8;
const START: [u8; 2] = [0xff, 0xd8];
const END: [u8; 2] = [0xff, 0xd9];
/// Applications' data in which a colour transform is stated, and how they begin.
const COLOUR_TRANSFORM: u8 = 0xe8;
const COLOUR_TRANSFORM_NAME: &[u8] = b"mrfx";

/// Decodes a frame of JPEG-LS.
pub(crate) fn decode(bytes: &[u8], pixels: &Pixels) -> Result<Raster, Failure> {
    let stream = Stream::parse(bytes)?;
    stream.check(pixels)?;
    let mut samples = Vec::with_capacity(pixels.n_pixels() * pixels.n_samples);
    if pixels.n_samples == 1 {
        samples = numbers(component(bytes, pixels)?);
    } else {
        for scan in scans(bytes, pixels.n_samples)? {
            samples.extend(numbers(component(&scan, pixels)?));
        }
    }
    Ok(Raster { samples, planar: pixels.n_samples > 1, is_rgb: false, precision: Some(stream.precision) })
}

/// Decodes a stream of one component.
fn component(bytes: &[u8], pixels: &Pixels) -> Result<Decoded, Failure> {
    let n_bytes = 2 * pixels.n_pixels();
    jpegls_decode_limited(bytes, n_bytes).or_else(|error| {
        let unpadded = without_padding(bytes).into_iter().find_map(|bytes| jpegls_decode_limited(&bytes, n_bytes).ok());
        unpadded.ok_or_else(|| failure(error))
    })
}

fn numbers(decoded: Decoded) -> Vec<i32> {
    if decoded.bits_per_sample > 8 { words(&decoded.data) } else { decoded.data.into_iter().map(i32::from).collect() }
}

/// The stream with its end marker right after its code, without fill bytes, and without a zero before it.
fn without_padding(bytes: &[u8]) -> Vec<Vec<u8>> {
    let Some(end) = segments(bytes).find(|(marker, ..)| *marker == SCAN).map(|(_, _, end)| code_end(bytes, end)) else {
        return Vec::new();
    };
    let ended_at = |end: usize| [&bytes[..end], &END].concat();
    let zero = end.checked_sub(1).filter(|&last| bytes[last] == 0);
    [Some(end), zero].into_iter().flatten().map(ended_at).collect()
}

/// The scans of a stream in which each component has its own, as streams of one component.
fn scans(bytes: &[u8], n: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let mut parameters = Vec::new();
    let mut frame = Vec::new();
    let mut found = Vec::new();
    for (marker, start, end) in segments(bytes) {
        let segment = &bytes[start..end];
        match (marker, segment.get(4..).unwrap_or_default()) {
            // Precision, rows, columns, and one component instead of several.
            (FRAME, [size @ .., _, _, _, _]) if size.len() >= 6 => {
                frame = [&[0xff, FRAME, 0, 11][..], &size[..5], &[1, 1, 0x11, 0]].concat();
            }
            (PARAMETERS, _) => parameters.extend_from_slice(segment),
            (COLOUR_TRANSFORM, [name @ .., transform]) if name == COLOUR_TRANSFORM_NAME && *transform != 0 => {
                return Err(Failure::Unsupported(format!("colour transform {transform} in JPEG-LS")));
            }
            (SCAN, [1, _, ..]) => {
                let code = &bytes[end..code_end(bytes, end)];
                found.push([&START[..], &frame, &parameters, segment, code, &END].concat());
            }
            (SCAN, _) => {
                return Err(Failure::Unsupported(String::from(
                    "colours in JPEG-LS whose lines or pixels are interleaved; grey, and colours that follow each other, are read",
                )));
            }
            _ => {}
        }
    }
    if found.len() != n {
        return Err(Failure::Corrupt(format!("{} scans of JPEG-LS for {n} components", found.len())));
    }
    Ok(found)
}

/// The segments of a stream: second byte of the marker, first byte, and end. The code of a scan lies between its segment and the next.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, usize, usize)> {
    let mut at = START.len();
    std::iter::from_fn(move || {
        // Markers may be preceded by fill bytes.
        while bytes.get(at..at + 2) == Some(&[0xff, 0xff]) {
            at += 1;
        }
        let &[0xff, marker, high, low] = bytes.get(at..)?.first_chunk()? else { return None };
        let (start, end) = (at, at + 2 + usize::from(u16::from_be_bytes([high, low])).max(2));
        if marker == END[1] || end > bytes.len() {
            return None;
        }
        at = if marker == SCAN { code_end(bytes, end) } else { end };
        Some((marker, start, end))
    })
}

/// Where the code of a scan that begins at `start` ends: at the next marker, or with the stream.
fn code_end(bytes: &[u8], start: usize) -> usize {
    // In code, 0xff is followed by a byte whose highest bit is 0.
    let next = bytes[start..].windows(2).position(|pair| pair[0] == 0xff && pair[1] >= 0x80);
    next.map_or(bytes.len(), |at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::pixels::Photometric;

    /// A frame of 4 x 5 pixels, and the codes of three components, by CharLS 2.4.3 (imagecodecs 2026.3.6).
    const FRAME_OF_ONE: &[u8] = &[0xff, 0xf7, 0, 11, 8, 0, 4, 0, 5, 1, 1, 0x11, 0];
    const FRAME_OF_THREE: &[u8] = &[0xff, 0xf7, 0, 17, 8, 0, 4, 0, 5, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    const CODES: [&[u8]; 3] = [
        b"\x80\x0a\x00\x52\xe5\x40\x00\x00\x74\x40\x0c\x60\xb0\x01\x80\x03\x98\x90\x24\x80\x49\x20\x00\x00\x0e\x89\x80",
        b"\x80\x01\xc0\x01\xc5\x59\x80\x00\x00\xf3\x00\x01\x05\x9a\x00\x01\x00\x5b\x2a\x00\x00\x00\xf3\x74\xe5\xc0\x58",
        b"\x80\x00\x14\x00\x01\x48\xc8\x40\x00\x00\x68\x00\x00\x18\x90\x8a\x02\x79\x00\x00\x00\x68\x00\x00\x18\xbf\x58",
    ];

    fn scan(component: usize) -> Vec<u8> {
        [&[0xff, SCAN, 0, 8, 1, component as u8 + 1, 0, 0, 0, 0], CODES[component]].concat()
    }

    /// Sample `at` of a component.
    fn sample(component: usize, at: usize) -> i32 {
        (at * (component + 3) * 7 % 256) as i32
    }

    fn pixels(n_samples: usize) -> Pixels {
        Pixels {
            rows: 4,
            columns: 5,
            n_frames: 1,
            n_samples,
            bits_allocated: 8,
            bits_stored: 8,
            high_bit: 7,
            signed: false,
            planar: false,
            photometric: if n_samples == 1 { Photometric::Monochrome2 } else { Photometric::Rgb },
        }
    }

    #[test]
    fn a_frame_may_be_padded_before_its_end_marker() {
        for (component, padding) in [(0, &[][..]), (0, &[0]), (1, &[0xff]), (2, &[0xff, 0xff]), (1, &[0])] {
            let bytes = [&START[..], FRAME_OF_ONE, &scan(component), padding, &END].concat();
            let found = decode(&bytes, &pixels(1)).unwrap().samples;
            assert_eq!(found, (0..20).map(|at| sample(component, at)).collect::<Vec<_>>(), "{padding:?}");
        }
        let cut = [&START[..], FRAME_OF_ONE, &scan(0)[..20], &END].concat();
        assert!(matches!(decode(&cut, &pixels(1)), Err(Failure::Corrupt(_))));
    }

    #[test]
    fn colours_that_follow_each_other_are_read_and_interleaved_ones_refused() {
        let bytes = [&START[..], FRAME_OF_THREE, &scan(0), &scan(1), &scan(2), &END].concat();
        let raster = decode(&bytes, &pixels(3)).unwrap();
        assert!(raster.planar);
        let expected: Vec<_> = (0..3).flat_map(|component| (0..20).map(move |at| sample(component, at))).collect();
        assert_eq!(raster.samples, expected);
        let refused = |bytes: &[u8], says: &str| match decode(bytes, &pixels(3)) {
            Err(Failure::Unsupported(what) | Failure::Corrupt(what)) => assert!(what.contains(says), "{what}"),
            Ok(_) => panic!("it is read"),
        };
        let interleaved = [0xff, SCAN, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 1, 0];
        refused(&[&START[..], FRAME_OF_THREE, &interleaved, CODES[0], &END].concat(), "interleaved");
        refused(&[&START[..], FRAME_OF_THREE, &scan(0), &END].concat(), "1 scans");
        let transform = b"\xff\xe8\0\x07mrfx\x01";
        refused(&[&START[..], transform, FRAME_OF_THREE, &scan(0), &END].concat(), "colour transform 1");
    }
}
