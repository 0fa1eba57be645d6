//! What `medcoss plugin list` shows: precedence of folders, shadows, JSON, and where it does not look.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use medcoss_misbehaving::VARIABLE;
use medcoss_test_support::sandbox::{Sandbox, answer, put_fixture, put_spoilt};
use serde_json::Value;

const ROW: &str = "fixture  0.3.1    series  12 tokens of 5 values, 6 masked";

#[test]
fn a_plugin_of_a_folder_is_listed() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    put_fixture(&folder, "libgait.so");
    let answer = sandbox.run(["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()]);
    let expected = format!(
        "ID       VERSION  FAMILY  SAMPLES                          LOCATION\n{ROW}  SANDBOX/mine/libgait.so\n"
    );
    assert_eq!(sandbox.anonymous(&answer.out), expected);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
}

#[test]
fn folders_are_searched_in_their_order_and_the_first_find_wins() {
    let sandbox = Sandbox::new();
    let mut order = vec![
        ("flag", sandbox.folder("flag")),
        ("variable", sandbox.folder("variable")),
        ("beside", sandbox.folder("bin/plugins")),
        ("program", sandbox.folder("bin")),
        ("deps", sandbox.folder("bin/deps")),
        ("user", sandbox.folder("data/medcoss/plugins")),
    ];
    let build = medcoss_test_support::sandbox::fixture();
    // The program's folder comes before its `deps` as long as its file is not the older one.
    for (name, folder) in order.iter().rev() {
        // Copies: links of one file are one plugin.
        fs::copy(&build, folder.join(format!("{name}.so"))).unwrap();
    }
    while !order.is_empty() {
        let list = ["plugin", "list", "--json", "--no-builtin", "--plugin-dir", sandbox.path("flag").to_str().unwrap()]
            .map(String::from);
        let answer = answer(sandbox.command(&list).env("MEDCOSS_PLUGIN_PATH", sandbox.path("variable")));
        let listing: Value = serde_json::from_str(&answer.out).unwrap();
        let file = |source: &Value| source["path"].as_str().unwrap().rsplit('/').next().unwrap().to_string();
        assert_eq!(file(&listing["plugins"][0]["location"]), format!("{}.so", order[0].0));
        let shadowed: Vec<_> =
            listing["shadowed"].as_array().unwrap().iter().map(|entry| file(&entry["location"])).collect();
        let expected: Vec<_> = order[1..].iter().map(|(name, _)| format!("{name}.so")).collect();
        assert_eq!(shadowed, expected);
        let (name, folder) = order.remove(0);
        fs::remove_file(folder.join(format!("{name}.so"))).unwrap();
    }
}

#[test]
fn the_working_folder_is_never_looked_into() {
    let sandbox = Sandbox::new();
    for folder in ["work", "work/plugins", "work/deps"] {
        put_fixture(&sandbox.folder(folder), "libfixture.so");
    }
    let list = ["plugin", "list", "--no-builtin"];
    let answer = answer(sandbox.command(list).env("MEDCOSS_PLUGIN_PATH", ".::plugins"));
    assert_eq!(answer.code, 0);
    let expected = "No plugins were found. These folders were searched:\n  SANDBOX/bin/plugins\n  SANDBOX/bin\n  \
                    SANDBOX/bin/deps\n  SANDBOX/data/medcoss/plugins\n";
    assert_eq!(sandbox.anonymous(&answer.out), expected);
    let expected = "warning: MEDCOSS_PLUGIN_PATH: . is not an absolute path; it is skipped\n\
                    warning: MEDCOSS_PLUGIN_PATH: plugins is not an absolute path; it is skipped\n";
    assert_eq!(answer.err, expected);
}

#[test]
fn of_stale_builds_in_a_build_folder_the_one_without_a_hash_is_used() {
    let sandbox = Sandbox::new();
    let deps = sandbox.folder("bin/deps");
    let build = medcoss_test_support::sandbox::fixture();
    fs::copy(&build, deps.join("libmedcoss_fixture.so")).unwrap();
    fs::copy(&build, deps.join("libmedcoss_fixture-0123456789abcdef.so")).unwrap();
    fs::write(deps.join("libunrelated.so"), "of no interest in a build folder").unwrap();
    fs::hard_link(deps.join("libmedcoss_fixture.so"), sandbox.path("bin/libmedcoss_fixture.so")).unwrap();
    let answer = sandbox.run(["plugin", "list", "--no-builtin"]);
    let expected = format!(
        "ID       VERSION  FAMILY  SAMPLES                          LOCATION\n\
         {ROW}  SANDBOX/bin/libmedcoss_fixture.so\n\n\
         Not used, because another file has the id:\n  fixture  SANDBOX/bin/deps/libmedcoss_fixture-0123456789abcdef.so\n"
    );
    assert_eq!(sandbox.anonymous(&answer.out), expected);
}

#[test]
fn of_two_versions_in_one_folder_the_higher_is_used_and_both_are_listed() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    let honest = fs::read(medcoss_test_support::libraries::misbehaving("misbehaving")).unwrap();
    let versioned = |name: &str, version: &str| {
        let mut bytes = honest.clone();
        let text = format!("misbehaving{version}summary");
        medcoss_test_support::sandbox::replace(&mut bytes, b"misbehaving1.0.0summary", text.as_bytes());
        fs::write(folder.join(name), bytes).unwrap();
    };
    versioned("a.so", "1.9.0");
    versioned("b.so", "2.0.0");
    // The newest file is not the highest version.
    versioned("c.so", "1.2.0");
    let listed = sandbox.run(["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()]);
    assert_eq!(listed.code, 0, "{}", listed.err);
    let text = sandbox.anonymous(&listed.out);
    let (used, others) = text.split_once("\nNot used, because another file has the id:\n").unwrap();
    assert!(used.contains("2.0.0") && used.contains("SANDBOX/mine/b.so"), "{text}");
    for line in ["  misbehaving 1.9.0  SANDBOX/mine/a.so\n", "  misbehaving 1.2.0  SANDBOX/mine/c.so\n"] {
        assert!(others.contains(line), "{text}");
    }
}

#[test]
fn a_missing_plugin_folder_is_an_error() {
    let sandbox = Sandbox::new();
    let gone = sandbox.run(["plugin", "list", "--plugin-dir", "gone"]);
    assert_eq!(gone.code, 1);
    assert_eq!(gone.err, "error: --plugin-dir: there is no plugin folder gone\nhint: check the path\n");
    fs::write(sandbox.path("work/file.so"), "x").unwrap();
    let file = sandbox.run(["plugin", "list", "--plugin-dir", "file.so"]);
    assert_eq!(file.code, 1);
    assert!(file.err.starts_with("error: --plugin-dir: plugin folder file.so is a file\nhint: "), "{}", file.err);
}

#[test]
fn a_mistyped_command_ends_with_one_and_help_with_zero() {
    let sandbox = Sandbox::new();
    let mistyped = sandbox.run(["plugin", "lst"]);
    assert_eq!(mistyped.code, 1);
    assert!(mistyped.err.contains("list"), "{}", mistyped.err);
    let help = sandbox.run(["plugin", "list", "--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Examples:\n  medcoss plugin list\n"), "{}", help.out);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let answer = answer(sandbox.command(["plugin", "list", "--json"]).stdout(writer));
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
}

#[test]
fn folders_and_libraries_that_others_can_write_are_reported() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let library = put_spoilt(&folder, "fixture.so", |_| {});
    let list = || sandbox.run(["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()]);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&folder, 0o755);
    mode(&library, 0o644);
    assert_eq!(list().err, "");
    mode(&folder, 0o777);
    let said = list().err;
    let expected = format!("warning: {} has mode 0777: every user of this machine can write it", folder.display());
    assert!(said.starts_with(&expected) && said.contains("\nhint: chmod go-w "), "{said}");
    mode(&folder, 0o755);
    mode(&library, 0o666);
    let said = list().err;
    assert!(said.starts_with(&format!("warning: {} has mode 0666: ", library.display())), "{said}");
}

#[test]
fn with_trusted_only_a_library_is_listed_and_not_run_before_it_is_accepted() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let file = folder.join("misbehaving.so");
    fs::copy(medcoss_test_support::libraries::misbehaving("misbehaving"), &file).unwrap();
    let (folder, path) = (folder.to_str().unwrap(), file.to_str().unwrap());
    // Its code leaves a trace: it ends its process.
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("XDG_CONFIG_HOME", sandbox.path("config")).env(VARIABLE, "constructor:exit3");
        answer(&mut command)
    };
    let list = ["plugin", "list", "--no-builtin", "--plugin-dir", folder];
    let ran = "it ended the process with exit code 3 while it was loaded";
    assert!(run(&list).out.contains(ran));
    let not_run = "it is not accepted, and none of its code was run (SHA-256 ";
    let hint = format!("hint: if you trust it: medcoss plugin trust {path}\n");
    let check = ["data", "check", "--modality", "misbehaving", "--data", ".", "--no-builtin", "--plugin-dir", folder];
    for arguments in [&list[..], &["plugin", "inspect", path], &check] {
        let answer = run(&[arguments, &["--trusted-only"]].concat());
        let said = format!("{}{}", answer.out, answer.err);
        assert!(said.contains(not_run) && said.contains(&hint), "{said}");
    }
    let mut command = sandbox.command(list);
    let by_environment = answer(command.env("MEDCOSS_TRUSTED_ONLY", "1").env(VARIABLE, "constructor:exit3"));
    assert!(by_environment.out.contains(not_run), "{by_environment:?}");
    assert_eq!(run(&["plugin", "trust", path]).code, 0);
    assert!(run(&[&list[..], &["--trusted-only"]].concat()).out.contains(ran));
    // The programs's own plugins need no trust.
    let own = run(&["plugin", "list", "--trusted-only"]);
    assert!(own.out.contains("\nxray ") && own.out.contains("built-in"), "{own:?}");
}
