//! The law of every tensor's initial values.

use medcoss_core::model::{InitialValues, Model, ModelConfig};
use medcoss_test_support::golden;
use serde_json::Value;

use super::{Models, published};

/// Mean, root mean square and largest magnitude.
fn measured(values: &[f32]) -> [f64; 3] {
    let n = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let square = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / n;
    [mean, square.sqrt(), values.iter().map(|value| f64::from(value.abs())).fold(0.0, f64::max)]
}

#[test]
fn every_tensor_begins_by_the_references_law() {
    let notes: Value = serde_json::from_slice(&std::fs::read(golden("recipe/initial.json")).unwrap()).unwrap();
    let models = Models::open();
    let config = ModelConfig { initial_values: InitialValues::Medcoss, ..models.config.clone() };
    let fresh = Model::new(&config, 5, 1, &models.device);
    let found = published(&fresh, &config, &mut |parameter| Some(parameter.values().unwrap()));
    let laws = notes["tiny"].as_object().unwrap();
    let mut n_checked = 0;
    for (name, values) in &found {
        let law = law_of(laws, name);
        let number = |key: &str| law[key].as_f64();
        let [mean, rms, largest] = measured(values);
        let (expected_mean, deviation) = (number("mean").unwrap(), number("std").unwrap());
        let n = values.len() as f64;
        if deviation == 0.0 {
            assert!(values.iter().all(|value| f64::from(*value) == f64::from(expected_mean as f32)), "{name}: {law}");
        } else {
            // Five standard errors of mean and spread, as the numbers themselves were held to their laws.
            assert!((mean - expected_mean).abs() < 5.0 * deviation / n.sqrt(), "{name}: mean {mean}, {law}");
            assert!((rms / deviation - 1.0).abs() < 5.0 / (2.0 * n).sqrt(), "{name}: {rms} instead of {deviation}");
            if let Some(bound) = number("bound") {
                assert!(largest <= bound * (1.0 + 1e-6), "{name}: {largest} above {bound}");
            }
        }
        n_checked += 1;
    }
    println!("{n_checked} tensors by their laws");
    assert!(n_checked > 95, "{n_checked}");
}

/// The law of a tensor: layers alike stand once, with an asterisk for their number.
fn law_of<'a>(laws: &'a serde_json::Map<String, Value>, name: &str) -> &'a Value {
    let parts: Vec<&str> = name.split('.').collect();
    let matches = |pattern: &str| {
        let pattern: Vec<&str> = pattern.split('.').collect();
        pattern.len() == parts.len()
            && pattern.iter().zip(&parts).all(|(wanted, part)| *wanted == "*" || wanted == part)
    };
    laws.iter().find(|(pattern, _)| matches(pattern)).map(|(_, law)| law).unwrap_or_else(|| panic!("no law of {name}"))
}
