//! Metrics against scikit-learn's and MedPy's, computed once.

use medcoss_core::evaluation::{
    Labelled, MultiClassAuc, ScoreMatrix, accuracy, auc_macro, binary_auc, dice, hausdorff_95, macro_f1,
};
use medcoss_core::weights::TensorFile;
use medcoss_test_support::golden;
use serde_json::Value;

fn numbers() -> (TensorFile, Value) {
    let numbers = std::fs::read(golden("metrics.json")).unwrap();
    (TensorFile::open(&golden("metrics.safetensors")).unwrap(), serde_json::from_slice(&numbers).unwrap())
}

fn close(name: &str, found: f64, numbers: &Value, tolerance: f64) {
    let expected = numbers[name].as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance, "{name}: {found} instead of {expected}");
}

#[test]
fn classification() {
    let (file, numbers) = numbers();
    let labels: Vec<usize> = file.integers("class_labels").unwrap().into_iter().map(|label| label as usize).collect();
    let scores = file.doubles("class_probabilities").unwrap();
    let samples = Labelled { labels: &labels, scores: &scores, n_classes: 5 };
    let predicted = samples.predicted();
    close("accuracy", accuracy(&labels, &predicted), &numbers, 1e-9);
    close("macro_f1", macro_f1(&labels, &predicted, 5), &numbers, 1e-9);
    close("auc_macro_ovo", auc_macro(samples, MultiClassAuc::OneVersusOne).unwrap(), &numbers, 1e-9);
    close("auc_macro_ovr", auc_macro(samples, MultiClassAuc::OneVersusRest).unwrap(), &numbers, 1e-9);

    let positive: Vec<bool> = file.integers("binary_labels").unwrap().into_iter().map(|label| label == 1).collect();
    let scores = file.doubles("binary_scores").unwrap();
    close("binary_auc_with_ties", binary_auc(&positive, &scores).unwrap(), &numbers, 1e-9);
}

#[test]
fn segmentation() {
    let (file, numbers) = numbers();
    let mask = |name: &str| file.integers(name).unwrap().into_iter().map(|value| value != 0).collect::<Vec<_>>();
    let (a, b) = (mask("mask_a"), mask("mask_b"));
    let shape = [20, 40, 44];
    let spacing: Vec<f64> =
        numbers["spacing_mm"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    close("dice", dice(&a, &b), &numbers, 1e-9);
    close("hd95_voxel", hausdorff_95(&a, &b, shape, [1.0; 3]).unwrap(), &numbers, 1e-6);
    close("hd95_mm", hausdorff_95(&a, &b, shape, [spacing[0], spacing[1], spacing[2]]).unwrap(), &numbers, 1e-6);
}

#[test]
fn continual_learning() {
    let (_, numbers) = numbers();
    let row = |row: &Value| row.as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    let rows = numbers["score_matrix_rows_are_stages"].as_array().unwrap().iter().map(row).collect();
    let matrix = ScoreMatrix::new(rows).unwrap();
    close("average", matrix.average(), &numbers, 1e-9);
    close("backward_transfer_last_row", matrix.backward_transfer(), &numbers, 1e-9);
    close("forgetting_chaudhry", matrix.forgetting(), &numbers, 1e-9);
    close("forward_transfer_vs_random_0.2_0.3_0.3", matrix.forward_transfer(&[0.2, 0.3, 0.3]), &numbers, 1e-9);
}
