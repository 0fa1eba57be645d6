//! `medcoss plugin new`: what it refuses, and (slow) that the written crate builds, passes its tests and works with the
//! program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medcoss_test_support::sandbox::{self, Sandbox};
use serde_json::Value;

fn root() -> PathBuf {
    medcoss_test_support::repository()
}

#[test]
fn a_crate_is_written_and_obstacles_are_named() {
    let sandbox = Sandbox::new();
    let sdk = root().join("sdk");
    let sdk = sdk.to_str().unwrap();
    let answer = sandbox.run(["plugin", "new", "my_eeg", "--family", "eeg", "--out", "a", "--sdk-path", sdk]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    for expected in ["medcoss-my-eeg", "family eeg", "src/lib.rs", sdk, "cargo test", "libmedcoss_my_eeg.so"] {
        assert!(answer.out.contains(expected), "{expected}: {}", answer.out);
    }
    let manifest: toml::Table = fs::read_to_string(sandbox.path("work/a/Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["dependencies"]["medcoss-sdk"]["path"].as_str(), Some(sdk));
    assert!(manifest.contains_key("workspace"));
    for name in ["src/lib.rs", "README.md", "Cargo.toml"] {
        let text = fs::read_to_string(sandbox.path("work/a").join(name)).unwrap();
        assert!(!text.contains("{{"), "{name} has a gap: {text}");
    }

    // A repository or a version can be built elsewhere.
    let manifest = |folder: &str, arguments: &[&str]| {
        let answer = sandbox.run(["plugin", "new", "d", "--family", "eeg", "--out", folder].iter().chain(arguments));
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{arguments:?}");
        let manifest = fs::read_to_string(sandbox.path("work").join(folder).join("Cargo.toml")).unwrap();
        manifest.parse::<toml::Table>().unwrap()["dependencies"]["medcoss-sdk"].clone()
    };
    let git = manifest("d", &["--sdk-git", "https://example.org/medcoss.git", "--sdk-rev", "v9"]);
    assert_eq!((git["git"].as_str(), git["rev"].as_str()), (Some("https://example.org/medcoss.git"), Some("v9")));
    assert_eq!(manifest("e", &["--sdk-version", "0.1"]).as_str(), Some("0.1"));

    // Without a path the manifest names the SDK of the checkout that the program was built from, which still exists.
    let made = sandbox.run(["plugin", "new", "b", "--out", "b", "--json"]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!((made["sdk"].as_str(), made["family"].as_str()), (Some(sdk), Some("image")));

    let before = fs::read_to_string(sandbox.path("work/a/src/lib.rs")).unwrap();
    for (arguments, expected) in [
        (["my-eeg", "--out", "c", "--family", "eeg"], "hint: my_eeg would do"),
        (["sdk", "--out", "c", "--family", "eeg"], "hint: choose another"),
        (["c", "--out", "c", "--family", "E E G"], "hint: e_e_g would do"),
        (["c", "--out", "a", "--family", "eeg"], "--out a is not empty"),
        (["c", "--out", "c", "--sdk-path", "a"], "--sdk-path a holds no SDK"),
        (["c", "--out", "c", "--samples-per-file", "many"], "has no template for family image"),
        (["c", "--out", "a/Cargo.toml", "--family", "eeg"], "--out a/Cargo.toml is not a folder"),
    ] {
        let answer = sandbox.run(["plugin", "new"].iter().chain(&arguments));
        assert_eq!(answer.code, 1, "{arguments:?}");
        assert!(answer.err.starts_with("error: ") && answer.err.contains(expected), "{}", answer.err);
    }
    assert!(!sandbox.path("work/c").exists(), "what is refused leaves nothing");
    assert_eq!(fs::read_to_string(sandbox.path("work/a/src/lib.rs")).unwrap(), before);
}

#[test]
fn a_module_in_python_is_written_and_obstacles_are_named() {
    let sandbox = Sandbox::new();
    let answer = sandbox.run(["plugin", "new", "my_eeg", "--language", "python", "--out", "a"]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    for expected in
        ["my_eeg.py", "family my_eeg", "python3 -m unittest", "medcoss plugin pack .", "libmedcoss_my_eeg.so"]
    {
        assert!(answer.out.contains(expected), "{expected}: {}", answer.out);
    }
    for name in ["my_eeg.py", "test_my_eeg.py", "medcoss_plugin.py", "README.md", ".gitignore"] {
        let text = fs::read_to_string(sandbox.path("work/a").join(name)).unwrap();
        assert!(!text.contains("{{"), "{name} has a gap: {text}");
    }
    for (arguments, expected) in [
        (["c", "--out", "c", "--family", "image"], "hint: leave --family out"),
        (["c", "--out", "c", "--sdk-path", "a"], "hint: leave it out"),
        (["c", "--out", "a", "--family", "eeg"], "--out a is not empty"),
    ] {
        let answer = sandbox.run(["plugin", "new", "--language", "python"].iter().chain(&arguments));
        assert_eq!(answer.code, 1, "{arguments:?}");
        assert!(answer.err.starts_with("error: ") && answer.err.contains(expected), "{}", answer.err);
    }
    assert!(!sandbox.path("work/c").exists(), "what is refused leaves nothing");

    // The sandbox has neither the bridge nor Python.
    let answer = sandbox.run(["plugin", "pack", "a"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("libmedcoss_python_bridge.so was not found in"), "{}", answer.err);
    let bridge = sandbox::build_folder().join("libmedcoss_python_bridge.so");
    let mut command = sandbox.command(["plugin", "pack", "a", "--bridge", bridge.to_str().unwrap()]);
    let answer = sandbox::answer(command.env("PATH", "/nowhere"));
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("the Python interpreter python3 was not found"), "{}", answer.err);
}

#[test]
#[ignore = "needs Python with NumPy"]
fn a_module_in_python_is_packed_and_becomes_a_stage() {
    let sandbox = Sandbox::new();
    let python = std::env::var_os("MEDCOSS_PYTHON").unwrap_or_else(|| "python3".into());
    let search = std::env::var_os("PATH").unwrap_or_default();
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        let answer = sandbox::answer(command.env("MEDCOSS_PYTHON", &python).env("PATH", &search));
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
        answer.out
    };
    let bridge = sandbox::build_folder().join("libmedcoss_python_bridge.so");
    run(&["plugin", "new", "tone", "--language", "python", "--out", "tone"]);
    run(&["plugin", "pack", "tone", "--bridge", bridge.to_str().unwrap()]);
    run(&["plugin", "check", "tone/libmedcoss_tone.so"]);
    let mine = ["--plugin-dir", "tone"];
    let page = run(&["plugin", "inspect", "tone", mine[0], mine[1]]);
    assert!(page.contains("tone 0.1.0") && page.contains("patch_size"), "{page}");
    run(&["synth", "--modality", "tone", "--samples", "16", "--out", "series", mine[0], mine[1]]);
    let config = "[model]\npreset = \"demo\"\n[buffer]\nratio = 0.2\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 4\n\
                  [[stage]]\nmodality = \"tone\"\ndata = \"series\"\noptions = { patch_size = 8, n_patches = 20 }\n";
    fs::write(sandbox.path("work/run.toml"), config).unwrap();
    for out in ["one", "two"] {
        run(&["pretrain", "run.toml", "--out", out, "--quiet", mine[0], mine[1]]);
    }
    let metrics = ["one", "two"].map(|out| {
        let stages = fs::read_dir(sandbox.path("work").join(out).join("stages")).unwrap();
        let stage = stages.map(|entry| entry.unwrap().path()).find(|path| path.join("metrics.jsonl").exists()).unwrap();
        fs::read_to_string(stage.join("metrics.jsonl")).unwrap()
    });
    assert!(!metrics[0].is_empty() && metrics[0] == metrics[1], "the same losses to the last digit");
}

/// Runs cargo in a written crate, without the network: versions are those of this workspace. All crates share one
/// target folder.
fn cargo(folder: &Path, target: &Path, arguments: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(folder).args(arguments).env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    // Debug information is not needed, and takes a third of the time.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let output = cargo.output().unwrap();
    let messages = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "cargo {arguments:?} in {}: {messages}", folder.display());
}

#[test]
#[ignore = "builds five crates with the SDK, two minutes"]
fn every_family_builds_passes_its_tests_and_becomes_a_stage() {
    let sandbox = Sandbox::new();
    // Kept between test runs, so that only the first one builds the dependencies.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
    let libraries = sandbox.folder("libraries");
    let mine = ["--plugin-dir", libraries.to_str().unwrap()];
    let run = |arguments: &[&str]| {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
        answer.out
    };
    // A finished run with modalities of the known families except text, whose vocabulary is its modality's own.
    let mut config = String::from(
        "[model]\npreset = \"demo\"\n[buffer]\nratio = 0.2\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 4\n",
    );
    for (id, options) in [("xray", "size = 64"), ("ct", "size = [16, 32, 32]")] {
        run(&["synth", "--modality", id, "--samples", "16", "--out", id]);
        config.push_str(&format!("[[stage]]\nmodality = \"{id}\"\ndata = \"{id}\"\noptions = {{ {options} }}\n"));
    }
    fs::write(sandbox.path("work/run.toml"), config).unwrap();
    run(&["pretrain", "run.toml", "--out", "run", "--quiet"]);

    let families = [("image", "one"), ("volume", "one"), ("text", "one"), ("eeg", "one"), ("sleep", "many")];
    for (position, (family, samples_per_file)) in families.into_iter().enumerate() {
        let id = format!("new_{family}");
        let mut new = vec!["plugin", "new", &id, "--family", family, "--out", &id, "--sdk-path"];
        let checkout = root();
        new.extend([checkout.to_str().unwrap(), "--samples-per-file", samples_per_file]);
        run(&new);
        let folder = sandbox.path("work").join(&id);
        fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        cargo(&folder, &target, &["fmt", "--check"]);
        // One selection of packages builds the tests and the library.
        cargo(&folder, &target, &["test", "--quiet"]);
        cargo(&folder, &target, &["build", "--quiet"]);
        let name = format!("libmedcoss_{id}.so");
        fs::copy(target.join("debug").join(&name), libraries.join(&name)).unwrap();

        run(&["plugin", "check", libraries.join(&name).to_str().unwrap()]);
        let page = run(&["plugin", "inspect", &id, mine[0], mine[1]]);
        assert!(page.contains(&format!("{id} 0.1.0")) && page.contains(family), "{page}");
        let made = run(&["synth", "--modality", &id, "--samples", "12", "--out", "data", "--json", mine[0], mine[1]]);
        let made: Value = serde_json::from_str(&made).unwrap();
        // Of files with several samples there are at least as many.
        let n_samples = made["n_samples"].as_u64().unwrap();
        assert!(if samples_per_file == "one" { n_samples == 12 } else { n_samples >= 12 }, "{n_samples}");
        let options = made["options"].as_object().unwrap().iter();
        let options: Vec<_> = options.map(|(name, value)| format!("{name}={value}")).collect();
        // The commands of the README name the options with which the synthetic samples can be opened.
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(options.iter().all(|option| readme.contains(&format!("--set '{option}'"))), "{options:?}: {readme}");

        let mut check = vec!["data", "check", "--modality", &id, "--data", "data", "--quiet", mine[0], mine[1]];
        check.extend(options.iter().flat_map(|option| ["--set", option]));
        run(&check);
        if family == "text" {
            fs::remove_dir_all(sandbox.path("work/data")).unwrap();
            continue;
        }
        let place = format!("data_{id}");
        fs::rename(sandbox.path("work/data"), sandbox.path("work").join(&place)).unwrap();
        let mut add = vec!["stage", "add", "run", "--modality", &id, "--data", &place, "--data-root", "."];
        add.extend(["--quiet", "--json", mine[0], mine[1]]);
        let options: Vec<_> = options.iter().map(|option| format!("options.{option}")).collect();
        add.extend(options.iter().flat_map(|option| ["--set", option]));
        let summary: Value = serde_json::from_str(&run(&add)).unwrap();
        let stage = summary["stages"].as_array().unwrap().last().unwrap();
        assert_eq!(stage["modality"], id.as_str());
        let distilled = stage["distillation_last"].as_array().unwrap();
        // One for each modality before it; text has become no stage.
        assert_eq!(distilled.len(), 2 + position - usize::from(position > 2));
        assert!(distilled.iter().all(|pair| pair[1].as_f64().is_some_and(f64::is_finite)), "{stage}");
    }
}
