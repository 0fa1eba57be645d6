//! Samples for readers: reduced images in the page, or text.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use maud::{Markup, html};
use medcoss_plugin_host::Rendered;

/// Longest side in pixels of an image that a plugin may return.
const LARGEST: u32 = 8192;
/// Height in pixels up to which a small image is shown enlarged.
const ENLARGED: u32 = 144;
/// Largest number of characters that are shown of a text.
const WORDS: usize = 120;

/// Largest width and height of a shown image, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub width: u32,
    pub height: u32,
}

/// Frame for rows of samples.
pub(crate) const THUMBNAIL: Frame = Frame { width: 176, height: 60 };
/// Frame for images that are compared in detail.
pub(crate) const LARGE: Frame = Frame { width: 420, height: 176 };

/// A sample in a form that the page can show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Exhibit {
    /// A PNG file with its width and height on the page.
    Image { file: Vec<u8>, width: u32, height: u32 },
    /// The beginning of a text.
    Words(String),
}

impl Exhibit {
    /// An exhibit of a sample that a plugin rendered.
    ///
    /// # Errors
    /// An image that cannot be decoded.
    pub(crate) fn of(rendered: Rendered, frame: Frame) -> Result<Self, String> {
        match rendered {
            Rendered::Png(file) => {
                Self::from_image(&file, frame).map_err(|error| format!("its image cannot be read: {error}"))
            }
            Rendered::Text(text) => Ok(Self::Words(beginning(&text))),
        }
    }

    /// Decodes and encodes an image again: smaller, in grey where it is grey, and without other content of the file.
    fn from_image(file: &[u8], frame: Frame) -> image::ImageResult<Self> {
        let mut reader = ImageReader::with_format(Cursor::new(file), ImageFormat::Png);
        let mut limits = Limits::default();
        limits.max_image_width = Some(LARGEST);
        limits.max_image_height = Some(LARGEST);
        reader.limits(limits);
        let decoded = reader.decode()?;
        let fits = decoded.width() <= frame.width && decoded.height() <= frame.height;
        let decoded = if fits { decoded } else { decoded.resize(frame.width, frame.height, FilterType::Triangle) };
        let colours = decoded.to_rgb8();
        let is_grey = colours.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]);
        let decoded: DynamicImage = if is_grey { decoded.to_luma8().into() } else { colours.into() };
        let mut file = Cursor::new(Vec::new());
        decoded.write_to(&mut file, ImageFormat::Png)?;
        Ok(Self::Image { file: file.into_inner(), width: decoded.width(), height: decoded.height() })
    }

    /// This exhibit enlarged by an integer factor, if it is small. The file is unchanged.
    pub(crate) fn enlarged(self) -> Self {
        match self {
            Self::Image { file, width, height } => {
                let times = (ENLARGED / height.max(1)).max(1);
                Self::Image { file, width: width * times, height: height * times }
            }
            words => words,
        }
    }

    /// The exhibit as HTML, with a caption as alternative text.
    pub(crate) fn draw(&self, caption: &str) -> Markup {
        html! {
            @match self {
                Self::Image { file, width, height } => {
                    img src=(format!("data:image/png;base64,{}", STANDARD.encode(file))) width=(width) height=(height) alt=(caption) title=(caption);
                },
                Self::Words(words) => blockquote title=(caption) { (words) },
            }
        }
    }
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}\u{2026}", text[..end].trim_end()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(decoded: DynamicImage) -> Rendered {
        let mut file = Cursor::new(Vec::new());
        decoded.write_to(&mut file, ImageFormat::Png).unwrap();
        Rendered::Png(file.into_inner())
    }

    #[test]
    fn thumbnails_keep_their_proportions_and_grey_images_become_grey() {
        let grey = image::RgbImage::from_fn(400, 100, |x, y| image::Rgb([(x / 2 + y / 4) as u8; 3]));
        let Exhibit::Image { file, width, height } = Exhibit::of(png(grey.into()), THUMBNAIL).unwrap() else {
            panic!("an image")
        };
        assert_eq!((width, height), (176, 44));
        assert_eq!(image::load_from_memory(&file).unwrap().color(), image::ColorType::L8);
        let coloured = image::RgbImage::from_fn(8, 4, |x, _| image::Rgb([x as u8, 0, 9]));
        let Exhibit::Image { file, width, height } = Exhibit::of(png(coloured.clone().into()), THUMBNAIL).unwrap()
        else {
            panic!("an image")
        };
        assert_eq!((width, height), (8, 4));
        assert_eq!(image::load_from_memory(&file).unwrap().to_rgb8(), coloured);
    }

    #[test]
    fn data_that_are_no_image_are_refused_and_long_texts_are_cut() {
        assert!(Exhibit::of(Rendered::Png(b"\x89PNG\r\n\x1a\n".to_vec()), LARGE).is_err());
        let Exhibit::Words(words) = Exhibit::of(Rendered::Text("\u{20ac}".repeat(500)), LARGE).unwrap() else {
            panic!()
        };
        assert_eq!(words.chars().count(), WORDS + 1);
    }
}
