//! The plugin on real abstracts.

use medcoss_sdk::{
    Dataset, Discrete, Geometry, Modality, NOT_A_TARGET, OpenRequest, Sample, View, sample_rng, serde_json,
};
use medcoss_test_support::data;
use medcoss_text::{Text, TextDataset};

const ABSTRACTS: &str = "text/pubmed_rct/share.txt";
const TABLE: &str = "text/medical_abstracts/share.csv";
const QUESTIONS: &str = "text/medquad";

// The numbers below were counted with Python: regular expressions, its csv and its xml.etree.

fn open(entry: &str, options: serde_json::Value) -> TextDataset {
    let options = serde_json::from_value(options).unwrap();
    Text::open(OpenRequest { base: data(""), data: vec![entry.into()], options, assets: None }).unwrap()
}

/// Number of the notice that has these words, 0 without one.
fn n_noticed(dataset: &TextDataset, words: &str) -> u64 {
    let mut found = dataset.account().unwrap().notices().iter().filter(|notice| notice.what.contains(words));
    found.next().map_or(0, |notice| notice.n)
}

/// Shares of all tokens that are unknown, and that are targets in the training view.
fn shares(dataset: &TextDataset) -> (f64, f64) {
    let Geometry::Discrete(Discrete { length, padding_id, .. }) = dataset.geometry() else {
        panic!("text is discrete")
    };
    let (mut n_tokens, mut n_unknown, mut n_targets) = (0, 0, 0);
    for index in 0..dataset.len() {
        let fill = |view| {
            let (mut ids, mut labels, mut n) = (vec![padding_id; length], vec![NOT_A_TARGET; length], 0);
            let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
            dataset.load(index, view, &mut sample_rng(index as u64), sample).unwrap();
            (ids, labels, n as usize)
        };
        let (ids, _, n) = fill(View::Evaluation);
        let (_, labels, _) = fill(View::Training);
        n_tokens += n;
        n_unknown += ids.iter().filter(|&&id| id == 1).count();
        n_targets += labels.iter().filter(|&&label| label != NOT_A_TARGET).count();
    }
    (n_unknown as f64 / n_tokens as f64, n_targets as f64 / n_tokens as f64)
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn pubmed_rct_gives_abstracts_or_labelled_sentences() {
    let documents = open(ABSTRACTS, serde_json::json!({"min_document_count": 1}));
    assert_eq!((documents.len(), documents.record(0).label), (500, None));
    assert_eq!(documents.record(0).id, "text/pubmed_rct/share.txt#10340286");
    assert!(matches!(documents.geometry(), Geometry::Discrete(Discrete { length: 112, vocabulary: 8192, .. })));

    let sentences = open(ABSTRACTS, serde_json::json!({"unit": "sentence", "vocab_size": 2000}));
    assert_eq!((sentences.len(), sentences.record(0).label.as_deref()), (5639, Some("OBJECTIVE")));
    let (unknown, targets) = shares(&sentences);
    assert!(unknown < 0.001, "{unknown} of the tokens are unknown");
    assert!((0.14..0.16).contains(&targets), "{targets} of the tokens are targets");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn medical_abstracts_give_rows_with_labels() {
    let options = serde_json::json!({"text_column": "medical_abstract", "label_column": "condition_label"});
    let dataset = open(TABLE, options);
    assert_eq!((dataset.len(), dataset.record(0).label.as_deref()), (2308, Some("3")));
    assert_eq!(dataset.record(0).id, "text/medical_abstracts/share.csv#L0000002");
    // Of 2,308 abstracts 2,220 are distinct.
    assert_eq!([n_noticed(&dataset, "repeat the text"), n_noticed(&dataset, "separated by")], [88, 0]);
    assert_eq!([n_noticed(&dataset, "single word"), n_noticed(&dataset, "cannot be read")], [0, 0]);
    let (unknown, targets) = shares(&dataset);
    assert!(unknown < 0.001, "{unknown} of the tokens are unknown");
    assert!((0.14..0.16).contains(&targets), "{targets} of the tokens are targets");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn medquad_gives_pairs_with_types_of_questions() {
    let dataset = open(QUESTIONS, serde_json::json!({"vocab_size": 2000}));
    // 4,048 in files of the usual spelling, 16 in four files of the older one; readme.txt beside them has 36 lines with text.
    let pairs: Vec<_> = (0..dataset.len()).filter(|&index| dataset.record(index).id.contains(".xml#")).collect();
    assert_eq!((pairs.len(), dataset.len()), (4064, 4064 + 36));
    let counts =
        |label: &str| pairs.iter().filter(|&&index| dataset.record(index).label.as_deref() == Some(label)).count();
    let found = ["information", "treatment", "exams and tests", "genetic changes"].map(counts);
    assert_eq!(found, [997, 719, 287, 1]);
    assert!(pairs.iter().all(|&index| dataset.record(index).label.is_some()));
    let ids: Vec<_> = pairs.iter().map(|&index| dataset.record(index).id).collect();
    assert!(ids.contains(&"text/medquad/6_NINDS_QA/0000007.xml#1".to_owned()));
    // All 4,064 load.
    let (unknown, targets) = shares(&dataset);
    assert!(unknown < 0.001, "{unknown} of the tokens are unknown");
    assert!((0.14..0.16).contains(&targets), "{targets} of the tokens are targets");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn tables_and_reports_as_users_have_them() {
    let column = serde_json::json!({"text_column": "findings"});
    for (file, n, words, n_of_words) in [
        ("tab.tsv", 24, "separated by", 0),
        ("utf16.csv", 24, "UTF-16", 1),
        ("chinese.csv", 24, "unknown", 0),
        ("long.csv", 6, "longer than max_length", 6),
    ] {
        let dataset = open(&format!("reports/40-tables/{file}"), column.clone());
        assert_eq!((dataset.len(), n_noticed(&dataset, words)), (n, n_of_words), "{file}");
        let distinct: std::collections::BTreeSet<_> =
            (0..dataset.len()).map(|index| evaluated(&dataset, index)).collect();
        assert_eq!(distinct.len(), n, "{file}");
    }
    let files = "reports/57-one-report-a-file";
    assert_eq!(n_noticed(&open(files, serde_json::json!({})), "read line by line"), 6);
    let documents = open(files, serde_json::json!({"text_files": "documents"}));
    assert_eq!((documents.len(), documents.record(2).id.as_str()), (6, "reports/57-one-report-a-file/s0002.txt"));
}

fn evaluated(dataset: &TextDataset, index: usize) -> Vec<i32> {
    let Geometry::Discrete(Discrete { length, padding_id, .. }) = dataset.geometry() else {
        panic!("text is discrete")
    };
    let (mut ids, mut labels, mut n) = (vec![padding_id; length], vec![NOT_A_TARGET; length], 0);
    let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
    dataset.load(index, View::Evaluation, &mut sample_rng(0), sample).unwrap();
    ids
}
