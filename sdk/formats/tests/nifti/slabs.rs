//! Reading of some slices of a volume, also from the middle of a compressed file.

use super::*;

#[test]
fn slabs_are_the_slices_of_the_whole_volume_in_every_orientation() {
    for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for corner in 0..8 {
            let signs = [0, 1, 2].map(|bit| if corner >> bit & 1 == 0 { 1 } else { -1 });
            let (size, values) = body_file(axes, signs);
            let mut steps = [[0.0; 3]; 3];
            for a in 0..3 {
                steps[a][axes[a]] = SPACING[axes[a]] * signs[a] as f32;
            }
            let placement = Placement::Sform(steps);
            let file = NiftiFile { size: &size, stored_values: &values, placement, ..PLAIN };
            let folder = tempfile::tempdir().unwrap();
            for name in ["scan.nii", "scan.nii.gz"] {
                let path = folder.path().join(name);
                file.write(&path).unwrap();
                let whole = read_volume(&path, 0.0).unwrap().volume;
                let gzip_index = GzipIndex::new(0);
                for slices in [0..5, 0..1, 1..4, 4..5, 2..3] {
                    let slab = read_slab(&path, whole.size(), slices.clone(), &gzip_index, 0.0).unwrap().volume;
                    assert_eq!(slab.size(), [slices.len(), BODY[1], BODY[0]]);
                    assert_eq!(
                        slab.voxels(),
                        &whole.voxels()[slices.start * 63..slices.end * 63],
                        "{axes:?} {signs:?}"
                    );
                }
                for slices in [0..0, 4..6, 5..6] {
                    assert!(read_slab(&path, whole.size(), slices.clone(), &gzip_index, 0.0).is_err());
                }
            }
        }
    }
}

#[test]
fn damage_to_compressed_voxels_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scan.nii.gz");
    let values: Vec<f64> = (0..4000).map(|v| f64::from(v * 7919 % 4001)).collect();
    NiftiFile { size: &[20, 20, 10], stored_values: &values, ..PLAIN }.write(&path).unwrap();
    read_volume(&path, 0.0).unwrap();
    let valid = std::fs::read(&path).unwrap();
    std::fs::write(&path, &valid[..valid.len() / 2]).unwrap();
    assert_eq!(read_volume(&path, 0.0).unwrap_err().code(), code::CORRUPT);
    // Damage after the requested slices is an error as well.
    let first_slices = || read_slab(&path, [10, 20, 20], 0..2, &GzipIndex::new(0), 0.0);
    assert_eq!(first_slices().unwrap_err().code(), code::CORRUPT);
    for at in (valid.len() / 4..valid.len() - 8).step_by(101) {
        let mut damaged = valid.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(read_volume(&path, 0.0).unwrap_err().code(), code::CORRUPT, "byte {at}");
        assert_eq!(first_slices().unwrap_err().code(), code::CORRUPT, "byte {at}");
    }
}

#[test]
fn slabs_of_a_large_compressed_file_are_those_of_the_whole_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let size = [90_u16, 80, 230];
    let n: usize = size.iter().map(|&n| usize::from(n)).product();
    let values: Vec<f64> = (0..n).map(|at| f64::from((at * 7919 % 4099) as u16) - 1024.0).collect();
    // Depth along each axis of the file.
    for (number, steps) in [
        [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 2.0]],
        [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 2.0, 0.0]],
        [[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [2.0, 0.0, 0.0]],
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{number}.nii.gz"));
        let placement = Placement::Sform(steps);
        NiftiFile { size: &size, stored_values: &values, datatype: NumberType::I16, placement, ..PLAIN }
            .write(&path)
            .unwrap();
        let whole = read_volume(&path, 0.0).unwrap().volume;
        let [depth, rows, columns] = whole.size();
        let (few, many) = (GzipIndex::new(0), GzipIndex::new(1 << 24));
        for turn in 0..8 {
            let start = turn * 29 % (depth - 7);
            for gzip_index in [&few, &many] {
                let slab = read_slab(&path, whole.size(), start..start + 7, gzip_index, 0.0).unwrap();
                let expected = &whole.voxels()[start * rows * columns..(start + 7) * rows * columns];
                assert!(slab.volume.voxels() == expected, "slices from {start} of file {number}");
            }
        }
        let valid = std::fs::read(&path).unwrap();
        std::fs::write(&path, &valid[..valid.len() * 9 / 10]).unwrap();
        let error = read_slab(&path, whole.size(), 0..2, &GzipIndex::new(0), 0.0).unwrap_err();
        assert_eq!(error.code(), code::CORRUPT);
        assert!(error.message().ends_with("ends before its last voxel"), "{error}");
        let mut damaged = valid.clone();
        damaged[valid.len() / 2] ^= 0x40;
        std::fs::write(&path, &damaged).unwrap();
        let error = read_slab(&path, whole.size(), 0..2, &GzipIndex::new(0), 0.0).unwrap_err();
        assert_eq!(error.code(), code::CORRUPT);
    }
}
