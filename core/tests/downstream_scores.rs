//! Scores of downstream tasks against numbers that the reference computed, see `golden/README.md`.

use medcoss_core::evaluation::{DiceFormula, Overlap, hausdorff_95_reference};
use medcoss_core::weights::TensorFile;
use medcoss_test_support::golden;
use serde_json::Value;

fn numbers() -> Value {
    serde_json::from_slice(&std::fs::read(golden("downstream/evaluation.json")).unwrap()).unwrap()
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
    let (file, numbers) = (tensors(), numbers());
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
