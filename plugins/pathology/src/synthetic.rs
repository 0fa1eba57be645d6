//! Synthetic sections in haematoxylin and eosin: pink ground with fibres, violet nuclei, many or few of them.
//!
//! Made for demonstrations and tests, not for realism. Tiles are written as RGBA PNG, RGB PNG and JPEG in turn,
//! labelled by how dense the nuclei are; beside them one small slide of two levels, with glass around the tissue.

mod section;
mod slide_file;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, ImageResult, RgbImage};
use medcoss_sdk::{Error, Synthesised, sample_rng, serde_json};

use section::{Cells, Section};

const TILE: [u32; 2] = [96, 80];
const SLIDE: [u32; 2] = [448, 320];
const SLIDE_TILE: u32 = 64;
const TABLE: &str = "labels.csv";

/// Writes `n_samples` tiles, a slide with a few more, and a table of labels.
///
/// # Errors
/// Files that cannot be written.
pub fn write(folder: &Path, n_samples: usize, seed: u64) -> Result<Synthesised, Error> {
    let mut rng = sample_rng(seed);
    let mut table = String::from("file,nuclei\n");
    for index in 0..n_samples {
        let (cells, label) = if index % 2 == 0 { (Cells::Sparse, "sparse") } else { (Cells::Dense, "dense") };
        let image = Section::draw(&mut rng, TILE, cells).paint(&mut rng);
        let (extension, encoded) = match index % 3 {
            0 => ("png", png(DynamicImage::ImageRgb8(image).into_rgba8().into())),
            1 => ("png", png(image.into())),
            _ => ("jpg", jpeg(&image)),
        };
        let name = format!("tile_{index:04}.{extension}");
        let encoded =
            encoded.map_err(|error| Error::bad_request(format!("{name} cannot be encoded")).caused_by(&error))?;
        save(&folder.join(&name), &encoded)?;
        table.push_str(&format!("{name},{label}\n"));
    }
    save(&folder.join(TABLE), table.as_bytes())?;
    let slide = Section::draw(&mut rng, SLIDE, Cells::Dense).on_glass().paint(&mut rng);
    let slide = slide_file::encode(&slide, SLIDE_TILE)
        .map_err(|error| Error::bad_request("slide.tif cannot be encoded").caused_by(error.as_ref()))?;
    save(&folder.join("slide.tif"), &slide)?;
    let options = serde_json::json!({
        "size": 64,
        "slide_min_side": SLIDE_TILE,
        "tile_size": SLIDE_TILE,
        "labels": { "file": TABLE, "key_column": "file", "label_column": "nuclei" },
    });
    Ok(Synthesised { data: vec![PathBuf::from(".")], options })
}

fn png(image: DynamicImage) -> ImageResult<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

fn jpeg(image: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode_image(image)?;
    Ok(file)
}

fn save(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content)
        .map_err(|error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&error))
}
