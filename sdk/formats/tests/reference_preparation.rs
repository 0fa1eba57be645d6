//! Samples as the reference makes them: from the files that it read to the arrays that it trained on.

use std::path::Path;

use medcoss_formats::dicom::write::Modality;
use medcoss_formats::dicom_series_write::DicomSeries;
use medcoss_formats::nifti_write::{NiftiFile, NumberType, Placement, in_file_order};
use medcoss_formats::reference_preparation::{ReferenceSettings, ReferenceSteps, ReferenceVolumes};
use medcoss_formats::volume_source::ScanRules;
use medcoss_sdk::Error;
use medcoss_sdk::volume::Volume;
use medcoss_test_support::GoldenArrays;

const CT: ReferenceSteps = ReferenceSteps::Ct { hu_range: [-1024.0, 1024.0] };
const MRI: ReferenceSteps = ReferenceSteps::Mri { percentiles: [0.2, 99.8] };

fn golden() -> GoldenArrays {
    GoldenArrays::below("sdk/formats/tests/golden")
}

fn open(folder: &Path, file: &str, size: [usize; 3], steps: ReferenceSteps) -> Result<ReferenceVolumes, Error> {
    let settings = ReferenceSettings { size, steps, cache_mb: 64, scans: ScanRules::CT };
    ReferenceVolumes::open(folder, &[file.into()], settings)
}

/// Largest difference, and the fraction of values that differ.
fn differences(found: &[f32], expected: &[f32]) -> (f32, f64) {
    assert_eq!(found.len(), expected.len());
    let apart = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    let n_off = apart.clone().filter(|&difference| difference > 0.0).count();
    (apart.fold(0.0, f32::max), n_off as f64 / found.len() as f64)
}

#[test]
fn a_prepared_file_is_its_array_with_the_third_axis_first() {
    for (name, unit) in [("prepared_ct", 1024.0), ("prepared_mri", 1.0)] {
        let size = [16, 48, 48];
        let samples = open(golden().folder(), &format!("{name}.nii.gz"), size, ReferenceSteps::Prepared).unwrap();
        assert_eq!((samples.len(), samples.id(0)), (1, format!("{name}.nii.gz")));
        let (_, expected) = golden().array(name, "input");
        let found: Vec<f32> = samples.read(0).unwrap().iter().map(|value| value / unit).collect();
        assert_eq!(differences(&found, &expected), (0.0, 0.0), "{name}");

        let error = open(golden().folder(), &format!("{name}.nii.gz"), [16, 64, 48], ReferenceSteps::Prepared);
        let message = error.unwrap_err().message().to_owned();
        let expected = format!(
            "{name}.nii.gz has 16 slices of 48x48 voxels, as they lie in the file; a prepared file has the size of a sample, \
             16 of 64x48\nhint: set size, or preparation to \"reference\" for raw scans"
        );
        assert_eq!(message, expected);
    }
}

#[test]
fn a_raw_ct_scan_goes_through_the_whole_chain() {
    let samples = open(golden().folder(), "ct.nii.gz", [16, 192, 192], CT).unwrap();
    assert_eq!([samples.id(0), samples.id(1)], ["ct.nii.gz#tile=0000", "ct.nii.gz#tile=0006"]);
    for (sample, start, name) in [(1, 0, "input_1_every_3rd"), (0, 2, "input_0_every_3rd_from_2")] {
        let found = samples.read(sample).unwrap();
        let rows = found.chunks_exact(192).enumerate().filter(|(row, _)| row % 192 % 3 == start);
        let found: Vec<f32> = rows.flat_map(|(_, row)| row.iter().copied().skip(start).step_by(3)).collect();
        let (_, expected) = golden().array(&format!("ct_input_{sample}"), name);
        let (largest, off) = differences(&found, &expected);
        println!("ct.input_{sample}: largest difference {largest}, {off:.2e} of the voxels off");
        assert!(largest <= 1.0 && off < 1e-3, "{largest} {off}");
    }
}

/// Writes a golden volume `[z, y, x]` as a file.
fn write_volume(folder: &Path, file: &str, datatype: NumberType) {
    let (shape, values) = golden().array(file, "volume");
    let size: Vec<u16> = shape.iter().rev().map(|&side| side as u16).collect();
    let stored_values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
    let placement = Placement::Unstated([1.2, 1.0, 1.1]);
    let file = NiftiFile {
        size: &size,
        stored_values: &stored_values,
        datatype,
        placement,
        scaling: [1.0, 0.0],
        big_endian: false,
    };
    file.write(&folder.join("m.nii.gz")).unwrap();
}

#[test]
fn a_raw_mri_scan_goes_through_the_whole_chain_in_any_order_of_its_tiles() {
    for (volume, inputs, datatype, starts) in [
        ("mri_int16_volume", "mri_int16_inputs", NumberType::I16, &[3, 11, 13][..]),
        ("mri_float32_volume", "mri_float32_inputs", NumberType::F32, &[3, 11, 13]),
        ("mri_int16_20", "mri_int16_20", NumberType::I16, &[2]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_volume(folder.path(), volume, datatype);
        let samples = open(folder.path(), "m.nii.gz", [16, 24, 24], MRI).unwrap();
        let ids: Vec<_> = (0..samples.len()).map(|sample| samples.id(sample)).collect();
        assert_eq!(ids, starts.iter().map(|start| format!("m.nii.gz#tile={start:04}")).collect::<Vec<_>>());
        for sample in (0..samples.len()).rev() {
            let (_, expected) = golden().array(inputs, &format!("input_{sample}"));
            let (largest, off) = differences(&samples.read(sample).unwrap(), &expected);
            println!("{volume}, input_{sample}: largest difference {largest:.2e}, {off:.2e} of the values not equal");
            assert!(largest < 2e-6, "{volume} {sample}: {largest}");
        }
    }
}

#[test]
fn a_dicom_series_is_prepared_as_the_file_that_it_would_be_converted_to() {
    let voxels = (0..20 * 22 * 26).map(|at| (at * 37 % 1501) as f32 - 700.0).collect();
    let volume = Volume::new([20, 22, 26], [1.5, 1.25, 1.0], voxels).unwrap();
    // Columns, rows and slices run as the axes of the file do, whatever the directions.
    for facing in ["LPS", "RAS", "PIR"] {
        let folder = tempfile::tempdir().unwrap();
        let (size, stored_values, placement) = in_file_order(&volume, facing).unwrap();
        let (datatype, scaling) = (NumberType::I16, [1.0, 0.0]);
        let file =
            NiftiFile { size: &size, stored_values: &stored_values, datatype, placement, scaling, big_endian: false };
        file.write(&folder.path().join("scan.nii")).unwrap();
        std::fs::create_dir(folder.path().join("series")).unwrap();
        let modality = Modality::Ct;
        let series = DicomSeries { volume: &volume, facing, modality, series: "2.25.1", rescale: [1.0, -1024.0] };
        series.write(&folder.path().join("series")).unwrap();
        for steps in [CT, MRI] {
            let of = |entry: &str| open(folder.path(), entry, [16, 32, 48], steps);
            let (of_file, of_series) = (of("scan.nii").unwrap(), of("series").unwrap());
            assert!(of_file.len() == of_series.len() && !of_file.is_empty(), "{facing}");
            for sample in 0..of_file.len() {
                assert!(of_file.read(sample).unwrap() == of_series.read(sample).unwrap(), "{facing} {sample}");
            }
        }
        let error = open(folder.path(), "series", [20, 22, 26], ReferenceSteps::Prepared).unwrap_err();
        assert!(error.message().contains("is a DICOM series; preparation = \"prepared\" reads NIfTI files"), "{error}");
    }
}

#[test]
fn headers_that_would_cost_more_than_a_scan_does_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |size: [u16; 3], spacing: [f32; 3], steps: ReferenceSteps| {
        let stored_values = vec![0.0; size.iter().map(|&side| usize::from(side)).product()];
        let placement = Placement::Unstated(spacing);
        let (datatype, scaling) = (NumberType::U8, [1.0, 0.0]);
        let file =
            NiftiFile { size: &size, stored_values: &stored_values, datatype, placement, scaling, big_endian: false };
        file.write(&folder.path().join("a.nii.gz")).unwrap();
        open(folder.path(), "a.nii.gz", [16, 192, 192], steps).unwrap_err().message().to_owned()
    };
    assert!(
        refused([1, 1, 65535], [1.0; 3], MRI)
            .contains("a.nii.gz has 65535 slices, too many for a file of this size with planes of 192x192")
    );
    assert!(refused([2, 2, 65535], [1.0, 1.0, 100.0], CT).contains("more than 65536 slices"));
    assert!(refused([200, 200, 20], [100.0, 100.0, 1.0], CT).contains("become [20, 20000, 20000] of 1 mm"));
    assert!(refused([20, 20, 600], [1.0, 1.0, 0.01], CT).contains("0.05 mm is the finest"));
    assert!(refused([20, 2, 30], [0.3, 0.3, 1.0], CT).contains("become [30, 6, 0] of 1 mm: none"));
}

#[test]
fn whole_numbers_are_cut_where_the_type_of_the_file_is_integer_and_not_elsewhere() {
    let read = |datatype| {
        let folder = tempfile::tempdir().unwrap();
        write_volume(folder.path(), "mri_int16_volume", datatype);
        open(folder.path(), "m.nii.gz", [16, 24, 24], MRI).unwrap().read(0).unwrap()
    };
    let (integers, reals) = (read(NumberType::I16), read(NumberType::F32));
    let (largest, off) = differences(&reals, &integers);
    assert!(largest < 0.05 && off > 0.9, "{largest} {off}");
    assert_eq!(read(NumberType::I32), integers);
}

#[test]
fn scans_too_short_for_a_tile_are_left_out_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, depth: u16, spacing: f32| {
        let n = 20 * 20 * usize::from(depth);
        let stored_values: Vec<f64> = (0..n).map(|at| (at % 97) as f64).collect();
        let file = NiftiFile {
            size: &[20, 20, depth],
            stored_values: &stored_values,
            datatype: NumberType::I16,
            placement: Placement::Unstated([1.0, 1.0, spacing]),
            scaling: [1.0, 0.0],
            big_endian: false,
        };
        file.write(&folder.path().join(name)).unwrap();
    };
    write("a.nii", 12, 1.0);
    let error = open(folder.path(), ".", [16, 32, 32], CT).unwrap_err();
    assert!(error.message().contains("12 or fewer slices of 1 mm, which give no sample"), "{error}");
    write("b.nii", 13, 1.0);
    let samples = open(folder.path(), ".", [16, 32, 32], CT).unwrap();
    assert_eq!((samples.len(), samples.id(0)), (1, "b.nii#tile=0000".to_owned()));
    assert_eq!(samples.read(0).unwrap().len(), 16 * 32 * 32);
    let error = open(folder.path(), ".", [16, 32, 32], MRI).unwrap_err();
    assert_eq!(error.message(), "a.nii keeps 9 of 12 slices without its ends; 16 are needed");
    write("c.nii", 22, 1.0);
    let samples = open(folder.path(), ".", [16, 32, 32], MRI).unwrap();
    assert_eq!(samples.len(), 4);
    assert!(samples.read(0).is_err() && samples.read(1).is_err() && samples.read(3).is_ok());
}
