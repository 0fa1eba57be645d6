//! Plugins that have changed or gone since a run was made: refused, trusted, or done without.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use medcoss_abi::message::Open;
use medcoss_core::data::{Dataset, RawBatch, TokenSpec, View};
use medcoss_core::run::{RunLayout, StageFolder};
use medcoss_plugin_host::Plugin;
use medcoss_runtime::buffer_tokens::BufferTokens;
use medcoss_runtime::plugin_dataset::PluginDataset;
use serde_json::{Value, json};

use crate::place::{FIXTURE, Place, copy_folder};

fn locked(run: &Path, id: &str) -> toml::Table {
    let lock: toml::Table = fs::read_to_string(run.join("plugins.lock")).unwrap().parse().unwrap();
    let plugins = lock["plugin"].as_array().unwrap().clone();
    let found = plugins.into_iter().find(|plugin| plugin["id"].as_str() == Some(id));
    found.unwrap_or_else(|| panic!("{id} is not in plugins.lock")).as_table().unwrap().clone()
}

#[test]
fn a_changed_plugin_goes_on_with_a_run_only_when_it_is_trusted() {
    let place = Place::new(&["fixture"]);
    place.pretrain("reference", &[FIXTURE]);
    let run = place.work("first");
    let before = locked(&run, "fixture")["sha256"].as_str().unwrap().to_string();
    place.succeed(&["resume", "first"]);
    // By another name it is the same.
    fs::rename(place.file("fixture"), place.plugins().join("renamed.so")).unwrap();
    place.succeed(&["resume", "first"]);
    fs::rename(place.plugins().join("renamed.so"), place.file("fixture")).unwrap();

    let mut bytes = fs::read(place.file("fixture")).unwrap();
    bytes.push(0);
    fs::write(place.file("fixture"), bytes).unwrap();
    let file = place.file("fixture").to_str().unwrap().to_string();
    let add = ["stage", "add", "first", "--modality", "fixture", "--data", "fixture", "--set", "options.length=48"];
    let again = ["pretrain", "run.toml", "--out", "first", "--resume"];
    for command in [&["resume", "first"][..], &add, &again] {
        let message = place.refused(command);
        for part in
            ["stage 1 fixture", "run first", &before, "fixture.so with SHA-256 ", &format!("plugin trust {file}")]
        {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }
    assert_eq!(locked(&run, "fixture")["sha256"].as_str(), Some(before.as_str()));

    let trusted = place.succeed(&["plugin", "trust", &file, "--json"]);
    let report: Value = serde_json::from_str(&trusted.out).unwrap();
    let now = report[0]["sha256"].as_str().unwrap().to_string();
    assert!(now.len() == 64 && now != before);
    // Trust can be taken back.
    place.succeed(&["plugin", "trust", &file, "--forget"]);
    place.refused(&["resume", "first"]);
    place.succeed(&["plugin", "trust", &file]);
    let resumed = place.succeed(&["resume", "first", "--quiet"]);
    assert!(
        resumed.err.contains("warning: plugin fixture 0.3.1 (") && resumed.err.contains("plugins.lock"),
        "{resumed:?}"
    );
    assert_eq!(locked(&run, "fixture")["sha256"].as_str(), Some(now.as_str()));
    assert_eq!(place.succeed(&["resume", "first", "--quiet"]).err, "");
    place.succeed(&["show", "first", "--verify"]);
}

#[test]
fn plugins_of_a_folder_that_is_trusted_for_development_go_on_after_each_build() {
    let place = Place::new(&["fixture"]);
    place.pretrain("reference", &[FIXTURE]);
    let rebuild = || {
        let mut bytes = fs::read(place.file("fixture")).unwrap();
        bytes.push(0);
        fs::write(place.file("fixture"), bytes).unwrap();
    };
    let folder = place.plugins().to_str().unwrap().to_string();
    rebuild();
    place.refused(&["resume", "first"]);
    place.succeed(&["plugin", "trust", "--dev", &folder]);
    for _ in 0..2 {
        let resumed = place.succeed(&["resume", "first", "--quiet"]);
        assert!(resumed.err.contains("warning: plugin fixture 0.3.1 ("), "{resumed:?}");
        place.succeed(&["plugin", "inspect", "--trusted-only", place.file("fixture").to_str().unwrap()]);
        rebuild();
    }
    place.succeed(&["plugin", "trust", "--dev", &folder, "--forget"]);
    place.refused(&["resume", "first"]);
    let again = place.refused(&["plugin", "trust", "--dev", &folder, "--forget"]);
    assert!(again.contains("is not a trusted folder"), "{again}");
    assert!(place.refused(&["plugin", "trust", "--dev", "gone"]).contains("hint: check the path"));
}

#[test]
fn a_damaged_list_of_trusted_plugins_is_reported_and_not_overwritten() {
    let place = Place::new(&["fixture"]);
    let list = place.sandbox.path("config/medcoss/trusted.toml");
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    fs::write(&list, "[[plugin]]\nid = 3\n").unwrap();
    let file = place.file("fixture").to_str().unwrap().to_string();
    let message = place.refused(&["plugin", "trust", &file]);
    assert!(message.contains("trusted.toml is damaged") && message.contains("hint: "), "{message}");
    assert_eq!(fs::read_to_string(&list).unwrap(), "[[plugin]]\nid = 3\n");
    let message = place.refused(&["plugin", "trust", "gone.so"]);
    assert!(message.contains("gone.so: it cannot be read"), "{message}");
}

#[test]
fn a_missing_plugin_is_named_with_what_the_run_needs_and_why() {
    let place = Place::new(&["fixture", "xray"]);
    place.pretrain("reference", &[FIXTURE]);
    let digest = locked(&place.work("first"), "fixture")["sha256"].as_str().unwrap().to_string();
    fs::remove_file(place.file("fixture")).unwrap();
    let add = ["stage", "add", "first", "--modality", "xray", "--data", "xray", "--set", "options.size=64"];
    let message = place.refused(&add);
    let folder = place.plugins().to_str().unwrap().to_string();
    for part in
        ["stage 1 fixture", "fixture 0.3.1", "fixture.so", &digest, &folder, "kept by reference", "--plugin-dir"]
    {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    // A plugin that the run does not know is another matter.
    let message = place.refused(&["stage", "add", "first", "--modality", "xrai", "--data", "xray"]);
    assert!(message.contains("did you mean \"xray\""), "{message}");
    assert!(!fs::read_to_string(place.work("first/run.toml")).unwrap().contains("xray"));
    place.put("fixture");
    place.succeed(&add);
}

#[test]
fn earlier_modalities_are_replayed_from_buffer_tokens_when_their_plugins_are_missing() {
    let place = Place::new(&["fixture", "text", "xray"]);
    let output = place
        .pretrain("materialised", &[FIXTURE, ("text", "text_column = \"report\", max_length = 32, vocab_size = 512")]);
    assert!(output.err.contains("6 of 24 samples will be kept in the run, about "), "{}", output.err);
    let fixture = Plugin::load(&place.file("fixture"), "fixture").unwrap();
    let open = Open { base: place.work(""), data: vec!["fixture".into()], options: json!({}), assets: None };
    let data = fixture.open(&open).unwrap();
    let labels: BTreeMap<String, Option<String>> = (0..data.ids().len())
        .map(|index| (data.ids()[index].clone(), data.samples().label(index).map(String::from)))
        .collect();
    drop((data, fixture));
    for id in ["fixture", "text"] {
        fs::remove_dir_all(place.work(id)).unwrap();
        fs::rename(place.file(id), place.sandbox.path(&format!("{id}.gone"))).unwrap();
    }
    let mut losses = Vec::new();
    for copy in ["one", "two"] {
        copy_folder(&place.work("first"), &place.work(copy));
        let add = ["stage", "add", copy, "--modality", "xray", "--data", "xray", "--set", "options.size=64", "--json"];
        let added = place.succeed(&add);
        for id in ["fixture", "text"] {
            let warning = added.err.lines().find(|line| line.contains(&format!("{id} is replayed from buffer tokens")));
            let warning = warning.unwrap_or_else(|| panic!("no warning names {id}: {}", added.err));
            assert!(
                warning.starts_with("warning: ") && warning.contains("differ") && warning.contains("SHA-256"),
                "{warning}"
            );
        }
        let summary: Value = serde_json::from_str(&added.out).unwrap();
        let distilled = summary["stages"][2]["distillation_last"].as_array().unwrap().clone();
        assert_eq!(distilled.len(), 2, "{distilled:?}");
        for pair in &distilled {
            let loss = pair[1].as_f64().unwrap();
            assert!(loss.is_finite() && loss > 0.0, "{distilled:?}");
        }
        losses.push(fs::read(place.work(copy).join("stages/03-xray/metrics.jsonl")).unwrap());
        place.succeed(&["show", copy, "--verify"]);
        for id in ["fixture", "text", "xray"] {
            assert!(locked(&place.work(copy), id).contains_key("sha256"), "{id}");
        }
    }
    assert!(losses[0] == losses[1], "two runs from buffer tokens differ");

    // What is rehearsed is what the plugins would give, plain; and as much of it is masked.
    for (stage, id) in [(1, "fixture"), (2, "text")] {
        let folder = StageFolder::new(&RunLayout::open(&place.work("first")).unwrap(), stage, id);
        let tokens = BufferTokens::open(&folder, &folder.finished().unwrap().unwrap()).unwrap();
        let plugin = Plugin::load(&place.sandbox.path(&format!("{id}.gone")), id).unwrap();
        let assets = folder.file("assets").path();
        let source = PluginDataset::open_kept(&plugin, &folder, assets.is_dir().then_some(assets.as_path())).unwrap();
        assert_eq!((tokens.spec(), tokens.ids(), tokens.family()), (source.spec(), source.ids(), source.family()));
        // The labels of the fixture's samples are in the run, although its copies do not hold them.
        let kept: Vec<_> = (0..source.ids().len()).map(|index| source.label(index).map(String::from)).collect();
        let expected: Vec<_> = source.ids().iter().map(|id| labels.get(id).cloned().flatten()).collect();
        assert_eq!(kept, expected);
        assert_eq!(id == "fixture", kept.iter().any(Option::is_some));
        let read = |source: &dyn Dataset, view| {
            let mut batch = RawBatch::default();
            let n = source.ids().len() as u64;
            let (indices, seeds): (Vec<_>, Vec<_>) = (0..n).rev().map(|index| (index, index + 5)).unzip();
            assert_eq!(source.fill(view, &indices, &seeds, &mut batch).unwrap(), []);
            batch
        };
        let (ours, theirs) = (read(&tokens, View::Evaluation), read(&source, View::Evaluation));
        assert_eq!((&ours.tokens, &ours.mask, &ours.ids), (&theirs.tokens, &theirs.mask, &theirs.ids));
        assert_eq!((&ours.labels, &ours.lengths), (&theirs.labels, &theirs.lengths));
        let (masked, theirs) = (read(&tokens, View::Training), read(&source, View::Training));
        match tokens.spec() {
            TokenSpec::Continuous { n_tokens, n_masked, .. } => {
                for mask in masked.mask.chunks(n_tokens) {
                    assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), n_masked);
                }
                assert_eq!(masked.tokens, ours.tokens);
            }
            TokenSpec::Discrete { .. } => {
                let targets = |batch: &RawBatch| batch.labels.iter().filter(|&&label| label >= 0).count() as f64;
                let (own, plugins) = (targets(&masked), targets(&theirs));
                assert!(own > 0.0 && (own / plugins).ln().abs() < 0.5, "{own} and {plugins} targets");
                for ((&label, &id), &plain) in masked.labels.iter().zip(&masked.ids).zip(&ours.ids) {
                    assert!(if label >= 0 { label == plain && id != plain } else { id == plain });
                }
            }
        }
    }

    // A damaged file is noticed before anything is learned.
    let tokens = place.work("first/stages/01-fixture/buffer/tokens.safetensors");
    let mut bytes = fs::read(&tokens).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&tokens, bytes).unwrap();
    let message =
        place.refused(&["stage", "add", "first", "--modality", "xray", "--data", "xray", "--set", "options.size=64"]);
    assert!(message.contains("tokens.safetensors"), "{message}");
}

#[test]
fn features_and_scores_of_another_build_of_a_plugin_come_with_a_warning() {
    let place = Place::new(&["fixture"]);
    place.pretrain("reference", &[FIXTURE]);
    let tasks = "[[task]]\nname = \"gait\"\nmodality = \"fixture\"\ndata = \"fixture\"\nprotocol = \"knn\"\nlabels = { entry = true }\n";
    fs::write(place.work("tasks.toml"), tasks).unwrap();
    let embed = ["embed", "first", "--modality", "fixture", "--data", "fixture", "--out", "f.safetensors", "--force"];
    let eval = ["eval", "first", "tasks.toml", "--seeds", "1", "--data-root", "."];
    assert!(!place.succeed(&embed).err.contains("is not the one"));
    let mut bytes = fs::read(place.file("fixture")).unwrap();
    bytes.push(0);
    fs::write(place.file("fixture"), bytes).unwrap();
    let then = locked(&place.work("first"), "fixture")["sha256"].as_str().unwrap()[..12].to_string();
    // What the evaluation finds is not the question here.
    for answer in [place.succeed(&embed), place.run(&eval)] {
        let warning = answer.err.lines().find(|line| line.starts_with("warning: plugin fixture 0.3.1 ("));
        let warning = warning.unwrap_or_else(|| panic!("no warning in {answer:?}"));
        assert!(warning.contains(&then) && warning.contains("its samples may differ"), "{warning}");
    }
}
