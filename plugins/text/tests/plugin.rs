//! The plugin through its traits, on the samples that it makes itself.

use std::path::{Path, PathBuf};

use medcoss_sdk::{
    Dataset, Discrete, Error, Geometry, Modality, NOT_A_TARGET, OpenRequest, Sample, Tokens, View, code, sample_rng,
    serde_json,
};
use medcoss_text::{Options, Text, TextDataset};

/// A request; of words that are in one document the vocabularies of these small data are made.
fn request(base: &Path, data: &[&str], options: serde_json::Value) -> OpenRequest<Options> {
    let mut all = serde_json::Map::from_iter([("min_document_count".to_string(), 1.into())]);
    all.extend(options.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    let options = serde_json::from_value(all.into()).unwrap();
    OpenRequest { base: base.into(), data: data.iter().map(PathBuf::from).collect(), options, assets: None }
}

/// A folder with synthetic files, and how to open them.
fn synthetic(n_samples: usize, seed: u64) -> (tempfile::TempDir, OpenRequest<Options>) {
    let folder = tempfile::tempdir().unwrap();
    let made = Text::synthesise(folder.path(), n_samples, seed).unwrap();
    let data: Vec<_> = made.data.iter().map(|entry| entry.to_str().unwrap()).collect();
    let request = request(folder.path(), &data, made.options.clone());
    (folder, request)
}

fn open(request: &OpenRequest<Options>) -> TextDataset {
    Text::open(request.clone()).unwrap()
}

fn open_error(request: OpenRequest<Options>) -> Error {
    Text::open(request).map(|_| ()).unwrap_err()
}

/// Ids and labels without padding, after checking that the padding is right.
fn load(dataset: &TextDataset, index: usize, view: View, seed: u64) -> (Vec<i32>, Vec<i32>) {
    let Geometry::Discrete(Discrete { length, padding_id, .. }) = dataset.geometry() else {
        panic!("text is discrete")
    };
    let (mut ids, mut labels, mut n) = (vec![padding_id; length], vec![NOT_A_TARGET; length], 0);
    let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
    dataset.load(index, view, &mut sample_rng(seed), sample).unwrap();
    let n = n as usize;
    assert!(ids[n..].iter().all(|&id| id == padding_id) && labels[n..].iter().all(|&label| label == NOT_A_TARGET));
    ids.truncate(n);
    labels.truncate(n);
    (ids, labels)
}

fn rendered(dataset: &TextDataset, ids: &[i32]) -> String {
    String::from_utf8(dataset.render(Tokens::Discrete(ids)).unwrap()).unwrap()
}

#[test]
fn synthetic_files_are_the_same_for_a_seed_and_open_in_every_layout() {
    let ((one, request), (again, _), (other, _)) = (synthetic(41, 5), synthetic(41, 5), synthetic(41, 6));
    for entry in &request.data {
        let bytes = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(entry)).unwrap();
        assert_eq!(bytes(&one), bytes(&again));
        assert_ne!(bytes(&one), bytes(&other));
    }
    let dataset = open(&request);
    assert_eq!(dataset.len(), 45);
    let ids: Vec<_> = (0..dataset.len()).map(|index| dataset.record(index).id).collect();
    for id in [
        "abstracts.txt#1000001",
        "labelled.csv#L0000002",
        "labelled.jsonl#L0000001",
        "questions.xml#9",
        "reports.txt#L0000009",
    ] {
        assert!(ids.iter().any(|known| known == id), "{id} is not among {ids:?}");
    }
    let n_distinct = ids.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(n_distinct, ids.len());
    let labelled = (0..dataset.len()).filter(|&index| dataset.record(index).label.is_some()).count();
    assert_eq!(labelled, 27, "CSV, JSON Lines and questions have labels");
}

#[test]
fn the_sentence_unit_gives_labelled_sentences() {
    let (folder, _) = synthetic(8, 5);
    let dataset = open(&request(folder.path(), &["abstracts.txt"], serde_json::json!({"unit": "sentence"})));
    assert_eq!((dataset.len(), dataset.record(5).id.as_str()), (8, "abstracts.txt#1000002/2"));
    assert_eq!(dataset.record(5).label.as_deref(), Some("METHODS"));
}

#[test]
fn the_evaluation_view_is_the_framed_text_whatever_the_seed() {
    let (_folder, request) = synthetic(40, 7);
    let dataset = open(&request);
    for index in 0..dataset.len() {
        let (ids, labels) = load(&dataset, index, View::Evaluation, 1);
        assert_eq!((ids.clone(), labels.clone()), load(&dataset, index, View::Evaluation, 2));
        assert!(labels.iter().all(|&label| label == NOT_A_TARGET));
        assert_eq!((ids[0], *ids.last().unwrap()), (2, 3), "[CLS] and [SEP] of a learned vocabulary");
        assert!(ids[1..ids.len() - 1].iter().all(|&id| id > 4), "the grammar has no unknown words");
    }
}

#[test]
fn the_training_view_is_the_plain_one_under_a_mask_that_follows_the_seed() {
    let (_folder, request) = synthetic(40, 7);
    let dataset = open(&request);
    let (mut n_targets, mut n_tokens) = (0, 0);
    for index in 0..dataset.len() {
        let (plain, _) = load(&dataset, index, View::Evaluation, 0);
        let (ids, labels) = load(&dataset, index, View::Training, 9);
        assert_eq!((ids.clone(), labels.clone()), load(&dataset, index, View::Training, 9));
        for at in 0..plain.len() {
            let original = if labels[at] == NOT_A_TARGET { ids[at] } else { labels[at] };
            assert_eq!(original, plain[at]);
        }
        assert_eq!((labels[0], labels[plain.len() - 1]), (NOT_A_TARGET, NOT_A_TARGET));
        n_targets += labels.iter().filter(|&&label| label != NOT_A_TARGET).count();
        n_tokens += plain.len();
    }
    let share = n_targets as f64 / n_tokens as f64;
    assert!((0.12..0.17).contains(&share), "{share} of the tokens are targets");
    assert!((0..20).any(|seed| load(&dataset, 0, View::Training, seed) != load(&dataset, 0, View::Training, 9)));
}

#[test]
fn rendering_gives_the_text_back_with_masks_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "No Pleural effusion, seen.\nno pleural effusion, seen.\n").unwrap();
    let dataset = open(&request(folder.path(), &["a.txt"], serde_json::json!({"max_length": 16})));
    let (mut ids, _) = load(&dataset, 0, View::Evaluation, 0);
    assert_eq!(rendered(&dataset, &ids), "no pleural effusion, seen.");
    let Geometry::Discrete(Discrete { mask_id, vocabulary, padding_id, .. }) = dataset.geometry() else { panic!() };
    ids[1] = mask_id;
    ids.push(padding_id);
    assert!(rendered(&dataset, &ids).starts_with("[MASK]"));
    assert_eq!(dataset.render(Tokens::Discrete(&[vocabulary as i32])).unwrap_err().code(), code::BAD_REQUEST);
    assert_eq!(dataset.render(Tokens::Discrete(&[-3])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn a_text_that_spells_special_tokens_is_only_text() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "a [MASK] b [SEP] c\n[mask] [sep] a b c\n").unwrap();
    let dataset = open(&request(folder.path(), &["a.txt"], serde_json::json!({})));
    let (ids, _) = load(&dataset, 0, View::Evaluation, 0);
    assert!(ids[1..ids.len() - 1].iter().all(|&id| id > 4), "{ids:?}");
}

#[test]
fn long_texts_are_cut_inside_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "lung ".repeat(50) + "\nlung lung\n").unwrap();
    let dataset = open(&request(folder.path(), &["a.txt"], serde_json::json!({"max_length": 9})));
    let (long, _) = load(&dataset, 0, View::Evaluation, 0);
    let (short, _) = load(&dataset, 1, View::Evaluation, 0);
    assert_eq!((long.len(), long[0], long[8]), (9, 2, 3));
    assert_eq!((short.len(), short[1], short[3]), (4, long[1], 3));
}

#[test]
fn words_are_masked_whole_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    // "qz" occurs once and stays in two pieces, all of it one word.
    std::fs::write(folder.path().join("a.txt"), "qz\nz q\n").unwrap();
    let targets = |whole_word_masking: bool| {
        let dataset =
            open(&request(folder.path(), &["a.txt"], serde_json::json!({ "whole_word_masking": whole_word_masking })));
        let (ids, labels) = load(&dataset, 0, View::Training, 3);
        assert_eq!(ids.len(), 4);
        labels.iter().filter(|&&label| label != NOT_A_TARGET).count()
    };
    assert_eq!((targets(true), targets(false)), (2, 1));
}

#[test]
fn saved_assets_give_the_same_ids_on_other_data() {
    let (_folder, request) = synthetic(40, 7);
    let dataset = open(&request);
    let assets = tempfile::tempdir().unwrap();
    assert_eq!(dataset.save_assets(assets.path()).unwrap(), ["tokenizer.json"]);
    let bytes = std::fs::read(assets.path().join("tokenizer.json")).unwrap();
    open(&request).save_assets(assets.path()).unwrap();
    assert_eq!(bytes, std::fs::read(assets.path().join("tokenizer.json")).unwrap(), "learned again, saved the same");

    let (_other_folder, mut other) = synthetic(12, 8);
    let learned_anew = open(&other);
    other.assets = Some(assets.path().into());
    let with_assets = open(&other);
    assert_ne!(learned_anew.geometry(), dataset.geometry());
    assert_eq!(with_assets.geometry(), dataset.geometry());
    let mut same_data = request.clone();
    same_data.assets = Some(assets.path().into());
    let same_data = open(&same_data);
    for index in 0..dataset.len() {
        assert_eq!(load(&dataset, index, View::Training, 4), load(&same_data, index, View::Training, 4));
    }
}

#[test]
fn a_named_tokeniser_counts_unless_it_contradicts_the_saved_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("a.txt", "Clear lungs.\n");
    write("vocab.txt", "[PAD]\n[unused0]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nclear\nlung\n##s\n.\n");
    let mut named = request(folder.path(), &["a.txt"], serde_json::json!({"tokenizer": "vocab.txt"}));
    let dataset = open(&named);
    assert_eq!(load(&dataset, 0, View::Evaluation, 0).0, [3, 6, 7, 8, 9, 4]);
    let Geometry::Discrete(Discrete {
        length, vocabulary, padding_id, mask_id, special_ids, vocabulary_digest, ..
    }) = dataset.geometry()
    else {
        panic!("text is discrete")
    };
    assert_eq!((length, vocabulary, padding_id, mask_id, special_ids), (112, 10, 0, 5, vec![3, 4]));
    assert_eq!(vocabulary_digest.map(|digest| digest.len()), Some(64));

    let assets = tempfile::tempdir().unwrap();
    dataset.save_assets(assets.path()).unwrap();
    named.assets = Some(assets.path().into());
    assert_eq!(open(&named).geometry(), dataset.geometry());
    write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nclear\n");
    let error = open_error(named);
    assert!(error.message().contains("another vocabulary") && error.message().contains("\nhint: "), "{error}");
}

#[test]
fn tokenisers_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("a.txt", "clear\n");
    write("few.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nclear\n");
    write("twice.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nclear\nclear\n");
    write("odd.json", "{}");
    for (tokenizer, expected_code, expected) in [
        ("few.txt", code::UNSUPPORTED, "few.txt has no token [MASK]"),
        ("twice.txt", code::CORRUPT, "twice.txt, line 7: token \"clear\" was on line 6"),
        ("odd.json", code::CORRUPT, "odd.json is no tokenizer.json"),
        ("none.json", code::UNREADABLE, "none.json cannot be read"),
        ("a.bin", code::BAD_REQUEST, "expected a tokenizer.json or a vocab.txt"),
    ] {
        let error = open_error(request(folder.path(), &["a.txt"], serde_json::json!({ "tokenizer": tokenizer })));
        assert_eq!(error.code(), expected_code, "{error}");
        assert!(error.message().contains(expected), "{error}");
    }
    let mut missing = request(folder.path(), &["a.txt"], serde_json::json!({}));
    missing.assets = Some(folder.path().into());
    assert!(open_error(missing).message().contains("tokenizer.json cannot be read"));
}

#[test]
fn data_that_are_missing_empty_or_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    write("blank.txt", b"\n \n\t\n");
    // A zero-width space is no white space, but the normaliser drops it.
    write("invisible.txt", "\u{200b}\n\n".as_bytes());
    write("latin1.txt", b"clear\nf\xfcr\n");
    write("utf16.csv", b"n\0o\0t\0e\0\n\0a\0\n\0");
    write("a.xml", b"<a/>");
    write("latin1.xml", b"<?xml version='1.0' encoding='latin1'?><doc/>");
    write("a.json", b"[]");
    write("bad.jsonl", b"{\"note\": 1}\nclear\n");
    write("torn.xml", b"<doc>\n<pair>");
    write("two.csv", b"a,b\n1,2\n");
    for (data, expected_code, expected) in [
        ("none.txt", code::UNREADABLE, "none.txt not found"),
        ("blank.txt", code::UNREADABLE, "no documents in blank.txt, 3 empty ones aside (looked for text (.txt)"),
        ("invisible.txt", code::UNREADABLE, "no documents in invisible.txt, 2 empty ones aside"),
        ("latin1.txt", code::UNSUPPORTED, "latin1.txt, line 2: byte 0xfc"),
        (
            "utf16.csv",
            code::UNSUPPORTED,
            "utf16.csv, line 1: UTF-16 without a byte order mark found where UTF-8 was expected\nhint: ",
        ),
        ("a.xml", code::UNSUPPORTED, "a.xml, line 1: the root element is \"a\"; expected \"Document\""),
        ("latin1.xml", code::UNSUPPORTED, "latin1.xml, line 1: declared encoding \"latin1\""),
        ("a.json", code::UNREADABLE, "no documents in a.json, 0 empty ones aside"),
        ("bad.jsonl", code::CORRUPT, "bad.jsonl, line 1: the text is a number; expected a string"),
        ("torn.xml", code::CORRUPT, "torn.xml, line 2: the file ends inside of <doc>"),
        ("two.csv", code::BAD_REQUEST, "two.csv has 2 columns: \"a\", \"b\""),
    ] {
        let error = open_error(request(folder.path(), &[data], serde_json::json!({})));
        assert_eq!(error.code(), expected_code, "{error}");
        assert!(error.message().contains(expected), "{error}");
    }
}

/// Why a sample cannot be loaded.
fn failure(dataset: &TextDataset, index: usize) -> Error {
    let Geometry::Discrete(Discrete { length, .. }) = dataset.geometry() else { panic!("text is discrete") };
    let (mut ids, mut labels, mut n) = (vec![0; length], vec![NOT_A_TARGET; length], 0);
    let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
    dataset.load(index, View::Training, &mut sample_rng(0), sample).unwrap_err()
}

#[test]
fn what_is_damaged_among_good_documents_is_an_invalid_sample_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    write("a.jsonl", "{\"note\":\"clear\"}\n{\"note\":\n");
    write("b.csv", "id,note\n1,clear\n2\n");
    write("c.xml", "<doc><pair pid=\"1\"><answer>clear</answer></pair><pair pid=\"2\"><answer>&lung;</answer></pair>");
    write("d.xml", "<annotation/>");
    write("e.jsonl", "[]\n[]\n");
    write("f.txt", "clear\n");
    let listed = folder.path().display().to_string();
    let options = serde_json::json!({"text_column": "note"});
    let dataset = open(&request(folder.path(), &["."], options));
    let found: Vec<_> = (0..dataset.len()).map(|index| dataset.record(index).id).collect();
    let expected = [
        ("a.jsonl#L0000001", None),
        ("a.jsonl#L0000002", Some("a.jsonl, line 2, column 8: EOF while parsing a value; expected a JSON object")),
        ("b.csv#L0000002", None),
        ("b.csv#L0000003", Some("b.csv, line 3: a row of 1 fields; expected 2, as in the header")),
        ("c.xml#1", None),
        ("c.xml#2", Some("c.xml, line 1: unknown entity \"lung\"")),
        ("c.xml", Some("c.xml, line 1: the file ends inside of <doc>")),
        ("d.xml", Some("d.xml, line 1: the root element is \"annotation\"; expected \"Document\", as in MedQuAD")),
        ("e.jsonl", Some("e.jsonl, line 1, column")),
        ("f.txt#L0000001", None),
    ];
    assert_eq!(found, expected.map(|(id, _)| id.to_owned()));
    for (index, (_, reason)) in expected.into_iter().enumerate() {
        let Some(reason) = reason else {
            assert_eq!(load(&dataset, index, View::Evaluation, 0).0.len(), 3);
            continue;
        };
        let error = failure(&dataset, index);
        assert!(error.message().starts_with(reason) && !error.message().contains(&listed), "{error}");
        assert_eq!(dataset.record(index).label, None);
    }
}

#[test]
fn a_file_among_others_that_cannot_be_opened_is_an_invalid_sample() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "clear\n").unwrap();
    // A file that cannot be read from its start by any user.
    std::os::unix::fs::symlink("/proc/self/mem", folder.path().join("b.txt")).unwrap();
    let dataset = open(&request(folder.path(), &["."], serde_json::json!({})));
    assert_eq!((dataset.len(), dataset.record(1).id.as_str()), (2, "b.txt"));
    assert!(failure(&dataset, 1).to_string().starts_with("b.txt cannot be read: "));
    assert_eq!(open_error(request(folder.path(), &["b.txt"], serde_json::json!({}))).code(), code::UNREADABLE);
}

#[test]
fn options_that_no_document_fits_and_other_encodings_stop_at_once_also_among_good_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    write("a.txt", b"clear\n");
    write("b.jsonl", b"{\"note\":\"clear\"}\n");
    let open = |options| Text::open(request(folder.path(), &["."], options)).map(|dataset| dataset.len());
    assert_eq!(open(serde_json::json!({})), Ok(2));
    let error = open(serde_json::json!({"text_column": "nite"})).unwrap_err();
    assert!(error.message().starts_with("b.jsonl, line 1 has no column \"nite\""), "{error}");
    assert_eq!(error.code(), code::BAD_REQUEST);
    write("c.txt", b"clear\n\xe4\n");
    let error = open(serde_json::json!({})).unwrap_err();
    assert!(error.message().starts_with("c.txt, line 2: byte 0xe4 found where UTF-8 was expected\nhint: "), "{error}");
}

#[test]
fn empty_files_zero_bytes_and_odd_ends_of_lines_are_no_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    for extension in ["txt", "csv", "jsonl", "xml"] {
        write(&format!("empty.{extension}"), "");
        write(&format!("mark.{extension}"), "\u{feff}");
        write(&format!("blank.{extension}"), " \r\n\n");
    }
    write("a.txt", "\u{feff}clear lungs\r\nclear\0 lungs\r\nclear lungs");
    write("b.csv", "\u{feff}note\r\n\"clear lungs\"\r\nclear \0lungs");
    write("c.jsonl", "\u{feff}{\"note\":\"clear lungs\"}\r\n{\"note\":\"clear lungs\"}");
    write("d.xml", "\u{feff}<doc><pair><answer>clear\r\nlungs</answer></pair></doc>");
    let dataset = open(&request(folder.path(), &["."], serde_json::json!({})));
    assert_eq!(dataset.len(), 8);
    let (first, _) = load(&dataset, 0, View::Evaluation, 0);
    for index in 1..dataset.len() {
        assert_eq!(load(&dataset, index, View::Evaluation, 0).0, first, "{}", dataset.record(index).id);
    }
}

#[test]
fn a_line_of_megabytes_is_cut_and_needs_no_memory_to_speak_of() {
    let folder = tempfile::tempdir().unwrap();
    // The second has no blank to cut at.
    let long = "clear lungs ".repeat(400_000);
    let solid = "clear,".repeat(400_000);
    std::fs::write(folder.path().join("a.txt"), format!("{long}\n{solid}\nclear")).unwrap();
    let dataset = open(&request(folder.path(), &["a.txt"], serde_json::json!({"vocab_size": 128})));
    assert_eq!(dataset.len(), 3);
    let (short, _) = load(&dataset, 2, View::Evaluation, 0);
    for index in 0..2 {
        let (ids, _) = load(&dataset, index, View::Evaluation, 0);
        assert_eq!((ids.len(), ids[1]), (112, short[1]));
    }
}

#[test]
fn a_vocabulary_holds_no_word_of_fewer_than_five_documents_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let common = "clear lungs\n".repeat(5);
    let text = format!("{common}seen by Xaverine, Xaverine and Xaverine 7001234\nseen\nseen\nseen\nseen\n");
    std::fs::write(folder.path().join("a.txt"), text).unwrap();
    let learned = |options: serde_json::Value| {
        let options: Options = serde_json::from_value(options).unwrap();
        let dataset = open(&OpenRequest { options, ..request(folder.path(), &["a.txt"], serde_json::json!({})) });
        let out = tempfile::tempdir().unwrap();
        dataset.save_assets(out.path()).unwrap();
        std::fs::read_to_string(out.path().join("tokenizer.json")).unwrap()
    };
    let cautious = learned(serde_json::json!({}));
    assert!(cautious.contains("\"clear\"") && cautious.contains("\"seen\"") && cautious.contains("\"x\""));
    assert!(!cautious.contains("xaver") && !cautious.contains("7001"));
    assert!(learned(serde_json::json!({ "min_document_count": 1 })).contains("\"xaverine\""));
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_read() {
    for options in [
        serde_json::json!({"max_length": 2}),
        serde_json::json!({"vocab_size": 7}),
        serde_json::json!({"mask_ratio": 1.5}),
        serde_json::json!({"text_column": ""}),
    ] {
        let request = request(Path::new("nowhere"), &["none.txt"], options);
        assert_eq!(Text::geometry(&request.options).unwrap_err().code(), code::BAD_REQUEST);
        assert_eq!(open_error(request).code(), code::BAD_REQUEST);
    }
    assert!(serde_json::from_value::<Options>(serde_json::json!({"lenght": 3})).is_err());
}

#[test]
fn the_fingerprint_follows_the_content() {
    let (folder, request) = synthetic(12, 5);
    let before = open(&request).fingerprint().hex();
    assert_eq!(before, open(&request).fingerprint().hex());
    let path = folder.path().join("reports.txt");
    let changed = std::fs::read_to_string(&path).unwrap().replacen("the", "teh", 1);
    std::fs::write(&path, changed).unwrap();
    assert_ne!(before, open(&request).fingerprint().hex());
}
