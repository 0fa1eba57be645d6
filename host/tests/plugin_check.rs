//! What `medcoss plugin check` says, and that it says it whatever a plugin does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medcoss_test_support::sandbox::{
    Answer, Sandbox, answer as run_command, build_folder, header_at, put_fixture, put_spoilt,
};
use serde_json::Value;

fn checked(sandbox: &Sandbox, file: &Path, more: &[&str]) -> Answer {
    let mut arguments = vec!["plugin", "check", file.to_str().unwrap()];
    arguments.extend(more);
    sandbox.run(arguments)
}

fn rule_report<'a>(report: &'a Value, rule: &str) -> &'a Value {
    report["rules"].as_array().unwrap().iter().find(|found| found["rule"] == rule).unwrap()
}

/// A library written in C.
fn c_library(folder: &Path, name: &str, code: &str) -> PathBuf {
    let source = folder.join(format!("{name}.c"));
    let head = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n";
    fs::write(&source, format!("{head}{code}\n")).unwrap();
    let file = folder.join(format!("{name}.so"));
    let built = Command::new("cc").args(["-shared", "-fPIC", "-w", "-o"]).arg(&file).arg(&source).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    file
}

#[test]
fn the_fixture_keeps_every_rule() {
    let sandbox = Sandbox::new();
    let file = put_fixture(&sandbox.folder("mine"), "gait.so");
    let answer = checked(&sandbox, &file, &[]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{}", answer.out);
    assert!(answer.out.starts_with("RULE "), "{}", answer.out);
    assert!(answer.out.contains("\n48 rules hold, 0 are broken, 13 were skipped.\n"), "{}", answer.out);

    let answer = checked(&sandbox, &file, &["--json"]);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&report["id"], &report["passed"], &report["n_failed"]), (&"fixture".into(), &true.into(), &0.into()));
    assert_eq!(report["sha256"].as_str().unwrap().len(), 64);
    let speed = &rule_report(&report, "throughput")["measured"]["samples_per_second_1_thread"];
    assert!(speed.as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn the_projects_own_plugins_keep_every_rule() {
    let sandbox = Sandbox::new();
    for id in ["text", "xray", "ct", "mri", "pathology"] {
        let answer = checked(&sandbox, &build_folder().join(format!("libmedcoss_{id}.so")), &[]);
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{id}\n{}", answer.out);
    }
}

#[test]
fn threads_that_a_plugin_starts_once_and_parks_are_counted() {
    let sandbox = Sandbox::new();
    let file = sandbox.folder("mine").join("parks.so");
    fs::copy(medcoss_test_support::libraries::misbehaving("misbehaving_sdk"), &file).unwrap();
    let outcome = |deed: &str| {
        let mut command = sandbox.command(["plugin", "check", file.to_str().unwrap(), "--data", ".", "--json"]);
        let answer = run_command(command.env(medcoss_misbehaving::VARIABLE, deed));
        rule_report(&serde_json::from_str(&answer.out).unwrap(), "no-threads").clone()
    };
    assert_eq!(outcome("none:none")["outcome"], "passed");
    for place in ["describe", "open", "fill"] {
        let report = outcome(&format!("{place}:park-threads"));
        assert_eq!(report["outcome"], "failed", "{place}");
        let detail = report["detail"].as_str().unwrap();
        assert!(detail.contains("before the library was loaded"), "{place}: {detail}");
    }
}

#[test]
fn a_missing_library_is_named_with_the_places_where_it_was_looked_for() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    let helper = c_library(&folder, "libdecoder", "int decode(void) { return 3; }");
    let source = folder.join("needs.c");
    let size = size_of::<medcoss_abi::PluginHeader>();
    let code =
        format!("char medcoss_plugin_v1_bad[{size}] = {{1}};\nint decode(void);\nint f(void) {{ return decode(); }}\n");
    fs::write(&source, code).unwrap();
    let file = folder.join("needs.so");
    let mut link = Command::new("cc");
    link.args(["-shared", "-fPIC", "-w", "-Wl,-rpath,/opt/decoders", "-o"]).args([&file, &source]).arg(&helper);
    // Without a name of its own the helper would be recorded by its path.
    fs::remove_file(&helper).unwrap();
    let named = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-Wl,-soname,libdecoder.so", "-o"])
        .args([&helper, &folder.join("libdecoder.c")])
        .status();
    assert!(named.unwrap().success() && link.status().unwrap().success());
    fs::remove_file(&helper).unwrap();
    let expected =
        "it needs the library libdecoder.so, which was not found; looked for in /opt/decoders, the system's folders";
    let answer = checked(&sandbox, &file, &["--json"]);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    let load = rule_report(&report, "load");
    assert!(load["detail"].as_str().unwrap().contains(expected), "{load}");
    assert!(load["remedy"].as_str().unwrap().contains("install the package that holds libdecoder.so"), "{load}");
    let inspected = sandbox.run(["plugin", "inspect", file.to_str().unwrap()]);
    assert!(inspected.err.contains(expected), "{}", inspected.err);
}

#[test]
fn data_and_options_of_the_user_are_read() {
    let sandbox = Sandbox::new();
    let file = put_fixture(&sandbox.folder("mine"), "gait.so");
    fs::write(sandbox.path("work/good.csv"), "a,1,2,3,4\nb,5,6,7,8\nc,9,10,11,12\n").unwrap();
    let options = ["--data", "good.csv", "--set", "length=4", "--set", "patch=1", "--json"];
    let answer = checked(&sandbox, &file, &options);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.out);
    assert_eq!(rule_report(&report, "read")["detail"], "3 of 3 tried samples, 3 in all");

    // Too long for the lines: no sample can be read.
    let answer = checked(&sandbox, &file, &["--data", "good.csv", "--json"]);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(answer.code, 1);
    assert_eq!(rule_report(&report, "read")["outcome"], "failed");
    let expected =
        format!("error: plugin fixture of {} breaks 1 rule\nhint: the table names a remedy for each\n", file.display());
    assert_eq!(answer.err, expected);

    let answer = checked(&sandbox, &file, &["--data", "gone.csv"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.starts_with("error: --data gone.csv not found\n"), "{}", answer.err);
}

#[test]
fn too_little_memory_ends_the_child_and_not_the_check() {
    let sandbox = Sandbox::new();
    let file = build_folder().join("libmedcoss_ct.so");
    // Some samples of 128^3 voxels side by side take more than that.
    let asked = ["--memory", "64", "--set", "size=[128, 128, 128]", "--json"];
    let answer = checked(&sandbox, &file, &asked);
    assert_eq!(answer.code, 1, "{}", answer.err);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    let details = report["rules"].as_array().unwrap().iter().filter(|rule| rule["outcome"] == "failed");
    let details: Vec<_> = details.map(|rule| rule["detail"].as_str().unwrap()).collect();
    assert!(details.iter().any(|detail| detail.contains("when it wanted more than 64 MiB")), "{details:?}");
}

#[test]
fn a_library_that_does_not_load_or_is_none_is_reported() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    let text = folder.join("text.so");
    fs::write(&text, "not a library").unwrap();
    let answer = checked(&sandbox, &text, &[]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("it is not an ELF shared library"), "{}", answer.err);

    let other = put_spoilt(&folder, "other.so", |bytes| {
        let at = header_at(bytes);
        bytes[at + 16] = 9;
    });
    let answer = checked(&sandbox, &other, &["--json"]);
    assert_eq!(answer.code, 1);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(rule_report(&report, "load")["outcome"], "passed");
    assert_eq!(rule_report(&report, "header")["outcome"], "failed");
    assert_eq!(report["n_failed"], 1, "{report}");

    let answer = checked(&sandbox, &put_fixture(&folder, "gait.so"), &["--id", "gait"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.ends_with("carries no plugin \"gait\"\nhint: it carries fixture\n"), "{}", answer.err);
}

#[test]
fn constructors_that_end_or_hold_up_the_process_are_reported() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    for (name, body, expected) in [
        ("exits", "puts(\"good bye\"); exit(0);", "(exit code 0) in the middle of the rule; it last printed: good bye"),
        ("aborts", "abort();", "its process was ended by signal SIGABRT"),
        ("crashes", "*(volatile int *)8 = 1;", "its process was ended by signal SIGSEGV"),
        ("hangs", "for (;;) sleep(1);", "it had not ended after 1 seconds, and was killed"),
    ] {
        // The others are given the time that they need.
        let timeout = if name == "hangs" { "1" } else { "60" };
        let code = format!(
            "char medcoss_plugin_v1_bad[{}] = {{1}};\n__attribute__((constructor)) void begin(void) {{ {body} }}",
            size_of::<medcoss_abi::PluginHeader>()
        );
        let answer = checked(&sandbox, &c_library(&folder, name, &code), &["--timeout", timeout, "--json"]);
        assert_eq!(answer.code, 1, "{name}");
        let report: Value = serde_json::from_str(&answer.out).unwrap();
        let load = rule_report(&report, "load");
        assert_eq!(load["outcome"], "failed", "{name}");
        assert!(load["detail"].as_str().unwrap().contains(expected), "{name}: {load}");
        assert_eq!(rule_report(&report, "memory")["detail"], "not tried any more after rule `load`");
    }
}

#[test]
fn a_child_that_dies_in_a_rule_breaks_that_rule_and_the_next_goes_on_behind_it() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("mine");
    let file = put_fixture(&folder, "gait.so");
    // Only two rules start threads, and there the child dies. What it prints looks like what a child reports.
    let code = "static int child;\n\
        __attribute__((constructor)) void begin(int argc, char **argv) {\
            child = argc > 1 && !strcmp(argv[1], \"__check\"); if (child) { puts(\"\\\"done\\\"\"); fflush(stdout); } }\n\
        int pthread_create() { if (child) abort(); return 11; }";
    let early = c_library(&folder, "early", code);
    let mut command = sandbox.command(["plugin", "check", file.to_str().unwrap(), "--json"]);
    let answer = run_command(command.env("LD_PRELOAD", &early));
    assert_eq!(answer.code, 1, "{}", answer.err);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    let all = report["rules"].as_array().unwrap();
    assert_eq!(all.len(), 61);
    let failed: Vec<_> = all.iter().filter(|rule| rule["outcome"] == "failed").collect();
    let rules: Vec<_> = failed.iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["threads", "throughput"]);
    for rule in failed {
        assert!(rule["detail"].as_str().unwrap().starts_with("its process was ended by signal SIGABRT"), "{rule}");
        assert!(!rule["remedy"].as_str().unwrap().is_empty());
    }
    assert_eq!(rule_report(&report, "memory")["outcome"], "passed");
    assert_eq!(report["n_skipped"], 13);
}
