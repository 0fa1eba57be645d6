//! The cache of probes: what it holds, for how long, and how quickly known libraries are listed.

use std::fs;
use std::process::Command;

use medcoss_misbehaving::VARIABLE;
use medcoss_test_support::process::{CommandResult, run};
use medcoss_test_support::sandbox::Sandbox;

/// The folder of the probe cache, for the sandbox's program.
fn with_cache(sandbox: &Sandbox, command: &mut Command, deed: &str) -> CommandResult {
    run(sandbox, command.env("XDG_CACHE_HOME", sandbox.path("cache")).env(VARIABLE, deed), |_| {})
}

#[test]
fn the_outcome_of_a_probe_is_cached_until_the_file_changes_or_a_rescan() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let file = folder.join("a.so");
    fs::copy(medcoss_test_support::libraries::misbehaving("misbehaving"), &file).unwrap();
    let places = ["--no-builtin", "--plugin-dir", folder.to_str().unwrap()];
    let list = |deed: &str| with_cache(&sandbox, sandbox.command(["plugin", "list"]).args(places), deed);
    let crashed = "it crashed with signal 6 (abort) while it was loaded";
    assert!(list("constructor:abort").out.contains(crashed));
    // It would be honest now, but its file has not changed.
    assert!(list("nothing").out.contains(crashed));
    assert!(sandbox.path("cache/medcoss/plugins.json").is_file());
    let printed = with_cache(&sandbox, sandbox.command(["plugin", "rescan", "-v"]).args(places), "constructor:print");
    assert!(printed.out.contains("\nmisbehaving  1.0.0 "), "{printed:?}");
    assert!(printed.err.contains("printed while it was probed:\n  pppp"), "{printed:?}");
    // And the other way round: known to be good, it is not loaded again.
    assert!(list("constructor:abort").out.contains("\nmisbehaving  1.0.0 "));
    let mut bytes = fs::read(&file).unwrap();
    bytes.push(0);
    fs::write(&file, bytes).unwrap();
    assert!(list("constructor:abort").out.contains(crashed));

    // A damaged cache is reported once and has no other effect.
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
        fs::copy(medcoss_test_support::sandbox::build_folder().join(&name), folder.join(&name)).unwrap();
    }
    let list = |sandbox: &Sandbox| {
        let arguments = ["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()];
        let result = with_cache(sandbox, &mut sandbox.command(arguments), "nothing");
        assert_eq!(result.out.lines().count(), 6, "{result:?}");
        result.took
    };
    let first = list(&sandbox);
    let known = (0..5).map(|_| list(&sandbox)).min().unwrap();
    println!("five plugins: {first:.0?} when probed, {known:.0?} from the cache");
    // Five processes are not started, and five libraries not loaded.
    assert!(known < first / 2, "{first:?} {known:?}");
}
