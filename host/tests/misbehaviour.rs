//! Plugins and files that misbehave, each in one way, against the real program: looking at them never takes it down, and a run
//! that one of them ends goes on with a good plugin. The tables are printed: `cargo test --workspace --test misbehaviour -- --nocapture`.

mod apart;
mod sandbox;

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use medcoss_misbehaving::VARIABLE;
use sandbox::{Sandbox, put_fixture, put_spoilt};

/// Nothing here may take longer, and most takes a hundredth.
const LONGEST: Duration = Duration::from_secs(60);
/// More than any result needs.
const MOST_OUTPUT: usize = 64 << 10;

/// What the program said, and how it ended.
#[derive(Debug)]
struct Ending {
    /// The exit code, or minus the signal.
    code: i32,
    out: String,
    err: String,
    took: Duration,
}

impl Ending {
    /// What a reader of the terminal sees first of what is wrong.
    fn message(&self) -> String {
        let told = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
        let mut causes = self.err.lines().filter_map(|line| line.strip_prefix("  caused by: "));
        let with_cause = |error: &str| causes.next().map_or(error.to_string(), |cause| format!("{error}: {cause}"));
        let error = self.err.lines().find(|line| line.starts_with("error: ")).map(with_cause);
        let error = error.or(self.err.lines().find(told).map(String::from));
        let refused = self.out.split_once("Refused:\n").and_then(|(_, rest)| rest.lines().nth(1));
        assert!(self.out.len() < MOST_OUTPUT, "it says {} bytes", self.out.len());
        error.or(refused.map(|line| line.trim().into())).unwrap_or("-".into())
    }
}

/// Runs a command with an end to patience. What it says goes to files: a pipe that nobody reads would hold it up.
fn run(sandbox: &Sandbox, command: &mut Command, meanwhile: impl FnOnce(&mut Child)) -> Ending {
    let [out, err] = ["out", "err"].map(|name| sandbox.path(name));
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    meanwhile(&mut child);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > LONGEST => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} took longer than {LONGEST:?}: {}", fs::read_to_string(&err).unwrap_or_default());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let took = began.elapsed();
    let text = |path: &Path| String::from_utf8(fs::read(path).unwrap()).expect("what it says is UTF-8");
    let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
    Ending { code, out: text(&out), err: text(&err), took }
}

/// A row of a table, for the eyes of people.
fn print_row(case: &str, command: &str, ending: &Ending, sandbox: &Sandbox) {
    let message = sandbox.anonymous(&ending.message());
    let message: String = message.chars().take(150).collect();
    println!("| {case} | {command} | {message} | {} | {:.1} s |", ending.code, ending.took.as_secs_f64());
}

fn print_head(title: &str) {
    println!("\n{title}\n\n| case | command | message | exit code | time |\n|---|---|---|---|---|");
}

/// A folder with the two libraries and the honest fixture.
fn plugin_folder(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.folder("plugins");
    for name in ["misbehaving", "misbehaving_sdk"] {
        fs::copy(apart::misbehaving(name), folder.join(format!("{name}.so"))).unwrap();
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
    let bare: [(&str, Option<&str>); 36] = [
        ("nothing", None),
        ("constructor:panic", Some("crashed with signal 6 (abort) while it was loaded")),
        ("constructor:payload", Some("crashed with signal 6 (abort) while it was loaded")),
        ("constructor:abort", Some("crashed with signal 6 (abort) while it was loaded")),
        ("constructor:exit0", Some("ended the process with exit code 0 while it was loaded")),
        ("constructor:exit3", Some("ended the process with exit code 3 while it was loaded")),
        ("constructor:segfault", Some("crashed with signal 11 (segmentation fault) while it was loaded")),
        ("constructor:loop", Some("it did not come to an end within 5 s while it was loaded")),
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
        ("describe:loop", Some("it did not come to an end within 5 s while it described itself")),
        ("describe:print", None),
        ("header:magic", Some("its header begins with \"Medcoss-plugin\\0\\0\" instead of \"medcoss-plugin\"")),
        ("header:version", Some("it was built for version 7.0 of the plugin contract")),
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
    /// With a signal: it took the process down.
    Crashes,
    /// As if nothing were wrong.
    GoesOn,
}
use Expected::{Crashes, Ends, GoesOn};

impl Expected {
    fn check(&self, case: &str, ending: &Ending) {
        match self {
            Ends(code, words) => {
                assert_eq!(ending.code, *code, "{case}: {ending:?}");
                assert!(ending.err.contains(words), "{case}: {words:?} is not in\n{}", ending.err);
            }
            Crashes => {
                assert!(ending.code < 0, "{case}: {ending:?}");
                assert!(
                    ending.err.contains("error: plugin misbehaving") && ending.err.contains("crashed"),
                    "{case}: {ending:?}"
                );
            }
            GoesOn => assert_eq!(ending.code, 0, "{case}: {ending:?}"),
        }
    }
}

/// Reads all samples, plain.
#[test]
fn samples_that_break_the_contract_are_told_of() {
    let sandbox = Sandbox::new();
    let folder = plugin_folder(&sandbox);
    let folder = folder.to_str().unwrap();
    let check = |library: &str, deed: &str, expected: Expected| {
        let arguments = ["data", "check", "--quiet", "--no-builtin", "--plugin-dir", folder, "--data", "."];
        let mut command = sandbox.command(arguments);
        let ending = run(&sandbox, command.args(["--modality", library]).env(VARIABLE, deed), |_| {});
        print_row(&format!("{library} {deed}"), "data check", &ending, &sandbox);
        expected.check(deed, &ending);
        // Whatever the plugin prints is no part of the result.
        assert!(!ending.out.contains("ppppp"), "{deed}");
        assert!(deed.ends_with("print") || ending.err.len() < MOST_OUTPUT, "{deed}: {} bytes", ending.err.len());
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
        ("query:absolute-ids", Ends(2, "it must be relative")),
        ("query:few-labels", Ends(2, "there are 23 labels for 24 samples")),
        ("fill:panic", Crashes),
        ("fill:payload", Crashes),
        ("fill:abort", Crashes),
        ("fill:segfault", Crashes),
        ("fill:exit0", Ends(2, "plugin misbehaving 1.0.0 ended the program in the middle of a call")),
        ("fill:exit3", Ends(2, "plugin misbehaving 1.0.0 ended the program in the middle of a call")),
        ("fill:nothing", Ends(1, UNREADABLE)),
        ("fill:nan", Ends(1, UNREADABLE)),
        ("fill:infinity", Ends(1, UNREADABLE)),
        ("fill:mask-2", Ends(1, UNREADABLE)),
        ("fill:mask-all", Ends(1, UNREADABLE)),
        ("fill:past-end", Ends(1, "it wrote past the end of the buffer of tokens, at least 3 values")),
        ("fill:unknown-slot", Ends(1, "it reports sample 1099511627776 of a request of 8")),
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
        let ending = run(&sandbox, sandbox.command(arguments).arg("--out").arg(&out).env(VARIABLE, deed), |_| {});
        print_row(deed, "synth", &ending, &sandbox);
        expected.check(deed, &ending);
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

/// Two requests to stop, as from an impatient user.
fn interrupt_twice(child: &mut Child) {
    for pause in [2000, 1000] {
        std::thread::sleep(Duration::from_millis(pause));
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
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
        ("fill:past-end@8", Ends(1, "it wrote past the end of the buffer of tokens")),
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
                interrupt_twice(child);
            }
        };
        let ending = run(&sandbox, sandbox.command(add).args(plugins).env(VARIABLE, deed), meanwhile);
        print_row(deed, "stage add", &ending, &sandbox);
        expected.check(deed, &ending);
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

#[test]
fn files_of_all_kinds_are_looked_at_without_harm() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let path = |name: &str| folder.join(name);
    fs::write(path("empty.so"), "").unwrap();
    fs::write(path("text.so"), "#!/bin/sh\necho hello\n").unwrap();
    for (name, keep) in
        [("cut-4.so", 4), ("cut-40.so", 40), ("cut-64.so", 64), ("cut-1000.so", 1000), ("cut-100000.so", 100_000)]
    {
        put_spoilt(&folder, name, |bytes| bytes.truncate(keep));
    }
    put_spoilt(&folder, "machine.so", |bytes| bytes[18..20].copy_from_slice(&183u16.to_le_bytes()));
    std::os::unix::fs::symlink("loop.so", path("loop.so")).unwrap();
    std::os::unix::fs::symlink("gone.so", path("dangling.so")).unwrap();
    assert!(Command::new("mkfifo").arg(path("fifo.so")).status().unwrap().success());
    let socket = std::os::unix::net::UnixListener::bind(path("socket.so")).unwrap();
    fs::create_dir(path("folder.so")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path("device.so")).unwrap();

    print_head("Files that are no plugins");
    for (name, expected) in [
        ("empty.so", "it is empty"),
        ("text.so", "it is not an ELF shared library"),
        ("cut-4.so", "it is truncated or damaged"),
        ("cut-40.so", "it is truncated or damaged"),
        ("cut-64.so", "it is truncated or damaged"),
        ("cut-1000.so", "it is truncated or damaged"),
        ("cut-100000.so", "it is truncated or damaged"),
        ("machine.so", "it is built for "),
        ("loop.so", "it cannot be read: "),
        ("dangling.so", "it cannot be read: "),
        ("fifo.so", "it is not a regular file"),
        ("socket.so", "it is not a regular file"),
        ("device.so", "it is not a regular file"),
    ] {
        let inspected =
            run(&sandbox, &mut sandbox.command(["plugin", "inspect", path(name).to_str().unwrap()]), |_| {});
        print_row(name, "inspect", &inspected, &sandbox);
        assert_eq!(inspected.code, 1, "{inspected:?}");
        assert!(inspected.err.contains(expected) && inspected.err.contains("\nhint: "), "{inspected:?}");
    }
    drop(socket);
    let listed = run(
        &sandbox,
        &mut sandbox.command(["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()]),
        |_| {},
    );
    print_row("all of them", "list", &listed, &sandbox);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert_eq!(listed.out.matches("    hint: ").count(), 13, "{}", listed.out);
}

#[test]
fn one_id_in_two_files_and_one_file_by_two_paths() {
    let sandbox = Sandbox::new();
    let [one, two] = ["one", "two"].map(|name| sandbox.folder(name));
    put_fixture(&one, "a.so");
    fs::copy(one.join("a.so"), one.join("b.so")).unwrap();
    fs::hard_link(one.join("a.so"), one.join("hard.so")).unwrap();
    std::os::unix::fs::symlink("a.so", one.join("soft.so")).unwrap();
    std::os::unix::fs::symlink(one.join("a.so"), two.join("elsewhere.so")).unwrap();
    let folders = [&one, &two].map(|folder| folder.to_str().unwrap().to_string());
    let arguments = ["plugin", "list", "--no-builtin", "--plugin-dir", &folders[0], "--plugin-dir", &folders[1]];
    let listed = run(&sandbox, &mut sandbox.command(arguments), |_| {});
    print_head("One id twice");
    print_row("a copy, a hard link and two symbolic ones", "list", &listed, &sandbox);
    assert_eq!(listed.code, 0);
    // Which of the copies is first is decided by age; the other one is told of, once, and no link is.
    assert_eq!(listed.out.matches("\nfixture ").count(), 1, "{}", listed.out);
    let (_, shadowed) = listed.out.split_once("Not used, because the id was found before:\n").unwrap();
    assert_eq!(shadowed.lines().count(), 1, "{}", listed.out);
}

#[test]
fn a_folder_that_cannot_be_read_is_told_of() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins/closed");
    put_fixture(&folder, "a.so");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = sandbox.command(["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()]);
    if fs::read_dir(&folder).is_ok() {
        // The superuser reads everything; somebody else has to look, if the sandbox lies where others may look at all.
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65534);
        if command.get_current_dir().is_some_and(|work| !others_may_enter(work)) {
            println!("skipped: only the superuser may look into {}", sandbox.path("").display());
            return;
        }
    }
    let listed = run(&sandbox, &mut command, |_| {});
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    print_head("A folder that cannot be read");
    print_row("mode 000", "list", &listed, &sandbox);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.out.contains("the folder cannot be listed: "), "{}", listed.out);
}

fn others_may_enter(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 1 == 1))
}

#[test]
fn ten_thousand_files_are_looked_at_in_seconds() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    put_fixture(&folder, "libfixture.so");
    let start = fs::read(sandbox::fixture()).unwrap()[..4096].to_vec();
    for n in 0..9_999 {
        let content: &[u8] = if n % 2 == 0 { b"text" } else { &start };
        fs::write(folder.join(format!("file-{n}.so")), content).unwrap();
    }
    let list = ["plugin", "list", "--no-builtin", "--json", "--plugin-dir", folder.to_str().unwrap()];
    let out = sandbox.path("listing");
    let began = Instant::now();
    let status = sandbox.command(list).stdout(File::create(&out).unwrap()).status().unwrap();
    let took = began.elapsed();
    println!("10 000 files: {took:.2?}");
    assert!(status.success());
    let listing: serde_json::Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(listing["plugins"].as_array().unwrap().len(), 1);
    assert_eq!(listing["refused"].as_array().unwrap().len(), 9_999);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// The folder that memory of first contacts is kept in, for the sandbox's program.
fn with_memory(sandbox: &Sandbox, command: &mut Command, deed: &str) -> Ending {
    run(sandbox, command.env("XDG_CACHE_HOME", sandbox.path("cache")).env(VARIABLE, deed), |_| {})
}

#[test]
fn what_came_of_first_contact_is_remembered_until_the_file_changes_or_a_rescan() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let file = folder.join("a.so");
    fs::copy(apart::misbehaving("misbehaving"), &file).unwrap();
    let places = ["--no-builtin", "--plugin-dir", folder.to_str().unwrap()];
    let list = |deed: &str| with_memory(&sandbox, sandbox.command(["plugin", "list"]).args(places), deed);
    let crashed = "it crashed with signal 6 (abort) while it was loaded";
    assert!(list("constructor:abort").out.contains(crashed));
    // It would be honest now, but its file has not changed.
    assert!(list("nothing").out.contains(crashed));
    assert!(sandbox.path("cache/medcoss/plugins.json").is_file());
    let printed = with_memory(&sandbox, sandbox.command(["plugin", "rescan", "-v"]).args(places), "constructor:print");
    assert!(printed.out.contains("\nmisbehaving  1.0.0 "), "{printed:?}");
    assert!(printed.err.contains("printed when it was tried out:\npppp"), "{printed:?}");
    // And the other way round: known to be good, it is not loaded again.
    assert!(list("constructor:abort").out.contains("\nmisbehaving  1.0.0 "));
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(0);
    fs::write(&file, bytes).unwrap();
    assert!(list("constructor:abort").out.contains(crashed));

    // A damaged memory is told of once and costs nothing else.
    fs::write(sandbox.path("cache/medcoss/plugins.json"), "{}").unwrap();
    let damaged = list("nothing");
    assert!(damaged.err.starts_with("warning: ") && damaged.err.contains("plugins.json is damaged"), "{damaged:?}");
    assert!(damaged.out.contains("\nmisbehaving  1.0.0 "), "{damaged:?}");
    assert_eq!(list("nothing").err, "");
}

#[test]
fn five_known_plugins_are_listed_at_once() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    for id in ["text", "xray", "ct", "mri", "pathology"] {
        let name = format!("libmedcoss_{id}.so");
        fs::copy(sandbox::build_folder().join(&name), folder.join(&name)).unwrap();
    }
    let list = |sandbox: &Sandbox| {
        let arguments = ["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()];
        let ending = with_memory(sandbox, &mut sandbox.command(arguments), "nothing");
        assert_eq!(ending.out.lines().count(), 6, "{ending:?}");
        ending.took
    };
    let first = list(&sandbox);
    let known = (0..5).map(|_| list(&sandbox)).min().unwrap();
    println!("five plugins: {first:.0?} at first contact, {known:.0?} when they are known");
    assert!(known < Duration::from_millis(150), "{known:?}");
}
