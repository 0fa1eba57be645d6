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
    samples_per_file: SamplesPerFile,
    source: &'static str,
    dependencies: &'static str,
    /// Options that fit the synthesised samples.
    options: &'static [&'static str],
}

/// The templates. Those without a family serve every other token family.
const TEMPLATES: [Template; 5] = [
    Template {
        family: "image",
        samples_per_file: SamplesPerFile::One,
        source: include_str!("../../../sdk/template/image.rs.txt"),
        dependencies: "image = { version = \"0.25\", default-features = false, features = [\"png\"] }\n",
        options: &["size=64"],
    },
    Template {
        family: "volume",
        samples_per_file: SamplesPerFile::One,
        source: include_str!("../../../sdk/template/volume.rs.txt"),
        dependencies: "",
        options: &["size=[16,32,48]"],
    },
    Template {
        family: "text",
        samples_per_file: SamplesPerFile::One,
        source: include_str!("../../../sdk/template/text.rs.txt"),
        dependencies: "",
        options: &["max_length=64"],
    },
    Template {
        family: "",
        samples_per_file: SamplesPerFile::One,
        source: include_str!("../../../sdk/template/series.rs.txt"),
        dependencies: "",
        options: &["patch_size=8", "n_patches=20"],
    },
    Template {
        family: "",
        samples_per_file: SamplesPerFile::Many,
        source: include_str!("../../../sdk/template/series_many.rs.txt"),
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

/// How many samples a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SamplesPerFile {
    /// A file is a sample
    One,
    /// A file holds several samples: windows of a recording, rows of a table
    Many,
}

/// Where a crate takes the SDK from.
enum SdkSource {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A git repository, at a revision where one is given.
    Git { url: String, revision: Option<String> },
    /// The registry, by version.
    Version(String),
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
///
/// The SDK of a checkout is named by its path, which exists on this machine only. For a crate that others build too, name the SDK by
/// --sdk-git or --sdk-version.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin new ultrasound --out ultrasound
  medcoss plugin new pet --family volume --out plugins/pet
  medcoss plugin new glucose --family glucose --out glucose --sdk-path ~/medcoss/sdk
  medcoss plugin new tone --language python --out tone
  medcoss plugin new sleep --family sleep --samples-per-file many --out sleep
  medcoss plugin new gait --family gait --out gait --sdk-git https://example.org/medcoss.git --sdk-rev v0.1.0")]
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
    #[arg(long, value_name = "PATH", conflicts_with_all = ["sdk_git", "sdk_version"])]
    sdk_path: Option<PathBuf>,
    /// Git repository of medcoss to take the SDK from
    #[arg(long, value_name = "URL", conflicts_with = "sdk_version")]
    sdk_git: Option<String>,
    /// Commit, tag or branch of the git repository [default: its default branch, as cargo finds it]
    #[arg(long, value_name = "REV", requires = "sdk_git")]
    sdk_rev: Option<String>,
    /// Published version of the SDK, such as 0.1
    #[arg(long, value_name = "VERSION")]
    sdk_version: Option<String>,
    /// Samples that a file holds; `many` is for families of your own
    #[arg(long, value_enum, value_name = "NUMBER", default_value_t = SamplesPerFile::One)]
    samples_per_file: SamplesPerFile,
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
    /// Path of the SDK; `None` where it comes from a git repository or by its published version.
    sdk: Option<&'a Path>,
    /// Git repository of the SDK.
    sdk_git: Option<&'a str>,
    /// Published version of the SDK.
    sdk_version: Option<&'a str>,
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
        let sdk = self.sdk_source()?;
        let template = self.template(family)?;
        let package = format!("medcoss-{}", self.id.replace('_', "-"));
        self.in_new_folder(|| self.write_files(template, family, &package, &sdk))?;
        let report = Report {
            id: &self.id,
            family,
            package: &package,
            folder: &self.out,
            library: format!("target/release/libmedcoss_{}.so", self.id),
            sdk: if let SdkSource::Folder(folder) = &sdk { Some(folder.as_path()) } else { None },
            sdk_git: if let SdkSource::Git { url, .. } = &sdk { Some(url.as_str()) } else { None },
            sdk_version: if let SdkSource::Version(version) = &sdk { Some(version.as_str()) } else { None },
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
        let of_crates = [
            ("--sdk-path", self.sdk_path.is_some()),
            ("--sdk-git", self.sdk_git.is_some()),
            ("--sdk-version", self.sdk_version.is_some()),
            ("--samples-per-file", self.samples_per_file != SamplesPerFile::One),
        ];
        if let Some((option, _)) = of_crates.iter().find(|(_, is_given)| *is_given) {
            bail!("{option} is of no use to a module in Python\nhint: leave it out");
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

    fn sdk_source(&self) -> Result<SdkSource> {
        if let Some(url) = &self.sdk_git {
            return Ok(SdkSource::Git { url: url.clone(), revision: self.sdk_rev.clone() });
        }
        if let Some(version) = &self.sdk_version {
            return Ok(SdkSource::Version(version.clone()));
        }
        if let Some(path) = &self.sdk_path {
            return Ok(SdkSource::Folder(sdk_folder(path)?));
        }
        let checkout = sdk_folder(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk")));
        Ok(checkout.map_or_else(|_| SdkSource::Version(env!("CARGO_PKG_VERSION").into()), SdkSource::Folder))
    }

    /// The template for the family and the samples of a file.
    fn template(&self, family: &str) -> Result<&'static Template> {
        let is_known = TEMPLATES.iter().any(|template| template.family == family);
        let family = if is_known { family } else { "" };
        let fits =
            |template: &&Template| template.family == family && template.samples_per_file == self.samples_per_file;
        let Some(template) = TEMPLATES.iter().find(fits) else {
            bail!(
                "--samples-per-file many has no template for family {family}\nhint: name a family of your own, or begin with one \
                 sample a file and take the SDK's FilesDataset in place of its FileDataset"
            );
        };
        Ok(template)
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

    fn write_files(&self, template: &Template, family: &str, package: &str, sdk: &SdkSource) -> Result<()> {
        let set = |prefix: &str| -> String {
            template.options.iter().map(|option| format!("--set '{prefix}{option}' ")).collect()
        };
        let filled = |text: &str| {
            text.replace("{{id}}", &self.id)
                .replace("{{family}}", family)
                .replace("{{package}}", package)
                .replace("{{library}}", &format!("medcoss_{}", self.id))
                .replace("{{rust}}", env!("CARGO_PKG_RUST_VERSION"))
                .replace("{{sdk}}", &sdk.dependency(""))
                .replace("{{conformance}}", &sdk.dependency("conformance"))
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

impl SdkSource {
    /// What stands behind the name of a dependency in a manifest; `below` is the crate's folder in that of the SDK.
    fn dependency(&self, below: &str) -> String {
        let text = |text: &str| toml::Value::String(text.into()).to_string();
        match self {
            Self::Folder(folder) => {
                let path = folder.join(below).to_string_lossy().trim_end_matches('/').to_string();
                format!("{{ path = {} }}", text(&path))
            }
            Self::Git { url, revision } => {
                let revision = revision.as_deref().map(|revision| format!(", rev = {}", text(revision)));
                format!("{{ git = {}{} }}", text(url), revision.unwrap_or_default())
            }
            Self::Version(version) => text(version),
        }
    }
}

impl Report<'_> {
    fn page(&self) -> String {
        let Self { id, family, package, folder, library, sdk, sdk_git, sdk_version, files } = self;
        let sdk = match (sdk, sdk_git, sdk_version) {
            (Some(path), ..) => format!(
                "the SDK in {}, a path of this machine; for a crate that others build too, say --sdk-git or --sdk-version",
                path.display()
            ),
            (_, Some(url), _) => format!("the SDK of the git repository {url}"),
            (.., version) => {
                let version = version.unwrap_or_default();
                format!(
                    "the SDK's published version {version}; for a checkout, say --sdk-path, and for a repository --sdk-git"
                )
            }
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
        for Template { family, samples_per_file, source, .. } in &TEMPLATES {
            let n = n_own_lines(source);
            // With several samples a file, there are four functions more.
            let most = if *samples_per_file == SamplesPerFile::One { 60 } else { 85 };
            assert!((40..most).contains(&n), "{family:?} {samples_per_file:?} has {n} lines");
        }
    }

    #[test]
    fn the_sdk_is_named_by_path_repository_or_version() {
        let git = |revision: Option<&str>| SdkSource::Git {
            url: "https://example.org/m".into(),
            revision: revision.map(String::from),
        };
        for (source, sdk, conformance) in [
            (SdkSource::Folder("/m/sdk".into()), "{ path = \"/m/sdk\" }", "{ path = \"/m/sdk/conformance\" }"),
            (git(None), "{ git = \"https://example.org/m\" }", "{ git = \"https://example.org/m\" }"),
            (
                git(Some("v1")),
                "{ git = \"https://example.org/m\", rev = \"v1\" }",
                "{ git = \"https://example.org/m\", rev = \"v1\" }",
            ),
            (SdkSource::Version("0.1".into()), "\"0.1\"", "\"0.1\""),
        ] {
            assert_eq!([source.dependency(""), source.dependency("conformance")], [sdk, conformance]);
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
