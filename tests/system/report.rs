//! Reports through the program: of a small run with hostile names, of runs with missing parts, of several runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::page::{missing, section, stands_alone};
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::evaluation::{EvaluatedStage, Score, Scores, TaskSummary};
use medcoss_test_support::folders::copy_folder;
use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

/// Name of an image, which is also in its label and in a text.
const HOSTILE_NAME: &str = "<img src=x onerror=alert(1)>&\"'.png";
const HOSTILE_LABEL: &str = "<script>alert('label')</script>";

const SECTIONS: [&str; 9] =
    ["overview", "curves", "scores", "buffers", "reconstructions", "map", "neighbours", "cost", "setup"];

/// A folder with data and two runs over them, `reference` and `materialised`; made once and never changed.
fn made() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let chest = data.join("chest");
        succeeded(medcoss(&["synth", "--modality", "xray", "--out", &text(&chest), "--samples", "24"]));
        let mut images: Vec<PathBuf> = fs::read_dir(&chest).unwrap().map(|entry| entry.unwrap().path()).collect();
        images.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
        images.sort();
        fs::rename(&images[0], chest.join(HOSTILE_NAME)).unwrap();
        let mut labels = String::from("file,label\n");
        for (at, image) in images.iter().enumerate() {
            let name = image.file_name().unwrap().to_str().unwrap();
            let name = if at == 0 { HOSTILE_NAME } else { name };
            let label = if at % 2 == 0 { HOSTILE_LABEL } else { "normal" };
            labels.push_str(&format!("\"{}\",\"{label}\"\n", name.replace('"', "\"\"")));
        }
        fs::write(data.join("labels.csv"), labels).unwrap();
        let mut notes = String::from("note,finding\n");
        for n in 0..40 {
            let what = ["effusion on the left", "no effusion <b>seen</b>", "heart of normal size"][n % 3];
            notes.push_str(&format!(
                "\"study {n} of the chest, {what}, compared with study {}\",{HOSTILE_LABEL}{}\n",
                n / 2,
                n % 2
            ));
        }
        fs::write(data.join("notes.csv"), notes).unwrap();
        let config = folder.path().join("run.toml");
        fs::write(&config, CONFIG).unwrap();
        for store in ["reference", "materialised"] {
            succeeded(medcoss(&[
                "pretrain",
                &text(&config),
                "--data-root",
                &text(&data),
                "--out",
                &text(&folder.path().join(store)),
                "--set",
                &format!("buffer.store={store}"),
                "--quiet",
            ]));
        }
        folder
    })
    .path()
}

const CONFIG: &str = "
[model]
preset = \"demo\"
[buffer]
ratio = 0.3
cluster_ratio = 0.1
[training]
epochs = 2
batch_size = 6
[[stage]]
modality = \"text\"
data = \"notes.csv\"
options = { text_column = \"note\", label_column = \"finding\", max_length = 24, vocab_size = 300 }
[[stage]]
modality = \"xray\"
data = \"chest\"
options = { size = 48, labels = { file = \"labels.csv\", key_column = \"file\", label_column = \"label\" } }
";

/// A copy of a run, for a test to change.
fn copy(name: &str, folder: &Path) -> PathBuf {
    let to = folder.join(name);
    copy_folder(&made().join(name), &to);
    to
}

/// The report on runs: its page, and its JSON summary.
fn report(runs: &[&Path], data: &str, folder: &Path) -> (String, Value) {
    let out = folder.join("page.html");
    let runs: Vec<String> = runs.iter().map(|run| text(run)).collect();
    let (data, out_text) = (text(&made().join(data)), text(&out));
    let mut arguments = vec!["report", "--data-root", &data, "--out", &out_text, "--samples", "30", "--json"];
    arguments.extend(runs.iter().map(String::as_str));
    let summary: Value = serde_json::from_str(&succeeded(medcoss(&arguments))).unwrap();
    let page = fs::read_to_string(&out).unwrap();
    assert_eq!(summary["bytes"].as_u64().unwrap(), page.len() as u64);
    stands_alone(&page, made());
    (page, summary)
}

/// Writes the scores of one task per stage, as an evaluation does.
fn evaluate(run: &Path, worse: f64) {
    let task = |name: &str, modality: &str, own_stage, primary: &str, higher_is_better| TaskSummary {
        name: name.into(),
        modality: modality.into(),
        own_stage,
        protocol: "linear".into(),
        primary_metric: primary.into(),
        higher_is_better,
        classes: vec![HOSTILE_LABEL.into(), "normal".into()],
        n_train: 20,
        n_test: 10,
        grouping: Some("record".into()),
        n_groups: Some(12),
    };
    let tasks = vec![task("findings", "text", 1, "accuracy", true), task("edges", "xray", 2, "hd95_mm", false)];
    let stage = |stage, modality: Option<&str>| EvaluatedStage { stage, modality: modality.map(String::from) };
    let values = [[0.5, 9.0], [0.875, 8.0], [0.75 - worse, 3.0 + worse]];
    let mut scores = Vec::new();
    for (stage, row) in values.iter().enumerate() {
        for (task, &value) in tasks.iter().zip(row) {
            scores.push(Score {
                stage,
                task: task.name.clone(),
                metric: task.primary_metric.clone(),
                value,
                low: value - 0.0625,
                high: value + 0.0625,
                n: 10,
                by_seed: vec![value],
                n_undefined: None,
            });
        }
    }
    fs::create_dir_all(run.join("evaluation/small")).unwrap();
    let document = Scores {
        format: 0,
        checksum: String::new(),
        tasks_file: "small".into(),
        tasks_sha256: "ab".repeat(32),
        seeds: vec![0],
        tasks,
        stages: vec![stage(0, None), stage(1, Some("text")), stage(2, Some("xray"))],
        scores,
        checksums: std::collections::BTreeMap::new(),
        transfer: None,
        transfer_by_scale: std::collections::BTreeMap::new(),
    };
    document.write(&ConfinedPath::root(run).unwrap().join("evaluation/small/scores.json")).unwrap();
}

#[test]
fn a_page_has_every_section_stands_alone_and_is_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("reference", folder.path());
    evaluate(&run, 0.0);
    let (page, summary) = report(&[&run], "data", folder.path());
    for id in SECTIONS {
        assert!(missing(&summary, 0, id).0, "{id}: {summary}");
    }
    let part = |id| section(&page, 1, id);
    assert!(part("overview").contains("2 of 2") && !part("overview").contains("materialised"));
    for title in ["text: pretext loss", "xray: pretext loss", "Distillation loss by earlier modality", "Learning rate"]
    {
        assert!(part("curves").contains(title), "{title}");
    }
    let scores = part("scores");
    for shown in [
        "0.875",
        "0.8125\u{2013}0.9375",
        "0.750",
        "3.000",
        "\u{2212}0.125",
        "+0.125",
        "+1.000",
        "Tasks measured by",
        "lower is better",
        "0 fresh parameters",
    ] {
        assert!(scores.contains(shown), "{shown}");
    }
    // For a score that is better when lower, the lowest value has the strongest colour.
    assert_eq!(scores.matches("--good:70%").count(), 2);
    assert!(part("buffers").contains("<b>7</b> of 24") && part("buffers").matches("<img").count() >= 4);
    let reconstructions = part("reconstructions");
    assert_eq!((reconstructions.matches("<img").count(), reconstructions.matches("class=\"words\"").count()), (9, 3));
    assert!(reconstructions.contains("\u{202f}% masked, loss") && reconstructions.contains("words right"));
    assert!(
        part("map").contains("All modalities")
            && part("map").contains("xray by label")
            && part("map").contains("text by label")
    );
    assert!(
        part("neighbours").matches("<img").count() == 4 * 6
            && part("neighbours").matches("<blockquote").count() == 4 * 6
    );
    assert!(part("cost").contains("samples/s") && part("cost").contains("MiB"));
    assert!(part("setup").contains("vocab_size = 300") && part("setup").contains("SHA-256"));

    // Names and labels are escaped.
    assert!(page.contains("&lt;script&gt;alert('label')&lt;/script&gt;"));
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let (again, _) = report(&[&run], "data", folder.path());
    assert!(again == page, "the same run gives another page");
    succeeded(medcoss(&["show", &text(&run), "--verify"]));
}

#[test]
fn missing_data_are_named_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("reference", folder.path());
    // Without data and without an evaluation.
    fs::create_dir_all(made().join("nothing")).unwrap();
    let (page, summary) = report(&[&run], "nothing", folder.path());
    let (shown, why) = missing(&summary, 0, "scores");
    assert!(!shown && why.contains("medcoss eval"), "{why}");
    for id in ["reconstructions", "map", "neighbours"] {
        let (shown, why) = missing(&summary, 0, id);
        assert!(!shown && why.contains("text: ") && why.contains("notes.csv"), "{id}: {why}");
    }
    let (shown, why) = missing(&summary, 0, "buffers");
    assert!(shown && why.contains("cannot be shown"), "{why}");
    assert!(section(&page, 1, "curves").contains("<svg"));
    assert!(section(&page, 1, "map").contains("class=\"gap\""));

    // A materialised buffer is shown without the data.
    let kept = copy("materialised", folder.path());
    let (page, summary) = report(&[&kept], "nothing", folder.path());
    for id in ["buffers", "reconstructions", "map", "neighbours"] {
        assert!(missing(&summary, 0, id).0, "{id}: {summary}");
    }
    assert!(missing(&summary, 0, "map").1.contains("buffer samples alone"), "{summary}");
    assert_eq!(section(&page, 1, "reconstructions").matches("<img").count(), 9);

    // Scores that do not match their checksum are not shown.
    evaluate(&run, 0.0);
    let scores = run.join("evaluation/small/scores.json");
    let changed = fs::read_to_string(&scores).unwrap().replace("0.875", "0.975");
    fs::write(&scores, changed).unwrap();
    let (_, summary) = report(&[&run], "data", folder.path());
    let (shown, why) = missing(&summary, 0, "scores");
    assert!(!shown && why.contains("damaged"), "{why}");
}

#[test]
fn without_the_plugin_its_buffer_tokens_are_on_the_map() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("materialised", folder.path());
    // A copy of the program, with no plugin beside it.
    let alone = folder.path().join("bin/medcoss");
    fs::create_dir_all(alone.parent().unwrap()).unwrap();
    fs::copy(medcoss_test_support::program::path(), &alone).unwrap();
    let out = folder.path().join("page.html");
    let output = Command::new(&alone)
        .args(["report", &text(&run), "--no-builtin", "--json", "--out", &text(&out)])
        .env_remove("MEDCOSS_PLUGIN_PATH")
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let summary: Value = serde_json::from_str(&succeeded(output)).unwrap();
    stands_alone(&fs::read_to_string(&out).unwrap(), made());
    assert!(missing(&summary, 0, "map").0, "{summary}");
    let (shown, why) = missing(&summary, 0, "reconstructions");
    assert!(!shown && why.contains("renders no samples"), "{why}");

    // Without stored tokens as well, the report names what it needs.
    let run = copy("reference", folder.path());
    let output = Command::new(&alone)
        .args(["report", &text(&run), "--no-builtin", "--json", "--out", &text(&out)])
        .env_remove("MEDCOSS_PLUGIN_PATH")
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let summary: Value = serde_json::from_str(&succeeded(output)).unwrap();
    let (shown, why) = missing(&summary, 0, "map");
    assert!(!shown && why.contains("plugin text is not there") && why.contains("--plugin-dir"), "{why}");
}

#[test]
fn an_unfinished_run_is_shown_as_far_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("reference", folder.path());
    let stage = run.join("stages/02-xray");
    for name in ["state.json", "model.bpk", "buffer.jsonl"] {
        fs::remove_file(stage.join(name)).unwrap();
    }
    // The run was killed while it wrote its second line of metrics, and the first has a loss that a later version
    // added.
    let metrics = fs::read_to_string(stage.join("metrics.jsonl")).unwrap();
    let line =
        metrics.lines().next().unwrap().replace("\"distillation\"", "\"penalty\":{\"text\":0.5},\"distillation\"");
    fs::write(stage.join("metrics.jsonl"), format!("{line}\n{}", &metrics[..20])).unwrap();
    let (page, summary) = report(&[&run], "data", folder.path());
    assert_eq!(summary["runs"][0]["stages_done"], 1);
    let overview = section(&page, 1, "overview");
    assert!(overview.contains("1 of 2") && overview.contains("epoch 1 of 2") && overview.contains("cannot be read"));
    assert!(section(&page, 1, "curves").contains("Penalty by modality"));
    let (shown, why) = missing(&summary, 0, "reconstructions");
    assert!(shown && why.contains("xray: the stage is not finished"), "{why}");

    // The record alone.
    fs::remove_dir_all(run.join("stages")).unwrap();
    let (page, summary) = report(&[&run], "data", folder.path());
    assert!(section(&page, 1, "overview").contains("not started"));
    for id in ["curves", "buffers", "reconstructions", "map", "neighbours", "cost"] {
        let (shown, why) = missing(&summary, 0, id);
        assert!(!shown && !why.is_empty(), "{id}");
    }
}

#[test]
fn several_runs_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (copy("reference", folder.path()), copy("materialised", folder.path()));
    evaluate(&one, 0.0);
    evaluate(&other, 0.25);
    let (page, summary) = report(&[&one, &other], "data", folder.path());
    let start = page.find("id=\"comparison\"").unwrap();
    let comparison = &page[start..start + page[start..].find("</section>").unwrap()];
    for shown in [
        "findings after the last stage",
        "edges after the last stage",
        "xray: pretext loss",
        "text: distillation loss",
        "+0.375",
    ] {
        assert!(comparison.contains(shown), "{shown}");
    }
    let names: Vec<_> = summary["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["reference", "materialised"]);
    for run in [1, 2] {
        SECTIONS.iter().for_each(|id| assert!(!section(&page, run, id).is_empty()));
    }

    // Runs of one name are distinguished by their folders; one of them was not evaluated.
    let inner = folder.path().join("b");
    fs::create_dir(&inner).unwrap();
    let same = copy("reference", &inner);
    let (page, summary) = report(&[&one, &same], "data", folder.path());
    let name = summary["runs"][1]["name"].as_str().unwrap();
    assert_eq!(name, "b/reference");
    assert!(page.contains("Not evaluated by these tasks: b/reference."));
}

#[test]
fn only_a_report_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("reference", folder.path());
    let data = text(&made().join("data"));
    let output = succeeded(medcoss(&["report", &text(&run), "--data-root", &data, "--samples", "9"]));
    let page = run.join("report.html");
    assert!(output.contains("report.html") && output.contains("Without scores"), "{output}");
    succeeded(medcoss(&["report", &text(&run), "--data-root", &data, "--samples", "9", "--quiet"]));
    succeeded(medcoss(&["show", &text(&run), "--verify"]));
    assert!(!run.join("report.html.partial").exists());

    fs::write(&page, "my own notes").unwrap();
    let error = refused(medcoss(&["report", &text(&run)]));
    assert!(error.contains("is not a report of medcoss") && error.contains("hint: "), "{error}");
    assert_eq!(fs::read_to_string(&page).unwrap(), "my own notes");
    for (arguments, expected) in [
        (vec!["report", "nowhere-at-all"], "no run that can be read"),
        (vec!["report", &text(&run), "--out", &text(&run)], "is a folder"),
        (vec!["report", &text(&run), "--out", "no-such-folder/page.html"], "no folder no-such-folder"),
        (vec!["report", &text(&run), "--data-root", "no-such-folder"], "data root no-such-folder"),
    ] {
        let error = refused(medcoss(&arguments));
        assert!(error.contains(expected) && error.contains("hint: "), "{error}");
    }
}

/// Epochs and batches of a run from elsewhere may be any numbers; in a debug build an overflow panics.
#[test]
fn epochs_and_scores_of_any_size_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("reference", folder.path());
    evaluate(&run, f64::MAX);
    for name in ["stages/01-text", "stages/02-xray"] {
        for file in ["metrics.jsonl", "timing.jsonl"] {
            let path = run.join(name).join(file);
            let lines = fs::read_to_string(&path).unwrap();
            let mut line: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
            for field in ["epoch", "step", "n_samples"].into_iter().filter(|field| lines.contains(field)) {
                line[field] = u64::MAX.into();
            }
            if file == "timing.jsonl" {
                line["seconds"] = f64::MAX.into();
            }
            fs::write(&path, format!("{line}\n{line}\n")).unwrap();
        }
    }
    let (page, _) = report(&[&run], "data", folder.path());
    for wrong in ["=\"NaN", "=\"inf", "good:NaN", "grow:NaN", "grow:inf"] {
        assert!(!page.contains(wrong), "{wrong}");
    }
    let board = text(&folder.path().join("board"));
    let out = text(&folder.path().join("again.html"));
    succeeded(medcoss(&["report", &text(&run), "--out", &out, "--tensorboard", &board, "--quiet"]));
}

#[test]
fn event_files_hold_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let run = copy("reference", folder.path());
    evaluate(&run, 0.0);
    let board = folder.path().join("board");
    let out = text(&folder.path().join("page.html"));
    succeeded(medcoss(&["report", &text(&run), "--out", &out, "--tensorboard", &text(&board), "--quiet"]));
    let path = board.join("reference/events.out.tfevents.0000000000.medcoss");
    let file = fs::read(&path).unwrap();
    let (mut at, mut n_records) = (0, 0);
    while at < file.len() {
        let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        at += 12 + length + 4;
        n_records += 1;
    }
    // The version, four epochs, scores of fresh parameters and of two stages.
    assert_eq!((at, n_records), (file.len(), 8));
    let has = |name: &str| file.windows(name.len()).any(|window| window == name.as_bytes());
    for name in
        ["pretext/text", "distillation/text", "learning_rate", "evaluation/small/edges/hd95_mm", "peak_rss_bytes"]
    {
        assert!(has(name), "{name}");
    }
    let metrics = fs::read_to_string(run.join("stages/02-xray/metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    let loss = last["pretext"]["xray"].as_f64().unwrap() as f32;
    assert!(file.windows(4).any(|window| window == loss.to_le_bytes()));
}
