//! Tests of `medcoss eval` as a whole program, on synthetic samples.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use medcoss_test_support::process::{cpu_seconds, interrupt, wait_until};
use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

const RUN: &str = "
[model]
preset = \"demo\"
[training]
epochs = 1
batch_size = 8
[[stage]]
modality = \"xray\"
data = \"xray\"
options = { size = 48, labels = { file = \"xray/labels.csv\", key_column = \"file\", label_column = \"finding\" } }
[[stage]]
modality = \"text\"
data = \"text/reports.csv\"
options = { text_column = \"report\", label_column = \"finding\", max_length = 32, vocab_size = 512, min_document_count = 1 }
";

/// A folder with 24 X-rays, some reports and a run over both. Tests read it and write beside it, but do not change it.
fn place() -> &'static Path {
    static PLACE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| text(&place.path().join(name));
        for (modality, n) in [("xray", "24"), ("text", "60")] {
            succeeded(medcoss(&["synth", "--modality", modality, "--samples", n, "--out", &path(modality)]));
        }
        let reports: String = (0..40).map(report).collect();
        fs::write(path("text/reports.csv"), format!("finding,report\n{reports}")).unwrap();
        fs::write(path("run.toml"), RUN).unwrap();
        succeeded(medcoss(&["pretrain", &path("run.toml"), "--out", &path("run"), "--quiet"]));
        place
    };
    PLACE.get_or_init(make).path()
}

/// A row of the reports: every second row is of the other class, with words that both classes have.
fn report(at: usize) -> String {
    let (finding, side) = [("calm", "left"), ("loud", "right")][at % 2];
    let place = ["trachea", "aorta", "lung apex", "heart"][at / 2 % 4];
    format!("{finding},\"the {place} is {side}. no change since visit {at}.\"\n")
}

/// Names of the X-rays, in the order of their ids.
fn images() -> Vec<String> {
    let names = fs::read_dir(place().join("xray")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with("chest"));
    names.sort();
    names
}

/// Writes a table of labels of the X-rays, a row for each: its key, and the cells that `row` returns.
fn table(name: &str, row: impl Fn(usize) -> String) {
    let rows = images().into_iter().enumerate().map(|(at, name)| format!("{name},{}\n", row(at)));
    let content: String = std::iter::once("file,finding,patient,part\n".to_string()).chain(rows).collect();
    fs::write(place().join("xray").join(name), content).unwrap();
}

/// A task over the X-rays.
fn task(name: &str, settings: &str) -> String {
    format!("[[task]]\nname = \"{name}\"\nmodality = \"xray\"\ndata = \"xray\"\n{settings}\n")
}

fn by_table(name: &str) -> String {
    format!("labels = {{ table = \"xray/{name}\", key = \"file\", label = \"finding\" }}\n")
}

fn tasks_file(name: &str, content: &str) -> PathBuf {
    let path = place().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Cells of a CSV file without quotes, by line.
fn cells(path: PathBuf) -> Vec<Vec<String>> {
    read(path).lines().map(|line| line.split(',').map(String::from).collect()).collect()
}

#[test]
fn every_stage_is_scored_and_all_files_hold_the_same_numbers() {
    table("halves.csv", |at| format!("{},p{},", at % 2, at / 2));
    let content = [
        task("near", "protocol = \"knn\"\nk = 3"),
        task("line", &format!("protocol = \"linear\"\nmetric = \"macro_f1\"\n{}", by_table("halves.csv"))),
        task("like", "protocol = \"retrieval\"\nsplit = { test = 0.5 }"),
        task("tuned", "protocol = \"finetune\"\nepochs = 1\nbatch_size = 8"),
        "[[task]]\nname = \"reports\"\nmodality = \"text\"\ndata = \"text/reports.csv\"\nprotocol = \"linear\"\nmetric = \"accuracy\"\nmax_samples = 30\n"
            .to_string(),
    ];
    let file = tasks_file("all.toml", &content.concat());
    let (file, run) = (text(&file), text(&place().join("run")));
    let eval = |more: &[&str]| succeeded(medcoss(&[&["eval", &run, &file][..], more].concat()));
    let output = eval(&["--after", "every-stage", "--seeds", "2"]);
    let folder = place().join("run/evaluation/all");
    let scores: Value = serde_json::from_str(&read(folder.join("scores.json"))).unwrap();
    assert_eq!(scores["seeds"], serde_json::json!([0, 1]));
    let names = ["near", "line", "like", "tuned", "reports"];
    let own: Vec<_> = scores["tasks"].as_array().unwrap().iter().map(|task| task["own_stage"].as_u64()).collect();
    assert_eq!(own, [Some(1), Some(1), Some(1), Some(1), Some(2)]);

    // Three metrics of five tasks, after each of the two stages and before the first.
    let all = scores["scores"].as_array().unwrap();
    assert_eq!(all.len(), 3 * 5 * 3);
    for score in all {
        let [value, low, high] = ["value", "low", "high"].map(|name| score[name].as_f64().unwrap());
        assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0, "{score}");
        assert!((0.0..=1.0).contains(&value), "{score}");
        let by_seed: Vec<f64> = score["by_seed"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(by_seed.len() == 2 && (by_seed[0] + by_seed[1] - 2.0 * value).abs() < 1e-12);
    }
    // The tables hold the same numbers.
    let table = cells(folder.join("scores.csv"));
    assert_eq!(table[0], ["stage", "task", "metric", "value", "low", "high", "n"]);
    assert_eq!(table.len(), all.len() + 1);
    for (row, score) in table[1..].iter().zip(all) {
        assert_eq!(
            (row[1].as_str(), row[2].as_str()),
            (score["task"].as_str().unwrap(), score["metric"].as_str().unwrap())
        );
        assert_eq!(row[3].parse::<f64>().unwrap(), score["value"].as_f64().unwrap());
    }
    let matrix = cells(folder.join("matrix.csv"));
    assert_eq!(matrix[0], [&["stage", "modality"][..], &names[..]].concat());
    let row = |at: usize| matrix[at][2..].iter().map(|cell| cell.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let rows = [row(1), row(2), row(3)];
    assert_eq!(matrix[2][..2], ["1", "xray"]);
    let primary = |stage: u64, task: &str, metric: &str| {
        let is_it = |score: &&Value| score["stage"] == stage && score["task"] == task && score["metric"] == metric;
        all.iter().find(is_it).unwrap()["value"].as_f64().unwrap()
    };
    let metrics = ["accuracy", "macro_f1", "map", "auc", "accuracy"];
    for ((name, metric), column) in names.iter().zip(metrics).zip(0..) {
        assert_eq!(rows[2][column], primary(2, name, metric));
    }
    // The transfer metrics, computed by hand: four tasks of the first stage, one of the last.
    let transfer = |name: &str| scores["transfer"][name].as_f64().unwrap();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let close = |name: &str, expected: f64| assert!((transfer(name) - expected).abs() < 1e-12, "{name}");
    close("average", mean(rows[2].clone()));
    close("backward_transfer", mean((0..4).map(|task| rows[2][task] - rows[1][task]).collect()));
    close("forgetting", mean((0..4).map(|task| rows[1][task] - rows[2][task]).collect()));
    close("forward_transfer", rows[1][4] - rows[0][4]);

    // The printed table: its columns are aligned, and it has every figure.
    let lines: Vec<&str> = output.lines().skip_while(|line| !line.starts_with("AFTER STAGE")).take(4).collect();
    let column = lines[0].find("NEAR").unwrap();
    for (line, row) in lines[1..].iter().zip(&rows) {
        assert!(line[column..].starts_with(&format!("{:.3}", row[0])), "{output}");
    }
    for word in ["backward transfer", "forgetting", "forward transfer", "average"] {
        assert!(output.contains(word), "{output}");
    }

    // Evaluated again in another folder: the same bytes. Of the latest model alone: the same scores.
    let again = place().join("again");
    let printed = eval(&["--after", "every-stage", "--seeds", "0,1", "--out", &text(&again), "--json"]);
    for name in ["scores.json", "scores.csv", "matrix.csv"] {
        assert_eq!(fs::read(folder.join(name)).unwrap(), fs::read(again.join(name)).unwrap(), "{name}");
    }
    let mut printed: Value = serde_json::from_str(&printed).unwrap();
    printed["checksum"] = scores["checksum"].clone();
    assert_eq!(printed, scores);
    let last: Value =
        serde_json::from_str(&eval(&["--seeds", "2", "--out", &text(&place().join("last")), "--json"])).unwrap();
    assert_eq!(last["scores"].as_array().unwrap()[..], all[30..]);
    assert_eq!(last["transfer"], Value::Null);

    // Every file has a checksum.
    succeeded(medcoss(&["show", &run, "--verify"]));
    for name in ["scores.json", "scores.csv", "matrix.csv"] {
        let intact = read(folder.join(name));
        fs::write(folder.join(name), intact.replacen("0.", "1.", 1)).unwrap();
        let output = medcoss(&["show", &run, "--verify"]);
        assert_eq!(output.status.code(), Some(1));
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains(&format!("evaluation/all/{name}")), "{output}");
        fs::write(folder.join(name), intact).unwrap();
    }
}

/// Features of the X-rays after a stage, in the order of their ids.
fn features(stage: &str) -> Vec<Vec<f64>> {
    let out = place().join(format!("features-{stage}.safetensors"));
    let (run, root) = (text(&place().join("run")), text(place()));
    let arguments =
        ["--modality", "xray", "--data-root", &root, "--data", "xray", "--stage", stage, "--out", &text(&out)];
    succeeded(medcoss(&[&["embed", &run][..], &arguments].concat()));
    let bytes = fs::read(out).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("features").unwrap();
    let values: Vec<f64> =
        tensor.data().chunks(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()))).collect();
    values.chunks(tensor.shape()[1]).map(<[f64]>::to_vec).collect()
}

/// Share of the queries whose most similar key has their class.
fn nearest_is_right(
    keys: &[Vec<f64>],
    queries: &[Vec<f64>],
    is_test: impl Fn(usize) -> bool,
    class: impl Fn(usize) -> usize,
) -> f64 {
    let cosine = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let (test, train): (Vec<usize>, Vec<usize>) = (0..keys.len()).partition(|at| is_test(*at));
    let is_right = |query: &&usize| {
        let like = |key: &&usize| cosine(&keys[**key], &queries[**query]);
        let nearest = train.iter().max_by(|a, b| like(a).total_cmp(&like(b))).unwrap();
        class(*nearest) == class(**query)
    };
    test.iter().filter(is_right).count() as f64 / test.len() as f64
}

#[test]
fn masked_words_are_predicted_without_labels() {
    let words = |more: &str| {
        format!(
            "[[task]]\nname = \"words\"\nmodality = \"text\"\ndata = \"text/reports.csv\"\nprotocol = \"masked-lm\"\n{more}\n"
        )
    };
    let run = text(&place().join("run"));
    let eval = |file: &str| medcoss(&["eval", &run, file, "--after", "every-stage", "--seeds", "2", "--json"]);
    let file = text(&tasks_file("words.toml", &words("")));
    let scores: Value = serde_json::from_str(&succeeded(eval(&file))).unwrap();
    let words_task = &scores["tasks"][0];
    assert_eq!(
        (&words_task["n_train"], &words_task["n_test"], &words_task["own_stage"]),
        (&0.into(), &40.into(), &2.into())
    );
    let value = |stage: usize| scores["scores"][stage]["value"].as_f64().unwrap();
    // The same words are masked for every model.
    let untrained = scores["scores"][0]["by_seed"].as_array().unwrap();
    assert!(untrained[0] != untrained[1] && value(0) == value(1), "{scores}");
    assert_eq!(serde_json::from_str::<Value>(&succeeded(eval(&file))).unwrap(), scores);

    // Frequent words are learned soon. Where text came first, its head stays in later models.
    let stages: Vec<&str> = RUN.split("[[stage]]").collect();
    let config = [stages[0], &format!("\nepochs = 20{}", stages[2]), stages[1]].join("[[stage]]");
    let config = format!("{config}[optimiser]\nbase_learning_rate = 0.03\n");
    fs::write(place().join("text-first.toml"), config).unwrap();
    let (config, first) = (text(&place().join("text-first.toml")), text(&place().join("text-first")));
    succeeded(medcoss(&["pretrain", &config, "--out", &first, "--quiet"]));
    let output = succeeded(medcoss(&["eval", &first, &file, "--after", "every-stage", "--seeds", "2", "--json"]));
    let scores: Value = serde_json::from_str(&output).unwrap();
    let by_stage: Vec<f64> = (0..3).map(|stage| scores["scores"][stage]["value"].as_f64().unwrap()).collect();
    assert!(by_stage[1] > by_stage[0] + 0.15 && by_stage[2] > by_stage[0] + 0.1, "{by_stage:?}");

    for (content, expected) in [
        (words("labels = { entry = true }"), "neither labels nor a split"),
        (words("k = 3"), "k is no setting of protocol masked-lm"),
        (task("pixels", "protocol = \"masked-lm\""), "masks words, and xray has none"),
    ] {
        let error = refused(eval(&text(&tasks_file("no-words.toml", &content))));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_probe_that_is_fitted_once_scores_the_models_of_later_stages() {
    let (class, is_test) = (|at: usize| at / 2 % 2, |at: usize| at.is_multiple_of(2));
    table("parts.csv", |at| format!("{},,{}", class(at), if is_test(at) { "test" } else { "train" }));
    let settings = format!(
        "{}split = {{ column = \"part\" }}\nmetric = \"recall_at_1\"\nprotocol = \"retrieval\"",
        by_table("parts.csv")
    );
    let content = [task("anew", &settings), task("once", &format!("{settings}\nrefit = false"))].concat();
    let (run, file) = (text(&place().join("run")), text(&tasks_file("once.toml", &content)));
    let out = text(&place().join("once"));
    let eval = |more: &[&str]| -> Value {
        let arguments = [&["eval", &run, &file, "--seeds", "1", "--out", &out, "--json"][..], more].concat();
        serde_json::from_str(&succeeded(medcoss(&arguments))).unwrap()
    };
    let scores = eval(&["--after", "every-stage"]);
    assert_eq!(scores["tasks"][1]["protocol"], "retrieval, fitted once");
    let value = |scores: &Value, stage: u64, name: &str| {
        let is_it =
            |score: &&Value| score["stage"] == stage && score["task"] == name && score["metric"] == "recall_at_1";
        scores["scores"].as_array().unwrap().iter().find(is_it).unwrap()["value"].as_f64().unwrap()
    };
    let [first, second] = ["1", "2"].map(features);
    let right = |keys, queries| nearest_is_right(keys, queries, is_test, class);
    let expected = [
        ("anew", [right(&first, &first), right(&second, &second)]),
        ("once", [right(&first, &first), right(&first, &second)]),
    ];
    for (name, expected) in expected {
        for (stage, expected) in (1..).zip(expected) {
            assert!(
                (value(&scores, stage, name) - expected).abs() < 1e-9,
                "{name} after stage {stage}: {expected}\n{scores}"
            );
        }
    }
    // Evaluated alone, the latest model needs the earlier one on which the probe was fitted: it is read for that.
    fs::remove_dir_all(&out).unwrap();
    let last = eval(&[]);
    assert_eq!(last["scores"].as_array().unwrap().len(), 6);
    assert_eq!(value(&last, 2, "once"), value(&scores, 2, "once"));
}

#[test]
fn invalid_tasks_are_named_with_a_remedy_and_nothing_is_written() {
    table("one.csv", |_| "a,,".into());
    table("lonely.csv", |at| format!("{},,", if at == 5 { "b" } else { "a" }));
    table("gaps.csv", |at| format!("{},,", if at < 2 { "" } else { ["a", "b"][at % 2] }));
    table("twice.csv", |at| format!("{},,", at % 2));
    let rows = read(place().join("xray/twice.csv"));
    fs::write(place().join("xray/twice.csv"), format!("{rows}{},1,,\n", images()[3])).unwrap();
    table("leak.csv", |at| format!("{},p{},{}", at % 2, at / 3, ["train", "test"][usize::from(at > 12)]));
    table("trained.csv", |at| format!("{},,train", at % 2));
    table("valid.csv", |at| format!("{},,{}", at % 2, ["train", "valid"][at / 12]));
    table("words.csv", |at| format!("{},,", ["low", "high"][at % 2]));
    table("half-tested.csv", |at| format!("{},,{}", at % 2, if at > 18 && at % 2 == 0 { "test" } else { "train" }));
    let column = |name: &str| format!("{}split = {{ column = \"part\" }}", by_table(name));
    let knn = |more: &str| task("first", &format!("protocol = \"knn\"\nk = 3\n{more}"));
    let group = by_table("leak.csv").replace(" }", ", group = \"patient\" }");
    for (name, content, expected) in [
        ("protocol", task("first", "protocol = \"nearest\""), &["nearest", "knn"][..]),
        ("key", knn("neighbours = 3"), &["neighbours", "line 7"]),
        ("names", format!("{}{}", knn(""), knn("")), &["two tasks with the name first", "hint: "]),
        ("modality", knn("").replace("\"xray\"", "\"ct\""), &["task first", "never learned modality ct", "xray, text"]),
        ("plugin", knn("").replace("\"xray\"", "\"xrai\""), &["never learned modality xrai"]),
        ("data", knn("").replace("data = \"xray\"", "data = \"xrays\""), &["xrays", "hint: "]),
        ("option", knn("options = { sizes = 48 }"), &["sizes", "did you mean"]),
        ("size", knn("options = { size = 4096 }"), &["task first", "size is 4096"]),
        ("entry", knn("labels = { entry = true }"), &["all samples are of the class \"xray\"", "two classes"]),
        ("pattern", knn("labels = { pattern = '(zebra)' }"), &["none of the 24 samples has a label", "hint: "]),
        ("none", knn(&by_table("nowhere.csv")), &["cannot read labels", "nowhere.csv"]),
        (
            "column",
            knn(&by_table("one.csv").replace("\"file\"", "\"files\"")),
            &["\"files\"", "did you mean \"file\"?"],
        ),
        ("one", knn(&by_table("one.csv")), &["all samples are of the class \"a\"", "two classes"]),
        ("lonely", knn(&by_table("lonely.csv")), &["class \"b\" has 1 samples", "at least 2"]),
        ("gaps", knn(&by_table("gaps.csv")), &["2 of 24 samples have no label", &images()[0], "missing = \"skip\""]),
        ("twice", knn(&by_table("twice.csv")), &[&images()[3], "lines 5 and 26", "hint: "]),
        (
            "keys",
            knn(&by_table("gaps.csv").replace(" }", ", id_pattern = '_([0-9]+)' }")),
            &["no key of column \"file\"", "\"0000\"", &images()[2]],
        ),
        ("leak", knn(&format!("{group}split = {{ column = \"part\" }}")), &["p4", "in train", "in test", "hint: "]),
        ("trained", knn(&column("trained.csv")), &["\"part\" says test of no sample"]),
        ("valid", knn(&column("valid.csv")), &["\"part\" says test of no sample"]),
        ("half", knn(&column("half-tested.csv")), &["class \"1\" has no sample in the test split"]),
        ("bins", knn(&by_table("words.csv").replace(" }", ", bins = [0.5] }")), &["\"low\" on line 2", "no number"]),
        (
            "named",
            knn(&by_table("words.csv").replace(" }", ", names = [\"x\"] }")),
            &["1 names for 2 classes: high, low"],
        ),
        ("group", knn("group = { pattern = '(zebra)' }"), &["group.pattern", "24 of 24 samples"]),
        ("k", task("first", "protocol = \"knn\"\nk = 20"), &["k is 20", "of the training split", "hint: set k = "]),
        (
            "rate",
            task("first", "protocol = \"finetune\"\nlearning_rate = 1e30\nepochs = 3\nbatch_size = 2"),
            &["loss", "lower learning_rate"],
        ),
    ] {
        let file = tasks_file(&format!("wrong-{name}.toml"), &content);
        let error = refused(medcoss(&["eval", &text(&place().join("run")), &text(&file), "--seeds", "1"]));
        assert!(expected.iter().all(|part| error.contains(part)), "{name}: {expected:?}\n{error}");
        assert!(!place().join(format!("run/evaluation/wrong-{name}")).exists(), "{name}");
    }
    let run = text(&place().join("run"));
    let error = refused(medcoss(&["eval", &run, "nowhere.toml"]));
    assert!(error.contains("nowhere.toml"), "{error}");
    let file = text(&tasks_file("right.toml", &knn("")));
    let error = refused(medcoss(&["eval", &text(place()), &file]));
    assert!(error.contains("holds no run"), "{error}");
    let error = refused(medcoss(&["eval", &run, &file, "--data-root", "nowhere"]));
    assert!(error.contains("nowhere is no folder"), "{error}");
    assert!(!medcoss(&["eval", &run, &file, "--seeds", "0"]).status.success());
}

#[test]
fn samples_that_are_unlabelled_or_unreadable_are_left_out_where_that_is_allowed() {
    table("some.csv", |at| format!("{},p{},", if at < 4 { "" } else { ["a", "b"][at % 2] }, at / 2));
    let copy = place().join("torn");
    fs::create_dir(&copy).unwrap();
    for name in images().iter().map(String::as_str).chain(["some.csv"]) {
        fs::copy(place().join("xray").join(name), copy.join(name)).unwrap();
    }
    let torn = images().into_iter().find(|name| name.ends_with("10.png")).unwrap();
    fs::write(copy.join(&torn), b"torn").unwrap();
    let content = task("first", "protocol = \"knn\"\nk = 3\nmissing = \"skip\"\nlabels = { table = \"torn/some.csv\", key = \"file\", label = \"finding\" }")
        .replace("data = \"xray\"", "data = \"torn\"");
    let file = text(&tasks_file("torn.toml", &content));
    let run = text(&place().join("run"));
    let eval = |more: &[&str]| medcoss(&[&["eval", &run, &file, "--json", "--seeds", "1"][..], more].concat());
    assert!(refused(eval(&["--max-invalid-fraction", "0"])).contains("could not be read"));
    let output = eval(&["--max-invalid-fraction", "0.2"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("{torn} is skipped")));
    let scores: Value = serde_json::from_str(&succeeded(output)).unwrap();
    let task = &scores["tasks"][0];
    assert_eq!(task["n_train"].as_u64().unwrap() + task["n_test"].as_u64().unwrap(), 19);
}

#[test]
fn an_interrupted_evaluation_leaves_no_files() {
    let content = task("long", "protocol = \"finetune\"\nepochs = 100000\nbatch_size = 8");
    let file = text(&tasks_file("long.toml", &content));
    let run = text(&place().join("run"));
    let mut child = Command::new(medcoss_test_support::program::path())
        .args(["eval", &run, &file])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The folder is created before the first computation, and after the program handles signals.
    let folder = place().join("run/evaluation/long");
    wait_until("the evaluation begins", || folder.exists());
    let before = cpu_seconds(&child);
    wait_until("it computes", || cpu_seconds(&child) > before + 1.0);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!folder.exists());
}

/// Scores and the split do not depend on the other tasks of a file.
#[test]
fn scores_of_a_task_do_not_depend_on_other_tasks() {
    let near = task("near", "protocol = \"knn\"\nk = 3");
    let other = task("other", "protocol = \"retrieval\"\nmax_samples = 12");
    let reports =
        "[[task]]\nname = \"reports\"\nmodality = \"text\"\ndata = \"text/reports.csv\"\nprotocol = \"retrieval\"\n";
    let run = text(&place().join("run"));
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for (name, content) in [("alone", near.clone()), ("after", format!("{other}{reports}{near}"))] {
        let file = text(&tasks_file(&format!("{name}.toml"), &content));
        let out = text(&place().join(format!("scores-{name}")));
        let output = succeeded(medcoss(&["eval", &run, &file, "--after", "every-stage", "--json", "--out", &out]));
        let scores: Value = serde_json::from_str(&output).unwrap();
        let mut own = scores["scores"].as_array().unwrap().clone();
        own.retain(|score| score["task"] == "near");
        found.insert(name.into(), Value::Array(own));
    }
    assert_eq!(found["alone"], found["after"]);
}

#[test]
fn imported_weights_are_evaluated_before_training() {
    let (run, weights) = (text(&place().join("run")), text(&place().join("weights.safetensors")));
    succeeded(medcoss(&["export", &run, "--out", &weights, "--layout", "medcoss-rs"]));
    let imported = text(&place().join("imported"));
    succeeded(medcoss(&["import", &weights, "--out", &imported, "--heads", "3", "--decoder-heads", "4"]));
    let content =
        task("near", &format!("protocol = \"knn\"\nk = 3\noptions = {{ size = 48 }}\n{}", by_table("labels.csv")));
    let file = text(&tasks_file("imported.toml", &content));
    let eval = |run: &str, out: &str| -> Value {
        let out = text(&place().join(out));
        serde_json::from_str(&succeeded(medcoss(&["eval", run, &file, "--json", "--out", &out]))).unwrap()
    };
    let (before, after) = (eval(&run, "of-run"), eval(&imported, "of-weights"));
    assert_eq!((&before["tasks"][0]["own_stage"], &after["tasks"][0]["own_stage"]), (&1.into(), &0.into()));
    assert_eq!(after["stages"][0]["stage"], 0);
    // The same weights give the same scores.
    let values = |scores: &Value| {
        let all = scores["scores"].as_array().unwrap();
        all.iter().map(|score| (score["metric"].clone(), score["by_seed"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(values(&before), values(&after));
}
