//! Grids of files: shapes in the file's own index order, and how the file lies in the body. Numbers of NIfTI and FreeSurfer are those that
//! nibabel 5.4.2 gives of the same bytes; those of other formats are computed by hand.

use std::path::Path;

use medcoss_formats::dicom::write::{DicomFile, Modality, Place};
use medcoss_formats::volume_source::{FoundVolumes, ScanRules, find_volumes};
use medcoss_sdk::FileGrid;

/// The grid of the only scan of a folder.
fn grid(folder: &Path) -> FileGrid {
    let FoundVolumes { sources, .. } = find_volumes(folder, &[".".into()], &ScanRules::CT).unwrap();
    assert_eq!(sources.len(), 1);
    sources[0].info().unwrap().file_axes.grid()
}

/// The grid of a file of these bytes.
fn grid_of(name: &str, bytes: &[u8]) -> FileGrid {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    grid(folder.path())
}

fn assert_near(found: &FileGrid, shape: [usize; 3], expected: [[f64; 4]; 3]) {
    assert_eq!(found.shape, shape);
    let rows = found.to_ras_mm.unwrap();
    let off = rows.iter().flatten().zip(expected.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off < 1e-5, "{rows:?} instead of {expected:?}");
    let steps = [0, 1, 2].map(|axis| expected.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt());
    let spacing = found.spacing_mm.as_ref().unwrap();
    assert!(spacing.iter().zip(steps).all(|(a, b)| (a - b).abs() < 1e-5), "{spacing:?} instead of {steps:?}");
}

/// Bytes at an offset of a header.
type Field<'a> = (usize, &'a [u8]);

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A NIfTI-1 file of 4 x 3 x 2 voxels with more fields.
fn nifti(units: u8, fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; 352 + 24];
    let dimensions: Vec<u8> = [3_i16, 4, 3, 2].iter().flat_map(|n| n.to_le_bytes()).collect();
    let start: [Field<'_>; 7] = [
        (0, &348_i32.to_le_bytes()),
        (40, &dimensions),
        (70, &2_i16.to_le_bytes()),
        (72, &8_i16.to_le_bytes()),
        (108, &352_f32.to_le_bytes()),
        (123, &[units]),
        (344, b"n+1\0"),
    ];
    for (at, field) in start.iter().chain(fields) {
        bytes[*at..at + field.len()].copy_from_slice(field);
    }
    bytes
}

const SFORM: [f32; 12] = [0.1, -2.0, 0.25, 11.5, -1.5, -0.125, 0.0, -7.25, 0.0, 0.0625, -3.0, 90.0];

#[test]
fn an_sform_is_taken_as_it_is_in_millimetres() {
    let code = 1_i16.to_le_bytes();
    let with_units = |units| grid_of("a.nii", &nifti(units, &[(254, &code), (280, &floats(&SFORM))]));
    let expected = [[0.1, -2.0, 0.25, 11.5], [-1.5, -0.125, 0.0, -7.25], [0.0, 0.0625, -3.0, 90.0]];
    assert_near(&with_units(2), [4, 3, 2], expected);
    // nibabel leaves micrometres as they are; a grid is in millimetres, as its name says.
    assert_near(&with_units(3), [4, 3, 2], expected.map(|row| row.map(|part| part / 1000.0)));
}

const QFORM: [[f64; 4]; 3] = [
    [1.1099999749660487, -1.229920658910265, 0.817321455162777, -12.5],
    [0.022440458419911817, 0.8399999952316284, 2.7222023659765013, 8.25],
    [1.0086607365220852, 1.3348015510916236, -0.9599999570846549, 101.0],
];

#[test]
fn a_qform_has_its_spacing_handedness_and_offset() {
    let (sides, quaternion) = (floats(&[-1.0, 1.5, 2.0, 3.0]), floats(&[0.5, -0.3, 0.2, -12.5, 8.25, 101.0]));
    let code = 1_i16.to_le_bytes();
    let first = nifti(2, &[(76, &sides), (252, &code), (256, &quaternion)]);
    assert_near(&grid_of("a.nii", &first), [4, 3, 2], QFORM);

    let doubles = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut second = vec![0; 544 + 24];
    let fields: [(usize, Vec<u8>); 9] = [
        (0, 540_i32.to_le_bytes().into()),
        (4, b"n+2\0\r\n\x1a\n".to_vec()),
        (12, 2_i16.to_le_bytes().into()),
        (16, [3_i64, 4, 3, 2].iter().flat_map(|n| n.to_le_bytes()).collect()),
        (104, doubles(&[-1.0, 1.5, 2.0, 3.0])),
        (168, 544_i64.to_le_bytes().into()),
        (344, 1_i32.to_le_bytes().into()),
        (352, doubles(&[0.5, f64::from(-0.3_f32), f64::from(0.2_f32), -12.5, 8.25, 101.0])),
        (500, 2_i32.to_le_bytes().into()),
    ];
    fields.iter().for_each(|(at, field)| second[*at..at + field.len()].copy_from_slice(field));
    assert_near(&grid_of("a.nii", &second), [4, 3, 2], QFORM);
}

#[test]
fn what_a_file_does_not_state_is_not_made_out_of_it() {
    let sides = floats(&[1.0, 1.5, 2.0, 3.0]);
    let spaced = FileGrid { spacing_mm: Some(vec![1.5, 2.0, 3.0]), ..FileGrid::of_shape([4, 3, 2]) };
    assert_eq!(grid_of("a.nii", &nifti(2, &[(76, &sides)])), spaced);
    assert_eq!(grid_of("a.nii", &nifti(2, &[])), FileGrid::of_shape([4, 3, 2]));
}

#[test]
fn freesurfer_states_the_place_of_the_middle() {
    let mut bytes = vec![0; 284 + 24];
    let put = |bytes: &mut [u8], at: usize, values: &[f32]| {
        let field: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        bytes[at..at + field.len()].copy_from_slice(&field);
    };
    for (at, n) in [1_i32, 4, 3, 2, 1, 0].into_iter().enumerate() {
        bytes[4 * at..4 * at + 4].copy_from_slice(&n.to_be_bytes());
    }
    bytes[28..30].copy_from_slice(&1_i16.to_be_bytes());
    put(&mut bytes, 30, &[1.5, 2.0, 3.0]);
    put(&mut bytes, 42, &[-0.8, 0.6, 0.0, 0.0, 0.0, -1.0, 0.6, 0.8, 0.0, 5.5, -4.25, 33.0]);
    let expected = [[-1.20000005, 0.0, 1.80000007, 6.0999999], [0.900000036, 0.0, 2.4000001, -8.44999981]];
    assert_near(&grid_of("a.mgh", &bytes), [4, 3, 2], [expected[0], expected[1], [0.0, -2.0, 0.0, 36.0]]);
}

#[test]
fn left_and_posterior_of_itk_and_of_slicer_become_right_and_anterior() {
    // Steps in (left, posterior, superior): 1.5 along posterior, 2 against left, 3 along superior and a little left.
    let expected = [[0.0, 2.0, -1.8, -10.0], [-1.5, 0.0, 0.0, 20.0], [0.0, 0.0, 2.4, 30.0]];
    let meta = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementSpacing = 1.5 2 3\n\
                Offset = 10 -20 30\nTransformMatrix = 0 1 0 -1 0 0 0.6 0 0.8\nBinaryData = True\n\
                ElementDataFile = LOCAL\n";
    assert_near(&grid_of("a.mha", &[meta.as_bytes(), &[7; 24]].concat()), [4, 3, 2], expected);
    let nrrd = |space: &str, origin: &str| {
        let header = format!(
            "NRRD0004\ntype: uchar\ndimension: 3\nspace: {space}\nsizes: 4 3 2\nspace directions: (0,1.5,0) (-2,0,0) \
             (1.8,0,2.4)\nencoding: raw\nspace origin: {origin}\n\n"
        );
        grid_of("a.nrrd", &[header.as_bytes(), &[7; 24]].concat())
    };
    assert_near(&nrrd("left-posterior-superior", "(10,-20,30)"), [4, 3, 2], expected);
    assert_eq!(nrrd("left-posterior-superior", "somewhere").to_ras_mm, None);
    assert_eq!(nrrd("scanner-xyz", "(10,-20,30)").to_ras_mm, None);
}

#[test]
fn a_series_is_slices_rows_and_columns_in_the_order_of_the_stack() {
    // Coronal images of 3 x 5 pixels: columns to the left, rows to inferior, and so the normal to posterior.
    let folder = tempfile::tempdir().unwrap();
    let pixels = [9; 15];
    for (number, posterior) in [(1, 12.0), (2, 4.0), (3, 8.0)] {
        let place = Place {
            position: [-30.0, posterior, 77.0],
            directions: [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]],
            spacing_mm: [0.8, 0.7],
            thickness_mm: 9.0,
        };
        let file = DicomFile {
            modality: Modality::Ct,
            series: "2.25.123456789",
            number,
            size: [3, 5],
            stored: &pixels,
            bits_stored: 16,
            signed: true,
            inverted: false,
            rescale: Some([1.0, 0.0]),
            window: None,
            place: Some(place),
        };
        file.write(&folder.path().join(format!("{number}.dcm"))).unwrap();
    }
    // Slices run to posterior, 4 mm apart: against anterior. Rows run to inferior, columns to the left.
    let expected = [[0.0, 0.0, -0.7, 30.0], [-4.0, 0.0, 0.0, -4.0], [0.0, -0.8, 0.0, 77.0]];
    assert_near(&grid(folder.path()), [3, 3, 5], expected);
}
