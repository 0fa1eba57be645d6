//! Rules of the repository that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    medcoss_test_support::repository()
}

/// Packages of this workspace that a manifest names outside of `[dev-dependencies]`.
fn own_dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let names = table.get("dependencies").and_then(|dependencies| dependencies.as_table()).unwrap();
    names.keys().filter(|name| name.starts_with("medcoss-")).cloned().collect()
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
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

#[test]
fn dependencies_run_one_way() {
    assert_eq!(own_dependencies("sdk/abi/Cargo.toml"), Vec::<String>::new());
    assert_eq!(own_dependencies("sdk/Cargo.toml"), ["medcoss-abi"]);
    assert_eq!(own_dependencies("sdk/caller/Cargo.toml"), ["medcoss-abi"]);
    assert_eq!(own_dependencies("sdk/conformance/Cargo.toml"), ["medcoss-abi", "medcoss-caller"]);
    assert_eq!(own_dependencies("core/Cargo.toml"), Vec::<String>::new());
    for plugin in ["text", "xray", "ct", "mri", "pathology"] {
        for name in own_dependencies(&format!("plugins/{plugin}/Cargo.toml")) {
            assert!(["medcoss-sdk", "medcoss-formats"].contains(&name.as_str()), "{plugin} depends on {name}");
        }
    }
    // Written as by a stranger.
    for plugin in ["ecg", "video"] {
        assert_eq!(own_dependencies(&format!("plugins/{plugin}/Cargo.toml")), ["medcoss-sdk"]);
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
fn burn_is_used_in_core_and_nowhere_else() {
    for folder in ["host", "sdk", "plugins"] {
        for (path, text) in sources(folder) {
            assert!(!text.contains("use burn"), "{}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_where_the_architecture_says() {
    let allowed = [
        "sdk/src/export.rs",
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
        "sdk/caller/src",
        "sdk/conformance/src",
        "plugins",
    ] {
        for (path, text) in sources(folder) {
            // Kernels write memory that holds nothing yet, and heads of an attention side by side.
            let is_kernel =
                folder == "core/src" && path.parent().is_some_and(|folder| folder.ends_with("core/src/fused"));
            let here = is_kernel || allowed.iter().any(|place| path.ends_with(place));
            assert!(here || !text.contains("unsafe {"), "{}", path.display());
        }
    }
}

/// Of every file of the copy, by its name: whoever needs to change one needs a new version of the contract, see ARCHITECTURE.md.
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
        (7, "80e5ede168626ea09d8e00100256abbdb94d2ee75cd66defcbc274b0a6cf8a97"),
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
