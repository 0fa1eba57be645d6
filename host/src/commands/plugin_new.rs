//! `medcoss plugin new`: writes a crate for a new plugin, which builds and passes its tests as it is, or a module in
//! Python, which is packed and passes its tests as it is.
//!
//! The files are templates in `sdk/template`, part of this program. The SDK and its guide describe the duties of a
//! plugin.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use medcoss_python_bridge::scaffold;
use serde::Serialize;

use crate::arguments::ResultArgs;
use crate::failure::Failure;

/// Dependencies and example options that differ between the templates of `src/lib.rs`.
struct Template {
    family: &'static str,
    source: &'static str,
    dependencies: &'static str,
    /// Options that fit the synthesised samples.
    options: &'static [&'static str],
}

/// The templates. The last one serves every other token family.
const TEMPLATES: [Template; 4] = [
    Template {
        family: "image",
        source: include_str!("../../../sdk/template/image.rs.txt"),
        dependencies: "image = { version = \"0.25\", default-features = false, features = [\"png\"] }\n",
        options: &["size=64"],
    },
    Template {
        family: "volume",
        source: include_str!("../../../sdk/template/volume.rs.txt"),
        dependencies: "",
        options: &["size=[16,32,48]"],
    },
    Template {
        family: "text",
        source: include_str!("../../../sdk/template/text.rs.txt"),
        dependencies: "",
        options: &["max_length=64"],
    },
    Template {
        family: "",
        source: include_str!("../../../sdk/template/series.rs.txt"),
        dependencies: "",
        options: &["patch_size=8", "n_patches=20"],
    },
];

/// Files that are written beside `src/lib.rs`.
const BESIDE: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../../sdk/template/Cargo.toml.txt")),
    ("README.md", include_str!("../../../sdk/template/README.md.txt")),
    (".gitignore", include_str!("../../../sdk/template/gitignore.txt")),
    ("rustfmt.toml", include_str!("../../../sdk/template/rustfmt.toml.txt")),
];

/// Ids whose package name is or may become the name of a dependency.
const TAKEN: [&str; 5] = ["sdk", "abi", "caller", "conformance", "formats"];

/// Largest length of an id in letters.
const LONGEST_ID: usize = 64;

/// Family of crates where none is given.
const DEFAULT_FAMILY: &str = "image";

/// Language of a new plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
}

/// Create the crate of a new plugin
///
/// The command writes a crate with options, a dataset, sample files and tests, which builds and passes its tests
/// unchanged. Comments mark the parts to replace. The families image, volume and text are those of the built-in
/// modalities; a plugin with the same token size shares their part of the model. Any other name creates a new family
/// with its own part of the model; the crate then starts as a plugin for series of numbers.
///
/// With --language python the command writes a module in Python instead, for series of numbers and a family of its own;
/// `medcoss plugin pack` makes a plugin of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin new ultrasound --out ultrasound
  medcoss plugin new pet --family volume --out plugins/pet
  medcoss plugin new glucose --family glucose --out glucose --sdk-path ~/medcoss/sdk
  medcoss plugin new tone --language python --out tone")]
pub(crate) struct New {
    /// Id of the modality: small letters, digits and underscores, a letter first
    id: String,
    /// Language: rust for a crate with the SDK, python for a module
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    language: Language,
    /// Token family: image, volume, text, or the name of a new family [default: image; of a module in Python: its id]
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Folder to write into: a new or an empty folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder of the SDK, or of the checkout that contains it [default: the checkout that this program was built from,
    /// if it exists; otherwise the SDK's version]
    #[arg(long, value_name = "PATH")]
    sdk_path: Option<PathBuf>,
    #[command(flatten)]
    result: ResultArgs,
}

/// Report of a module in Python.
#[derive(Serialize)]
struct ModuleReport<'a> {
    id: &'a str,
    family: &'a str,
    folder: &'a Path,
    /// Name of the library that `plugin pack` writes into the folder.
    library: String,
    files: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    family: &'a str,
    package: &'a str,
    folder: &'a Path,
    /// Path of the library that a release build writes.
    library: String,
    /// Path of the SDK; `None` for its published version.
    sdk: Option<&'a Path>,
    files: Vec<&'a str>,
}

impl New {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let written = match self.language {
            Language::Rust => self.write(),
            Language::Python => self.write_module(),
        };
        written.map_err(Failure::user)?
    }

    /// Writes the files of a crate, and prints the report.
    fn write(&self) -> Result<Result<(), Failure>> {
        let family = self.family.as_deref().unwrap_or(DEFAULT_FAMILY);
        check_name("id", &self.id)?;
        check_name("--family", family)?;
        if TAKEN.contains(&self.id.as_str()) {
            bail!("id {:?} would give the package the name of one of medcoss's own\nhint: choose another", self.id);
        }
        let sdk = match &self.sdk_path {
            Some(path) => Some(sdk_folder(path)?),
            None => sdk_folder(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk"))).ok(),
        };
        let template = TEMPLATES.iter().find(|template| template.family == family).unwrap_or(&TEMPLATES[3]);
        let package = format!("medcoss-{}", self.id.replace('_', "-"));
        self.in_new_folder(|| self.write_files(template, family, &package, sdk.as_deref()))?;
        let report = Report {
            id: &self.id,
            family,
            package: &package,
            folder: &self.out,
            library: format!("target/release/libmedcoss_{}.so", self.id),
            sdk: sdk.as_deref(),
            files: BESIDE.iter().map(|(name, _)| *name).chain(["src/lib.rs"]).collect(),
        };
        Ok(self.result.print(&report, Report::page))
    }

    /// Writes the files of a module in Python, and prints the report.
    fn write_module(&self) -> Result<Result<(), Failure>> {
        let family = self.family.as_deref().unwrap_or(&self.id);
        check_name("id", &self.id)?;
        check_name("--family", family)?;
        if TEMPLATES.iter().any(|template| template.family == family) {
            bail!(
                "--family {family}: the module that is written reads series of numbers, whose tokens do not fit {family}\nhint: leave \
                 --family out, and change the family together with `geometry`"
            );
        }
        if self.sdk_path.is_some() {
            bail!("--sdk-path is of no use to a module in Python\nhint: leave it out");
        }
        let files = scaffold(&self.id, family);
        self.in_new_folder(|| {
            files.iter().try_for_each(|file| {
                let path = self.out.join(&file.name);
                fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))
            })
        })?;
        let report = ModuleReport {
            id: &self.id,
            family,
            folder: &self.out,
            library: format!("libmedcoss_{}.so", self.id),
            files: files.into_iter().map(|file| file.name).collect(),
        };
        Ok(self.result.print(&report, ModuleReport::page))
    }

    /// Writes into the folder. A failed attempt leaves it as it was.
    fn in_new_folder(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        let existed = self.prepare()?;
        let written = write();
        if written.is_err() {
            // The folder was empty before, so the files of a failed attempt can be removed.
            let _ = fs::remove_dir_all(&self.out);
            if existed {
                let _ = fs::create_dir(&self.out);
            }
        }
        written
    }

    /// Creates the folder if it is missing. Returns whether it existed.
    fn prepare(&self) -> Result<bool> {
        let out = self.out.display();
        if !self.out.exists() {
            fs::create_dir_all(&self.out).with_context(|| format!("cannot create the folder {out}"))?;
            return Ok(false);
        }
        let mut entries =
            fs::read_dir(&self.out).with_context(|| format!("--out {out} is not a folder that can be read"))?;
        if entries.next().is_some() {
            bail!("--out {out} is not empty\nhint: give a new or an empty folder; nothing is written over");
        }
        Ok(true)
    }

    fn write_files(&self, template: &Template, family: &str, package: &str, sdk: Option<&Path>) -> Result<()> {
        let dependency = |below: &str| match sdk {
            Some(folder) => {
                let path = folder.join(below).to_string_lossy().trim_end_matches('/').to_string();
                format!("{{ path = {} }}", toml::Value::String(path))
            }
            None => toml::Value::String(env!("CARGO_PKG_VERSION").into()).to_string(),
        };
        let set = |prefix: &str| -> String {
            template.options.iter().map(|option| format!("--set '{prefix}{option}' ")).collect()
        };
        let filled = |text: &str| {
            text.replace("{{id}}", &self.id)
                .replace("{{family}}", family)
                .replace("{{package}}", package)
                .replace("{{library}}", &format!("medcoss_{}", self.id))
                .replace("{{rust}}", env!("CARGO_PKG_RUST_VERSION"))
                .replace("{{sdk}}", &dependency(""))
                .replace("{{conformance}}", &dependency("conformance"))
                .replace("{{dependencies}}", template.dependencies)
                .replace("{{set}}", &set(""))
                .replace("{{set_options}}", &set("options."))
        };
        fs::create_dir(self.out.join("src")).with_context(|| format!("cannot write to {}", self.out.display()))?;
        for (name, text) in BESIDE.into_iter().chain([("src/lib.rs", template.source)]) {
            let path = self.out.join(name);
            fs::write(&path, filled(text)).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl ModuleReport<'_> {
    fn page(&self) -> String {
        let Self { id, family, folder, library, files } = self;
        let folder = folder.display();
        format!(
            "Wrote {id}.py to {folder}, a module in Python for the modality {id} of family {family}: {}.\n\nIt works as it is. \
             Next:\n\n  cd {folder}\n  python3 -m unittest\n  medcoss plugin pack .\n  medcoss plugin check {library}\n\nThen make it \
             yours: start reading at {id}.py.\n",
            files.join(", ")
        )
    }
}

impl Report<'_> {
    fn page(&self) -> String {
        let Self { id, family, package, folder, library, sdk, files } = self;
        let sdk = match sdk {
            Some(path) => format!("the SDK in {}", path.display()),
            None => "the SDK's published version; for a checkout, say --sdk-path".into(),
        };
        let folder = folder.display();
        format!(
            "Wrote {package} to {folder}, a plugin for the modality {id} of family {family}: {}.\nIt builds with {sdk}.\n\n\
             It works as it is. Next:\n\n  cd {folder}\n  cargo test\n  cargo build --release\n  \
             medcoss plugin check {library}\n\nThen make it yours: start reading at src/lib.rs.\n",
            files.join(", ")
        )
    }
}

/// Checks a name against the contract's ids, `[a-z][a-z0-9_]*`. The hint names the most similar valid id.
fn check_name(what: &str, name: &str) -> Result<()> {
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if begins && name.chars().all(allowed) && name.len() <= LONGEST_ID {
        return Ok(());
    }
    let corrected: String =
        name.to_lowercase().chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    let corrected = corrected.trim_start_matches(|letter: char| !letter.is_ascii_lowercase());
    let corrected = corrected.get(..LONGEST_ID).unwrap_or(corrected).trim_end_matches('_');
    let hint = if corrected.is_empty() { "choose another".into() } else { format!("{corrected} would do") };
    bail!(
        "{what} {name:?} is no name for a plugin: it must be 1 to {LONGEST_ID} small letters, digits and underscores, a letter \
         first\nhint: {hint}"
    )
}

/// The folder of the SDK, found from itself or from the checkout that contains it.
fn sdk_folder(path: &Path) -> Result<PathBuf> {
    let holds_sdk = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?.parse::<toml::Table>().ok()?;
        (manifest.get("package")?.get("name")?.as_str()? == "medcoss-sdk").then(|| folder.to_owned())
    };
    let Some(found) = holds_sdk(path).or_else(|| holds_sdk(&path.join("sdk"))) else {
        bail!(
            "--sdk-path {} holds no SDK: neither it nor the folder sdk in it has a Cargo.toml of medcoss-sdk\nhint: name a \
             checkout of medcoss",
            path.display()
        );
    };
    found.canonicalize().with_context(|| format!("--sdk-path {} cannot be resolved", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of lines that an author writes: without comments, empty lines, imports and tests.
    fn n_own_lines(source: &str) -> usize {
        let code = source.split("#[cfg(test)]").next().unwrap().lines().map(str::trim);
        code.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("use ")).count()
    }

    #[test]
    fn a_whole_modality_is_under_sixty_lines() {
        for Template { family, source, .. } in &TEMPLATES {
            let n = n_own_lines(source);
            assert!((40..60).contains(&n), "{family:?} has {n} lines");
        }
    }

    #[test]
    fn names_that_the_contract_does_not_allow_are_refused_with_one_that_it_does() {
        for name in ["gait", "a", "t1_mri", "x9"] {
            check_name("id", name).unwrap();
        }
        for (name, corrected) in [
            ("my-gait", "my_gait would do"),
            ("GAIT", "gait would do"),
            ("3d", "d would do"),
            ("_x", "x would do"),
            ("a b.c", "a_b_c would do"),
            ("../../etc", "etc would do"),
            ("", "choose another"),
            ("99", "choose another"),
            ("été", "t would do"),
        ] {
            let error = check_name("id", name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")) && error.ends_with(corrected), "{error}");
        }
        let error = check_name("id", &"x".repeat(65)).unwrap_err().to_string();
        assert!(error.ends_with(&format!("hint: {} would do", "x".repeat(64))), "{error}");
    }

    #[test]
    fn a_folder_without_an_sdk_is_named() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sdk = checkout.join("sdk").canonicalize().unwrap();
        assert_eq!(sdk_folder(&checkout).unwrap(), sdk);
        assert_eq!(sdk_folder(&sdk).unwrap(), sdk);
        for wrong in [checkout.join("core"), checkout.join("nowhere")] {
            let error = sdk_folder(&wrong).unwrap_err().to_string();
            assert!(error.contains(&wrong.display().to_string()) && error.contains("hint: "), "{error}");
        }
    }
}
