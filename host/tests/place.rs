//! A sandbox with plugins in a folder, data of each, and runs over them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medcoss_test_support::sandbox::{Answer, Sandbox, answer, build_folder};

/// The stage of the fixture: its modality and options.
pub const FIXTURE: (&str, &str) = ("fixture", "length = 48, patch = 4");

/// A sandbox with plugins in a folder, data of each, and runs over them.
pub struct Place {
    /// The folders.
    pub sandbox: Sandbox,
}

impl Place {
    pub fn new(modalities: &[&str]) -> Self {
        let place = Self { sandbox: Sandbox::new() };
        fs::create_dir(place.plugins()).unwrap();
        for id in modalities {
            place.put(id);
            place.succeed(&["synth", "--modality", id, "--samples", "24", "--out", id]);
        }
        place
    }

    pub fn plugins(&self) -> PathBuf {
        self.sandbox.path("plugins")
    }

    pub fn file(&self, id: &str) -> PathBuf {
        self.plugins().join(format!("{id}.so"))
    }

    pub fn put(&self, id: &str) {
        fs::copy(build_folder().join(format!("libmedcoss_{id}.so")), self.file(id)).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Answer {
        answer(&mut self.command(arguments))
    }

    /// The program with the plugins of this place.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        if !["show", "export"].contains(&arguments[0]) && arguments[..2] != ["plugin", "trust"] {
            command.args(["--no-builtin", "--plugin-dir", self.plugins().to_str().unwrap()]);
        }
        command.env("XDG_CONFIG_HOME", self.sandbox.path("config"));
        command
    }

    pub fn succeed(&self, arguments: &[&str]) -> Answer {
        let answer = self.run(arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
        answer
    }

    pub fn refused(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert_eq!(answer.code, 1, "{arguments:?}: {answer:?}");
        answer.err
    }

    /// Learns stages, each a modality and its options, into the run `first`.
    pub fn pretrain(&self, store: &str, stages: &[(&str, &str)]) -> Answer {
        self.configure(store, stages);
        self.succeed(&["pretrain", "run.toml", "--out", "first"])
    }

    /// Writes the configuration `run.toml`.
    pub fn configure(&self, store: &str, stages: &[(&str, &str)]) {
        let mut config = format!(
            "[model]\npreset = \"demo\"\nlayer_scale = 0.1\n[training]\nepochs = 2\nwarmup_epochs = 1\nbatch_size = 4\n\
             [buffer]\nstore = \"{store}\"\nratio = 0.25\ncluster_ratio = 0.1\n"
        );
        for (id, options) in stages {
            config.push_str(&format!("[[stage]]\nmodality = \"{id}\"\ndata = \"{id}\"\noptions = {{ {options} }}\n"));
        }
        fs::write(self.sandbox.path("work/run.toml"), config).unwrap();
    }

    pub fn work(&self, name: &str) -> PathBuf {
        self.sandbox.path("work").join(name)
    }
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &name);
        } else {
            fs::copy(entry.path(), name).unwrap();
        }
    }
}
