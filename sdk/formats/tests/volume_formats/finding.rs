//! Which files of a folder are used, and which are left out for what reason.

use std::collections::BTreeMap;

use medcoss_sdk::Fingerprint;

use super::*;

const HEADER: &str = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = ";

fn array(shape: &str) -> Vec<u8> {
    let dictionary = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    [b"\x93NUMPY\x01\x00".as_slice(), &(dictionary.len() as u16).to_le_bytes(), dictionary.as_bytes(), &[7; 8]].concat()
}

#[test]
fn every_file_of_a_folder_is_used_or_left_out_for_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let header = |name: &str| format!("{HEADER}{name}\n").into_bytes();
    let nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: d.bin\n".to_vec();
    let files: [(&str, Vec<u8>); 14] = [
        ("a.mhd", header("a.raw")),
        ("a.raw", vec![1; 8]),
        ("b.mhd", header("b.data")),
        ("b.data", vec![2; 8]),
        ("c.mha", [header("LOCAL"), vec![3; 8]].concat()),
        ("d.nhdr", nrrd),
        ("d.bin", vec![4; 8]),
        ("e.npy", array("(2, 2, 2)")),
        ("f.npy", array("(8,)")),
        ("g.raw", vec![5; 8]),
        ("j.mat", vec![6; 8]),
        ("k.MHA", [header("LOCAL"), vec![3; 8]].concat()),
        ("l.mnc", vec![6; 8]),
        (".m.mhd", header("g.raw")),
    ];
    for (name, bytes) in &files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let found = find_volumes(folder.path(), &[".".into()], &ScanRules::CT).unwrap();
    let ids: Vec<&str> = found.sources.iter().map(VolumeSource::id).collect();
    assert_eq!(ids, ["a.mhd", "b.mhd", "c.mha", "d.nhdr", "e.npy", "k.MHA"]);
    for (source, value) in found.sources.iter().zip([1.0, 2.0, 3.0, 4.0, 7.0, 3.0]) {
        assert_eq!(source.read().unwrap().volume.voxels(), [value; 8], "{}", source.id());
    }
    let left: BTreeMap<&str, &str> = found.account.left_out().collect();
    let expected = BTreeMap::from([
        (".m.mhd", "hidden (the name begins with a dot)"),
        ("f.npy", "a NumPy array that has not three axes"),
        ("g.raw", "another kind of file (.raw)"),
        ("j.mat", "MATLAB, which is not read; convert it to NIfTI or .npy"),
        ("l.mnc", "MINC, which is not read; convert it to NIfTI"),
    ]);
    assert_eq!(left, expected);
    assert_eq!(found.account.n_used(), 9);
}

#[test]
fn a_change_of_detached_voxels_changes_the_fingerprint_and_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let header = format!("{HEADER}a.raw\n");
    let files: [(&str, &[u8]); 2] = [("a.mhd", header.as_bytes()), ("a.raw", &[1; 8])];
    let source = source_of(folder.path(), &files).unwrap();
    assert_eq!(source.file_ids(), ["a.mhd", "a.raw"]);
    let fingerprint = |source: &VolumeSource| {
        let mut fingerprint = Fingerprint::default();
        source.add_to(&mut fingerprint);
        fingerprint.hex()
    };
    source.check_unchanged().unwrap();
    let before = fingerprint(&source);
    let after = source_of(folder.path(), &[("a.raw", &[1; 9])]).unwrap();
    assert_ne!(before, fingerprint(&after));
    assert!(source.check_unchanged().unwrap_err().message().contains("a.raw has changed"));
}

#[test]
fn a_file_that_is_named_is_recognised_by_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let nrrd = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n".to_vec();
    for bytes in [[nrrd, vec![7; 8]].concat(), array("(2, 2, 2)")] {
        std::fs::write(folder.path().join("scan.data"), bytes).unwrap();
        let found = find_volumes(folder.path(), &["scan.data".into()], &ScanRules::CT).unwrap();
        assert_eq!(found.sources[0].read().unwrap().volume.voxels(), [7.0; 8]);
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn files_that_other_programs_wrote_of_one_scan_agree() {
    let folder = medcoss_test_support::data("reports/22-other-formats");
    let found = find_volumes(&folder, &[".".into()], &ScanRules::CT).unwrap();
    let ids: Vec<&str> = found.sources.iter().map(VolumeSource::id).collect();
    assert_eq!(ids, ["a.nii", "b.nrrd", "c.mha", "d.nii.gz"]);
    assert_eq!((found.account.n_used(), found.account.left_out().len()), (4, 0));
    let volumes: Vec<_> = found.sources.iter().map(|source| source.read().unwrap().volume).collect();
    let spacings: Vec<f32> = volumes.iter().map(|volume| volume.spacing_mm()[0]).collect();
    assert_eq!(spacings, [2.0, 1.0, 1.0, 1.0]);
    for (volume, id) in volumes.iter().zip(ids) {
        assert_eq!(volume.size(), [16; 3], "{id}");
        assert!(volume.voxels() == volumes[0].voxels() && volume.voxels()[..2] == [-500.0, -499.0], "{id}");
    }
}
