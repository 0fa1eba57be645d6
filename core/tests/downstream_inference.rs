//! Sliding windows, filters of components, resampling, learning rates and the choice of an epoch against numbers that the
//! reference computed, see `golden/README.md`.

use medcoss_core::downstream::{
    BestEpoch, Components, Criterion, Flip, GridMap, ImportanceMap, LargestRule, Neighbourhood, OrganTumourRule,
    TileGrid, keep_largest, remove_small,
};
use medcoss_core::optimisation::PolynomialSchedule;
use medcoss_core::weights::TensorFile;
use medcoss_test_support::golden;
use serde_json::Value;

fn numbers(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(&format!("downstream/{name}.json"))).unwrap()).unwrap()
}

fn tensors(name: &str) -> TensorFile {
    TensorFile::open(&golden(&format!("downstream/{name}.safetensors"))).unwrap()
}

fn sizes(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect()
}

fn starts(value: &Value) -> Vec<Vec<usize>> {
    value.as_array().unwrap().iter().map(sizes).collect()
}

#[test]
fn importance_maps_are_the_references_to_the_last_bits() {
    let file = tensors("sliding");
    for (name, scale) in [
        ("gaussian3d_16x32x32", ImportanceMap::VOLUME_SIGMA_SCALE),
        ("gaussian3d_5x9x7", ImportanceMap::VOLUME_SIGMA_SCALE),
        ("gaussian3d_8x20x12", ImportanceMap::VOLUME_SIGMA_SCALE),
        ("gaussian2d_32x32_quarter", ImportanceMap::IMAGE_SIGMA_SCALE),
        ("gaussian2d_24x40_eighth", 1.0 / 8.0),
        ("gaussian2d_64x64_narrow_with_zeros_replaced", 1.0 / 32.0),
    ] {
        let map = ImportanceMap::gaussian(file.shape(name).unwrap(), scale).unwrap();
        let expected = file.floats(name).unwrap();
        assert_eq!(map.values().len(), expected.len());
        for (found, expected) in map.values().iter().zip(&expected) {
            // Positive numbers that follow each other have patterns that follow each other.
            let apart = found.to_bits().abs_diff(expected.to_bits());
            assert!(apart <= 1, "{name}: {found:e} instead of {expected:e}");
        }
    }
}

#[test]
fn tiles_start_where_the_references_do() {
    let numbers = numbers("sliding");
    for name in ["larger", "smaller_in_one"] {
        let case = &numbers[name];
        let grid = TileGrid::reference(&sizes(&case["volume"]), &sizes(&case["tile"])).unwrap();
        assert_eq!(grid.starts(), starts(&case["starts"]));
        assert_eq!(grid.n_tiles() as u64, case["tiles"].as_u64().unwrap());
        // The file counts axes from the batch's.
        let flips: Vec<_> = case["flips"].as_array().unwrap().iter().map(sizes).collect();
        let found = Flip::subsets(3).unwrap();
        let found: Vec<Vec<usize>> =
            found.iter().map(|flip| flip.axes().iter().map(|axis| axis + 2).collect()).collect();
        assert_eq!(found, flips);
    }
    let case = &numbers["image2d"];
    let grid = TileGrid::reference(&[56, 56], &sizes(&case["tile"])).unwrap();
    assert_eq!(grid.starts(), starts(&case["starts"]));
    assert_eq!(case["sigma_scale"].as_f64(), Some(ImportanceMap::IMAGE_SIGMA_SCALE));

    for (name, tile, volume) in [
        ("tile_not_square_16x32x48_volume_18x40x110", [16, 32, 48], [18, 40, 110]),
        ("tile_not_square_16x48x32_volume_16x70x40", [16, 48, 32], [16, 70, 40]),
    ] {
        let case = &numbers[name];
        assert_eq!(TileGrid::reference(&volume, &tile).unwrap().starts(), starts(&case["starts"]));
        let own = TileGrid::new(&volume, &tile, 0.5).unwrap();
        assert_eq!(own.starts(), starts(&case["starts_if_every_axis_had_its_own_stride"]));
    }
    for case in numbers["starts_one_axis"].as_array().unwrap() {
        let [size, tile] = ["size", "tile"].map(|name| case[name].as_u64().unwrap() as usize);
        let grid = TileGrid::new(&[size, 1], &[tile, 1], 0.5).unwrap();
        assert_eq!(grid.starts()[0], sizes(&case["starts"]), "{case}");
    }
}

fn mask(file: &TensorFile, name: &str) -> (Vec<bool>, Vec<usize>) {
    let mask = file.integers(name).unwrap().into_iter().map(|value| value != 0).collect();
    (mask, file.shape(name).unwrap().to_vec())
}

#[test]
fn the_largest_component_is_kept_as_the_reference_does() {
    let (file, numbers) = (tensors("evaluation"), numbers("evaluation"));
    for (before, after) in
        [("organ.before", "organ.after"), ("organ.larger_than_background.before", "organ.larger_than_background.after")]
    {
        let (mut organ, shape) = mask(&file, before);
        keep_largest(&mut organ, &shape, Neighbourhood::Edges, LargestRule::Reference).unwrap();
        assert_eq!(organ, mask(&file, after).0, "{before}");
    }
    let (mut organ, shape) = mask(&file, "organ.before");
    let components = Components::find(&organ, &shape, Neighbourhood::Edges).unwrap();
    assert_eq!(components.sizes(), sizes(&numbers["organ"]["sizes_of_components_18"]));
    keep_largest(&mut organ, &shape, Neighbourhood::Edges, LargestRule::Foreground).unwrap();
    assert_eq!(organ, mask(&file, "organ.after").0);
    // Without the background the large organ stays.
    let (mut organ, shape) = mask(&file, "organ.larger_than_background.before");
    keep_largest(&mut organ, &shape, Neighbourhood::Edges, LargestRule::Foreground).unwrap();
    assert_eq!(organ.iter().filter(|voxel| **voxel).count(), 89);
}

#[test]
fn small_tumours_go_and_the_liver_has_its_labels() {
    let file = tensors("evaluation");
    let (mut tumour, shape) = mask(&file, "tumour.before");
    remove_small(&mut tumour, &shape, Neighbourhood::Edges, 51).unwrap();
    assert_eq!(tumour, mask(&file, "tumour.after").0);

    let probability = file.floats("liver.probability").unwrap();
    let shape = file.shape("liver.labels").unwrap();
    let voxels: Vec<bool> = probability.iter().map(|probability| *probability > 0.5).collect();
    let (organ, tumour) = voxels.split_at(voxels.len() / 2);
    let labels = OrganTumourRule::REFERENCE.labels(organ, tumour, shape).unwrap();
    assert!(labels.iter().map(|label| i64::from(*label)).eq(file.integers("liver.labels").unwrap()));
}

/// Resampling whose corners stay: voxel i of the file lies at i times a factor in the sample.
#[test]
fn interpolation_is_itks_trilinear_one() {
    let (file, numbers) = (tensors("evaluation"), numbers("evaluation"));
    let (sample, values) = (file.shape("itk.volume_z_y_x").unwrap(), file.floats("itk.volume_z_y_x").unwrap());
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for name in ["down", "up", "up_more_than_twice"] {
        let case = &numbers["itk"]["cases"][name];
        let factors: Vec<f64> =
            case["factor_z_y_x"].as_array().unwrap().iter().map(|factor| factor.as_f64().unwrap()).collect();
        let [z, y, x] = [factors[0], factors[1], factors[2]];
        let affine = [z, 0.0, 0.0, 0.0, 0.0, y, 0.0, 0.0, 0.0, 0.0, x, 0.0];
        let tensor = format!("itk.{name}.float32");
        let shape = file.shape(&tensor).unwrap();
        let map = GridMap::new(&affine, sample, shape).unwrap();
        let carried = map.interpolate(&values, 1, 0..shape[0]).unwrap();
        let expected = file.floats(&tensor).unwrap();
        assert_eq!(carried.values.len(), expected.len());
        for (found, expected) in carried.values.iter().zip(&expected) {
            // The two routes of the numbers differ by 3e-5 HU.
            assert!((found - expected).abs() <= 1e-6 * largest, "{name}: {found} instead of {expected}");
        }
        let n_outside = carried.is_covered.iter().filter(|covered| !**covered).count();
        assert_eq!(n_outside as u64, case["outside"].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn learning_rates_fall_as_the_references() {
    let numbers = numbers("evaluation");
    let tasks = numbers["learning_rates"].as_object().unwrap();
    assert_eq!(tasks.len(), 9);
    for (task, rates) in tasks {
        let (base, epochs) = (rates["base"].as_f64().unwrap(), rates["epochs"].as_u64().unwrap() as usize);
        let schedule = PolynomialSchedule::new(base, epochs, PolynomialSchedule::REFERENCE_POWER).unwrap();
        let expected = rates["learning_rate"].as_array().unwrap();
        for (epoch, expected) in sizes(&rates["at"]).into_iter().zip(expected) {
            let (found, expected) = (schedule.learning_rate(epoch as f64), expected.as_f64().unwrap());
            assert!((found / expected - 1.0).abs() < 1e-14, "{task}, epoch {epoch}: {found} instead of {expected}");
        }
    }
}

#[test]
fn the_best_epoch_is_the_references() {
    let case = &numbers("evaluation")["best_epoch"];
    let mut best = BestEpoch::new(Criterion::reference_classification());
    for (epoch, values) in case["accuracy_auc_f1"].as_array().unwrap().iter().enumerate() {
        let values: Vec<f64> = values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        best.observe(epoch, &values).unwrap();
    }
    let chosen = case["chosen"].as_u64().unwrap() as usize;
    assert_eq!(best.best(), Some((chosen, case["sums"][chosen].as_f64().unwrap())));
}
