//! How much memory samples of a volume of 2 GiB take, which is 4 GiB decoded: the peak of a process
//! that runs one test.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use medcoss_ct::{Ct, Options};
use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement};
use medcoss_sdk::{Continuous, Dataset, Geometry, Modality, OpenRequest, Patches, Sample, View, sample_rng};
use medcoss_test_support::process::is_alone;

const SIDE: u16 = 1024;
const PLANE: u64 = (SIDE as u64) * (SIDE as u64) * 2;
/// Slices that are not zero.
const MARKED: [u64; 4] = [16, 500, 511, 1023];

/// Peak of the memory of this process in MiB, or `None` on systems that do not report it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib >> 10)
}

/// A file of 1024 x 1024 x 1024 numbers of 16 bit whose axes face as given; zeros but for a few of the slices along its
/// third axis, in which every number is 100 plus a hundredth of the slice's.
fn write(path: &Path, placement: Placement) {
    // The header of a file of the same size, whose voxels are one hole.
    let file = NiftiFile {
        size: &[SIDE; 3],
        stored_values: &[],
        datatype: NumberType::I16,
        placement,
        scaling: [1.0, 0.0],
        big_endian: false,
    };
    let mut out = File::create(path).unwrap();
    out.write_all(&file.to_bytes()).unwrap();
    out.set_len(352 + u64::from(SIDE) * PLANE).unwrap();
    for slice in MARKED {
        out.seek(SeekFrom::Start(352 + slice * PLANE)).unwrap();
        out.write_all(&(100 + slice as i16).to_le_bytes().repeat(PLANE as usize / 2)).unwrap();
    }
}

/// Reads samples in four threads, as a loader does, and checks the one that begins with slice 496.
fn sample_all(folder: &Path, name: &str, n_samples: usize) {
    let request = OpenRequest {
        base: folder.to_owned(),
        data: vec![PathBuf::from(name)],
        options: Options::default(),
        assets: None,
    };
    let scans = Ct::open(request).unwrap();
    assert_eq!(scans.len(), 64);
    let Geometry::Continuous(Continuous { grid, d_token, .. }) = scans.geometry() else {
        panic!("tokens are continuous")
    };
    let n_tokens: usize = grid.iter().product();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let scans = &scans;
            scope.spawn(move || {
                for index in (0..n_samples).filter(|index| index % 4 == thread).map(|index| (31 + 13 * index) % 64) {
                    let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
                    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
                    scans.load(index, View::Evaluation, &mut sample_rng(1), sample).unwrap();
                    if name.starts_with("axial") && index == 31 {
                        // Token 0 begins with slice 496; each slice of the cube has 256 values.
                        for (slice, values) in tokens[..4096].chunks_exact(256).enumerate() {
                            let stored = if [4, 15].contains(&slice) { 100 + 496 + slice } else { 0 };
                            let expected = stored as f32 / 1024.0;
                            assert!(values.iter().all(|value| (value - expected).abs() < 1e-4), "slice {slice}");
                        }
                    }
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(folder.join(name)).unwrap().len();
    let Some(peak) = peak_mib() else {
        println!("skipped: this system does not report the peak of memory");
        return;
    };
    println!("{name}: {} MiB, {n_samples} samples in {seconds:.1} s, peak {peak} MiB", bytes >> 20);
    assert!(peak < 1024, "{name}: {peak} MiB");
}

const AXIAL: Placement = Placement::Sform([[-0.5, 0.0, 0.0], [0.0, -0.5, 0.0], [0.0, 0.0, 0.5]]);

#[test]
fn samples_of_a_large_scan_take_the_memory_of_their_slices() {
    if !is_alone("memory::samples_of_a_large_scan_take_the_memory_of_their_slices") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("axial.nii"), AXIAL);
    sample_all(folder.path(), "axial.nii", 16);
}

#[test]
#[ignore = "half a minute: every sample reads the whole file"]
fn scans_that_are_stored_another_way_take_no_more() {
    if !is_alone("memory::scans_that_are_stored_another_way_take_no_more") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // Depth along the second axis of the file, and along the first.
    write(&folder.path().join("coronal.nii"), Placement::Sform([[-0.5, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, -0.5, 0.0]]));
    sample_all(folder.path(), "coronal.nii", 8);
    write(&folder.path().join("sagittal.nii"), Placement::Sform([[0.0, 0.0, 0.5], [-0.5, 0.0, 0.0], [0.0, -0.5, 0.0]]));
    sample_all(folder.path(), "sagittal.nii", 4);
    write(&folder.path().join("axial.nii"), AXIAL);
    let mut plain = File::open(folder.path().join("axial.nii")).unwrap();
    let compressed = File::create(folder.path().join("axial.nii.gz")).unwrap();
    let mut compressed = flate2::write::GzEncoder::new(compressed, flate2::Compression::fast());
    std::io::copy(&mut plain, &mut compressed).unwrap();
    compressed.finish().unwrap();
    sample_all(folder.path(), "axial.nii.gz", 4);
}
