//! Whole slides in DICOM: levels, regions, frames at any position. Files are made by hand; real ones are compared with
//! numbers that pydicom computed.

use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::DataSetSequence};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use medcoss_formats::dicom::slide::{DicomSlide, is_slide, one_a_slide};
use medcoss_sdk::image::{Image, Region};
use medcoss_sdk::{FoundFile, code};
use medcoss_test_support::data;

/// Columns and rows of a frame.
const FRAME: [usize; 2] = [7, 5];
const WIDTH: usize = 24;
const HEIGHT: usize = 13;

/// Colour of a pixel, different for each position.
fn colour(x: usize, y: usize) -> [u8; 3] {
    [(10 * x) as u8, (19 * y) as u8, (x * 7 + y * 31) as u8]
}

pub(crate) struct Written {
    pub(crate) flavour: &'static str,
    pub(crate) series: &'static str,
    pub(crate) size: [usize; 2],
    /// Left column and upper row of each frame, counted from 0.
    pub(crate) places: Vec<[usize; 2]>,
    pub(crate) is_sparse: bool,
}

impl Written {
    pub(crate) fn full(size: [usize; 2]) -> Self {
        let [across, down] = [0, 1].map(|axis| size[axis].div_ceil(FRAME[axis]));
        let places = (0..across * down).map(|at| [at % across * FRAME[0], at / across * FRAME[1]]).collect();
        Self { flavour: "VOLUME", series: "2.25.5", size, places, is_sparse: false }
    }

    /// Writes a file of RGB frames whose pixels have the colours of their positions in the image.
    pub(crate) fn write(&self, path: &Path) {
        let [columns, rows] = FRAME;
        let mut bytes = Vec::new();
        for [left, top] in &self.places {
            for row in 0..rows {
                bytes.extend((0..columns).flat_map(|column| colour(left + column, top + row)));
            }
        }
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let number = |tag, value: usize| DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16));
        let long = |tag, value: usize| DataElement::new(tag, VR::UL, PrimitiveValue::from(value as u32));
        let sequence = |tag, elements: Vec<DataElement<InMemDicomObject>>| {
            let item = InMemDicomObject::from_element_iter(elements);
            DataElement::new(tag, VR::SQ, DataSetSequence::from(vec![item]))
        };
        let mut object = InMemDicomObject::from_element_iter([
            text(tags::SOP_CLASS_UID, VR::UI, uids::VL_WHOLE_SLIDE_MICROSCOPY_IMAGE_STORAGE),
            text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.1"),
            text(tags::SERIES_INSTANCE_UID, VR::UI, self.series),
            text(tags::IMAGE_TYPE, VR::CS, &format!("ORIGINAL\\PRIMARY\\{}\\NONE", self.flavour)),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB"),
            text(tags::NUMBER_OF_FRAMES, VR::IS, &self.places.len().to_string()),
            number(tags::SAMPLES_PER_PIXEL, 3),
            number(tags::PLANAR_CONFIGURATION, 0),
            number(tags::ROWS, rows),
            number(tags::COLUMNS, columns),
            number(tags::BITS_ALLOCATED, 8),
            number(tags::BITS_STORED, 8),
            number(tags::HIGH_BIT, 7),
            number(tags::PIXEL_REPRESENTATION, 0),
            long(tags::TOTAL_PIXEL_MATRIX_COLUMNS, self.size[0]),
            long(tags::TOTAL_PIXEL_MATRIX_ROWS, self.size[1]),
            DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(bytes)),
        ]);
        let spacing = format!("{0}\\{0}", 0.0005 * WIDTH as f64 / self.size[0] as f64);
        let measures = sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![text(tags::PIXEL_SPACING, VR::DS, &spacing)]);
        object.put(sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![measures]));
        let organisation = if self.is_sparse { "TILED_SPARSE" } else { "TILED_FULL" };
        object.put(text(tags::DIMENSION_ORGANIZATION_TYPE, VR::CS, organisation));
        if self.is_sparse {
            let place = |[left, top]: &[usize; 2]| {
                let at = |tag: Tag, value: usize| DataElement::new(tag, VR::SL, PrimitiveValue::from(value as i32 + 1));
                InMemDicomObject::from_element_iter([sequence(
                    tags::PLANE_POSITION_SLIDE_SEQUENCE,
                    vec![
                        at(tags::COLUMN_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX, *left),
                        at(tags::ROW_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX, *top),
                    ],
                )])
            };
            let items: Vec<_> = self.places.iter().map(place).collect();
            object.put(DataElement::new(
                tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
                VR::SQ,
                DataSetSequence::from(items),
            ));
        }
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        object.with_meta(meta).unwrap().write_to_file(path).unwrap();
    }
}

fn region(left: usize, top: usize, width: usize, height: usize) -> Region {
    Region { left, top, width, height }
}

/// Asserts that an image has the colours of its region, or white where `is_white`.
fn assert_place(image: &Image, at: Region, is_white: impl Fn(usize, usize) -> bool) {
    assert_eq!([image.width(), image.height(), image.channels()], [at.width, at.height, 3]);
    for (place, pixel) in image.pixels().chunks_exact(3).enumerate() {
        let (x, y) = (at.left + place % at.width, at.top + place / at.width);
        let expected = if is_white(x, y) { [255; 3] } else { colour(x, y) };
        assert_eq!(pixel, expected.map(|value| f32::from(value) / 255.0), "{at:?}: {x} {y}");
    }
}

#[test]
fn every_region_of_a_full_grid_has_its_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.dcm");
    Written::full([WIDTH, HEIGHT]).write(&path);
    assert!(is_slide(&path));
    let mut slide = DicomSlide::open(&path).unwrap();
    let [level] = slide.levels() else { panic!("{:?}", slide.levels()) };
    let level = *level;
    assert_eq!((level.width, level.height, level.downsample, level.chunk), (WIDTH, HEIGHT, 1.0, FRAME));
    assert!((level.mpp.unwrap() - 0.5).abs() < 1e-6);
    for left in 0..WIDTH {
        for top in 0..HEIGHT {
            for (width, height) in [(1, 1), (8, 6), (WIDTH - left, HEIGHT - top)] {
                if left + width <= WIDTH && top + height <= HEIGHT {
                    let at = region(left, top, width, height);
                    assert_place(&slide.read_region(level, at).unwrap(), at, |_, _| false);
                }
            }
        }
    }
    for wrong in [region(0, 0, 0, 1), region(20, 0, 5, 1), region(0, 13, 1, 1), region(usize::MAX, 0, 2, 1)] {
        assert_eq!(slide.read_region(level, wrong).unwrap_err().code(), code::BAD_REQUEST, "{wrong:?}");
    }
}

#[test]
fn frames_are_at_their_stated_positions_and_gaps_are_white() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.dcm");
    // Frames out of order and off the grid, one reaching beyond the image. The second of two at one position is of
    // another focal plane.
    let places = vec![[14, 6], [0, 0], [20, 1], [0, 0]];
    Written { places: places.clone(), is_sparse: true, ..Written::full([WIDTH, HEIGHT]) }.write(&path);
    let mut slide = DicomSlide::open(&path).unwrap();
    let level = slide.levels()[0];
    let whole = region(0, 0, WIDTH, HEIGHT);
    let is_white = |x: usize, y: usize| {
        !places.iter().any(|&[left, top]| (left..left + FRAME[0]).contains(&x) && (top..top + FRAME[1]).contains(&y))
    };
    assert_place(&slide.read_region(level, whole).unwrap(), whole, is_white);
    let between = region(10, 3, 12, 7);
    assert_place(&slide.read_region(level, between).unwrap(), between, is_white);
}

#[test]
fn files_of_the_series_are_levels_and_labels_and_other_series_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, written: Written| {
        let path = folder.path().join(name);
        written.write(&path);
        path
    };
    let half = write("a_half", Written::full([WIDTH / 2, HEIGHT.div_ceil(2)]));
    let full = write("b_full", Written::full([WIDTH, HEIGHT]));
    let label = write("c_label", Written { flavour: "LABEL", ..Written::full([9, 9]) });
    let other = write("d_other", Written { series: "2.25.6", ..Written::full([48, 26]) });
    write("e_again", Written::full([WIDTH, HEIGHT]));
    write("f_square", Written::full([8, 8]));
    std::fs::write(folder.path().join("notes.txt"), "no slide").unwrap();
    for path in [&half, &full] {
        let mut slide = DicomSlide::open(path).unwrap();
        let found: Vec<_> = slide.levels().iter().map(|level| (level.index, level.width, level.height)).collect();
        assert_eq!(found, [(0, WIDTH, HEIGHT), (1, 12, 7)]);
        let level = slide.levels()[1];
        assert!((level.downsample - 2.0).abs() < 0.1 && (level.mpp.unwrap() - 1.0).abs() < 1e-6);
        let at = region(3, 2, 9, 5);
        assert_place(&slide.read_region(level, at).unwrap(), at, |_, _| false);
    }
    let found = |path: &PathBuf| FoundFile {
        path: path.clone(),
        id: format!("slides/{}", path.file_name().unwrap().to_str().unwrap()),
        entry: 0,
        bytes: 0,
        modified: None,
    };
    let (chosen, photographs) = one_a_slide([&half, &full, &label, &other].map(found).to_vec());
    let ids = |files: &[FoundFile]| files.iter().map(|file| file.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&chosen), ["slides/b_full", "slides/d_other"]);
    assert_eq!(ids(&photographs), [found(&label).id]);
}

#[test]
fn too_few_frames_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slide.dcm");
    let mut written = Written::full([WIDTH, HEIGHT]);
    written.places.pop();
    written.write(&path);
    let error = DicomSlide::open(&path).err().unwrap();
    assert_eq!(error.code(), code::CORRUPT);
    assert!(error.message().contains("11 frames of 7x5, too few for 24x13"), "{error}");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn real_slides_have_the_pixels_that_pydicom_decodes() {
    let mut slide = DicomSlide::open(&data("pathology/wsi/small_dicom.dcm")).unwrap();
    let [level] = slide.levels() else { panic!("{:?}", slide.levels()) };
    let level = *level;
    // By the stated size of the imaged volume, pixels are far from square.
    assert_eq!((level.width, level.height, level.chunk, level.mpp), (3236, 2638, [500, 500], None));
    let near = |found: &[f64], expected: &[f64], tolerance: f64| {
        let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance);
        assert!(found.len() == expected.len() && close, "{found:?}, expected {expected:?}");
    };
    for (x, y, expected) in [
        (0, 0, [237.0, 236.0, 234.0]),
        (499, 499, [12.0, 52.0, 51.0]),
        (500, 500, [225.0, 135.0, 171.0]),
        (1777, 1203, [0.0; 3]),
        (3235, 2637, [236.0; 3]),
    ] {
        let pixel = slide.read_region(level, region(x, y, 1, 1)).unwrap();
        let found: Vec<f64> = pixel.pixels().iter().map(|&value| f64::from(value) * 255.0).collect();
        // Decoders of JPEG round differently.
        near(&found, &expected, 2.01);
    }
    let means = |image: &Image| {
        let n = (image.width() * image.height()) as f64;
        let sum = |channel| image.pixels().iter().skip(channel).step_by(3).map(|&value| f64::from(value)).sum::<f64>();
        [sum(0) / n, sum(1) / n, sum(2) / n]
    };
    let across_frames = slide.read_region(level, region(900, 450, 1200, 800)).unwrap();
    near(&means(&across_frames), &[0.818757643, 0.780661879, 0.802814971], 2e-4);
    let corner = slide.read_region(level, region(3000, 2500, 236, 138)).unwrap();
    near(&means(&corner), &[0.94109543, 0.93063081, 0.9341024], 2e-4);

    let folder = data("conformance/dicom/openslide-python");
    let mut slide = DicomSlide::open(&folder.join("boxes_0.dcm")).unwrap();
    let [level] = slide.levels() else { panic!("a thumbnail of the same size is no level: {:?}", slide.levels()) };
    let level = *level;
    assert_eq!((level.width, level.height, level.chunk), (16, 16, [64, 64]));
    assert!((level.mpp.unwrap() - 0.499).abs() < 1e-9);
    let whole = slide.read_region(level, region(0, 0, 16, 16)).unwrap();
    near(&means(&whole), &[0.93393076, 0.9174326, 0.92869179], 2e-3);
}
