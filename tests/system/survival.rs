//! Interrupted and damaged runs: kills at any moment, Ctrl-C, a full disk, a second writer, flipped bytes, missing
//! data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use medcoss_test_support::process::{interrupt, wait_until};
use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

/// Two short stages of two families over files that plugins write. Checkpoints fall within epochs, and updates span
/// batches.
struct Experiment {
    folder: tempfile::TempDir,
}

impl Experiment {
    fn new(store: &str) -> Self {
        Self::of(store, &[("fixture", "length = 40, patch = 4"), ("xray", "size = 64")])
    }

    /// An experiment with these stages, each a modality and its options.
    fn of(store: &str, modalities: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut stages = String::new();
        for (modality, options) in modalities {
            let data = folder.path().join("data").join(modality);
            succeeded(medcoss(&["synth", "--modality", modality, "--samples", "60", "--out", &text(&data), "--json"]));
            stages.push_str(&format!(
                "[[stage]]\nmodality = \"{modality}\"\ndata = \"data/{modality}\"\noptions = {{ {options} }}\n"
            ));
        }
        let config = format!(
            "[model]\npreset = \"demo\"\nlayer_scale = 0.1\n[optimiser]\nbase_learning_rate = 0.02\n\
             [buffer]\nstore = \"{store}\"\nratio = 0.1\ncluster_ratio = 0.05\n\
             [training]\nepochs = 3\nwarmup_epochs = 1\nbatch_size = 5\ngradient_accumulation = 2\ncheckpoint_every_steps = 2\n{stages}"
        );
        std::fs::write(folder.path().join("two.toml"), config).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command that starts or continues the run `name`.
    fn command(&self, name: &str) -> Command {
        let run = self.path(name);
        let mut command = Command::new(medcoss_test_support::program::path());
        if run.join("run.toml").exists() {
            command.arg("resume").arg(&run).arg("--data-root").arg(self.folder.path());
        } else {
            command.arg("pretrain").arg(self.path("two.toml")).arg("--out").arg(&run);
        }
        command.args(["--json", "--interval", "1"]).env_remove("MEDCOSS_PLUGIN_PATH");
        command
    }

    fn finish(&self, name: &str) -> Value {
        serde_json::from_str(&succeeded(self.command(name).output().unwrap())).unwrap()
    }

    fn start(&self, name: &str) -> Child {
        self.command(name).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

/// Every file of a run by its path, except the files of times and the lock.
fn content(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn read(folder: &Path, run: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, run, files);
            } else if !path.ends_with("timing.jsonl") && !path.ends_with(".lock") {
                files.insert(path.strip_prefix(run).unwrap().into(), std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    read(run, run, &mut files);
    files
}

fn assert_same(expected: &BTreeMap<PathBuf, Vec<u8>>, found: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (path, content) in expected {
        assert!(found[path] == *content, "{} differs", path.display());
    }
}

/// Moment at which a run is killed: after a time, or as soon as its folder has a certain state.
#[derive(Debug, Clone, Copy)]
enum Moment {
    After(Duration),
    /// A folder whose name begins so is being written.
    Writing(&'static str),
    /// The first file exists, and the second does not.
    Between(&'static str, &'static str),
}

impl Moment {
    fn has_come(self, run: &Path, began: Instant) -> bool {
        match self {
            Self::After(delay) => began.elapsed() >= delay,
            Self::Between(there, not_there) => run.join(there).exists() && !run.join(not_there).exists(),
            Self::Writing(beginning) => {
                let stages = std::fs::read_dir(run.join("stages")).into_iter().flatten().flatten();
                let mut names =
                    stages.flat_map(|stage| std::fs::read_dir(stage.path()).into_iter().flatten().flatten());
                names.any(|name| {
                    let name = name.file_name().to_string_lossy().into_owned();
                    name.starts_with(beginning) && name.ends_with(".partial")
                })
            }
        }
    }
}

#[test]
fn a_run_that_is_killed_at_twenty_moments_ends_like_an_uninterrupted_one() {
    let experiment = Experiment::new("materialised");
    let began = Instant::now();
    experiment.finish("whole");
    let whole = began.elapsed();
    let expected = content(&experiment.path("whole"));

    // Each run is killed at a chosen moment (while a checkpoint or buffer samples are written, while the buffer is
    // selected, between stages) and then at two random ones, until there were twenty kills.
    let chosen = [
        Moment::Writing("checkpoint"),
        Moment::Between("stages/01-fixture/checkpoint-00003", "stages/01-fixture/buffer.jsonl"),
        Moment::Between("stages/01-fixture/buffer.jsonl", "stages/01-fixture/state.json"),
        Moment::Writing("buffer"),
        Moment::Between("stages/01-fixture/state.json", "stages/02-xray/metrics.jsonl"),
        Moment::Between("stages/02-xray", "stages/02-xray/checkpoint-00001"),
        Moment::Between("stages/02-xray/checkpoint-00003", "stages/02-xray/model.bpk"),
    ];
    let random = |nth: u64| {
        let share = ((nth + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1u64 << 24) as f64;
        Moment::After(whole.mul_f64(0.01 + 0.4 * share))
    };
    let (mut n_killed, mut outcomes) = (0, Vec::new());
    for nth in 0.. {
        let run = format!("killed-{nth}");
        let moments = [chosen[nth % chosen.len()], random(2 * nth as u64), random(2 * nth as u64 + 1)];
        for moment in moments {
            let killed = kill_at(moment, &mut experiment.start(&run), &experiment.path(&run));
            n_killed += usize::from(killed);
            outcomes.push(format!("{run} {moment:?}: {}", if killed { "killed" } else { "it ended before" }));
        }
        experiment.finish(&run);
        assert_same(&expected, &content(&experiment.path(&run)));
        if n_killed >= 20 || nth > 20 {
            break;
        }
    }
    println!("a whole run takes {whole:.1?}:\n{}", outcomes.join("\n"));
    assert!(n_killed >= 20, "{outcomes:#?}");
}

/// Kills a process at a moment; false where the process ended before.
fn kill_at(moment: Moment, child: &mut Child, run: &Path) -> bool {
    let began = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if moment.has_come(run, began) {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn files_that_a_killed_process_left_are_removed() {
    let experiment = Experiment::new("materialised");
    experiment.finish("run");
    let run = experiment.path("run");
    let expected = content(&run);
    // A process may be killed between writing the state of a stage and removing its checkpoints, in the middle of a
    // removal, and while it writes files or measures the size of samples.
    for name in [
        "stages/01-fixture/checkpoint-00003",
        "stages/01-fixture/checkpoint-00002-000010.old.partial",
        "stages/02-xray/buffer.partial/samples",
        ".measured.7fa.partial",
    ] {
        std::fs::create_dir_all(run.join(name)).unwrap();
        std::fs::write(run.join(name).join("model.bpk"), "half").unwrap();
    }
    std::fs::write(run.join("stages/02-xray/model.bpk.partial"), "half").unwrap();
    experiment.finish("run");
    assert_same(&expected, &content(&run));
    assert!(!run.join("stages/01-fixture/checkpoint-00003").exists());
}

#[test]
fn a_run_that_was_killed_before_it_began_can_begin_in_its_folder() {
    let experiment = Experiment::new("materialised");
    experiment.finish("whole");
    let run = experiment.path("killed");
    // Files that may exist before the run is recorded: samples whose size is measured, assets, the lock, the record
    // itself.
    for name in [".measured.7fa.partial/0/sample.jpg", "stages/01-fixture/assets.new.partial/words", "run.toml.partial"]
    {
        std::fs::create_dir_all(run.join(name).parent().unwrap()).unwrap();
        std::fs::write(run.join(name), "half").unwrap();
    }
    std::fs::write(run.join(".lock"), "").unwrap();
    experiment.finish("killed");
    assert_same(&content(&experiment.path("whole")), &content(&run));
    // Killed while the size of samples is measured, which the program does in a folder of its own.
    let weighed = experiment.path("weighed");
    let mut child = experiment.start("weighed");
    let is_weighed = || {
        let entries = std::fs::read_dir(&weighed).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(".measured"))
    };
    while !is_weighed() && child.try_wait().unwrap().is_none() {}
    child.kill().unwrap();
    child.wait().unwrap();
    experiment.finish("weighed");
    assert_same(&content(&experiment.path("whole")), &content(&weighed));
}

#[test]
fn ctrl_c_leaves_a_checkpoint_and_says_how_to_continue() {
    let experiment = Experiment::new("reference");
    experiment.finish("whole");
    let mut child = experiment.command("stopped").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let checkpoint = Moment::Between("stages/02-xray/checkpoint-00001", "stages/02-xray/state.json");
    let (run, began) = (experiment.path("stopped"), Instant::now());
    wait_until("a checkpoint of the second stage", || checkpoint.has_come(&run, began));
    interrupt(&child);
    let code = child.wait().unwrap().code();
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
    assert_eq!(code, Some(130), "{errors}");
    for part in
        ["stopping after this step", "stage 2 xray", "the last good checkpoint is stages/02-xray", "medcoss resume"]
    {
        assert!(errors.contains(part), "{part:?} is not in\n{errors}");
    }
    assert!(!errors.contains("panicked"), "{errors}");
    experiment.finish("stopped");
    assert_same(&content(&experiment.path("whole")), &content(&experiment.path("stopped")));
}

#[test]
fn a_second_writer_is_refused_and_the_first_is_not_disturbed() {
    let experiment = Experiment::new("reference");
    let mut first = experiment.start("one");
    wait_until("the first run is recorded", || experiment.path("one/run.toml").exists());
    let errors = refused(experiment.command("one").output().unwrap());
    assert!(
        errors.contains(&format!("being written by process {}", first.id())) && errors.contains("hint: "),
        "{errors}"
    );
    assert!(first.wait().unwrap().success());
    // The lock is released when the process ends.
    experiment.finish("one");
}

/// Tests that mount file systems; `.ci/run` runs them.
mod mounted {
    use super::*;

    /// A small file system, which only the superuser can mount.
    struct SmallDisk(PathBuf);

    impl SmallDisk {
        fn mount(folder: &Path, kib: usize) -> Self {
            std::fs::create_dir_all(folder).unwrap();
            let size = format!("size={kib}k");
            let mounted =
                Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output().unwrap();
            assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
            Self(folder.into())
        }

        fn resize(&self, kib: usize) {
            let size = format!("remount,size={kib}k");
            assert!(Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap().success());
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }

    #[test]
    #[ignore = "mounts file systems, as the superuser"]
    fn a_full_disk_stops_the_run_with_its_last_checkpoint_intact() {
        let experiment = Experiment::new("reference");
        experiment.finish("whole");
        let size = content(&experiment.path("whole")).values().map(Vec::len).sum::<usize>() / 1024;
        // At first the disk has room for hardly anything, then for the first stage, then for all but the end.
        let disk = SmallDisk::mount(&experiment.path("small"), 64);
        let mut n_full = 0;
        for kib in [64, 64 + size / 2, 64 + size, 64 + 2 * size] {
            disk.resize(kib);
            let output = experiment.command("small/run").output().unwrap();
            if output.status.success() {
                continue;
            }
            n_full += 1;
            let errors = refused(output);
            assert!(errors.contains("No space left") && errors.contains("make room"), "{errors}");
            let run = experiment.path("small/run");
            if run.join("run.toml").exists() {
                succeeded(medcoss(&["show", &text(&run), "--verify"]));
            }
        }
        assert!(n_full >= 2, "the disk was full {n_full} times");
        disk.resize(64 + 8 * size);
        experiment.finish("small/run");
        assert_same(&content(&experiment.path("whole")), &content(&experiment.path("small/run")));
    }

    #[test]
    #[ignore = "mounts file systems, as the superuser"]
    fn a_folder_that_cannot_be_written_is_named() {
        let experiment = Experiment::new("reference");
        let _disk = SmallDisk::mount(&experiment.path("read-only"), 64);
        let read_only = Command::new("mount").args(["-o", "remount,ro"]).arg(experiment.path("read-only")).status();
        assert!(read_only.unwrap().success());
        let errors = refused(experiment.command("read-only/run").output().unwrap());
        assert!(errors.contains("read-only/run") && errors.contains("Read-only file system"), "{errors}");
    }
}

#[test]
fn a_flipped_bit_in_any_file_of_a_run_is_found_and_named() {
    let experiment = Experiment::new("materialised");
    // Interrupted in the second stage, so that a finished stage and checkpoints exist.
    let moment = Moment::Between("stages/02-xray/checkpoint-00002", "stages/02-xray/state.json");
    assert!(kill_at(moment, &mut experiment.start("run"), &experiment.path("run")));
    let run = experiment.path("run");
    let is_partial =
        |path: &Path| path.components().any(|part| part.as_os_str().to_string_lossy().ends_with(".partial"));
    // Files that a killed process was writing do not count, nor do the metrics beside checkpoints, which hold their own
    // copy.
    let files: Vec<PathBuf> = content(&run).into_keys().filter(|path| !is_partial(path)).collect();
    let files: Vec<PathBuf> = files.into_iter().filter(|path| !path.ends_with("02-xray/metrics.jsonl")).collect();
    assert!(files.iter().any(|path| path.to_string_lossy().contains("checkpoint-")), "{files:?}");
    succeeded(medcoss(&["show", &text(&run), "--verify"]));
    for name in &files {
        let path = run.join(name);
        let intact = std::fs::read(&path).unwrap();
        for (at, bit) in [(0, 0), (intact.len() / 3, 3), (intact.len() - 2, 6)] {
            let mut broken = intact.clone();
            broken[at] ^= 1 << bit;
            std::fs::write(&path, broken).unwrap();
            let output = medcoss(&["show", &text(&run), "--verify"]);
            let output_text =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(1), "{} byte {at}: {output_text}", name.display());
            let folder = name.parent().unwrap().file_name().unwrap_or(name.as_os_str()).to_string_lossy();
            let own = name.file_name().unwrap().to_string_lossy();
            assert!(output_text.contains(&*own) || output_text.contains(&*folder), "{}: {output_text}", name.display());
            assert!(!output_text.contains("panicked"), "{output_text}");
        }
        std::fs::write(&path, intact).unwrap();
    }
    println!("{} files, three flipped bits each", files.len());
    // A damaged file of a finished stage stops a resumed run before it trains or writes.
    let model = run.join("stages/01-fixture/model.bpk");
    let mut bytes = std::fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    std::fs::write(&model, &bytes).unwrap();
    let errors = refused(experiment.command("run").output().unwrap());
    assert!(errors.contains("01-fixture/model.bpk is damaged"), "{errors}");
    bytes[middle] ^= 16;
    std::fs::write(&model, bytes).unwrap();
    experiment.finish("run");
}

#[test]
fn a_stage_is_added_after_the_data_of_all_earlier_ones_are_gone() {
    // One has a learned vocabulary, one has tiles of slides, one has scans.
    let stages = [
        ("text", "max_length = 24, vocab_size = 256, text_column = \"report\""),
        ("pathology", "size = 64"),
        ("mri", "size = [16, 32, 32]"),
    ];
    let options = "options.max_length=24";
    let experiment = Experiment::of("materialised", &stages);
    experiment.finish("run");
    let run = text(&experiment.path("run"));
    // New data of an earlier modality, in another folder.
    let elsewhere = tempfile::tempdir().unwrap();
    let new = text(&elsewhere.path().join("new"));
    succeeded(medcoss(&["synth", "--modality", "text", "--samples", "40", "--seed", "9", "--out", &new]));
    std::fs::rename(experiment.path("data"), experiment.path("moved-away")).unwrap();
    let before = content(&experiment.path("run"));

    let set = ["--set", "epochs=2", "--set", options];
    let new = format!("{new}/reports.txt");
    let arguments = [&["stage", "add", &run, "--modality", "text", "--data", &new, "--json"], &set[..]].concat();
    let summary: Value = serde_json::from_str(&succeeded(medcoss(&arguments))).unwrap();
    let added = &summary["stages"][3];
    assert_eq!((added["stage"].as_u64(), added["modality"].as_str()), (Some(4), Some("text")));
    let distilled: Vec<_> =
        added["distillation_last"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    assert_eq!(distilled, ["mri", "pathology", "text"]);
    let after = content(&experiment.path("run"));
    let is_earlier = |path: &Path| ["01-", "02-", "03-"].iter().any(|stage| path.to_string_lossy().contains(stage));
    let earlier = |files: &BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
        files.clone().into_iter().filter(|(path, _)| is_earlier(path)).collect()
    };
    assert_same(&earlier(&before), &earlier(&after));
    // The vocabulary is that of the first stage.
    assert!(!experiment.path("run/stages/04-text/assets").exists());
    succeeded(medcoss(&["show", &run, "--verify"]));

    // With buffers by reference a stage cannot be added, and the message says which data are missing.
    let experiment = Experiment::new("reference");
    experiment.finish("run");
    std::fs::rename(experiment.path("data"), experiment.path("moved-away")).unwrap();
    let run = text(&experiment.path("run"));
    let errors = refused(medcoss(&["stage", "add", &run, "--modality", "text", "--data", &new]));
    assert!(errors.contains("stage 1 fixture") && errors.contains("hint: "), "{errors}");
    assert!(!experiment.path("run/stages/03-text").exists());
}

#[test]
fn an_invalid_sample_among_valid_ones_is_named_skipped_and_listed_without_a_path_of_this_machine() {
    let experiment = Experiment::new("reference");
    let data = experiment.path("data/xray");
    let mut names: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let png: Vec<_> =
        names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "png")).collect();
    std::fs::write(png[0], &std::fs::read(png[0]).unwrap()[..200]).unwrap();
    let limited = |run: &str, fraction: &str| {
        let mut command = experiment.command(run);
        command.args(["--set", &format!("data.max_invalid_fraction={fraction}")]).output().unwrap()
    };
    let output = limited("run", "0.02");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary: Value = serde_json::from_str(&succeeded(output)).unwrap();
    let name = png[0].file_name().unwrap().to_str().unwrap();
    assert!(errors.contains("is skipped") && errors.contains(name), "{errors}");
    assert_eq!(summary["stages"][1]["n_invalid"], 1);
    let state = std::fs::read_to_string(experiment.path("run/stages/02-xray/state.json")).unwrap();
    assert!(state.contains(&format!("\"data/xray/{name}\"")), "{state}");
    assert!(!state.contains(&text(experiment.folder.path())), "{state}");

    // One of sixty is less than 1/50 and more than 1/100, for a run and for the check of data alike.
    let errors = refused(limited("small", "0.01"));
    assert!(errors.contains("1 of 60 samples could not be read"), "{errors}");
    let check = |fraction: &str| {
        let data = text(&data);
        medcoss(&[
            "data",
            "check",
            "--modality",
            "xray",
            "--data",
            &data,
            "--quiet",
            "--max-invalid-fraction",
            fraction,
        ])
    };
    succeeded(check("0.02"));
    assert!(refused(check("0.01")).contains("1 of 60 samples cannot be read"));
    for fraction in ["nan", "-0.1", "1.5", "inf"] {
        let option = format!("--max-invalid-fraction={fraction}");
        let errors = refused(medcoss(&["data", "check", "--modality", "xray", "--data", &text(&data), &option]));
        assert!(errors.contains("--max-invalid-fraction is"), "{errors}");
    }
    std::fs::write(png[1], "no image").unwrap();
    let errors = refused(limited("again", "0.02"));
    assert!(
        errors.contains("2 of 60 samples could not be read") && errors.contains("max_invalid_fraction"),
        "{errors}"
    );
    succeeded(medcoss(&["show", &text(&experiment.path("again")), "--verify"]));
}

#[test]
fn settings_that_may_not_change_are_refused_by_name_and_others_are_accepted() {
    let experiment = Experiment::new("reference");
    experiment.finish("run");
    let (run, root) = (text(&experiment.path("run")), text(experiment.folder.path()));
    let resume = |setting: &str| medcoss(&["resume", &run, "--data-root", &root, "--json", "--set", setting]);
    for setting in [
        "data.num_workers=1",
        "training.checkpoint_every=3",
        "training.checkpoint_every_steps=7",
        "training.loss_every_steps=5",
    ] {
        succeeded(resume(setting));
    }
    for (setting, name) in [
        ("seed=4", "seed"),
        ("training.batch_size=7", "training.batch_size"),
        ("stage.xray.options.size=96", "stage.1.options.size"),
        ("strategy.medcoss.mixup=false", "strategy.medcoss.mixup"),
        ("training.epoch=4", "did you mean epochs"),
    ] {
        let errors = refused(resume(setting));
        assert!(errors.contains(name), "{setting}: {errors}");
    }
}
