//! Hostile run folders: whatever a run folder contains, no command leaves the folder, hangs, panics or takes much
//! memory.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use medcoss_core::run::{CHECKSUM_PLACEHOLDER, insert_checksum};
use medcoss_test_support::folders::copy_folder;
use medcoss_test_support::process::{CommandResult, run_within};
use medcoss_test_support::program::{command, medcoss, succeeded, text};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Content of a file outside of the run, which no output may contain.
const SECRET: &str = "SECRET-OF-ANOTHER-FOLDER";
/// Time limit of a command on these runs; most take a tenth of a second.
const LONGEST: Duration = Duration::from_secs(60);
/// Limit on the address space of a command, in KiB: three times what a valid run needs.
const MOST_MEMORY: u64 = 8 << 20;

const CONFIG: &str = "
[model]
preset = \"demo\"
positions = { image = 16 }
[buffer]
store = \"materialised\"
ratio = 0.3
cluster_ratio = 0.1
[training]
epochs = 1
batch_size = 6
[[stage]]
modality = \"text\"
data = \"text/labelled.csv\"
options = { text_column = \"report\", max_length = 24, vocab_size = 300 }
[[stage]]
modality = \"xray\"
data = \"xray\"
options = { size = 48 }
";

/// A folder with data and a run over them; made once and never changed. The run is made without a umask.
fn made() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| text(&folder.path().join(name));
        for (modality, n) in [("text", "40"), ("xray", "24")] {
            succeeded(medcoss(&["synth", "--modality", modality, "--samples", n, "--out", &path(modality)]));
        }
        fs::write(folder.path().join("run.toml"), CONFIG).unwrap();
        let program = text(medcoss_test_support::program::path());
        let line = format!("umask 0 && exec {program} pretrain {} --out {} --quiet", path("run.toml"), path("run"));
        succeeded(Command::new("sh").args(["-c", &line]).env_remove("MEDCOSS_PLUGIN_PATH").output().unwrap());
        folder
    };
    MADE.get_or_init(make).path()
}

/// A copy of the run, and beside it a folder of somebody else.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        copy_folder(&made().join("run"), &place.run());
        fs::create_dir(place.victim()).unwrap();
        fs::write(place.victim().join("secret"), SECRET).unwrap();
        fs::write(place.victim().join("state.json"), SECRET).unwrap();
        place
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn victim(&self) -> PathBuf {
        self.folder.path().join("victim")
    }

    /// Runs every command on the run. Returns each command's name, exit code and messages.
    fn commands(&self) -> Vec<(&'static str, i32, String)> {
        let (run, data) = (text(&self.run()), text(made()));
        let out = |name: &str| text(&self.folder.path().join(name));
        let chest = text(&made().join("xray"));
        let commands: [&[&str]; 7] = [
            &["show", &run, "--verify"],
            &["report", &run, "--data-root", &data, "--samples", "8"],
            &["embed", &run, "--modality", "xray", "--data", &chest, "--out", &out("features.safetensors")],
            &["export", &run, "--layout", "medcoss-rs", "--out", &out("weights.safetensors")],
            &["resume", &run, "--data-root", &data],
            &[
                "stage",
                "add",
                &run,
                "--modality",
                "xray",
                "--data",
                "xray",
                "--data-root",
                &data,
                "--set",
                "options.size=48",
            ],
            &["stage", "remove", &run, "--finished"],
        ];
        let names = ["show", "report", "embed", "export", "resume", "stage add", "stage remove"];
        names.into_iter().zip(commands).map(|(name, arguments)| self.one(name, arguments)).collect()
    }

    fn one(&self, name: &'static str, arguments: &[&str]) -> (&'static str, i32, String) {
        let line = format!("ulimit -v {MOST_MEMORY}; exec \"$@\"");
        let mut limited = Command::new("sh");
        limited.args(["-c", &line, "sh"]).arg(medcoss_test_support::program::path()).args(arguments);
        limited.env_remove("MEDCOSS_PLUGIN_PATH");
        let CommandResult { code, out, err, .. } = run_within(LONGEST, self.folder.path(), &mut limited, |_| {});
        let said = out + &err;
        assert!(matches!(code, 0 | 1), "{arguments:?} ended with {code}: {said}");
        assert!(!said.contains("panicked") && !said.contains(SECRET), "{arguments:?}: {said}");
        (name, code, said)
    }

    /// Asserts that the other folder is unchanged, and that no written file contains any of it.
    fn is_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.victim()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for name in ["secret", "state.json"] {
            assert_eq!(fs::read_to_string(self.victim().join(name)).unwrap(), SECRET);
        }
        let mut files = Vec::new();
        files_below(self.folder.path(), &mut files);
        for path in files.iter().filter(|path| !path.starts_with(self.victim())) {
            let content = fs::read(path).unwrap();
            let found = content.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            assert!(!found, "{} holds what lies outside of the run", path.display());
        }
    }
}

/// Regular files, without following links.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files_below(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// Changes a JSON document and gives it a correct checksum, as anyone can.
fn forge_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut document: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut document);
    document["checksum"] = CHECKSUM_PLACEHOLDER.into();
    let text = serde_json::to_string_pretty(&document).unwrap();
    fs::write(path, format!("{}\n", insert_checksum(&text, "\"checksum\": \""))).unwrap();
}

fn forge_toml(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let (body, _) = text.split_once("# checksum: ").unwrap();
    let forged = format!("{}# checksum: {CHECKSUM_PLACEHOLDER}\n", change(body.into()));
    fs::write(path, insert_checksum(&forged, "# checksum: ")).unwrap();
}

/// Writes the correct digests of a stage's files into its manifests and its state.
fn forge_digests(stage: &Path) {
    let digest = |path: &Path| -> Option<Value> {
        let content = path.is_file().then(|| fs::read(path).unwrap())?;
        Some(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    };
    let fill = |folder: &Path, digests: &mut Value| {
        for (name, value) in digests.as_object_mut().unwrap() {
            *value = digest(&folder.join(name)).unwrap_or(value.clone());
        }
    };
    for folder in ["buffer", "assets"].map(|name| stage.join(name)) {
        if folder.join("manifest.json").is_file() {
            forge_json(&folder.join("manifest.json"), |manifest| fill(&folder, &mut manifest["files"]));
        }
    }
    forge_json(&stage.join("state.json"), |state| fill(stage, &mut state["checksums"]));
}

/// Every file and folder of a run, by its path in the run.
const ENTRIES: [&str; 23] = [
    ".lock",
    "run.toml",
    "plugins.lock",
    "report.html",
    "stages",
    "stages/01-text",
    "stages/01-text/assets",
    "stages/01-text/assets/manifest.json",
    "stages/02-xray",
    "stages/02-xray/state.json",
    "stages/02-xray/model.bpk",
    "stages/02-xray/metrics.jsonl",
    "stages/02-xray/timing.jsonl",
    "stages/02-xray/buffer.jsonl",
    "stages/02-xray/buffer",
    "stages/02-xray/buffer/manifest.json",
    "stages/02-xray/buffer/open.json",
    "stages/02-xray/buffer/tokens.safetensors",
    "stages/02-xray/buffer/samples",
    "stages/02-xray/checkpoint-00001",
    "evaluation",
    "evaluation/small",
    "evaluation/small/scores.json",
];

/// Replaces an entry of the run by what `put` writes.
fn replace(place: &Place, entry: &str, put: impl FnOnce(&Path)) {
    let path = place.run().join(entry);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match path.is_dir() {
        true => fs::remove_dir_all(&path).unwrap(),
        false => drop(fs::remove_file(&path)),
    }
    put(&path);
}

/// Names of the commands that accepted the run.
fn accepted(results: &[(&'static str, i32, String)]) -> Vec<&'static str> {
    results.iter().filter(|(_, code, _)| *code == 0).map(|(name, ..)| *name).collect()
}

#[test]
fn links_in_place_of_any_entry_are_not_followed() {
    for entry in ENTRIES {
        for target in ["secret", ""] {
            let place = Place::new();
            replace(&place, entry, |path| symlink(place.victim().join(target), path).unwrap());
            let results = place.commands();
            place.is_untouched();
            let refused = results.iter().any(|(_, code, said)| *code == 1 && said.contains("is a link"));
            // The report is replaced as a whole, and so is a link in its place.
            assert!(refused || entry == "report.html", "{entry} -> {target:?}: {results:?}");
        }
    }
}

#[test]
fn links_with_the_names_of_unfinished_files_are_not_followed() {
    for name in ["plugins.lock.partial", "run.toml.partial", "report.html.partial", "stages/03-xray"] {
        let place = Place::new();
        symlink(place.victim().join("secret"), place.run().join(name)).unwrap();
        place.commands();
        place.is_untouched();
    }
    // The next stage, prepared by a stranger.
    let place = Place::new();
    let next = place.run().join("stages/03-xray");
    fs::create_dir(&next).unwrap();
    for name in ["metrics.jsonl", "timing.jsonl", "model.bpk", "buffer.jsonl", "assets.new.partial", "checkpoint-00001"]
    {
        symlink(place.victim().join("secret"), next.join(name)).unwrap();
    }
    place.commands();
    place.is_untouched();
}

#[test]
fn pipes_and_endless_devices_do_not_hang_a_command() {
    for entry in ENTRIES {
        let place = Place::new();
        replace(&place, entry, |path| {
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        });
        let results = place.commands();
        let refused = results.iter().any(|(_, code, said)| *code == 1 && said.contains("is a named pipe"));
        assert!(refused || entry == "report.html", "{entry}: {results:?}");
        place.is_untouched();
        let place = Place::new();
        replace(&place, entry, |path| symlink("/dev/zero", path).unwrap());
        place.commands();
        place.is_untouched();
    }
}

#[test]
fn huge_sparse_files_claim_no_memory() {
    for entry in ENTRIES.into_iter().filter(|entry| Path::new(entry).extension().is_some()) {
        let place = Place::new();
        // A sparse file takes no space on the disk.
        replace(&place, entry, |path| File::create(path).unwrap().set_len(1 << 42).unwrap());
        let results = place.commands();
        let refused = results.iter().any(|(_, code, said)| *code == 1 && said.contains("more than the"));
        assert!(refused || matches!(entry, "report.html" | "stages/02-xray/timing.jsonl"), "{entry}: {results:?}");
    }
}

#[test]
fn names_in_the_record_do_not_lead_out_of_the_run() {
    for modality in ["x/../../../victim", "../victim", "/etc", "a b", "", "..", "CT", "x\u{1b}[31m", "$(rm -rf x)"] {
        let place = Place::new();
        forge_toml(&place.run().join("run.toml"), |record| {
            record.replace("modality = \"xray\"", &format!("modality = {}", toml::Value::from(modality)))
        });
        let results = place.commands();
        assert!(accepted(&results).is_empty(), "{modality:?}: {results:?}");
        let named = results.iter().filter(|(_, _, said)| said.contains("is no valid name")).count();
        assert_eq!(named, results.len(), "{results:?}");
        assert!(results.iter().all(|(_, _, said)| !said.contains('\u{1b}')));
        place.is_untouched();
    }
    for tokenizer in ["../../victim/secret", "/etc/passwd", "a/../../x"] {
        let place = Place::new();
        forge_toml(&place.run().join("run.toml"), |record| {
            record.replace("text_column = \"report\"", &format!("text_column = \"report\"\ntokenizer = {tokenizer:?}"))
        });
        let results = place.commands();
        assert!(accepted(&results).is_empty(), "{tokenizer:?}: {results:?}");
        assert!(results.iter().all(|(_, _, said)| said.contains("not a path below the data root")), "{results:?}");
        place.is_untouched();
    }
    // A state that names another stage.
    let place = Place::new();
    forge_json(&place.run().join("stages/02-xray/state.json"), |state| state["modality"] = "x/../../../victim".into());
    assert!(accepted(&place.commands()).is_empty());
    place.is_untouched();
}

#[test]
fn files_that_a_manifest_or_a_buffer_names_lie_in_the_run() {
    let stage = |place: &Place| place.run().join("stages/02-xray");
    for data in ["../../../../../victim/secret", "/etc/passwd", "../../../../text"] {
        let place = Place::new();
        forge_json(&stage(&place).join("state.json"), |state| {
            state["checksums"][data] = "00".into();
        });
        assert!(!accepted(&place.commands()).contains(&"resume"), "{data}");
        place.is_untouched();

        let place = Place::new();
        let open = stage(&place).join("buffer/open.json");
        let mut how: Value = serde_json::from_slice(&fs::read(&open).unwrap()).unwrap();
        how["data"] = vec![data].into();
        fs::write(&open, how.to_string()).unwrap();
        forge_digests(&stage(&place));
        // Without the data, a report shows the samples in the run.
        let (run, nothing, out) =
            (text(&place.run()), place.folder.path().join("nothing"), place.folder.path().join("page.html"));
        fs::create_dir(&nothing).unwrap();
        place.one("report", &["report", &run, "--data-root", &text(&nothing), "--out", &text(&out)]);
        let page = fs::read_to_string(out).unwrap();
        assert!(page.contains("which is none of the samples"), "{page}");
        let results = place.commands();
        let said = |name: &str| &results.iter().find(|(found, ..)| *found == name).unwrap().2;
        assert!(said("resume").contains("which is none of the samples"), "{results:?}");
        place.is_untouched();
    }
    // A sample that is a link.
    let place = Place::new();
    let samples = stage(&place).join("buffer/samples");
    let sample = fs::read_dir(&samples).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&sample).unwrap();
    symlink(place.victim().join("secret"), &sample).unwrap();
    forge_digests(&stage(&place));
    let results = place.commands();
    assert!(results.iter().any(|(name, code, said)| *name == "resume" && *code == 1 && said.contains("is a link")));
    place.is_untouched();
}

#[test]
fn sizes_of_a_model_are_checked_before_memory_is_claimed() {
    let sizes: [(&str, &str, u64); 7] = [
        ("/model/dimensions/width", "width", 300_000_000),
        ("/model/dimensions/heads", "heads", 0),
        ("/model/dimensions/layers", "layers", 100_000),
        ("/model/dimensions/mlp_width", "mlp_width", 1 << 50),
        ("/model/dimensions/decoder_width", "decoder_width", 1 << 60),
        ("/model/families/1/n_positions", "positions", 1_000_000_000_000),
        ("/model/families/0/tokens/vocabulary", "ids", u64::MAX),
    ];
    for (pointer, what, size) in sizes {
        let place = Place::new();
        forge_json(&place.run().join("stages/02-xray/state.json"), |state| {
            *state.pointer_mut(pointer).unwrap() = size.into();
        });
        let results = place.commands();
        for name in ["show", "embed", "export", "resume"] {
            let (_, code, said) = results.iter().find(|(found, ..)| *found == name).unwrap();
            assert!(*code == 1 && said.contains("state.json"), "{what} {size}, {name}: {said}");
        }
    }
    // Sizes that are valid, but not those of the file.
    let place = Place::new();
    forge_json(&place.run().join("stages/02-xray/state.json"), |state| {
        state["model"]["dimensions"]["layers"] = 1000.into();
    });
    let results = place.commands();
    let export = results.iter().find(|(name, ..)| *name == "export").unwrap();
    assert!(export.1 == 1 && export.2.contains("model.bpk") && export.2.contains("parameters"), "{export:?}");
}

#[test]
fn values_that_are_not_finite_are_found() {
    let place = Place::new();
    let stage = place.run().join("stages/02-xray");
    let mut bytes = fs::read(stage.join("model.bpk")).unwrap();
    let n = bytes.len();
    bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(stage.join("model.bpk"), bytes).unwrap();
    forge_digests(&stage);
    let results = place.commands();
    for name in ["show", "embed", "export"] {
        let (_, code, said) = results.iter().find(|(found, ..)| *found == name).unwrap();
        assert!(*code == 1 && said.contains("not finite"), "{name}: {said}");
    }
}

#[test]
fn without_a_umask_only_the_user_can_read_files_of_a_run() {
    fn check(path: &Path) {
        let metadata = fs::symlink_metadata(path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
        assert_eq!(metadata.nlink() > 1, metadata.is_dir() && metadata.nlink() > 1);
        if metadata.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| check(&entry.unwrap().path()));
        }
    }
    check(&made().join("run"));
}

#[test]
fn a_stage_that_is_refused_leaves_the_run_as_it_was() {
    let place = Place::new();
    let (run, data) = (text(&place.run()), text(made()));
    let record = fs::read(place.run().join("run.toml")).unwrap();
    let add = |size: &'static str| {
        let size = format!("options.size={size}");
        let arguments =
            ["stage", "add", &run, "--modality", "xray", "--data", "xray", "--data-root", &data, "--set", &size];
        place.one("stage add", &arguments)
    };
    // No whole number of patches.
    let (_, code, said) = add("50");
    assert!(code == 1 && said.contains("size"), "{said}");
    assert_eq!(fs::read(place.run().join("run.toml")).unwrap(), record);
    assert_eq!(place.one("resume", &["resume", &run, "--data-root", &data]).1, 0);
    // 36 tokens, whose places the model's 9 positions cover.
    let (_, code, said) = add("96");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("6 x 6 tokens takes positions at the same places of the model's 3 x 3"), "{said}");
}

#[test]
fn a_run_that_nobody_changed_is_accepted_by_every_command() {
    let place = Place::new();
    let results = place.commands();
    assert_eq!(accepted(&results).len(), results.len(), "{results:?}");
    // Two evaluations do not write into one folder at once; a report needs no lock.
    assert!(command(["show", &text(&place.run())]).status().unwrap().success());
}
