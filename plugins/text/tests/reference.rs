//! Reports as the reference cleans, tokenises and masks them, against what it computed.

use medcoss_sdk::padded_word_masking::{PaddedWordMasking, Replacement};
use medcoss_sdk::serde_json::{self, Value, json};
use medcoss_sdk::{Dataset, Discrete, Error, Geometry, Modality, NOT_A_TARGET, OpenRequest, Sample, View, sample_rng};
use medcoss_test_support::GoldenArrays;
use medcoss_text::{Options, Text, TextDataset};

/// Ids of the golden vocabulary.
const MASK_ID: i32 = 5;
const SPECIAL_IDS: [i32; 5] = [0, 2, 3, 4, 5];
const LENGTH: usize = 112;

fn golden() -> GoldenArrays {
    GoldenArrays::below("plugins/text/tests/golden")
}

fn ids_of(file: &str, name: &str) -> Vec<i32> {
    golden().array(file, name).1.iter().map(|&id| id as i32).collect()
}

/// The golden reports with the preset and these options over it.
fn open(over: Value) -> Result<TextDataset, Error> {
    let (name, mut options) = Text::option_presets().remove(0);
    assert_eq!(name, "reference");
    options["tokenizer"] = json!("vocab.txt");
    for (name, value) in over.as_object().unwrap() {
        options[name] = value.clone();
    }
    let options: Options = serde_json::from_value(options).unwrap();
    let base = golden().folder().to_owned();
    Text::open(OpenRequest { base, data: vec!["reports.csv".into()], options, assets: None })
}

fn load(dataset: &TextDataset, index: usize, view: View, seed: u64) -> (Vec<i32>, Vec<i32>, usize) {
    let (mut ids, mut labels, mut n) = (vec![0; LENGTH], vec![NOT_A_TARGET; LENGTH], 0);
    let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
    dataset.load(index, view, &mut sample_rng(seed), sample).unwrap();
    (ids, labels, n as usize)
}

#[test]
fn reports_become_the_ids_of_the_reference() {
    let dataset = open(json!({})).unwrap();
    assert_eq!(dataset.len(), 4);
    let (ids, mask) = (ids_of("reports", "ids"), ids_of("reports", "attention_mask"));
    for (report, (ids, mask)) in ids.chunks_exact(LENGTH).zip(mask.chunks_exact(LENGTH)).enumerate() {
        let (found, _, n) = load(&dataset, report, View::Evaluation, 0);
        assert_eq!(found, ids, "report {report}");
        assert!(mask[..n].iter().all(|&seen| seen == 1) && mask[n..].iter().all(|&seen| seen == 0), "report {report}");
    }
    // In the contract the vocabulary is the plugin's; a model may have a larger table.
    assert!(matches!(
        dataset.geometry(),
        Geometry::Discrete(Discrete { length: 112, vocabulary: 109, padding_id: 0, mask_id: 5, .. })
    ));
}

#[test]
fn reports_that_the_reference_leaves_out_are_counted_by_their_reasons() {
    // Of the eight rows the first four stay; whatever else is left is refused with its reasons.
    let error =
        open(json!({ "keep_rows": { "split": ["validate"], "ViewPosition": ["LATERAL"] } })).map(|_| ()).unwrap_err();
    let message = error.message();
    assert!(message.contains("7 whose \"ViewPosition\" is not \"LATERAL\""), "{message}");
    assert!(message.contains("1 whose \"split\" is not \"validate\""), "{message}");
    // Without the filter the other view and split are read, and two reports are too short.
    assert_eq!(open(json!({ "keep_rows": {} })).unwrap().len(), 6);
    assert_eq!(open(json!({ "keep_rows": {}, "cleaning": "none" })).unwrap().len(), 8);
    let missing = open(json!({ "keep_rows": { "view": ["PA"] } })).map(|_| ()).unwrap_err();
    assert!(missing.message().contains("no column \"view\", which option keep_rows asks for"), "{missing}");
}

#[test]
fn saved_reports_open_again_to_the_same_ids() {
    let dataset = open(json!({})).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[3, 0], folder.path()).unwrap();
    dataset.save_assets(folder.path()).unwrap();
    let options: Options = serde_json::from_value(made.options).unwrap();
    let assets = Some(folder.path().to_owned());
    let again = Text::open(OpenRequest { base: folder.path().to_owned(), data: made.data, options, assets }).unwrap();
    for (kept, original) in [(0, 3), (1, 0)] {
        for view in [View::Evaluation, View::Training] {
            assert_eq!(load(&again, kept, view, 7), load(&dataset, original, view, 7));
        }
    }
}

fn masking(vocabulary: usize) -> PaddedWordMasking {
    PaddedWordMasking::new(0.15, LENGTH, vocabulary, MASK_ID, &SPECIAL_IDS).unwrap()
}

#[test]
fn given_order_and_draws_tokens_are_masked_as_by_the_collator() {
    let file: Value = serde_json::from_slice(&std::fs::read(golden().file("masking.json")).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    let positions = |value: &Value| -> Vec<usize> {
        value.as_array().unwrap().iter().map(|at| at.as_u64().unwrap() as usize).collect()
    };
    for (number, case) in cases.iter().enumerate() {
        let array = |name: &str| ids_of("masking", &format!("case_{number}.{name}"));
        let words = case["order_of_candidates"].as_array().unwrap().iter().map(positions);
        let order: Vec<_> = words.map(|word| word[0]..word[word.len() - 1] + 1).collect();
        assert_eq!(masking(109).choose(&order), positions(&case["chosen"]), "case {number}");
        let (keep_80, keep_50, random_ids) = (array("keep_80"), array("keep_50"), array("random_ids"));
        let replacement = |at: usize| match (keep_80[at], keep_50[at]) {
            (1, _) => Replacement::Mask,
            (_, 1) => Replacement::Random(random_ids[at]),
            _ => Replacement::Kept,
        };
        let (mut ids, mut labels) = (array("ids"), vec![0; LENGTH]);
        masking(109).apply_drawn(&order, replacement, &mut ids, &mut labels);
        assert_eq!(ids, array("masked_ids"), "case {number}");
        assert_eq!(labels, array("labels"), "case {number}");
        let targets: Vec<_> = (0..LENGTH).filter(|&at| labels[at] != NOT_A_TARGET).collect();
        assert_eq!(targets, positions(&case["targets"]), "case {number}");
    }
    for (length, n) in file["budget"].as_object().unwrap() {
        let masking = PaddedWordMasking::new(0.15, length.parse().unwrap(), 109, MASK_ID, &SPECIAL_IDS).unwrap();
        assert_eq!(Some(masking.n_wanted() as u64), n.as_u64(), "{length}");
    }
}

#[test]
fn numbers_of_targets_follow_the_law_of_the_reference() {
    const DRAWS: u64 = 4000;
    let file: Value = serde_json::from_slice(&std::fs::read(golden().file("masking.json")).unwrap()).unwrap();
    for law in file["single_token_words"].as_array().unwrap() {
        let number = |name: &str| law[name].as_f64().unwrap();
        let (length, mean, deviation, none) =
            (number("length") as usize, number("mean"), number("std"), number("none"));
        let words: Vec<_> = (0..length as u32).map(|at| (at > 0 && at + 1 < length as u32).then_some(at)).collect();
        let (mut sum, mut squares, mut n_none) = (0.0, 0.0, 0.0);
        for seed in 0..DRAWS {
            let (mut ids, mut labels) = (vec![20; length], vec![0; length]);
            masking(109).apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
            let n = labels.iter().filter(|&&label| label != NOT_A_TARGET).count() as f64;
            (sum, squares, n_none) = (sum + n, squares + n * n, n_none + f64::from(u8::from(n == 0.0)));
        }
        let draws = DRAWS as f64;
        let (found, found_none) = (sum / draws, n_none / draws);
        let found_deviation = (squares / draws - found * found).max(0.0).sqrt();
        println!(
            "{length} tokens: mean {found:.3} for {mean:.3}, deviation {found_deviation:.3} for {deviation:.3}, none {found_none:.4} for {none:.4}"
        );
        assert!((found - mean).abs() <= 5.0 * deviation / draws.sqrt() + 1e-12, "{length}: {found} {mean}");
        assert!(
            (found_deviation - deviation).abs() <= 0.06 * deviation + 1e-12,
            "{length}: {found_deviation} {deviation}"
        );
        let error = (none * (1.0 - none) / draws).sqrt();
        assert!((found_none - none).abs() <= 5.0 * error + 1e-3, "{length}: {found_none} {none}");
    }
}

#[test]
fn a_short_report_may_have_nothing_to_predict() {
    let dataset = open(json!({})).unwrap();
    let n_without =
        (0..400).filter(|&seed| load(&dataset, 3, View::Training, seed).1.iter().all(|&label| label == NOT_A_TARGET));
    // Six words of one token: 0.36 by the law above.
    let n_without = n_without.count();
    assert!((100..190).contains(&n_without), "{n_without}");
}
