//! Masks in formats other than NIfTI, and what depends on a spacing that arrays do not have.

use medcoss_formats::crop::Crop;
use medcoss_formats::foreground::Foreground;
use medcoss_formats::sub_volume_labels::MASK_EXTENSIONS;
use medcoss_formats::sub_volumes::{SubVolumeSettings, SubVolumes};
use medcoss_formats::volume_source::ScanRules;
use medcoss_sdk::FoundFile;

use super::*;

pub(super) const SETTINGS: SubVolumeSettings = SubVolumeSettings {
    size: [2, 2, 2],
    crop: Crop::Centre,
    stride_in_plane: None,
    foreground: Foreground::Above(0.0),
    stride: None,
    spacing_mm: None,
    drop_ends_ratio: 0.0,
    cache_mb: 16,
    scans: ScanRules::CT,
};
const META_IMAGE: &str = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n\
                          TransformMatrix = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n";
const NRRD: &str = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\nspace: RAS\n\
                    space directions: (-1,0,0) (0,-1,0) (0,0,1)\n\n";
const ARRAY: &str = "\u{1}\0\u{41}\0{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 2)}     ";
const LABELS: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn files() -> [(&'static str, Vec<u8>); 4] {
    let mut mgh: Vec<u8> = [1, 2, 2, 2, 1, 0, 0].into_iter().flat_map(i32::to_be_bytes).collect();
    mgh.extend(1_i16.to_be_bytes());
    let numbers: [f32; 12] = [1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0];
    mgh.extend(numbers.into_iter().flat_map(f32::to_be_bytes));
    mgh.resize(284, 0);
    [
        ("a.mha", [META_IMAGE.as_bytes(), &LABELS].concat()),
        ("a.nrrd", [NRRD.as_bytes(), &LABELS].concat()),
        ("a.mgh", [mgh, LABELS.to_vec()].concat()),
        ("a.npy", [b"\x93NUMPY".as_slice(), ARRAY.as_bytes(), &LABELS].concat()),
    ]
}

fn mask(folder: &Path, name: &str) -> FoundFile {
    let path = folder.join(name);
    let bytes = path.metadata().unwrap().len();
    FoundFile { path, id: name.into(), entry: 0, bytes, modified: None }
}

#[test]
fn a_mask_in_any_format_fits_a_scan_in_any_format_with_an_orientation() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let extension = &name[1..];
        assert!(MASK_EXTENSIONS.contains(&extension), "{extension}");
    }
    for (scan, _) in files() {
        let samples = SubVolumes::open(folder.path(), &[scan.into()], SETTINGS).unwrap();
        for (name, _) in files() {
            let labels = samples.label_map(0, &mask(folder.path(), name));
            // An array does not say how it lies beside a scan that does.
            if name == "a.npy" && scan != "a.npy" {
                assert!(labels.unwrap_err().message().contains("does not state its orientation"));
                continue;
            }
            assert_eq!(labels.unwrap().values(), [0, 1, 2, 3, 4, 5, 6, 7], "{name} of {scan}");
        }
    }
}

#[test]
fn a_spacing_cannot_be_asked_for_of_arrays() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files() {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let settings = SubVolumeSettings { spacing_mm: Some([1.0; 3]), ..SETTINGS };
    let error = SubVolumes::open(folder.path(), &["a.npy".into()], settings.clone()).unwrap_err();
    let says = error.to_string();
    assert!(says.contains("a.npy") && says.contains("states no spacing") && says.contains("hint"), "{says}");
    assert_eq!(SubVolumes::open(folder.path(), &["a.mha".into()], settings).unwrap().len(), 1);
}
