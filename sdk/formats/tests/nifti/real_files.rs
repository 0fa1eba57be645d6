//! NIfTI files that other programs wrote.

use medcoss_test_support::data;

use super::*;

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn odd_real_files_are_read_or_refused_as_listed() {
    let folder = data("conformance/nifti");
    let index = std::fs::read_to_string(folder.join("../INDEX_nifti.tsv")).unwrap();
    let (mut n_read, mut n_refused) = (0, 0);
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let path = folder.join("../..").join(fields[0]);
        let (version, dims, datatype, magic) = (fields[2], fields[5], fields[6], fields[12]);
        let numbers = !["", "rgb24", "rgba32", "c64", "c128"].contains(&datatype);
        let surface = fields[0].ends_with(".dconn.nii");
        // Not in the table: these headers have no file of voxels, and this file is Analyze.
        let alone = ["nifti1.hdr", "nifti2.hdr", "avg152T1_LR_nifti.hdr.gz"].iter().any(|name| path.ends_with(name));
        match read_volume(&path, 0.0) {
            Ok(decoded) => {
                assert!(numbers && !surface && !alone && !magic.is_empty(), "{} was read", fields[0]);
                let mut listed: Vec<usize> = dims.split('x').take(3).map(|n| n.parse().unwrap()).collect();
                let mut found = decoded.volume.size().to_vec();
                listed.resize(3, 1);
                listed.sort();
                found.sort();
                assert_eq!(found, listed, "{}", fields[0]);
                n_read += 1;
            }
            Err(error) => {
                assert!(!numbers || surface || alone || !magic.contains(version), "{error}");
                n_refused += 1;
            }
        }
    }
    assert!(n_read > 27 && n_refused > 10, "{n_read} read, {n_refused} refused");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn the_ten_types_of_one_real_volume_agree() {
    let folder = data("conformance/nifti/nifti-rs/27");
    let expected = read_volume(&folder.join("float64.nii"), 0.0).unwrap();
    for name in ["float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"] {
        assert_eq!(read_volume(&folder.join(format!("{name}.nii")), 0.0).unwrap(), expected, "{name}");
    }
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn a_real_body_stands_upright() {
    let folder = data("ct/torso");
    let volume = read_volume(&folder.join("torso.nii.gz"), 0.0).unwrap().volume;
    let [depth, rows, columns] = volume.size();
    let plane = rows * columns;
    // The spine is posterior to the middle of the scan.
    let bone = |half: usize| {
        let slices = volume.voxels().chunks_exact(plane);
        slices.flat_map(|slice| &slice[half * plane / 2..][..plane / 2]).filter(|&&hu| hu > 300.0).count()
    };
    assert!(bone(1) > 2 * bone(0), "{} voxels of bone in front, {} behind", bone(0), bone(1));

    // The table beside the scan states the lung in each slice, counted from the lowest.
    let table = std::fs::read_to_string(folder.join("slices.csv")).unwrap();
    let listed: Vec<f64> = table.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().parse().unwrap()).collect();
    let found: Vec<f64> = volume
        .voxels()
        .chunks_exact(plane)
        .map(|slice| slice.iter().filter(|hu| (-950.0..-700.0).contains(*hu)).count() as f64)
        .collect();
    assert_eq!(found.len(), listed.len());
    let upside_down: Vec<f64> = found.iter().rev().copied().collect();
    let (right, wrong) = (correlation(&found, &listed), correlation(&upside_down, &listed));
    assert!(depth == 269 && right > 0.8 && wrong < 0.5, "{right} upright, {wrong} upside down");
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let covariance = |p: &[f64], mean_p: f64, q: &[f64], mean_q: f64| -> f64 {
        p.iter().zip(q).map(|(p, q)| (p - mean_p) * (q - mean_q)).sum()
    };
    covariance(a, mean_a, b, mean_b) / (covariance(a, mean_a, a, mean_a) * covariance(b, mean_b, b, mean_b)).sqrt()
}
