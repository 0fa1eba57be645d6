//! Animated GIF: what is on the screen after each frame. Frames of a GIF are patches over what was there before.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit};
use medcoss_sdk::Error;
use medcoss_sdk::image::Image;

use crate::clip_info::{ClipInfo, MAX_PIXELS};

/// Most frames of an animation, and pixels of all frames: what some seconds decode.
const MAX_FRAMES: usize = 1 << 17;
const MAX_DECODED_PIXELS: usize = 1 << 29;

/// Counts the frames without decoding them.
///
/// # Errors
/// A file that is missing, damaged, of another kind or too large.
pub(crate) fn info(path: &Path) -> Result<ClipInfo, Error> {
    let mut decoder = decoder(path, true)?;
    let (mut n_frames, mut n_pixels) = (0, 0);
    while let Some(frame) = decoder.next_frame_info().map_err(damaged)? {
        n_frames += 1;
        n_pixels += usize::from(frame.width) * usize::from(frame.height);
        if n_frames > MAX_FRAMES || n_pixels > MAX_DECODED_PIXELS {
            return Err(Error::unsupported(format!(
                "it has more than {MAX_FRAMES} frames, or more than {MAX_DECODED_PIXELS} pixels in all of them\n\
                 hint: a GIF is decoded from its beginning; split it, or store its frames as images"
            )));
        }
    }
    Ok(ClipInfo { n_frames, width: decoder.width().into(), height: decoder.height().into() })
}

/// The screen after each of some frames, in rising order.
///
/// # Errors
/// Those of [`info`], fewer frames than wanted, and those of `visit`.
pub(crate) fn read(
    path: &Path,
    wanted: &[usize],
    mut visit: impl FnMut(Image) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut decoder = decoder(path, false)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let mut screen = vec![[0_u8; 3]; width * height];
    let mut number = 0;
    let mut wanted = wanted.iter().copied().peekable();
    while let Some(&next) = wanted.peek() {
        let Some(frame) = decoder.read_next_frame().map_err(damaged)? else {
            return Err(Error::corrupt(format!("frame {next} is not there; the file ends after {number}")));
        };
        let (left, top, columns) = (usize::from(frame.left), usize::from(frame.top), usize::from(frame.width));
        let rows = usize::from(frame.height);
        let inside = left + columns <= width && top + rows <= height;
        if !inside || frame.buffer.len() != columns * rows * 4 {
            return Err(Error::corrupt(format!("frame {number} of {columns}x{rows} reaches beyond {width}x{height}")));
        }
        // Only the frame's rectangle changes.
        let before = (frame.dispose == DisposalMethod::Previous).then(|| {
            (top..top + rows).flat_map(|row| &screen[row * width + left..][..columns]).copied().collect::<Vec<_>>()
        });
        let (pixels, _) = frame.buffer.as_chunks::<4>();
        for (at, &[red, green, blue, opacity]) in pixels.iter().enumerate() {
            if opacity > 0 {
                screen[(top + at / columns) * width + left + at % columns] = [red, green, blue];
            }
        }
        if number == next {
            let values = screen.as_flattened().iter().map(|&value| f32::from(value) / 255.0).collect();
            visit(Image::new([height, width, 3], values)?)?;
            wanted.next();
        }
        match (frame.dispose, before) {
            (DisposalMethod::Previous, Some(before)) => {
                for (row, pixels) in (top..).zip(before.chunks_exact(columns.max(1))) {
                    screen[row * width + left..][..columns].copy_from_slice(pixels);
                }
            }
            (DisposalMethod::Background, _) => {
                for row in top..top + rows {
                    screen[row * width + left..][..columns].fill([0; 3]);
                }
            }
            _ => {}
        }
        number += 1;
    }
    Ok(())
}

fn decoder(path: &Path, skip: bool) -> Result<Decoder<BufReader<File>>, Error> {
    let file = File::open(path)
        .map_err(|error| Error::unreadable(format!("{} cannot be read", path.display())).caused_by(&error))?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.check_frame_consistency(true);
    options.skip_frame_decoding(skip);
    // Four bytes a pixel; what a header claims is not allocated beyond that.
    options
        .set_memory_limit(MemoryLimit::Bytes((4 * MAX_PIXELS as u64).try_into().unwrap_or(std::num::NonZeroU64::MAX)));
    let decoder = options.read_info(BufReader::new(file)).map_err(damaged)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    if width * height == 0 || width * height > MAX_PIXELS {
        return Err(Error::unsupported(format!("its frames are {width}x{height}; 1 to {MAX_PIXELS} pixels are read")));
    }
    Ok(decoder)
}

fn damaged(error: DecodingError) -> Error {
    Error::corrupt("it is not a valid GIF file").caused_by(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gif::{Encoder, Frame};

    /// A frame of one colour of the palette black, red, green; 2 is transparent where asked for.
    fn frame(place: [u16; 4], indices: &[u8], dispose: DisposalMethod, transparent: Option<u8>) -> Frame<'static> {
        let [left, top, width, height] = place;
        Frame { left, top, width, height, dispose, transparent, buffer: indices.to_vec().into(), ..Frame::default() }
    }

    fn written(frames: &[Frame<'static>]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = Encoder::new(&mut file, 3, 2, &[0, 0, 0, 255, 0, 0, 0, 255, 0]).unwrap();
        frames.iter().for_each(|frame| encoder.write_frame(frame).unwrap());
        drop(encoder);
        file
    }

    /// First letters of the colours on the screen, after each frame.
    fn screens(file: &tempfile::NamedTempFile) -> Vec<String> {
        let n_frames = info(file.path()).unwrap().n_frames;
        let mut screens = Vec::new();
        let letter = |pixel: &[f32]| match pixel {
            [1.0, 0.0, 0.0] => 'r',
            [0.0, 1.0, 0.0] => 'g',
            _ => '.',
        };
        read(file.path(), &(0..n_frames).collect::<Vec<_>>(), |screen| {
            assert_eq!((screen.width(), screen.height()), (3, 2));
            screens.push(screen.pixels().chunks_exact(3).map(letter).collect());
            Ok(())
        })
        .unwrap();
        screens
    }

    #[test]
    fn frames_are_laid_over_what_was_there() {
        let file = written(&[
            frame([0, 0, 3, 2], &[1; 6], DisposalMethod::Keep, None),
            frame([1, 0, 2, 1], &[2, 2], DisposalMethod::Previous, None),
            frame([0, 1, 2, 1], &[0, 2], DisposalMethod::Background, Some(2)),
            frame([2, 1, 1, 1], &[2], DisposalMethod::Keep, None),
        ]);
        assert_eq!(info(file.path()).unwrap(), ClipInfo { n_frames: 4, width: 3, height: 2 });
        // The green pair goes away again; the transparent pixel leaves red; then its rectangle is cleared.
        assert_eq!(screens(&file), ["rrrrrr", "rggrrr", "rrr.rr", "rrr..g"]);
    }

    #[test]
    fn an_animation_of_too_many_pixels_is_refused_before_it_is_decoded() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = Encoder::new(&mut file, 4096, 4096, &[0, 0, 0, 255, 0, 0]).unwrap();
        let mut large = frame([0, 0, 4096, 4096], &vec![0; 1 << 24], DisposalMethod::Keep, None);
        large.make_lzw_pre_encoded();
        (0..40).for_each(|_| encoder.write_lzw_pre_encoded_frame(&large).unwrap());
        drop(encoder);
        let error = info(file.path()).unwrap_err();
        assert!(
            error.message().starts_with("it has more than 131072 frames, or more than 536870912 pixels"),
            "{error}"
        );
    }

    #[test]
    fn some_frames_alone_are_the_same() {
        let file =
            written(&[1, 2, 1, 2, 2].map(|colour| frame([0, 0, 3, 2], &[colour; 6], DisposalMethod::Keep, None)));
        let mut found = Vec::new();
        read(file.path(), &[1, 2, 4], |screen| {
            found.push(screen.pixels()[..3].to_vec());
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        let error = read(file.path(), &[5], |_| Ok(())).unwrap_err();
        assert!(error.message().contains("frame 5 is not there"), "{error}");
    }
}
