//! Training on several ranks as an MPI job: the same bytes as one process, and a whole run after whatever ends the job.
//!
//! The tests need a program that was built with the feature `mpi`, and `mpirun`.

use std::collections::BTreeMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use medcoss_test_support::process::wait_until;
use medcoss_test_support::program::{medcoss, path, profile_folder, succeeded, text};

struct Experiment {
    folder: tempfile::TempDir,
}

impl Experiment {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (modality, samples) in [("text", "48"), ("xray", "24")] {
            let data = folder.path().join(modality);
            succeeded(medcoss(&["synth", "--modality", modality, "--samples", samples, "--out", &text(&data)]));
        }
        let config = "[model]\npreset = \"demo\"\n[buffer]\nratio = 0.2\ncluster_ratio = 0.1\n\
             [training]\nepochs = 3\nbatch_size = 4\ngradient_accumulation = 4\ncheckpoint_every_steps = 4\n\
             [data]\nnum_workers = 1\n\
             [[stage]]\nmodality = \"text\"\ndata = \"text\"\noptions = { max_length = 16, vocab_size = 128, text_column = \"report\" }\n\
             [[stage]]\nmodality = \"xray\"\ndata = \"xray\"\noptions = { size = 64 }\n";
        std::fs::write(folder.path().join("run.toml"), config).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command line of a job that pre-trains into the folder `out`, or goes on there.
    fn job(&self, n_ranks: usize, out: &str) -> Command {
        let mut job = mpirun();
        job.args(["-n", &n_ranks.to_string()]).arg(path()).arg("pretrain").arg(self.path("run.toml"));
        job.arg("--out").arg(self.path(out)).args(["--ranks", "mpi", "--quiet"]);
        if self.path(out).join("run.toml").exists() {
            job.arg("--resume");
        }
        job.stdout(Stdio::piped()).stderr(Stdio::piped());
        job
    }

    /// The files of a run that one process made.
    fn expected(&self) -> BTreeMap<String, Vec<u8>> {
        let (config, out) = (text(&self.path("run.toml")), text(&self.path("alone")));
        succeeded(medcoss(&["pretrain", &config, "--out", &out]));
        files(&self.path("alone"))
    }
}

fn mpirun() -> Command {
    let mut job = Command::new("mpirun");
    // As superuser and with more ranks than cores, as in a container.
    job.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]);
    job.env_remove("MEDCOSS_PLUGIN_PATH").env("RAYON_NUM_THREADS", "1");
    job
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// All files of a run by name, without times and locks.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(run).sort_by_file_name() {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(run).unwrap().display().to_string();
        if entry.file_type().is_file() && !name.ends_with("timing.jsonl") && !name.ends_with(".lock") {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn assert_equal(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert!(found.keys().eq(expected.keys()), "{what}: {:?}, expected {:?}", found.keys(), expected.keys());
    let different: Vec<_> =
        expected.iter().filter(|(name, bytes)| found[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(different.is_empty(), "{what}: {different:?}");
}

/// Sends a signal to a process.
fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap().success());
}

/// Ids of the ranks' processes of a job.
fn ranks_of(job: &Child) -> Vec<u32> {
    let found = Command::new("pgrep").args(["-P", &job.id().to_string()]).output().unwrap();
    String::from_utf8_lossy(&found.stdout).lines().filter_map(|id| id.parse().ok()).collect()
}

#[test]
#[ignore = "needs MPI"]
fn the_number_of_ranks_changes_no_byte() {
    let experiment = Experiment::new();
    let expected = experiment.expected();
    assert!(expected.len() > 10, "{:?}", expected.keys());
    for n_ranks in [1, 2, 4] {
        let out = format!("on-{n_ranks}");
        let output = experiment.job(n_ranks, &out).output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
        assert_equal(&files(&experiment.path(&out)), &expected, &out);
    }
    let refused = experiment.job(3, "on-3").output().unwrap();
    assert!(!refused.status.success());
    assert!(message(&refused).contains("the number of ranks is 3"), "{}", message(&refused));
}

#[test]
#[ignore = "needs MPI"]
fn a_job_that_was_asked_to_stop_goes_on_with_another_number_of_ranks() {
    let experiment = Experiment::new();
    let expected = experiment.expected();
    let job = experiment.job(2, "stopped").spawn().unwrap();
    let metrics = experiment.path("stopped/stages/01-text/metrics.jsonl");
    wait_until("the first epoch", || std::fs::read_to_string(&metrics).is_ok_and(|text| !text.is_empty()));
    // mpirun passes this signal on to all ranks.
    signal(job.id(), "USR1");
    let output = job.wait_with_output().unwrap();
    assert!(!output.status.success() && message(&output).contains("medcoss resume"), "{}", message(&output));
    let output = experiment.job(4, "stopped").output().unwrap();
    assert!(output.status.success(), "{}", message(&output));
    assert_equal(&files(&experiment.path("stopped")), &expected, "stopped");
}

#[test]
#[ignore = "needs MPI"]
fn a_rank_that_is_killed_ends_the_job_and_the_run_goes_on() {
    let experiment = Experiment::new();
    let expected = experiment.expected();
    for (nth, milliseconds) in [400, 700, 1000, 1300, 1600, 1900].into_iter().enumerate() {
        let job = experiment.job(2, "killed").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let ranks = ranks_of(&job);
        if let Some(rank) = ranks.get(nth % 2) {
            signal(*rank, "KILL");
        }
        let killed = std::time::Instant::now();
        let output = job.wait_with_output().unwrap();
        assert!(killed.elapsed() < Duration::from_secs(20), "{}", message(&output));
        if output.status.success() {
            break;
        }
    }
    let output = experiment.job(2, "killed").output().unwrap();
    assert!(output.status.success(), "{}", message(&output));
    assert_equal(&files(&experiment.path("killed")), &expected, "killed");
}

#[test]
#[ignore = "needs MPI"]
fn ranks_with_different_plugins_are_refused_before_the_training() {
    let experiment = Experiment::new();
    let libraries = experiment.path("libraries");
    std::fs::create_dir(&libraries).unwrap();
    let name = format!("{DLL_PREFIX}medcoss_xray{DLL_SUFFIX}");
    let mut library = std::fs::read(profile_folder().join("deps").join(&name)).unwrap();
    // The loader ignores what lies behind a library.
    library.push(0);
    std::fs::write(libraries.join(&name), library).unwrap();
    let mut job = experiment.job(1, "different");
    job.arg(":").args(["-n", "1"]).arg(path()).arg("pretrain").arg(experiment.path("run.toml"));
    job.arg("--out").arg(experiment.path("different")).args(["--ranks", "mpi", "--quiet"]);
    let output = job.arg("--plugin-dir").arg(&libraries).output().unwrap();
    assert!(!output.status.success(), "{}", message(&output));
    assert!(message(&output).contains("rank 1 has other plugin files than rank 0"), "{}", message(&output));
    assert!(!experiment.path("different/stages/01-text/metrics.jsonl").exists());
}

#[test]
#[ignore = "needs MPI"]
fn a_root_that_cannot_write_ends_the_job_and_the_run_goes_on() {
    let experiment = Experiment::new();
    let expected = experiment.expected();
    let job = experiment.job(2, "obstructed").spawn().unwrap();
    let metrics = experiment.path("obstructed/stages/01-text/metrics.jsonl");
    wait_until("the first epoch", || std::fs::read_to_string(&metrics).is_ok_and(|text| !text.is_empty()));
    signal(job.id(), "USR1");
    job.wait_with_output().unwrap();
    // A file lies where the checkpoint of the last epoch would.
    let obstacle = experiment.path("obstructed/stages/01-text/checkpoint-00003");
    std::fs::write(&obstacle, "").unwrap();
    let output = experiment.job(2, "obstructed").output().unwrap();
    assert!(!output.status.success() && message(&output).contains("checkpoint-00003"), "{}", message(&output));
    std::fs::remove_file(&obstacle).unwrap();
    let output = experiment.job(4, "obstructed").output().unwrap();
    assert!(output.status.success(), "{}", message(&output));
    assert_equal(&files(&experiment.path("obstructed")), &expected, "obstructed");
}

#[test]
#[ignore = "needs MPI"]
fn a_comparison_on_two_ranks_equals_one_on_a_single_rank() {
    let experiment = Experiment::new();
    let tasks = "[[task]]\nname = \"opacity\"\nmodality = \"xray\"\ndata = \"xray\"\nprotocol = \"knn\"\nk = 3\n\
                 labels = { table = \"xray/labels.csv\", key = \"file\", label = \"finding\" }\n";
    std::fs::write(experiment.path("tasks.toml"), tasks).unwrap();
    let mut tables = Vec::new();
    for (out, n_ranks) in [("one", 1), ("two", 2)] {
        let mut job = mpirun();
        job.args(["-n", &n_ranks.to_string()]).arg(path()).arg("compare").arg(experiment.path("run.toml"));
        job.arg("--tasks").arg(experiment.path("tasks.toml")).arg("--out").arg(experiment.path(out));
        job.args([
            "--strategies",
            "medcoss,sequential",
            "--seeds",
            "1",
            "--eval-seeds",
            "1",
            "--quiet",
            "--ranks",
            "mpi",
        ]);
        let output = job.output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
        tables.push(String::from_utf8(output.stdout).unwrap());
    }
    assert_eq!(tables[0], tables[1]);
    assert!(tables[0].contains("opacity (accuracy)"), "{}", tables[0]);
    assert_equal(&files(&experiment.path("two/runs")), &files(&experiment.path("one/runs")), "runs");

    let run = std::fs::read_dir(experiment.path("one/runs")).unwrap().next().unwrap().unwrap().path();
    for (out, n_ranks) in [("scores-of-one", 1), ("scores-of-three", 3)] {
        let mut job = mpirun();
        job.args(["-n", &n_ranks.to_string()]).arg(path()).arg("eval").arg(&run).arg(experiment.path("tasks.toml"));
        job.arg("--out").arg(experiment.path(out)).args(["--after", "every-stage", "--ranks", "mpi"]);
        let output = job.output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
    }
    let (one, three) = (files(&experiment.path("scores-of-one")), files(&experiment.path("scores-of-three")));
    assert!(one.contains_key("scores.json"), "{:?}", one.keys());
    assert_equal(&three, &one, "scores");
}

#[test]
#[ignore = "needs MPI"]
fn features_from_several_ranks_are_those_of_one() {
    let experiment = Experiment::new();
    experiment.expected();
    let embed = |mut job: Command, name: &str, more: &[&str]| {
        let out = experiment.path(name);
        job.arg("embed").arg(experiment.path("alone")).args(["--modality", "xray", "--data", "xray", "--quiet"]);
        job.arg("--data-root").arg(experiment.path("")).arg("--out").arg(&out).args(more);
        let output = job.output().unwrap();
        assert!(output.status.success(), "{}", message(&output));
        std::fs::read(out).unwrap()
    };
    let expected = embed(Command::new(path()), "one.safetensors", &[]);
    for n_ranks in ["2", "3"] {
        let mut job = mpirun();
        job.args(["-n", n_ranks]).arg(path());
        let found = embed(job, &format!("{n_ranks}.safetensors"), &["--ranks", "mpi"]);
        assert!(found == expected, "the file of {n_ranks} ranks differs");
    }
}
