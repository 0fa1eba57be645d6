//! PNG images, for `render`.

use crate::Error;

/// An 8-bit PNG of `pixels` `[height, width, channels]` in `[0, 1]`, clipped; one channel is grey, three are RGB.
///
/// # Errors
/// Dimensions that do not fit the pixels.
pub fn encode_png(pixels: &[f32], width: usize, height: usize, channels: usize) -> Result<Vec<u8>, Error> {
    let fits = pixels.len() == width * height * channels;
    let (Ok(wide), Ok(high), true) = (u32::try_from(width), u32::try_from(height), fits) else {
        return Err(Error::bad_request(format!("{} pixels are no {width}x{height}x{channels} image", pixels.len())));
    };
    let colour = match channels {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => return Err(Error::bad_request(format!("an image has 1 or 3 channels, not {channels}"))),
    };
    let bytes: Vec<u8> = pixels.iter().map(|&value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, wide, high);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    let failed = |error: png::EncodingError| Error::bad_request("an image could not be encoded").caused_by(&error);
    encoder.write_header().map_err(failed)?.write_image_data(&bytes).map_err(failed)?;
    Ok(file)
}
