//! Scores of downstream tasks against numbers that the reference, scikit-learn and SciPy computed, see `golden/README.md`.

use medcoss_core::evaluation::{
    CalibrationBins, DiceFormula, Labelled, MultiClassAuc, MultiLabelled, Overlap, PairedDifferences, ReliabilityCurve,
    auc_macro, average_precision, average_precision_macro, binary_auc, binary_brier, brier, hausdorff_95_reference,
    precision_recall_curve, roc_curve, surface_dice,
};
use medcoss_core::weights::TensorFile;
use medcoss_test_support::golden;
use serde_json::Value;

fn numbers(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(&format!("downstream/{name}.json"))).unwrap()).unwrap()
}

fn tensors() -> TensorFile {
    TensorFile::open(&golden("downstream/evaluation.safetensors")).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn close(what: &str, found: f64, expected: &Value, tolerance: f64) {
    let expected = number(expected);
    assert!((found - expected).abs() <= tolerance, "{what}: {found} instead of {expected}");
}

#[test]
fn dice_and_hd95_have_the_references_conventions() {
    let (file, numbers) = (tensors(), numbers("evaluation"));
    for (scores, folder, formula) in
        [("scores_3d", "mask3d", DiceFormula::ReferenceVolume), ("scores_2d", "mask2d", DiceFormula::Standard)]
    {
        let cases = numbers[scores].as_array().unwrap();
        assert!(cases.len() >= 5);
        for case in cases {
            let mask = |name: &str| {
                let name = format!("{folder}.{}", case[name].as_str().unwrap());
                let mask: Vec<bool> = file.integers(&name).unwrap().into_iter().map(|value| value != 0).collect();
                (mask, file.shape(&name).unwrap().to_vec())
            };
            let ((predicted, shape), (truth, _)) = (mask("prediction"), mask("label"));
            let overlap = Overlap::of(&predicted, &truth).unwrap();
            close("dice", overlap.dice(formula), &case["dice"], 1e-12);
            let distance = hausdorff_95_reference(&predicted, &truth, &shape).unwrap();
            close(&format!("{case}"), distance, &case["hd95"], 1e-9);
            if scores == "scores_2d" {
                // Computed in float32.
                close("dice", overlap.dice(DiceFormula::ReferenceValidation), &case["dice_while_training"], 1e-7);
            }
        }
    }
}

/// Numbers of a list.
fn list(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(number).collect()
}

fn all_close(what: &str, found: &[f64], expected: &Value) {
    let expected = list(expected);
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-12, "{what}: {found} instead of {expected}");
    }
}

/// Labels, class scores and the binary labels and scores of `evaluation.safetensors`.
fn predictions() -> (Vec<usize>, Vec<f64>, Vec<bool>, Vec<f64>) {
    let file = tensors();
    let labels = file.integers("classes.labels").unwrap().into_iter().map(|label| label as usize).collect();
    let positive = file.integers("binary.labels").unwrap().into_iter().map(|label| label == 1).collect();
    let binary = file.doubles("binary.probability_of_1").unwrap();
    (labels, file.doubles("classes.probability").unwrap(), positive, binary)
}

#[test]
fn calibration_is_scikit_learns() {
    let (labels, scores, positive, binary) = predictions();
    let (samples, numbers) = (Labelled { labels: &labels, scores: &scores, n_classes: 5 }, numbers("scores"));
    // Ends of bins are never samples here: scikit-learn rounds a quantile that is one to either side of it.
    for (name, bins_of_binary, bins) in [
        ("equal_width", CalibrationBins::EqualWidth(15), CalibrationBins::EqualWidth(15)),
        ("equal_mass", CalibrationBins::EqualMass(10), CalibrationBins::EqualMass(15)),
    ] {
        for (of, curve) in [
            ("binary", ReliabilityCurve::new(&binary, &positive, bins_of_binary).unwrap()),
            ("top_label", ReliabilityCurve::of_predicted_class(samples, bins).unwrap()),
        ] {
            let expected = &numbers[format!("{of}_curve_{name}")];
            let values = |value: fn(&medcoss_core::evaluation::ReliabilityBin) -> f64| {
                curve.bins.iter().map(value).collect::<Vec<f64>>()
            };
            all_close("n", &values(|bin| bin.n as f64), &expected["n"]);
            all_close("confidence", &values(|bin| bin.confidence), &expected["mean_confidence"]);
            all_close("frequency", &values(|bin| bin.frequency), &expected["fraction_positive"]);
            close(of, curve.expected_error(), &numbers[format!("{of}_ece_{name}")], 1e-12);
        }
    }
    close("binary_brier", binary_brier(&positive, &binary).unwrap(), &numbers["binary_brier"], 1e-12);
    close("classes_brier", brier(samples).unwrap(), &numbers["classes_brier"], 1e-12);
}

#[test]
fn curves_and_areas_are_scikit_learns() {
    let (labels, scores, positive, binary) = predictions();
    let numbers = numbers("scores");
    let roc = roc_curve(&positive, &binary).unwrap();
    let expected = &numbers["binary_roc"];
    all_close("fpr", &roc.iter().map(|point| point.false_positive_rate).collect::<Vec<_>>(), &expected["fpr"]);
    all_close("tpr", &roc.iter().map(|point| point.true_positive_rate).collect::<Vec<_>>(), &expected["tpr"]);
    all_close("threshold", &roc[1..].iter().map(|point| point.threshold).collect::<Vec<_>>(), &expected["threshold"]);
    // By rising threshold.
    let mut curve = precision_recall_curve(&positive, &binary).unwrap();
    curve.reverse();
    let expected = &numbers["binary_pr"];
    all_close("precision", &curve.iter().map(|point| point.precision).collect::<Vec<_>>(), &expected["precision"]);
    all_close("recall", &curve.iter().map(|point| point.recall).collect::<Vec<_>>(), &expected["recall"]);
    let thresholds: Vec<f64> = curve.iter().map(|point| point.threshold).filter(|value| value.is_finite()).collect();
    all_close("threshold", &thresholds, &expected["threshold"]);

    close("auc", binary_auc(&positive, &binary).unwrap(), &numbers["binary_roc_auc"], 1e-12);
    let average = average_precision(&positive, &binary).unwrap();
    close("average precision", average, &numbers["binary_average_precision"], 1e-12);
    let samples = Labelled { labels: &labels, scores: &scores, n_classes: 5 };
    let area = auc_macro(samples, MultiClassAuc::OneVersusRest).unwrap();
    close("auc of classes", area, &numbers["classes_roc_auc_ovr"], 1e-12);
    let average = average_precision_macro(samples).unwrap();
    close("average precision of classes", average, &numbers["classes_average_precision"], 1e-12);
}

#[test]
fn areas_of_several_labels_leave_out_unknown_ones() {
    let (_, scores, ..) = predictions();
    let numbers = &numbers("scores")["multi_label"];
    let [labels, known] =
        ["labels", "known"].map(|name| list(&numbers[name]).into_iter().map(|value| value == 1.0).collect::<Vec<_>>());
    let samples = MultiLabelled { labels: &labels, known: &known, scores: &scores, n_labels: 5 };
    // The last label has no known negative sample: an average precision of 1, and no area.
    let areas = samples.roc_auc().unwrap();
    assert_eq!(areas.by_label[4], None);
    all_close("areas", &areas.by_label.iter().copied().flatten().collect::<Vec<_>>(), &numbers["roc_auc"]);
    close("macro", areas.value, &numbers["macro_roc_auc"], 1e-12);
    let averages = samples.average_precision().unwrap();
    let by_label: Vec<f64> = averages.by_label.iter().copied().flatten().collect();
    all_close("average precisions", &by_label[..4], &numbers["average_precision"]);
    assert_eq!(by_label[4], 1.0);
    let of_four = (averages.value * 5.0 - 1.0) / 4.0;
    close("macro", of_four, &numbers["macro_average_precision"], 1e-12);
}

#[test]
fn permutation_tests_are_scipys() {
    let numbers = numbers("scores");
    for (values, p_value, group) in [("differences", "p_of_12", 1), ("grouped_differences", "p_of_8_groups", 3)] {
        let values = list(&numbers[values]);
        let groups: Vec<usize> = (0..values.len()).map(|at| at / group).collect();
        let differences = PairedDifferences::new(&values, &vec![0.0; values.len()], &groups).unwrap();
        let test = differences.permutation_test(1, 0).unwrap();
        assert!(test.is_exact);
        close(p_value, test.p_value, &numbers[p_value], 1e-12);
    }
}

#[test]
fn surface_dice_is_that_of_scipys_distances() {
    let (file, numbers) = (tensors(), numbers("scores"));
    let cases = numbers["surface_dice"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let mask = |name: &str| {
            let name = format!("{}.{name}", case["masks"].as_str().unwrap());
            (
                file.integers(&name).unwrap().iter().map(|value| *value != 0).collect::<Vec<_>>(),
                file.shape(&name).unwrap(),
            )
        };
        let ((a, shape), (b, _)) = (mask("a"), mask("b"));
        let found = surface_dice(&a, &b, shape, &list(&case["spacing"]), number(&case["tolerance"])).unwrap();
        close(&format!("{case}"), found, &case["value"], 1e-12);
    }
}
