//! Hostile texts and tokenisers: what opening them takes, measured in a process of its own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use medcoss_sdk::serde_json::{self, Value, json};
use medcoss_sdk::{Dataset, Discrete, Error, Geometry, Modality, OpenRequest, Sample, View, sample_rng};
use medcoss_test_support::process::{bounded, is_alone};
use medcoss_text::Text;

const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##a\n";

/// Opens the data of a folder and loads every sample; gives how many could be loaded, and the first reason why not.
fn load(folder: &Path, data: &str, options: &Value) -> Result<(usize, Option<Error>), Error> {
    let options = serde_json::from_value(options.clone()).unwrap();
    let request = OpenRequest { base: folder.to_owned(), data: vec![PathBuf::from(data)], options, assets: None };
    let dataset = Text::open(request)?;
    let Geometry::Discrete(Discrete { length, .. }) = dataset.geometry() else { panic!("tokens are ids") };
    let (mut n_loaded, mut reason) = (0, None);
    for index in 0..dataset.len() {
        let (mut ids, mut labels, mut n) = (vec![0; length], vec![0; length], 0);
        let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
        match dataset.load(index, View::Evaluation, &mut sample_rng(1), sample) {
            Ok(()) => n_loaded += 1,
            Err(error) => drop(reason.get_or_insert(error)),
        }
    }
    Ok((n_loaded, reason))
}

/// What is wrong with the data, whether it ends the opening or costs a sample.
fn reason(what: &str, folder: &Path, data: &str, options: &Value) -> String {
    let outcome = bounded(what, || load(folder, data, options));
    let reason = match outcome {
        Ok((n_loaded, reason)) => reason.map_or(format!("{n_loaded} samples"), |error| error.to_string()),
        Err(error) => error.to_string(),
    };
    println!("  {reason}");
    assert!(reason.len() < 2048, "{} bytes", reason.len());
    reason
}

#[test]
#[ignore = "measures memory"]
fn lines_and_rows_without_end() {
    if !is_alone("memory::lines_and_rows_without_end") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    std::fs::write(base.join("vocab.txt"), VOCABULARY).unwrap();
    let given = json!({ "tokenizer": "vocab.txt", "max_length": 16 });
    let table = json!({ "tokenizer": "vocab.txt", "max_length": 16, "text_column": "a" });
    // Zeros that are a hole of the file, behind a good line.
    let hole = |name: &str, beginning: &str| {
        std::fs::write(base.join(name), beginning).unwrap();
        File::options().append(true).open(base.join(name)).unwrap().set_len(1 << 30).unwrap();
    };
    let letters = " ".repeat(5000);
    hole("a.txt", &format!("a b{letters}\n"));
    assert!(
        reason("a line of 1 GiB", base, "a.txt", &given)
            .contains("a.txt, line 2: 1073736820 bytes without a line break")
    );
    hole("a.jsonl", &format!("{{\"a\": \"b\"{letters}}}\n{{\"a\": \""));
    assert!(reason("a line of 1 GiB of JSON", base, "a.jsonl", &table).contains("a.jsonl, line 2"));
    hole("a.csv", &format!("a,b\na,b{letters}\n"));
    assert!(reason("a line of 1 GiB of CSV", base, "a.csv", &table).contains("a.csv, line 3"));
    hole("a.xml", &format!("<doc>{letters}"));
    assert!(reason("XML of 1 GiB", base, "a.xml", &given).contains("more than 64 MiB"));

    let write = |name: &str, beginning: &str, repeated: &str, n: usize| {
        let mut file = BufWriter::new(File::create(base.join(name)).unwrap());
        file.write_all(beginning.as_bytes()).unwrap();
        (0..n).for_each(|_| file.write_all(repeated.as_bytes()).unwrap());
    };
    write("a.csv", "a,b\na,\"", &format!("a,{}\n", "b ".repeat(60)), 800_000);
    let found = reason("a quotation mark that opens before 100 MB of rows", base, "a.csv", &table);
    assert!(found.contains("line 2: a quotation mark opens and never closes") || found.contains("samples"), "{found}");
    write("a.csv", "a,b\n", "\"a,b\n", 25_000_000);
    assert!(reason("25 million quotation marks", base, "a.csv", &table).contains("more than 8388608 documents"));
    write("a.csv", "a", ",b", 20_000_000);
    assert!(
        reason("20 million columns", base, "a.csv", &table).contains("line 1: 40000001 bytes without a line break")
    );
    write("a.csv", "a", ",b", 2_000_000);
    assert!(reason("2 million columns", base, "a.csv", &json!({ "max_length": 16 })).contains("2000001 columns"));
    write("a.txt", "b\n", "a", 80_000_000);
    assert!(reason("80 MB of one word", base, "a.txt", &given).contains("line 2: 80000000 bytes"));
    write("a.txt", "b\n", "a", 4_000_000);
    reason("4 MB of one word", base, "a.txt", &given);
    reason("4 MB of one word, to learn from", base, "a.txt", &json!({ "vocab_size": 200, "max_length": 16 }));
    write("a.txt", "", "a\n", 20_000_000);
    assert!(reason("20 million documents", base, "a.txt", &given).contains("more than 8388608 documents"));

    for (what, open) in [("lists", "["), ("objects", "{\"a\":")] {
        write("a.jsonl", "{\"a\": \"b\"}\n", open, 800_000);
        let found = reason(&format!("800 thousand nested {what} of JSON"), base, "a.jsonl", &table);
        assert!(found.contains("line 2"), "{found}");
    }
    write("a.jsonl", "{\"a\": \"b\"}\n{\"a\": [", "{\"\":0},", 590_000);
    reason("600 thousand small objects in a line of JSON", base, "a.jsonl", &table);
    write("a.xml", "<doc>", "<p>", 20_000_000);
    reason("20 million open elements", base, "a.xml", &given);
    write("a.xml", "<doc><pair><answer x='1'", " b='1'", 10_000_000);
    reason("10 million attributes", base, "a.xml", &given);
}

#[test]
#[ignore = "measures memory"]
fn tokenisers_that_grow_their_input() {
    if !is_alone("memory::tokenisers_that_grow_their_input") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    std::fs::write(base.join("a.txt"), format!("{}\n", "a".repeat(4_000_000))).unwrap();
    let options = json!({ "tokenizer": "tokenizer.json", "max_length": 16 });
    let model = json!({ "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 1000,
        "vocab": { "[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5, "##a": 6 } });
    let file = |normaliser: Value, pre_tokeniser: Value, model: &Value| {
        json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normaliser,
            "pre_tokenizer": pre_tokeniser, "post_processor": null, "decoder": null, "model": model })
    };
    let put = |file: &Value| std::fs::write(base.join("tokenizer.json"), file.to_string()).unwrap();
    let replace = |content: &str| json!({ "type": "Replace", "pattern": { "String": "a" }, "content": content });
    let sequence = |rules: Vec<Value>| json!({ "type": "Sequence", "normalizers": rules });

    put(&file(sequence(vec![replace("aa"); 30]), Value::Null, &model));
    assert!(
        reason("30 rules that double a text", base, "a.txt", &options).contains("times as long; at most 16 is used")
    );
    put(&file(replace("aaaaaaaaaaaaaaa"), Value::Null, &model));
    reason("a rule that makes a text 15 times as long", base, "a.txt", &options);
    let split =
        json!({ "type": "Split", "pattern": { "Regex": "(a+)+(?=b)" }, "behavior": "Isolated", "invert": false });
    put(&file(Value::Null, split, &model));
    assert!(reason("a pattern that backtracks", base, "a.txt", &options).contains("may take very long"));
    let split =
        json!({ "type": "Split", "pattern": { "Regex": "a|\\s+(?!\\S)" }, "behavior": "Isolated", "invert": false });
    put(&file(Value::Null, split, &model));
    reason("a pattern that splits a million letters", base, "a.txt", &options);
    let vocabulary = &model["vocab"];
    let pieces: Vec<Value> = vocabulary.as_object().unwrap().keys().map(|token| json!([token, -1.0])).collect();
    for (what, model) in [
        ("BPE", json!({ "type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": "[UNK]" })),
        ("Unigram", json!({ "type": "Unigram", "unk_id": 1, "vocab": pieces })),
        ("WordLevel", json!({ "type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]" })),
    ] {
        put(&file(Value::Null, Value::Null, &model));
        reason(&format!("{what}: a word of 4 MB"), base, "a.txt", &options);
    }
    let mut long = model.clone();
    long["max_input_chars_per_word"] = json!(4_000_000);
    put(&file(Value::Null, Value::Null, &long));
    assert!(
        reason("WordPiece for words of 4 million letters", base, "a.txt", &options).contains("at most 1000 is used")
    );
    std::fs::write(base.join("tokenizer.json"), format!("{{\"model\": [{}0]}}", "[],".repeat(7_500_000))).unwrap();
    assert!(reason("22 MB of lists", base, "a.txt", &options).contains("is no tokenizer.json"));
    std::fs::write(base.join("tokenizer.json"), format!("{{\"model\": {{\"x\": [{}0]}}}}", "[],".repeat(7_500_000)))
        .unwrap();
    reason("22 MB of lists in a model", base, "a.txt", &options);
    std::fs::write(base.join("tokenizer.json"), " ".repeat(40 << 20)).unwrap();
    assert!(reason("a tokenizer.json of 40 MiB", base, "a.txt", &options).contains("more than 24 MiB"));
    let vocabulary = json!({ "tokenizer": "vocab.txt", "max_length": 16 });
    let tokens: String = (0..4_500_000).map(|n| format!("{n:x}\n")).collect();
    std::fs::write(base.join("vocab.txt"), format!("{VOCABULARY}{}", &tokens[..23 << 20])).unwrap();
    reason("a vocabulary of 23 MiB", base, "a.txt", &vocabulary);
    std::fs::write(base.join("vocab.txt"), format!("{VOCABULARY}{}", "x".repeat(23 << 20))).unwrap();
    reason("a vocabulary with a token of 23 MiB", base, "a.txt", &vocabulary);
}
