//! Text of run folders, plugins, files and samples never steers the terminal.

use std::fs;

use medcoss_core::confined_path::ConfinedPath;
use medcoss_misbehaving::{STEERING, VARIABLE};
use medcoss_plugin_host::steers_terminal;
use medcoss_runtime::config::RunConfig;
use medcoss_test_support::sandbox::{Answer, Sandbox, answer, put_spoilt};

/// The program says nothing that steers a terminal.
fn is_safe(answer: &Answer) {
    for text in [&answer.out, &answer.err] {
        let found = text.chars().find(|&c| c != '\n' && steers_terminal(c));
        assert_eq!(found, None, "{text:?}");
    }
}

/// The program also names the thing whose name would steer a terminal.
fn is_named(answer: &Answer) {
    is_safe(answer);
    let said = format!("{}{}", answer.out, answer.err);
    assert!(said.contains("\\u{1b}]0;owned\\u{7}"), "{said}");
}

#[test]
fn paths_and_arguments_are_escaped() {
    let sandbox = Sandbox::new();
    let plugins = sandbox.folder(&format!("plugins{STEERING}"));
    put_spoilt(&plugins, &format!("{STEERING}.so"), |bytes| bytes.truncate(100));
    let list = ["plugin", "list", "--no-builtin", "--plugin-dir", plugins.to_str().unwrap()];
    let listed = sandbox.run(list);
    assert!(listed.code == 0 && listed.out.contains("Refused:"), "{listed:?}");
    is_named(&listed);
    let listed = sandbox.run(list.into_iter().chain(["--json"]));
    is_safe(&listed);
    let value: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
    assert!(value["refused"][0]["location"]["path"].as_str().unwrap().contains(STEERING));
    let run = format!("run{STEERING}");
    for arguments in [
        &["show", &run][..],
        &["resume", &run],
        &["pretrain", &run],
        &["export", &run, "--out", "x"],
        &["plugin", "inspect", &format!("{STEERING}.so")],
    ] {
        let refused = sandbox.run(arguments);
        assert_eq!(refused.code, 1, "{arguments:?}: {refused:?}");
        is_named(&refused);
    }
    // Names of files that a shell puts in the place of an asterisk, too.
    let unknown = sandbox.run(["show", &format!("--{STEERING}")]);
    is_safe(&unknown);
    assert!(unknown.err.contains("unexpected argument"), "{unknown:?}");
    let name = format!("{STEERING}.csv");
    fs::write(sandbox.path("work").join(&name), "a,1,2\n").unwrap();
    is_safe(&sandbox.run(["data", "check", "--modality", "text", "--data", &name]));
}

#[test]
fn names_of_modalities_in_configurations_and_run_folders_are_escaped() {
    let sandbox = Sandbox::new();
    let config =
        "[model]\npreset = \"demo\"\n[training]\nepochs = 1\nbatch_size = 1\n[[stage]]\ndata = \"a\"\nmodality = ";
    let mut table: toml::Table = format!("{config}\"x\"").parse().unwrap();
    table["stage"][0]["modality"] = STEERING.into();
    fs::write(sandbox.path("work/run.toml"), toml::to_string(&table).unwrap()).unwrap();
    for command in ["plan", "pretrain"] {
        let refused = sandbox.run([command, "run.toml"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        is_safe(&refused);
    }
    // A run of a stranger, whose checksum is right.
    let mut config: RunConfig = toml::from_str(&format!("{config}\"x\"")).unwrap();
    config.stages[0].modality = STEERING.into();
    fs::create_dir(sandbox.path("work/run")).unwrap();
    config.write_record(&ConfinedPath::root(&sandbox.path("work/run")).unwrap().join("run.toml")).unwrap();
    for arguments in [&["show", "run"][..], &["show", "run", "--verify"], &["report", "run"], &["resume", "run"]] {
        is_safe(&sandbox.run(arguments));
    }
}

#[test]
fn texts_of_plugins_are_made_safe() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    fs::copy(medcoss_test_support::libraries::misbehaving("misbehaving"), folder.join("misbehaving.so")).unwrap();
    let folder = folder.to_str().unwrap();
    let said = |deed: &str, arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        let answer = answer(command.args(["--no-builtin", "--plugin-dir", folder]).env(VARIABLE, deed));
        is_safe(&answer);
        format!("{}{}", answer.out, answer.err)
    };
    let check = ["data", "check", "--modality", "misbehaving", "--data", "."];
    for (deed, arguments) in [
        ("describe:escapes", &["plugin", "inspect", "misbehaving"][..]),
        ("describe:escapes", &["plugin", "inspect", "misbehaving", "--json"]),
        ("describe:escaping-error", &["plugin", "list"]),
        ("fill:escapes", &check),
        ("fill:escapes", &[&check[..], &["--json"]].concat()),
    ] {
        let said = said(deed, arguments);
        assert!(said.contains("]0;owned"), "{deed}: {said}");
    }
}
