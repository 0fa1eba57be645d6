//! Rules of the repository that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    medcoss_test_support::repository()
}

/// Folders of the workspace's packages, from its root.
fn packages() -> Vec<String> {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let mut packages = Vec::new();
    for member in members {
        match member.strip_suffix("/*") {
            None => packages.push(member.to_string()),
            Some(parent) => {
                let folders = fs::read_dir(root().join(parent)).unwrap().map(|entry| entry.unwrap());
                let folders = folders.filter(|entry| entry.path().join("Cargo.toml").is_file());
                packages.extend(folders.map(|entry| format!("{parent}/{}", entry.file_name().to_string_lossy())));
            }
        }
    }
    packages.sort();
    packages
}

/// Folders with the sources of each package, from the root of the repository.
pub fn source_folders() -> Vec<String> {
    let folders = packages().into_iter().map(|package| format!("{package}/src"));
    folders.filter(|folder| root().join(folder).is_dir()).collect()
}

fn manifest(package: &str) -> toml::Table {
    fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Packages that a package depends on, except for its tests.
fn dependencies(package: &str) -> Vec<String> {
    let manifest = manifest(package);
    let dependencies = manifest.get("dependencies").and_then(|dependencies| dependencies.as_table());
    dependencies.into_iter().flat_map(|table| table.keys().cloned()).collect()
}

/// Every Rust source below a folder, with its text.
pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds no sources");
    found
}

/// Packages of the workspace on which each may depend. A package that is not listed may depend on any.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("sdk/abi", &[]),
    ("sdk", &["medcoss-abi"]),
    ("sdk/caller", &["medcoss-abi"]),
    ("sdk/conformance", &["medcoss-abi", "medcoss-caller"]),
    ("sdk/formats", &["medcoss-sdk"]),
    ("sdk/python", &["medcoss-abi"]),
    ("plugins/ct", &["medcoss-sdk", "medcoss-formats"]),
    ("plugins/mri", &["medcoss-sdk", "medcoss-formats"]),
    ("plugins/pathology", &["medcoss-sdk", "medcoss-formats"]),
    ("plugins/text", &["medcoss-sdk", "medcoss-formats"]),
    ("plugins/xray", &["medcoss-sdk", "medcoss-formats"]),
    // These plugins are written like ones from outside of the project.
    ("plugins/ecg", &["medcoss-sdk"]),
    ("plugins/eeg", &["medcoss-sdk"]),
    ("plugins/echo", &["medcoss-sdk", "medcoss-formats"]),
    ("plugins/oct", &["medcoss-sdk", "medcoss-formats"]),
    ("plugins/video", &["medcoss-sdk", "medcoss-formats"]),
    ("core", &[]),
    ("host/plugin-host", &["medcoss-abi", "medcoss-caller"]),
    ("host/runtime", &["medcoss-abi", "medcoss-core", "medcoss-formats", "medcoss-plugin-host"]),
    ("tests/fixture", &["medcoss-sdk"]),
    ("tests/misbehaving", &["medcoss-abi", "medcoss-sdk"]),
    ("tests/support", &["medcoss-abi"]),
];

#[test]
fn dependencies_run_one_way() {
    for package in packages() {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == package) else {
            assert!(["host", "tests/system"].contains(&package.as_str()), "{package} is not in the list");
            continue;
        };
        for name in dependencies(&package).iter().filter(|name| name.starts_with("medcoss-")) {
            assert!(allowed.contains(&name.as_str()), "{package} depends on {name}");
        }
    }
}

#[test]
fn only_the_program_owns_the_terminal_and_signals() {
    for package in packages().iter().filter(|package| *package != "host") {
        for name in dependencies(package) {
            let terminal = ["clap", "comfy-table", "indicatif", "signal-hook", "terminal_size", "tracing-subscriber"];
            assert!(!terminal.contains(&name.as_str()), "{package} depends on {name}");
        }
    }
}

#[test]
fn burn_is_used_in_core_and_nowhere_else() {
    for package in packages().iter().filter(|package| *package != "core") {
        assert!(!dependencies(package).contains(&"burn".into()), "{package} depends on burn");
    }
}

/// A test binary links all dependencies of its crate, so one suffices. A file that no binary includes would not be
/// compiled at all.
#[test]
fn each_package_has_one_test_binary_that_holds_all_of_its_tests() {
    for package in packages() {
        let (manifest, folder) = (manifest(&package), root().join(&package));
        let stated = manifest.get("test").map(|tests| tests.as_array().unwrap().clone()).unwrap_or_default();
        let folder = match package.as_str() {
            "tests/system" => folder,
            _ => folder.join("tests"),
        };
        if !folder.is_dir() {
            continue;
        }
        let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let names = names.filter(|path| path.extension().is_some_and(|extension| extension == "rs") || path.is_dir());
        let mut names: Vec<String> =
            names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        // Golden arrays and tables of values lie beside the tests.
        names.retain(|name| folder.join(format!("{name}.rs")).is_file() || folder.join(name).join("mod.rs").is_file());
        if names.len() < 2 {
            continue;
        }
        let is_stated = package == "tests/system" || manifest["package"].get("autotests") == Some(&false.into());
        assert!(stated.len() == 1 && is_stated, "{package} has several test binaries");
        let main = fs::read_to_string(folder.join("main.rs")).unwrap();
        for name in names.iter().filter(|name| *name != "main") {
            assert!(main.contains(&format!("mod {name};")), "{package}: {name} is not part of the test binary");
        }
    }
}

#[test]
fn core_knows_no_modality_by_name() {
    for (path, text) in sources("core/src") {
        let code: Vec<&str> = text.split("#[cfg(test)]").next().unwrap().lines().collect();
        for line in code.iter().filter(|line| !line.trim_start().starts_with("//")) {
            for name in ["xray", "mri", "pathology", "\"ct\""] {
                assert!(!line.contains(name), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_code_is_where_the_architecture_says() {
    let allowed = [
        "sdk/src/export/table.rs",
        "host/src/allocator.rs",
        "host/src/default_device.rs",
        "host/plugin-host/src/contracts.rs",
        "host/plugin-host/src/library.rs",
        "host/plugin-host/src/process_guard.rs",
        "sdk/caller/src/buffers.rs",
    ];
    for folder in [
        "core/src",
        "host/src",
        "host/plugin-host/src",
        "host/runtime/src",
        "sdk/src",
        "sdk/formats/src",
        "sdk/python/src",
        "sdk/caller/src",
        "sdk/conformance/src",
        "plugins",
    ] {
        for (path, text) in sources(folder) {
            // Kernels write uninitialised memory, and the heads of an attention in parallel.
            let is_kernel = folder == "core/src" && path.ancestors().any(|folder| folder.ends_with("core/src/fused"));
            let here = is_kernel || allowed.iter().any(|place| path.ends_with(place));
            assert!(here || !text.contains("unsafe {"), "{}", path.display());
        }
    }
}

/// Digests of the files of the frozen copy, by name: whoever needs to change one needs a new version of the contract,
/// see ARCHITECTURE.md.
#[test]
fn version_1_of_the_contract_is_frozen() {
    use sha2::{Digest, Sha256};
    let mut files = sources("tests/contract-v1/abi");
    files.push((
        PathBuf::from("Cargo.toml"),
        fs::read_to_string(root().join("tests/contract-v1/abi/Cargo.toml")).unwrap(),
    ));
    files.sort_by_key(|(path, _)| path.file_name().unwrap().to_owned());
    let mut digest = Sha256::new();
    for (path, text) in &files {
        digest.update(path.file_name().unwrap().as_encoded_bytes());
        digest.update(text.as_bytes());
    }
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (files.len(), found.as_str()),
        (10, "31f90a12f1881f5d5e3c52e24e437c33ee8f5a8e06989fcb6207ff7643e51e17"),
        "tests/contract-v1/abi was changed"
    );
}

#[test]
fn no_file_is_called_utils() {
    for folder in ["core", "host", "sdk", "plugins", "tests"] {
        for (path, _) in sources(folder) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(!["utils", "util", "helpers", "common", "misc"].contains(&name.as_str()), "{}", path.display());
        }
    }
}
