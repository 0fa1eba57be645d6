//! What is outside of a scan, numbers without a unit, and scans that do not have the size of a sample.

use std::path::{Path, PathBuf};

use medcoss_ct::{Ct, Options, Scans};
use medcoss_formats::dicom::write::{DicomFile, Modality as Kind, Place};
use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement};
use medcoss_formats::reference_preparation::Preparation;
use medcoss_formats::volume_source::MissingRescale;
use medcoss_sdk::{Dataset, Error, Modality, OpenRequest, Patches, Sample, View, sample_rng};

fn open(base: &Path, options: Options) -> Result<Scans, Error> {
    Ct::open(OpenRequest { base: base.to_owned(), data: vec![PathBuf::from(".")], options, assets: None })
}

fn tokens(dataset: &Scans) -> Vec<f32> {
    let (mut tokens, mut mask) = (vec![0.0; 4 * 4096], vec![0; 4]);
    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
    dataset.load(0, View::Evaluation, &mut sample_rng(0), sample).unwrap();
    tokens
}

/// A scan of 0 HU of `size` columns, rows and slices, with these voxels at its beginning.
fn write(folder: &Path, name: &str, size: [u16; 3], first: &[f64]) {
    let mut stored_values = vec![0.0; size.iter().map(|&n| usize::from(n)).product()];
    stored_values[..first.len()].copy_from_slice(first);
    let placement = Placement::Sform([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]);
    let (datatype, scaling, big_endian) = (NumberType::F32, [1.0, 0.0], false);
    let file = NiftiFile { size: &size, stored_values: &stored_values, datatype, placement, scaling, big_endian };
    file.write(&folder.join(name)).unwrap();
}

fn what(dataset: &Scans) -> Vec<(u64, u64, String)> {
    let notices = dataset.account().unwrap().notices();
    notices.iter().map(|notice| (notice.n, notice.of, notice.what.clone())).collect()
}

#[test]
fn voxels_without_a_value_are_air() {
    let folder = tempfile::tempdir().unwrap();
    let not_finite = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    write(folder.path(), "a.nii", [32, 32, 16], &not_finite);
    for hu_range in [[-1024.0, 1024.0], [-100.0, 300.0]] {
        for cache_mb in [0, 64] {
            let options = Options { size: [16, 32, 32], hu_range, cache_mb, ..Options::default() };
            let found = tokens(&open(folder.path(), options).unwrap());
            let water = if hu_range[0] == -100.0 { -0.5 } else { 0.0 };
            assert_eq!(found[..4], [-1.0, -1.0, -1.0, water], "{hu_range:?}");
        }
    }
    let options = Options { size: [16, 32, 32], preparation: Preparation::Reference, ..Options::default() };
    let found = tokens(&open(folder.path(), options).unwrap());
    assert!(found[0] < -0.9 && found[4095] == 0.0, "{}", found[0]);
}

#[test]
fn numbers_without_a_rescale_are_taken_where_the_options_say_so() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..16 {
        let file = DicomFile {
            modality: Kind::Ct,
            series: "2.25.1",
            number,
            size: [32, 32],
            stored: &[512; 1024],
            bits_stored: 16,
            signed: true,
            inverted: false,
            rescale: None,
            window: None,
            place: Some(Place {
                position: [0.0, 0.0, number as f64],
                directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
                spacing_mm: [1.0, 1.0],
                thickness_mm: 1.0,
            }),
        };
        file.write(&folder.path().join(format!("{number:02}.dcm"))).unwrap();
    }
    let options = Options { size: [16, 32, 32], ..Options::default() };
    let error = open(folder.path(), options.clone()).unwrap_err();
    assert!(error.message().contains("set missing_rescale to \"stored-values\""), "{error}");
    let taken = open(folder.path(), Options { missing_rescale: MissingRescale::StoredValues, ..options }).unwrap();
    assert_eq!(tokens(&taken), [0.5; 4 * 4096]);
    let notice = "DICOM scans have no usable rescale; their stored numbers are taken for Hounsfield units";
    assert_eq!(what(&taken), [(1, 1, notice.to_owned())]);
}

#[test]
fn scans_that_are_padded_or_cropped_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.nii", [32, 32, 16], &[]);
    write(folder.path(), "b.nii", [32, 32, 9], &[]);
    write(folder.path(), "c.nii", [40, 24, 40], &[]);
    let options = Options { size: [16, 32, 32], ..Options::default() };
    let few = |n| (n, 3, "scans have fewer slices than size[0] (16) and are padded".to_owned());
    // Planes are stretched.
    assert_eq!(what(&open(folder.path(), options.clone()).unwrap()), [few(1)]);
    let at_spacing =
        |spacing| what(&open(folder.path(), Options { spacing_mm: Some(spacing), ..options.clone() }).unwrap());
    let words = |word| format!("size[1] x size[2] (32 x 32) rows or columns at spacing_mm and {word}");
    let lose = (1, 3, format!("scans have more than {}", words("lose the rest")));
    let padded = (1, 3, format!("scans have fewer than {}", words("are padded")));
    assert_eq!(at_spacing([1.0, 1.0, 1.0]), [few(1), lose, padded]);
    // 16, 9 and 40 mm become 8, 5 and 20 slices.
    assert_eq!(at_spacing([2.0, 1.0, 1.0])[0], few(2));
}
