//! What `medcoss bench load` measures.

use medcoss_test_support::sandbox::Sandbox;
use serde_json::Value;

/// Samples to load, in a folder of their own.
fn samples(sandbox: &Sandbox, modality: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("data");
    let answer = sandbox.run(["synth", "--modality", modality, "--samples", "5", "--out", out.to_str().unwrap()]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    folder
}

#[test]
fn batches_are_filled_with_each_number_of_threads_and_their_times_are_printed() {
    let sandbox = Sandbox::new();
    let folder = samples(&sandbox, "xray");
    let root = folder.path().to_str().unwrap();
    let asked =
        ["bench", "load", "--modality", "xray", "--data", "data", "--data-root", root, "--set", "size=64", "--json"];
    let numbers = ["--samples", "11", "--batch", "3", "--threads", "1,2,3", "--iterations", "5"];
    let answer = sandbox.run(asked.into_iter().chain(numbers));
    assert_eq!(answer.code, 0, "{}", answer.err);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    let by_threads = report["by_threads"].as_array().unwrap();
    assert_eq!(by_threads.iter().map(|of| of["threads"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    for (at, of) in by_threads.iter().enumerate() {
        let number = |name: &str| of[name].as_f64().unwrap();
        assert!(number("median_seconds") > 0.0 && number("median_cpu_seconds") > 0.0, "{of}");
        assert_eq!(number("samples_per_second"), 11.0 / number("median_seconds"));
        assert_eq!(number("samples_per_second_and_thread"), number("samples_per_second") / (at + 1) as f64);
    }
    assert_eq!(report["median_seconds"], by_threads[0]["median_seconds"]);
    assert!(report["scaling_exponent"].as_f64().unwrap().is_finite());
    assert!(report["n_samples"].as_u64().unwrap() >= 5);
}

#[test]
fn people_get_a_table() {
    let sandbox = Sandbox::new();
    let folder = samples(&sandbox, "ct");
    let data = folder.path().join("data");
    let asked = ["bench", "load", "--modality", "ct", "--data", data.to_str().unwrap(), "--set", "size=[16,32,32]"];
    let answer = sandbox.run(asked.into_iter().chain(["--samples", "4", "--iterations", "5"]));
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("4 samples an iteration, batches of 8; medians of 5 iterations"), "{}", answer.out);
    assert!(!answer.out.contains("to the power"), "{}", answer.out);
}

#[test]
fn a_sample_that_cannot_be_read_ends_it() {
    let sandbox = Sandbox::new();
    let folder = samples(&sandbox, "xray");
    std::fs::write(folder.path().join("data/torn.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let data = folder.path().join("data");
    let asked = ["bench", "load", "--modality", "xray", "--data", data.to_str().unwrap(), "--samples", "12"];
    let answer = sandbox.run(asked);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(answer.err.contains("torn.png cannot be read") && answer.err.contains("hint: measure"), "{}", answer.err);
}
