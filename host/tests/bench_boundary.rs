//! What `medcoss bench boundary` measures.

use medcoss_test_support::sandbox::{Sandbox, build_folder};
use serde_json::Value;

#[test]
fn three_ways_deliver_the_same_samples_and_their_times_are_printed() {
    let sandbox = Sandbox::new();
    let folder = build_folder();
    let asked = ["bench", "boundary", "--json", "--repetitions", "9", "--plugin-dir", folder.to_str().unwrap()];
    let answer = sandbox.run(asked);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(report["sample_shape"], serde_json::json!([3, 224, 224]));
    let seconds = |way: &str| report["median_seconds"][way].as_f64().unwrap();
    assert!(["direct", "boundary", "boundary_with_checks"].into_iter().all(|way| seconds(way) > 0.0), "{report}");
    assert_eq!(report["ratio"].as_f64().unwrap(), seconds("boundary") / seconds("direct"));
}

#[test]
fn without_the_library_there_is_nothing_to_compare() {
    let answer = Sandbox::new().run(["bench", "boundary"]);
    assert_eq!(answer.code, 1);
    let expected = "error: plugin xray was not found as a shared library\n\
                    hint: build it, or give its folder with --plugin-dir\n";
    assert_eq!(answer.err, expected);
}
