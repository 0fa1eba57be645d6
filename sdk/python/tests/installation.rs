//! Messages to a user whose Python is missing or incomplete.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use medcoss_python_bridge::{PackRequest, pack};
use serde_json::Value;

use crate::plugin::{Plugin, bridge, folder_of, python};

/// Folder of a test that this process is started again for, with another environment.
const CHILD: &str = "MEDCOSS_BRIDGE_TEST_CHILD";

/// The first line behind `said: ` that this process prints when it opens and packs with another environment.
fn said(folder: &Path, set: impl FnOnce(&mut Command) -> &mut Command) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "installation::what_is_missing_is_named_with_the_remedy", "--nocapture"]);
    command.env(CHILD, folder);
    let output = set(&mut command).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<String> =
        text.lines().filter_map(|line| line.split_once("said: ")).map(|(_, said)| said.into()).collect();
    assert_eq!(said.len(), 3, "{text}");
    said
}

#[test]
fn what_is_missing_is_named_with_the_remedy() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = Path::new(&folder);
        let plugin = Plugin::load(&folder.join("libmedcoss_installed.so"), "installed");
        println!("said: {}", plugin.describe().unwrap()["id"]);
        println!("said: {}", plugin.open(folder, &["."], Value::Null).err().unwrap());
        let request = PackRequest { bridge: &bridge(), folder, out: None, is_for_development: false };
        println!("said: {}", pack(&request).unwrap_err().to_string().replace('\n', "\\n"));
        return;
    }
    let source = include_str!("modules/letters.py").replace("id = \"letters\"", "id = \"installed\"");
    let (_place, folder) = folder_of("installed", &source);
    crate::plugin::packed(&folder, false).unwrap();

    // A packed library describes itself without Python.
    let nowhere = said(&folder, |command| command.env_remove("MEDCOSS_PYTHON").env("PATH", "/nowhere"));
    assert_eq!(nowhere[0], "\"installed\"");
    for message in &nowhere[1..] {
        let expected = "the Python interpreter python3 was not found\\nhint: install Python 3.9 or later with NumPy, or name an \
                        interpreter in MEDCOSS_PYTHON";
        assert!(message.contains(expected), "{message}");
    }

    // An interpreter that sees no installed packages.
    let bare = folder.join("bare");
    let found = Command::new(python()).args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let whole = String::from_utf8(found.stdout).unwrap();
    fs::write(&bare, format!("#!/bin/sh\nexec {} -I -S \"$@\"\n", whole.trim())).unwrap();
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o755)).unwrap();
    for message in &said(&folder, |command| command.env("MEDCOSS_PYTHON", &bare))[1..] {
        for expected in
            ["has no NumPy: No module named 'numpy'", "hint: run `", "-m pip install numpy`, or name an interpreter"]
        {
            assert!(message.contains(expected), "{message}");
        }
    }

    // Something that is no interpreter.
    for message in &said(&folder, |command| command.env("MEDCOSS_PYTHON", "/bin/false"))[1..] {
        assert!(message.contains("the worker of installed ended with exit code 1 while it"), "{message}");
    }
    let file = folder.join("installed.py");
    for message in &said(&folder, |command| command.env("MEDCOSS_PYTHON", &file))[1..] {
        assert!(message.contains("cannot be started: Permission denied"), "{message}");
    }
}
