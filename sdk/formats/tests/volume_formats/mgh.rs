//! FreeSurfer.

use super::*;

/// A file of 16-bit numbers: 284 bytes of header, and the voxels. `directions` are `None` without the flag of their
/// validity.
fn file(size: [i32; 4], spacing: [f32; 3], directions: Option<[[f32; 3]; 3]>, numbers: &[i16]) -> Vec<u8> {
    let mut file: Vec<u8> = [[1].as_slice(), &size, &[4, 0]].concat().into_iter().flat_map(i32::to_be_bytes).collect();
    file.extend(i16::from(directions.is_some()).to_be_bytes());
    file.extend(spacing.into_iter().flat_map(f32::to_be_bytes));
    file.extend(directions.unwrap_or_default().as_flattened().iter().flat_map(|part| part.to_be_bytes()));
    file.resize(284, 0);
    file.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    file
}

fn of_body(body: &Body) -> Vec<u8> {
    let lengths = body.steps.map(|step| step.iter().map(|part| part * part).sum::<f64>().sqrt() as f32);
    let directions = [0, 1, 2].map(|axis| body.steps[axis].map(|part| part as f32 / lengths[axis]));
    let [i, j, k] = body.size.map(|n| n as i32);
    let numbers: Vec<i16> = body.values.iter().map(|&value| value as i16).collect();
    file([i, j, k, 1], lengths, Some(directions), &numbers)
}

#[test]
fn every_orientation_gives_what_nifti_gives() {
    for facing in facings() {
        let body = Body::facing(&facing);
        assert_as_nifti(&body, &[("scan.mgh", &of_body(&body))], &facing);
        assert_as_nifti(&body, &[("scan.mgz", &gzip(&of_body(&body)))], &format!("{facing}, gzipped"));
    }
}

#[test]
fn an_oblique_scan_is_that_of_nibabel() {
    // nibabel 5.4.2: the header that it wrote, and as_closest_canonical of the file, turned to left, posterior, superior.
    let parts = [
        0xbe4b_c89b_u32,
        0x3f65_41ae,
        0x3ecb_c89b,
        0x3dc6_b9e6,
        0xbec5_b3a9,
        0x3f6a_d5bd,
        0x3f79_a58b,
        0x3e62_7bcb,
        0xbc24_b71f,
    ]
    .map(f32::from_bits);
    let directions = [0, 3, 6].map(|at| [parts[at], parts[at + 1], parts[at + 2]]);
    let oblique = file([5, 4, 3, 1], [0.5, 0.75, 2.5], Some(directions), &golden_numbers());
    assert_golden(&read("scan.mgh", &oblique).unwrap().volume, GOLDEN_VALUES, "oblique");
}

#[test]
fn a_file_without_directions_is_coronal_as_in_freesurfer_and_says_so() {
    let found = file([5, 4, 3, 1], [0.0; 3], None, &golden_numbers());
    let info = info("scan.mgh", &found);
    assert!(info.notes.len() == 1 && info.notes[0].contains("left, inferior, anterior"), "{info:?}");
    assert_eq!((info.size, info.spacing_mm), ([4, 3, 5], [1.0; 3]));
    // The first voxel of the volume is inferior, anterior and right: j and k at their ends, i at its start.
    assert_eq!(
        read("scan.mgh", &found).unwrap().volume.voxels()[..2],
        [(55 * 37 % 1009) as f32, (56 * 37 % 1009) as f32]
    );
}

#[test]
fn types_and_frames_are_read() {
    let with_type = |code: i32, numbers: &[u8]| {
        let mut bytes = file([2, 2, 1, 1], [1.0; 3], Some([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]), &[]);
        bytes[20..24].copy_from_slice(&code.to_be_bytes());
        [bytes, numbers.repeat(4)].concat()
    };
    for (code, numbers, value) in [
        (0, vec![200], 200.0),
        (1, (-70_000_i32).to_be_bytes().to_vec(), -70_000.0),
        (3, 0.25_f32.to_be_bytes().to_vec(), 0.25),
        (4, (-3000_i16).to_be_bytes().to_vec(), -3000.0),
        (10, 60_000_u16.to_be_bytes().to_vec(), 60_000.0),
    ] {
        assert_eq!(read("scan.mgh", &with_type(code, &numbers)).unwrap().volume.voxels(), [value; 4], "{code}");
    }
    refused("scan.mgh", &with_type(6, &[0; 8]), code::UNSUPPORTED, "type 6");
    let body = Body::facing("LPS");
    let mut frames = of_body(&body);
    frames[16..20].copy_from_slice(&2_i32.to_be_bytes());
    frames.extend_from_within(284..);
    let found = read("scan.mgh", &frames).unwrap();
    assert_eq!(found, read("scan.mgh", &of_body(&body)).unwrap());
    assert!(info("scan.mgh", &frames).notes[0].contains("several volumes"));
}

#[test]
fn headers_that_cannot_be_right_are_refused() {
    let valid = file([5, 4, 3, 1], [1.0; 3], None, &golden_numbers());
    let changed = |at: usize, number: i32| {
        let mut bytes = valid.clone();
        bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    refused("scan.mgh", &changed(0, 2), code::CORRUPT, "version 2");
    refused("scan.mgh", &changed(4, -5), code::CORRUPT, "at least 1");
    refused("scan.mgh", &changed(12, 0), code::CORRUPT, "at least 1");
    refused("scan.mgh", &changed(12, 4), code::CORRUPT, "too few");
    refused("scan.mgh", &changed(4, i32::MAX), code::UNSUPPORTED, "side of 2147483647");
    refused("scan.mgh", &valid[..200], code::CORRUPT, "284 bytes");
    let nan = file([5, 4, 3, 1], [f32::NAN; 3], Some([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), &[0; 60]);
    assert!(info("scan.mgh", &nan).notes[0].contains("spacing"));
    let damaged = &gzip(&valid)[..100];
    assert_eq!(read("scan.mgz", damaged).unwrap_err().code(), code::CORRUPT);
}

#[test]
fn no_byte_of_a_file_can_make_reading_panic() {
    assert_no_panic("scan.mgh", &file([5, 4, 3, 1], [1.0; 3], None, &golden_numbers()), 100);
}
