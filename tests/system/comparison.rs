//! Tests of `medcoss compare`: runs of several strategies and seeds, the table of their scores, and how a stopped
//! comparison continues.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use medcoss_test_support::process::{interrupt, wait_until};
use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

/// Two short stages over files that plugins make, and two tasks.
struct Experiment {
    folder: tempfile::TempDir,
}

impl Experiment {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for modality in ["xray", "pathology"] {
            let data = folder.path().join(modality);
            succeeded(medcoss(&["synth", "--modality", modality, "--samples", "40", "--out", &text(&data)]));
        }
        let labels = |modality: &str, label: &str| {
            format!(
                "labels = {{ file = \"{modality}/labels.csv\", key_column = \"file\", label_column = \"{label}\" }}"
            )
        };
        let (xray, pathology) = (labels("xray", "finding"), labels("pathology", "nuclei"));
        let config = format!(
            "[model]\npreset = \"demo\"\nlayer_scale = 0.1\n[optimiser]\nbase_learning_rate = 0.02\n\
             [buffer]\nratio = 0.2\ncluster_ratio = 0.1\n[strategy.ewc]\nn_samples = 8\n\
             [training]\nepochs = 2\nbatch_size = 8\n\
             [[stage]]\nmodality = \"xray\"\ndata = \"xray\"\noptions = {{ size = 64, {xray} }}\n\
             [[stage]]\nmodality = \"pathology\"\ndata = \"pathology\"\n\
             options = {{ size = 64, slide_min_side = 4096, {pathology} }}\n"
        );
        std::fs::write(folder.path().join("run.toml"), config).unwrap();
        let tasks = "[[task]]\nname = \"opacity\"\nmodality = \"xray\"\ndata = \"xray\"\nprotocol = \"knn\"\nk = 3\n\
                     [[task]]\nname = \"nuclei\"\nmodality = \"pathology\"\ndata = \"pathology\"\nprotocol = \"linear\"\n\
                     missing = \"skip\"\n";
        std::fs::write(folder.path().join("tasks.toml"), tasks).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, out: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(medcoss_test_support::program::path());
        command.arg("compare").arg(self.path("run.toml")).arg("--tasks").arg(self.path("tasks.toml"));
        command.arg("--out").arg(self.path(out)).args(["--eval-seeds", "2"]).args(arguments);
        command.env_remove("MEDCOSS_PLUGIN_PATH");
        command
    }

    fn compare(&self, out: &str, arguments: &[&str]) -> String {
        succeeded(self.command(out, arguments).output().unwrap())
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn strategies_and_settings_are_compared_over_seeds_and_finished_runs_are_reused() {
    let experiment = Experiment::new();
    let strategies = "medcoss,sequential,joint,single,packnet";
    let arguments = ["--strategies", strategies, "--variant", "no-mixup:strategy.medcoss.mixup=false", "--seeds", "2"];
    let table = experiment.compare("all", &arguments);
    for part in
        ["medcoss", "no-mixup", "average", "forgetting", "opacity (accuracy)", "nuclei (auc)", "±", "minus medcoss"]
    {
        assert!(table.to_lowercase().contains(part), "{part:?} is not in\n{table}");
    }
    let comparison = read(&experiment.path("all/comparison.json"));
    assert_eq!(comparison["runs"].as_array().unwrap().len(), 12);
    // The mean in the table is the mean of the runs' own scores.
    let value = |variant: &str, seed: usize| {
        let folder = experiment.path("all/runs").join(format!("{variant}-seed{seed}/evaluation/tasks/scores.json"));
        let scores = read(&folder);
        let all = scores["scores"].as_array().unwrap().iter();
        let mut own =
            all.filter(|score| score["stage"] == 2 && score["task"] == "opacity" && score["metric"] == "accuracy");
        own.next().unwrap()["value"].as_f64().unwrap()
    };
    let mean = comparison["over_seeds"]["packnet"]["opacity (accuracy)"]["mean"].as_f64().unwrap();
    assert!((mean - (value("packnet", 0) + value("packnet", 1)) / 2.0).abs() < 1e-12);
    // Expected of each strategy: a model for each modality, and weights that do not change, do not forget; joint
    // training has no stages to forget.
    for strategy in ["single", "packnet"] {
        assert_eq!(comparison["over_seeds"][strategy]["forgetting"]["mean"], 0.0, "{strategy}");
    }
    assert!(comparison["over_seeds"]["joint"].get("forgetting").is_none());
    assert!(comparison["over_seeds"]["joint"]["average"]["n"] == 2);

    // Published results stand beside the measured ones, with their source and both protocols.
    let beside = experiment.compare("all", &[&arguments[..], &["--against", "medcoss-paper"]].concat());
    assert!(beside.starts_with(&table), "{beside}");
    for part in ["89.03", "arXiv 2512.19213", "Uni-Perceiver's", "fresh parameters", "2 epochs, 8 samples an update"] {
        assert!(beside.contains(part), "{part:?} is not in\n{beside}");
    }
    let against = &read(&experiment.path("all/comparison.json"))["against"];
    let row = &against["averages"][0];
    assert_eq!((&row["published"]["strategy"], &row["score"]["n"]), (&"medcoss".into(), &2.into()));
    assert_eq!(row["score"], comparison["over_seeds"]["medcoss"]["average"]);
    experiment.compare("all", &arguments);

    // The same command again trains no run; with one more seed it trains that seed's run alone.
    let before = std::fs::read(experiment.path("all/comparison.json")).unwrap();
    let again = experiment.command("all", &arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stderr).matches(": already done").count(), 12);
    assert_eq!(succeeded(again), table);
    assert_eq!(std::fs::read(experiment.path("all/comparison.json")).unwrap(), before);
    let more = experiment.command("all", &["--strategies", "medcoss", "--seeds", "0,7"]).output().unwrap();
    let messages = String::from_utf8_lossy(&more.stderr).into_owned();
    assert!(
        messages.contains("run 1 of 2: medcoss, seed 0: already done")
            && messages.contains("run 2 of 2: medcoss, seed 7"),
        "{messages}"
    );
    // With another task the runs stay and are evaluated again.
    let tasks = std::fs::read_to_string(experiment.path("tasks.toml")).unwrap().replace("k = 3", "k = 5");
    std::fs::write(experiment.path("tasks.toml"), tasks).unwrap();
    let model = experiment.path("all/runs/medcoss-seed0/stages/02-pathology/model.bpk");
    let modified = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
    let time = modified(&model);
    let json: Value =
        serde_json::from_str(&experiment.compare("all", &["--strategies", "medcoss", "--seeds", "1", "--json"]))
            .unwrap();
    assert_eq!((json["runs"].as_array().unwrap().len(), modified(&model)), (1, time));
}

#[test]
fn runs_of_a_recipe_are_recognised_with_the_options_that_it_added() {
    let experiment = Experiment::new();
    let arguments = ["--strategies", "medcoss", "--seeds", "1", "--set", "recipe=reference"];
    let table = experiment.compare("recipe", &arguments);
    let record = std::fs::read_to_string(experiment.path("recipe/runs/medcoss-seed0/run.toml")).unwrap();
    assert!(record.contains("aspect_ratio = \"squeezed\"") && record.contains("size = 64"), "{record}");
    let again = experiment.command("recipe", &arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stderr).matches(": already done").count(), 1);
    assert_eq!(succeeded(again), table);
}

#[test]
fn a_stopped_comparison_continues_and_ends_like_an_uninterrupted_one() {
    let experiment = Experiment::new();
    let arguments = ["--strategies", "medcoss,replay", "--seeds", "1"];
    let whole = experiment.compare("whole", &arguments);
    let mut child =
        experiment.command("stopped", &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let second = experiment.path("stopped/runs/replay-seed0/stages");
    wait_until("the second run begins", || second.exists());
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(read(&experiment.path("stopped/comparison.json"))["runs"].as_array().unwrap().len(), 1);
    assert_eq!(experiment.compare("stopped", &arguments), whole);
    let both = ["whole", "stopped"].map(|out| std::fs::read(experiment.path(out).join("comparison.json")).unwrap());
    assert!(both[0] == both[1]);
}

#[test]
fn invalid_comparisons_are_refused_before_training() {
    let experiment = Experiment::new();
    for (arguments, parts) in [
        (vec!["--strategies", "medcos"], vec!["no strategy \"medcos\"", "did you mean \"medcoss\"?"]),
        (vec!["--strategies", "ewc,ewc"], vec!["\"ewc\" is named twice"]),
        (vec!["--strategies", ""], vec!["nothing to compare"]),
        (vec!["--against", "medcoss-papr"], vec!["medcoss-papr", "did you mean \"medcoss-paper\"?"]),
        (vec!["--variant", "small"], vec!["NAME:KEY=VALUE"]),
        (vec!["--variant", "small:buffer.rato=0.1"], vec!["small", "`rato`", "did you mean ratio?"]),
        (vec!["--set", "strategy.ewc.lambda=-1"], vec!["strategy.ewc.lambda is -1"]),
        (vec!["--set", "strategy.packnet.keep_ratio=1.0"], vec!["strategy.packnet.keep_ratio is 1"]),
        (vec!["--set", "strategy.name=ewc", "--set", "buffer.store=materialised"], vec!["keeps no samples"]),
        (vec!["--seeds", "0"], vec!["1 to 1000 seeds"]),
    ] {
        let errors = refused(experiment.command("refused", &arguments).output().unwrap());
        for part in parts {
            assert!(errors.contains(part), "{arguments:?}: {part:?} is not in\n{errors}");
        }
        assert!(!experiment.path("refused/runs").exists(), "{arguments:?}");
    }
    // A run that was begun with other settings is not used in a comparison.
    experiment.compare("other", &["--strategies", "sequential", "--seeds", "1", "--last"]);
    let arguments = ["--strategies", "sequential", "--seeds", "1", "--set", "training.epochs=3"];
    let errors = refused(experiment.command("other", &arguments).output().unwrap());
    assert!(errors.contains("training.epochs was 2") && errors.contains("run 1 of 1: sequential"), "{errors}");
}
