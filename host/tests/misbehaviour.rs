//! Plugins that misbehave, each in one way, against the real program: looking at them never takes it down, and a run that one of them
//! ends goes on with a good plugin. The tables are printed: `cargo test --workspace misbehaviour -- --nocapture`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use medcoss_misbehaving::{LOOPING, VARIABLE};
use medcoss_test_support::process::{CommandResult, MOST_OUTPUT, interrupt, print_head, print_row, run, wait_until};
use medcoss_test_support::sandbox::{Sandbox, put_fixture};

/// A folder with the two libraries and the honest fixture.
fn plugin_folder(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.folder("plugins");
    for name in ["misbehaving", "misbehaving_sdk"] {
        fs::copy(medcoss_test_support::libraries::misbehaving(name), folder.join(format!("{name}.so"))).unwrap();
    }
    put_fixture(&folder, "fixture.so");
    folder
}

/// Looks at a library that misbehaves while it is loaded or describes itself.
fn look(sandbox: &Sandbox, library: &str, deed: &str, expected: Option<&str>) {
    let file = sandbox.path(&format!("plugins/{library}.so"));
    let folder = sandbox.path("plugins");
    let folder = folder.to_str().unwrap();
    let listed = run(
        sandbox,
        sandbox.command(["plugin", "list", "--no-builtin", "--plugin-dir", folder]).env(VARIABLE, deed),
        |_| {},
    );
    print_row(deed, "list", &listed, sandbox);
    assert_eq!(listed.code, 0, "{deed}: {listed:?}");
    assert!(!listed.out.contains("ppppp") && !listed.err.contains("ppppp"), "{deed}: it shows what was printed");
    assert!(listed.err.len() < MOST_OUTPUT, "{deed}: it says {} bytes", listed.err.len());
    // Whatever one does, the others are there.
    assert!(listed.out.contains("\nfixture  ") || listed.out.contains("fixture  0."), "{deed}: {listed:?}");
    let inspected =
        run(sandbox, sandbox.command(["plugin", "inspect", file.to_str().unwrap()]).env(VARIABLE, deed), |_| {});
    print_row(deed, "inspect", &inspected, sandbox);
    match expected {
        Some(message) => {
            assert!(listed.out.contains(message), "{deed}: {message:?} is not in\n{}", listed.out);
            assert_eq!(inspected.code, 1, "{deed}: {inspected:?}");
            assert!(inspected.err.contains(message), "{deed}: {message:?} is not in\n{}", inspected.err);
            assert!(inspected.err.contains("\nhint: "), "{deed}: {}", inspected.err);
        }
        None => {
            assert_eq!(inspected.code, 0, "{deed}: {inspected:?}");
            assert!(listed.out.contains(&format!("{library}  ")), "{deed}: {listed:?}");
        }
    }
}

#[test]
fn libraries_that_misbehave_when_they_are_loaded_take_nothing_down() {
    let sandbox = Sandbox::new();
    plugin_folder(&sandbox);
    print_head("When a library is loaded and describes itself");
    let bare: [(&str, Option<&str>); 37] = [
        ("nothing", None),
        ("constructor:panic", Some("crashed with signal 6 (abort) while it was loaded")),
        ("constructor:payload", Some("crashed with signal 6 (abort) while it was loaded")),
        ("constructor:abort", Some("crashed with signal 6 (abort) while it was loaded")),
        ("constructor:exit0", Some("ended the process with exit code 0 while it was loaded")),
        ("constructor:exit3", Some("ended the process with exit code 3 while it was loaded")),
        ("constructor:segfault", Some("crashed with signal 11 (segmentation fault) while it was loaded")),
        ("constructor:loop", Some("it did not end within 5 s while it was loaded")),
        ("constructor:print", None),
        ("constructor:slow", None),
        ("attach:panic", Some("crashed with signal 6 (abort) while it described itself")),
        ("attach:exit0", Some("ended the process with exit code 0 while it described itself")),
        ("attach:segfault", Some("crashed with signal 11 (segmentation fault) while it described itself")),
        ("describe:panic", Some("crashed with signal 6 (abort) while it described itself")),
        ("describe:payload", Some("crashed with signal 6 (abort) while it described itself")),
        ("describe:abort", Some("crashed with signal 6 (abort) while it described itself")),
        ("describe:exit0", Some("ended the process with exit code 0 while it described itself")),
        ("describe:exit3", Some("ended the process with exit code 3 while it described itself")),
        ("describe:segfault", Some("crashed with signal 11 (segmentation fault) while it described itself")),
        ("describe:loop", Some("it did not end within 5 s while it described itself")),
        ("describe:print", None),
        ("describe:recursion", Some("crashed with signal 6 (abort) while it described itself (stack overflow)")),
        ("header:magic", Some("its header begins with \"Medcoss-plugin\\0\\0\" instead of \"medcoss-plugin\"")),
        ("header:version", Some("it was built for version 7.")),
        ("header:layout-format", Some("its layout description has format 0.12")),
        ("header:size", Some("its header has 8 bytes instead of ")),
        ("header:layout", Some("its function table has another layout")),
        ("describe:not-utf8", Some("its answer is not of the form that the contract gives it")),
        ("describe:not-json", Some("its answer is not of the form that the contract gives it")),
        ("describe:gigabyte-answer", Some("its answer has 1073741825 bytes")),
        ("describe:gigabyte-error", Some("bytes more)")),
        ("describe:not-utf8-error", Some("code 3: \u{fffd}\u{fffd} damaged")),
        ("describe:other-id", Some("the plugin calls itself \"ct\", but its symbol ends in misbehaving")),
        ("describe:huge", Some("tokens")),
        ("describe:overflow", Some("tokens")),
        ("describe:negative", Some("its answer is not of the form that the contract gives it")),
        ("describe:no-tokens", Some("tokens")),
    ];
    for (deed, expected) in bare {
        look(&sandbox, "misbehaving", deed, expected);
    }
    print_head("The same through the SDK");
    for (deed, expected) in [
        ("nothing", None),
        ("describe:panic", Some("the plugin panicked: boo")),
        ("describe:payload", Some("the plugin panicked: no message")),
        ("describe:abort", Some("crashed with signal 6 (abort) while it described itself")),
    ] {
        look(&sandbox, "misbehaving_sdk", deed, expected);
    }
}

/// How a command with a misbehaving plugin has to end.
enum Expected {
    /// With this code and these words.
    Ends(i32, &'static str),
    /// It crashed, and is named.
    Crashes,
    /// As if nothing were wrong.
    GoesOn,
}
use Expected::{Crashes, Ends, GoesOn};

impl Expected {
    fn check(&self, case: &str, result: &CommandResult) {
        match self {
            Ends(code, words) => {
                assert_eq!(result.code, *code, "{case}: {result:?}");
                assert!(result.err.contains(words), "{case}: {words:?} is not in\n{}", result.err);
            }
            Crashes => {
                assert_eq!(result.code, 2, "{case}: {result:?}");
                assert!(
                    result.err.contains("error: plugin misbehaving") && result.err.contains("crashed"),
                    "{case}: {result:?}"
                );
            }
            GoesOn => assert_eq!(result.code, 0, "{case}: {result:?}"),
        }
    }
}

/// Reads all samples, plain.
#[test]
fn samples_that_break_the_contract_are_reported() {
    let sandbox = Sandbox::new();
    let folder = plugin_folder(&sandbox);
    let folder = folder.to_str().unwrap();
    let check = |library: &str, deed: &str, expected: Expected| {
        let arguments = ["data", "check", "--quiet", "--no-builtin", "--plugin-dir", folder, "--data", "."];
        let mut command = sandbox.command(arguments);
        let result = run(&sandbox, command.args(["--modality", library]).env(VARIABLE, deed), |_| {});
        print_row(&format!("{library} {deed}"), "data check", &result, &sandbox);
        expected.check(deed, &result);
        // Whatever the plugin prints is no part of the result.
        assert!(!result.out.contains("ppppp"), "{deed}");
        assert!(deed.ends_with("print") || result.err.len() < MOST_OUTPUT, "{deed}: {} bytes", result.err.len());
    };
    const UNREADABLE: &str = "of 24 samples cannot be read";
    print_head("When samples are read");
    for (deed, expected) in [
        ("nothing", GoesOn),
        ("constructor:print", GoesOn),
        ("constructor:exit0", Ends(1, "ended the process with exit code 0 while it was loaded")),
        ("open:panic", Crashes),
        ("open:exit0", Ends(2, "plugin misbehaving 1.0.0 ended the program in the middle of a call")),
        ("open:null", Ends(2, "the dataset's handle is null")),
        ("open:gigabyte-error", Ends(1, "bytes more)")),
        ("query:panic", Crashes),
        ("query:huge", Ends(2, "tokens")),
        ("query:not-utf8", Ends(2, "its answer is not of the form")),
        ("query:gigabyte-answer", Ends(2, "its answer has 1073741825 bytes")),
        ("query:same-ids", Ends(2, "two samples have the id")),
        ("query:absolute-ids", Ends(2, "it must be a relative path")),
        ("query:few-records", Ends(2, "there are 23 records for 24 samples from 0 on")),
        ("query:many-records", Ends(2, "there are 25 records for 24 samples from 0 on")),
        ("query:unknown-entry", Ends(2, "its entry is 9; the data have 1")),
        ("query:endless", Ends(2, "it must have at most 4294967296")),
        ("query:requires", Ends(1, "it requires \"holograms\", which this version does not know")),
        ("query:unknown-fields", GoesOn),
        ("describe:future-rendering", GoesOn),
        ("fill:panic", Crashes),
        ("fill:payload", Crashes),
        ("fill:abort", Crashes),
        ("fill:segfault", Crashes),
        ("open:recursion", Ends(2, "plugin misbehaving 1.0.0 overflowed its stack in the middle of a call")),
        ("fill:recursion", Ends(2, "plugin misbehaving 1.0.0 overflowed its stack in the middle of a call")),
        ("fill:exit0", Ends(2, "plugin misbehaving 1.0.0 ended the program in the middle of a call")),
        ("fill:exit3", Ends(2, "plugin misbehaving 1.0.0 ended the program in the middle of a call")),
        ("fill:nothing", Ends(1, UNREADABLE)),
        ("fill:nan", Ends(1, UNREADABLE)),
        ("fill:infinity", Ends(1, UNREADABLE)),
        ("fill:mask-2", Ends(1, UNREADABLE)),
        ("fill:mask-all", Ends(1, UNREADABLE)),
        ("fill:past-end", Ends(2, "it wrote past the end of the buffer of tokens, at least 3 values")),
        ("fill:unknown-slot", Ends(2, "it reports sample 1099511627776 of a request of 8")),
        ("fill:error", Ends(1, "the disk is on fire")),
        ("fill:gigabyte-error", Ends(1, UNREADABLE)),
        ("fill:not-utf8-error", Ends(1, UNREADABLE)),
        ("fill:log-from-threads", GoesOn),
        ("fill:print", GoesOn),
        ("fill:slow", GoesOn),
        ("fill:leak", GoesOn),
        ("fill:by-time", GoesOn),
        ("fill:race", GoesOn),
        ("close:panic", Crashes),
        ("discrete:honest", GoesOn),
        ("discrete:id-range", Ends(1, UNREADABLE)),
        ("discrete:id-negative", Ends(1, UNREADABLE)),
        ("discrete:label-range", Ends(1, UNREADABLE)),
        ("discrete:length-long", Ends(1, UNREADABLE)),
        ("discrete:length-negative", Ends(1, UNREADABLE)),
    ] {
        check("misbehaving", deed, expected);
    }
    for (deed, expected) in [
        ("nothing", GoesOn),
        ("open:panic", Ends(2, "the plugin panicked: boo")),
        ("query:panic", Ends(2, "the plugin panicked: boo")),
        ("fill:panic", Ends(1, UNREADABLE)),
        ("fill:payload", Ends(1, UNREADABLE)),
        ("close:panic", GoesOn),
        ("close:payload", GoesOn),
    ] {
        check("misbehaving_sdk", deed, expected);
    }
    // The whole program answers for what `invoke` does.
    for (deed, expected) in [("invoke:panic", Crashes), ("invoke:exit0", Ends(2, "ended the program"))] {
        let out = sandbox.path("synthesised");
        let arguments =
            ["synth", "--modality", "misbehaving", "--samples", "3", "--no-builtin", "--plugin-dir", folder];
        let result = run(&sandbox, sandbox.command(arguments).arg("--out").arg(&out).env(VARIABLE, deed), |_| {});
        print_row(deed, "synth", &result, &sandbox);
        expected.check(deed, &result);
        fs::remove_dir_all(&out).unwrap();
    }
}

/// A finished run of one stage, in the sandbox's working folder.
fn finished_run(sandbox: &Sandbox, folder: &str) {
    let synth = ["synth", "--modality", "fixture", "--samples", "24", "--out", "series", "--no-builtin"];
    let made = run(sandbox, sandbox.command(synth).args(["--plugin-dir", folder]), |_| {});
    assert_eq!(made.code, 0, "{made:?}");
    let config = "[model]\npreset = \"demo\"\nlayer_scale = 0.1\n[training]\nepochs = 2\nwarmup_epochs = 1\nbatch_size = 4\n\
                  checkpoint_every_steps = 2\n[[stage]]\nmodality = \"fixture\"\ndata = \"series\"\n\
                  options = { length = 48, patch = 4 }\n";
    fs::write(sandbox.path("work/run.toml"), config).unwrap();
    let pretrain = ["pretrain", "run.toml", "--out", "first", "--quiet", "--no-builtin", "--plugin-dir", folder];
    let trained = run(sandbox, &mut sandbox.command(pretrain), |_| {});
    assert_eq!(trained.code, 0, "{trained:?}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &name)
        } else {
            _ = fs::copy(entry.path(), name).unwrap()
        }
    }
}

fn is_whole(sandbox: &Sandbox, run_folder: &str) {
    let shown = run(sandbox, &mut sandbox.command(["show", run_folder, "--verify"]), |_| {});
    assert_eq!(shown.code, 0, "{shown:?}");
}

/// Two requests to stop, as from an impatient user: when the plugin no longer answers, and when the program waits for it.
fn interrupt_twice(sandbox: &Sandbox, child: &Child) {
    for said in [LOOPING, "stopping after this step"] {
        let errors = sandbox.path("err");
        wait_until(said, || fs::read_to_string(&errors).is_ok_and(|errors| errors.contains(said)));
        interrupt(child);
    }
}

#[test]
fn a_plugin_that_ends_a_run_leaves_it_whole_and_it_goes_on() {
    let sandbox = Sandbox::new();
    let folder = plugin_folder(&sandbox);
    let folder = folder.to_str().unwrap().to_string();
    finished_run(&sandbox, &folder);
    let first = sandbox.path("work/first");
    print_head("When a stage is learned");
    // The first calls are of the training, in the middle of which some fall; 24 samples of 4 in two epochs are 12 calls, more are of
    // the choice of the buffer.
    for (at, (deed, expected)) in [
        ("constructor:abort", Ends(1, "crashed with signal 6")),
        ("open:abort", Crashes),
        ("open:exit0", Ends(2, "ended the program in the middle of a call")),
        ("query:segfault", Crashes),
        ("fill:panic@8", Crashes),
        ("fill:abort@8", Crashes),
        ("fill:segfault@8", Crashes),
        ("fill:exit0@8", Ends(2, "ended the program in the middle of a call")),
        ("fill:exit3@8", Ends(2, "ended the program in the middle of a call")),
        ("fill:abort@13", Crashes),
        ("fill:nan@8", Ends(1, "not a finite number")),
        ("fill:mask-2", Ends(1, "neither 0 nor 1")),
        ("fill:past-end@8", Ends(2, "it wrote past the end of the buffer of tokens")),
        ("fill:error@8", Ends(1, "the disk is on fire")),
        ("fill:gigabyte-error@8", Ends(1, "bytes more)")),
        ("fill:loop@8", Ends(130, "stopping after this step")),
        ("fill:race", GoesOn),
        ("fill:leak", GoesOn),
        ("discrete:id-range", Ends(1, "it must be in 0..11")),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("run-{at}");
        copy_folder(&first, &sandbox.path(&format!("work/{name}")));
        let plugins = ["--quiet", "--no-builtin", "--plugin-dir", &folder];
        let add = ["stage", "add", &name, "--modality", "misbehaving", "--data", "run.toml"];
        let meanwhile = |child: &mut Child| {
            if deed.contains("loop") {
                interrupt_twice(&sandbox, child);
            }
        };
        let result = run(&sandbox, sandbox.command(add).args(plugins).env(VARIABLE, deed), meanwhile);
        print_row(deed, "stage add", &result, &sandbox);
        expected.check(deed, &result);
        is_whole(&sandbox, &name);
        // With an honest plugin it goes on; a stage that had begun is in the run's record.
        let begun = fs::read_to_string(sandbox.path(&format!("work/{name}/run.toml"))).unwrap().contains("misbehaving");
        let mut again = if begun { sandbox.command(["resume", &name]) } else { sandbox.command(add) };
        let honest = run(
            &sandbox,
            again.args(plugins).env(VARIABLE, if is_discrete(deed) { "discrete:honest" } else { "" }),
            |_| {},
        );
        assert_eq!(honest.code, 0, "{deed}: {honest:?}");
        is_whole(&sandbox, &name);
        assert!(sandbox.path(&format!("work/{name}/stages/02-misbehaving/state.json")).is_file(), "{deed}");
    }
}

fn is_discrete(deed: &str) -> bool {
    deed.starts_with("discrete")
}
