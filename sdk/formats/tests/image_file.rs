//! Image files of every supported kind, made by the tests, and real unusual ones where they are present.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Pixel, Rgb, Rgba};
use medcoss_formats::image_file::{
    DecodedImage, has_known_extension, read_decoded, read_grey, read_grey_by_depth, read_image,
};
use medcoss_sdk::image::{Image, Region, Resizable};
use medcoss_sdk::{Error, code, find_files};
use medcoss_test_support::data;
use tiff::encoder::{TiffEncoder, colortype};
use tiff::tags::Tag;

fn read(content: &[u8]) -> Result<Image, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    std::fs::write(&path, content).unwrap();
    read_image(&path)
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// An image of 5 x 3 pixels, all equal but the one in column 4 of row 1.
fn with_one<P: Pixel>(all: P, one: P) -> ImageBuffer<P, Vec<P::Subpixel>> {
    ImageBuffer::from_fn(5, 3, |x, y| if (x, y) == (4, 1) { one } else { all })
}

/// The value of the one pixel.
fn one(image: &Image) -> &[f32] {
    assert_eq!((image.width(), image.height()), (5, 3));
    let channels = image.channels();
    &image.pixels()[(5 + 4) * channels..][..channels]
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (found_value, value) in found.iter().zip(expected) {
        assert!((found_value - value).abs() <= tolerance, "{found:?} instead of {expected:?}");
    }
}

#[test]
fn png_of_eight_bits_is_scaled_by_255() {
    let png = encoded(DynamicImage::ImageRgb8(with_one(Rgb([0, 0, 0]), Rgb([51, 102, 255]))), ImageFormat::Png);
    close(one(&read(&png).unwrap()), &[0.2, 0.4, 1.0], 1e-6);
}

#[test]
fn png_of_sixteen_bits_is_scaled_by_65535() {
    let colour = with_one(Rgb([0_u16; 3]), Rgb([13107, 26214, 65535]));
    close(one(&read(&encoded(DynamicImage::ImageRgb16(colour), ImageFormat::Png)).unwrap()), &[0.2, 0.4, 1.0], 1e-6);
    let grey = with_one(image::Luma([0_u16]), image::Luma([13108]));
    let grey = read(&encoded(DynamicImage::ImageLuma16(grey), ImageFormat::Png)).unwrap();
    close(one(&grey), &[13108.0 / 65535.0], 1e-7);
}

#[test]
fn transparency_is_laid_over_white() {
    let colour = with_one(Rgba([9_u8, 9, 9, 255]), Rgba([51, 0, 255, 102]));
    close(one(&read(&encoded(colour, ImageFormat::Png)).unwrap()), &[0.68, 0.6, 1.0], 1e-6);
    let grey = with_one(LumaA([9_u8, 255]), LumaA([51, 102]));
    close(one(&read(&encoded(grey, ImageFormat::Png)).unwrap()), &[0.68], 1e-6);
    let clear = with_one(Rgba([0_u8, 0, 0, 255]), Rgba([0, 0, 0, 0]));
    close(one(&read(&encoded(clear, ImageFormat::Png)).unwrap()), &[1.0, 1.0, 1.0], 0.0);
}

#[test]
fn palettes_are_resolved_with_their_transparency() {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 5, 3);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette([0, 0, 0, 255, 0, 51].as_slice());
    encoder.set_trns([255, 102].as_slice());
    let mut indices = [0; 15];
    indices[5 + 4] = 1;
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    close(one(&read(&file).unwrap()), &[1.0, 0.6, 0.68], 1e-6);
}

#[test]
fn jpeg_is_read_in_grey_and_in_colour() {
    let mut grey = Vec::new();
    let flat = GrayImage::from_pixel(19, 11, image::Luma([77]));
    JpegEncoder::new_with_quality(&mut grey, 95).encode_image(&flat).unwrap();
    let grey = read(&grey).unwrap();
    assert_eq!((grey.width(), grey.height(), grey.channels()), (19, 11, 1));
    close(grey.pixels(), &[77.0 / 255.0; 19 * 11], 0.01);
    let mut colour = Vec::new();
    let flat = image::RgbImage::from_pixel(19, 11, Rgb([200, 60, 120]));
    JpegEncoder::new_with_quality(&mut colour, 95).encode_image(&flat).unwrap();
    let colour = read(&colour).unwrap();
    assert_eq!((colour.width(), colour.height(), colour.channels()), (19, 11, 3));
    close(&colour.pixels()[..3], &[200.0, 60.0, 120.0].map(|value: f32| value / 255.0), 0.01);
}

/// A file's content read in one channel, and read in all channels and converted.
fn in_grey(content: &[u8]) -> (DecodedImage, Image) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    std::fs::write(&path, content).unwrap();
    (read_grey(&path).unwrap(), read_image(&path).unwrap().into_grey())
}

#[test]
fn grey_of_a_jpeg_in_colour_is_its_luma() {
    // Odd sides, so that blocks are incomplete; colour differences for each pixel, and for four pixels together.
    let wave = |at: u32, length: f32| (127.0 + 120.0 * (at as f32 / length).sin()) as u8;
    let image = image::RgbImage::from_fn(61, 43, |x, y| Rgb([wave(x, 9.0), wave(y, 7.0), wave(x + y, 11.0)]));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&image).unwrap();
    let (found, expected) = in_grey(&jpeg);
    assert_eq!((found.width(), found.height()), (61, 43));
    let DecodedImage::Bytes(bytes) = found else { panic!("{found:?}") };
    assert_eq!(bytes.channels(), 1);
    // Colours beyond the range of RGB are clipped, and luma is not.
    close(bytes.to_image().pixels(), expected.pixels(), 0.03);

    // Without colour the two are equal.
    let grey = image::RgbImage::from_fn(61, 43, |x, y| Rgb([wave(x + y, 9.0); 3]));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&grey).unwrap();
    let (found, expected) = in_grey(&jpeg);
    assert_eq!(found.into_image(), expected);
}

#[test]
fn grey_of_other_images_is_that_of_their_channels() {
    for image in [
        DynamicImage::ImageRgb8(with_one(Rgb([9, 99, 199]), Rgb([51, 102, 255]))),
        DynamicImage::ImageLuma8(with_one(image::Luma([9]), image::Luma([51]))),
        DynamicImage::ImageRgb16(with_one(Rgb([9, 999, 9999]), Rgb([13107, 26214, 65535]))),
        DynamicImage::ImageRgba8(with_one(Rgba([9, 9, 9, 255]), Rgba([51, 0, 255, 102]))),
    ] {
        let (found, expected) = in_grey(&encoded(image, ImageFormat::Png));
        assert_eq!(found.into_image(), expected);
    }
}

#[test]
fn a_stored_image_is_cut_as_the_whole_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, image) in [
        ("bytes", DynamicImage::ImageRgb8(with_one(Rgb([29, 99, 199]), Rgb([51, 102, 220])))),
        ("words", DynamicImage::ImageLuma16(with_one(image::Luma([999]), image::Luma([51999])))),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, encoded(image, ImageFormat::Png)).unwrap();
        let (stored, whole) = (read_decoded(&path).unwrap(), read_image(&path).unwrap());
        let region = Region { left: 2, top: 0, width: 3, height: 2 };
        let (found, exact) = (stored.resized(region, 7, 5).unwrap(), whole.resized(region, 7, 5).unwrap());
        // Bytes stay bytes, also between resampling of rows and of columns.
        let tolerance = if matches!(stored, DecodedImage::Bytes(_)) { 2.5 / 255.0 } else { 0.0 };
        for (found, exact) in found.pixels().iter().zip(exact.pixels()) {
            assert!((found - exact).abs() <= tolerance, "{name}: {found} {exact}");
        }
    }
}

#[test]
fn the_exif_orientation_of_jpeg_is_applied() {
    // Dark on the left. Orientation 6 turns the image by 90 degrees clockwise, so that dark comes to the top.
    let ramp = GrayImage::from_fn(32, 16, |x, _| image::Luma([if x < 16 { 20 } else { 220 }]));
    let mut plain = Vec::new();
    JpegEncoder::new_with_quality(&mut plain, 95).encode_image(&ramp).unwrap();
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut turned = plain[..2].to_vec();
    turned.extend([0xff, 0xe1, 0, exif.len() as u8 + 2]);
    turned.extend(exif);
    turned.extend(&plain[2..]);

    let image = read(&turned).unwrap();
    assert_eq!((image.width(), image.height()), (16, 32));
    assert!(image.pixels()[0] < 0.2 && image.pixels()[31 * 16] > 0.8);
    assert_eq!(read(&plain).unwrap().width(), 32);
}

fn tiff<C: colortype::ColorType>(samples: &[C::Inner]) -> Vec<u8>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut file = Cursor::new(Vec::new());
    TiffEncoder::new(&mut file).unwrap().write_image::<C>(5, 3, samples).unwrap();
    file.into_inner()
}

#[test]
fn tiff_of_eight_and_sixteen_bits_is_read() {
    let mut grey = [0_u8; 15];
    grey[9] = 51;
    close(one(&read(&tiff::<colortype::Gray8>(&grey)).unwrap()), &[0.2], 1e-6);
    let mut grey = [0_u16; 15];
    grey[9] = 13107;
    close(one(&read(&tiff::<colortype::Gray16>(&grey)).unwrap()), &[0.2], 1e-6);
    let mut colour = [0_u16; 45];
    colour[27..30].copy_from_slice(&[13107, 26214, 65535]);
    close(one(&read(&tiff::<colortype::RGB16>(&colour)).unwrap()), &[0.2, 0.4, 1.0], 1e-6);
    let mut clear = [255_u8; 60];
    clear[36..40].copy_from_slice(&[51, 0, 255, 102]);
    close(one(&read(&tiff::<colortype::RGBA8>(&clear)).unwrap()), &[0.68, 0.6, 1.0], 1e-6);
}

#[test]
fn tiff_of_floating_point_is_read_from_0_to_1_and_refused_beyond() {
    let mut grey = [0.0_f32; 15];
    grey[9] = 0.3;
    assert_eq!(one(&read(&tiff::<colortype::Gray32Float>(&grey)).unwrap()), [0.3]);
    assert_eq!(one(&read(&tiff::<colortype::Gray64Float>(&grey.map(f64::from))).unwrap()), [0.3]);
    for beyond in [-0.1, 1.5, 1200.0, f32::NAN, f32::INFINITY] {
        grey[2] = beyond;
        let error = read(&tiff::<colortype::Gray32Float>(&grey)).unwrap_err();
        assert_eq!(error.code(), code::UNSUPPORTED);
        assert!(error.message().contains("floating point samples outside of 0 to 1"), "{error}");
    }
}

#[test]
fn signed_tiff_is_read_from_0_on_and_refused_below() {
    let mut grey = [0_i16; 15];
    grey[9] = 32767;
    close(one(&read(&tiff::<colortype::GrayI16>(&grey)).unwrap()), &[1.0], 1e-6);
    grey[9] = 12000;
    close(one(&read(&tiff::<colortype::GrayI16>(&grey)).unwrap()), &[12000.0 / 32767.0], 1e-6);
    grey[1] = -1;
    let error = read(&tiff::<colortype::GrayI16>(&grey)).unwrap_err();
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("negative samples"), "{error}");
}

/// Grey of 16 bits with one pixel of 4000, whose other pixels are 100.
fn deep() -> ImageBuffer<Luma<u16>, Vec<u16>> {
    with_one(Luma([100]), Luma([4000]))
}

fn by_depth(content: &[u8], bits: Option<u32>) -> Result<(Image, Option<[u32; 2]>), Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let (image, depth) = read_grey_by_depth(file.path(), bits)?;
    Ok((image.into_image(), depth.map(|depth| [depth.stored, depth.used])))
}

#[test]
fn numbers_of_12_bits_in_16_reach_white_where_that_is_wanted() {
    let mut grey = [0_u16; 15];
    grey[9] = 4000;
    let files = [encoded(deep(), ImageFormat::Png), tiff::<colortype::Gray16>(&grey)];
    for content in files {
        let (image, depth) = by_depth(&content, None).unwrap();
        assert_eq!(depth, Some([16, 12]));
        close(one(&image), &[4000.0 / 4095.0], 1e-6);
        close(one(&by_depth(&content, Some(14)).unwrap().0), &[4000.0 / 16383.0], 1e-6);
        close(one(&by_depth(&content, Some(16)).unwrap().0), &[4000.0 / 65535.0], 1e-6);
        assert_eq!(by_depth(&content, Some(16)).unwrap().0, read(&content).unwrap());
        let error = by_depth(&content, Some(11)).unwrap_err();
        assert!(error.message().contains("a number of 4000, and bit_depth is 11\nhint: "), "{error}");
    }
    let eight = encoded(with_one(Luma([0_u8]), Luma([51])), ImageFormat::Png);
    let (image, depth) = by_depth(&eight, None).unwrap();
    assert_eq!((one(&image), depth), (&[0.2][..], None));
    assert_eq!(by_depth(&eight, Some(12)).unwrap().0, image);
    // Colours are scaled alike, and transparency is not.
    let colour = with_one(Rgb([0_u16; 3]), Rgb([900, 300, 600]));
    let expected = (0.299 * 900.0 + 0.587 * 300.0 + 0.114 * 600.0) / 1023.0;
    close(one(&by_depth(&encoded(colour, ImageFormat::Png), None).unwrap().0), &[expected], 1e-6);
    let clear = with_one(image::LumaA([0_u16, 65535]), image::LumaA([1023, 0]));
    close(one(&by_depth(&encoded(clear, ImageFormat::Png), None).unwrap().0), &[1.0], 1e-6);
}

#[test]
fn the_significant_bits_that_a_png_states_are_used() {
    let with_bits = |bits: u8| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Sixteen);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::sBIT, &[bits]).unwrap();
        writer.write_image_data(&[0, 0, 3, 132]).unwrap();
        drop(writer);
        by_depth(&file, None).unwrap()
    };
    // 900 of 10, of 12, of 14 and of 16 bits.
    for (bits, used) in [(10, 10), (12, 12), (14, 14), (16, 16), (8, 16)] {
        let (image, depth) = with_bits(bits);
        assert_eq!(depth, Some([16, used]), "{bits}");
        close(&image.pixels()[1..], &[900.0 / ((1 << used) - 1) as f32], 1e-6);
    }
}

#[test]
fn white_as_0_is_scaled_from_white() {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap();
    let mut image = encoder.new_image::<colortype::Gray16>(2, 1).unwrap();
    image.encoder().write_tag(Tag::PhotometricInterpretation, 0_u16).unwrap();
    image.write_data(&[0, 1000]).unwrap();
    let (image, depth) = by_depth(file.get_ref(), None).unwrap();
    assert_eq!(depth, Some([16, 10]));
    close(image.pixels(), &[1.0, 1.0 - 1000.0 / 1023.0], 1e-6);
}

#[test]
fn bmp_of_every_kind_is_read() {
    let grey = with_one(Luma([0_u8]), Luma([51]));
    close(one(&read(&encoded(grey, ImageFormat::Bmp)).unwrap()), &[0.2, 0.2, 0.2], 1e-6);
    let colour = with_one(Rgb([255_u8; 3]), Rgb([51, 102, 153]));
    let whole = encoded(colour, ImageFormat::Bmp);
    close(one(&read(&whole).unwrap()), &[0.2, 0.4, 0.6], 1e-6);
    assert_eq!(read(&whole[..whole.len() - 20]).unwrap_err().code(), code::CORRUPT);
    assert_eq!(read(&whole[..20]).unwrap_err().code(), code::CORRUPT);
    let mut huge = whole;
    huge[18..26].copy_from_slice([9_000_u32.to_le_bytes(), 8_000_u32.to_le_bytes()].as_flattened());
    let error = read(&huge).unwrap_err();
    assert!(error.code() == code::UNSUPPORTED && error.message().contains("9000x8000"), "{error}");
}

#[test]
fn files_that_are_no_images_are_distinguished() {
    assert_eq!(read_image(Path::new("/nowhere/at.png")).unwrap_err().code(), code::UNREADABLE);
    assert_eq!(read(b"").unwrap_err().code(), code::CORRUPT);
    let error = read(b"GIF89a and more").unwrap_err();
    assert_eq!(error.code(), code::CORRUPT);
    assert!(error.message().contains("begins with \"GIF89a"), "{error}");
}

#[test]
fn cut_files_are_corrupt() {
    let refused = |content: &[u8]| read(content).err().map(|error| error.code()) == Some(code::CORRUPT);
    let noise =
        image::RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 % 251) as u8, (y * 91 % 241) as u8, (x * y % 239) as u8]));
    let whole = encoded(noise.clone(), ImageFormat::Png);
    assert!(refused(&whole[..whole.len() / 2]));
    assert!(refused(&whole[..20]));
    let whole = encoded(noise, ImageFormat::Jpeg);
    assert!(refused(&whole[..40]));
    assert!(refused(&whole[..whole.len() / 2]));
    let whole = tiff::<colortype::Gray16>(&[7; 15]);
    assert!(refused(&whole[..12]));
}

#[test]
fn a_small_file_that_claims_a_huge_image_is_refused() {
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 9_000, 8_000);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder.write_header().unwrap().write_image_data(&vec![0; 9_000 / 8 * 8_000]).unwrap();
    assert!(bomb.len() < 100_000);
    let error = read(&bomb).unwrap_err();
    assert_eq!(error.code(), code::UNSUPPORTED);
    assert!(error.message().contains("9000x8000"), "{error}");
}

#[test]
fn names_are_recognised_by_their_extension() {
    assert!(["a.png", "a.jpg", "a.jpeg", "b.tif", "b.tiff", "c.bmp"].iter().all(|name| has_known_extension(name)));
    assert!(!["a.csv", "png", "a.png.txt", "a.svs"].iter().any(|name| has_known_extension(name)));
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn odd_tiff_files_are_read_or_refused_with_a_reason() {
    let folder = data("conformance/tiff");
    let files = find_files(&folder, &[PathBuf::from(".")], |name| name.contains(".tif"), "TIFF").unwrap().files;
    let mut n_read = 0;
    for file in &files {
        match read_image(&file.path) {
            Ok(image) => {
                n_read += 1;
                assert!(image.pixels().iter().all(|value| (0.0..=1.0).contains(value)), "{}", file.id);
            }
            Err(error) => {
                let known = [code::CORRUPT, code::UNSUPPORTED].contains(&error.code());
                assert!(known && error.message().contains(&*file.path.to_string_lossy()), "{error}");
            }
        }
    }
    assert!(n_read >= 50, "only {n_read} of {} were read", files.len());
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn known_tiff_files_have_their_size_and_kind() {
    let folder = data("conformance/tiff/image-tiff/images");
    let size =
        |name: &str| read_image(&folder.join(name)).map(|image| [image.height(), image.width(), image.channels()]);
    assert_eq!(size("minisblack-1c-8b.tiff").unwrap(), [151, 157, 1]);
    assert_eq!(size("minisblack-1c-16b.tiff").unwrap(), [151, 157, 1]);
    assert_eq!(size("minisblack-2c-8b-alpha.tiff").unwrap(), [64, 64, 1]);
    assert_eq!(size("rgb-3c-16b.tiff").unwrap(), [151, 157, 3]);
    assert_eq!(size("bigtiff/BigTIFF.tif").unwrap(), [64, 64, 3]);
    assert_eq!(size("gradient-1c-32b-float.tiff").unwrap(), [1, 256, 1]);
    assert_eq!(size("random-fp16.tiff").unwrap_err().code(), code::UNSUPPORTED);
    assert_eq!(size("palette-1c-8b.tiff").unwrap(), [151, 157, 3]);
    assert_eq!(size("cmyk-3c-8b.tiff").unwrap_err().code(), code::UNSUPPORTED);
}

/// Asserts that two files hold the same image.
#[track_caller]
fn alike(one: &Path, other: &Path, tolerance: f32) {
    let (first, second) = (read_image(one).unwrap(), read_image(other).unwrap());
    assert_eq!((first.width(), first.height()), (second.width(), second.height()));
    for channel in 0..3 {
        let values = |image: &Image| image.pixels().iter().copied().skip(channel).step_by(3).collect::<Vec<_>>();
        let (first, second) = (values(&first), values(&second));
        let difference = first.iter().zip(&second).map(|(a, b)| (a - b).abs()).sum::<f32>() / first.len() as f32;
        assert!(difference <= tolerance, "channel {channel} differs by {difference}");
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn one_image_in_two_encodings_has_the_same_colours() {
    let folder = data("conformance/tiff/image-tiff");
    // YCbCr and RGB, tiles and strips, interleaved and planar, 8 and 16 bit.
    alike(&folder.join("images/tiled-jpeg-ycbcr.tif"), &folder.join("images/tiled-jpeg-rgb-u8.tif"), 0.02);
    alike(&folder.join("images/quad-tile.jpg.tiff"), &folder.join("libtiffpic/quad-jpeg.tif"), 0.02);
    let depth = folder.join("libtiffpic/depth");
    alike(&depth.join("flower-rgb-contig-08.tif"), &depth.join("flower-rgb-planar-08.tif"), 0.0);
    alike(&depth.join("flower-rgb-contig-16.tif"), &depth.join("flower-rgb-planar-16.tif"), 0.0);
    alike(&depth.join("flower-rgb-contig-16.tif"), &depth.join("flower-rgb-contig-08.tif"), 0.003);
}
