//! Files that are no plugins or the same one twice, many of them, folders that cannot be read: looked at without harm. The tables are printed
//! with `--nocapture`.

use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

use medcoss_test_support::process::{print_head, print_row, run};
use medcoss_test_support::sandbox::{Sandbox, put_fixture, put_spoilt};

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
    // Which of the copies is first is decided by age; the other one is reported once, and no link is.
    assert_eq!(listed.out.matches("\nfixture ").count(), 1, "{}", listed.out);
    let (_, shadowed) = listed.out.split_once("Not used, because another file has the id:\n").unwrap();
    assert_eq!(shadowed.lines().count(), 1, "{}", listed.out);
}

#[test]
fn a_folder_that_cannot_be_read_is_reported() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins/closed");
    put_fixture(&folder, "a.so");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    let list = ["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()];
    let mut command = match fs::read_dir(&folder) {
        Err(_) => sandbox.command(list),
        // The superuser reads everything, unless the right to do so is taken away.
        Ok(_) => without_superuser_rights(&sandbox, &list),
    };
    let listed = run(&sandbox, &mut command, |_| {});
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    print_head("A folder that cannot be read");
    print_row("mode 000", "list", &listed, &sandbox);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.out.contains("the folder cannot be listed: "), "{}", listed.out);
}

/// The program without the superuser's right to read and write what permissions forbid. `setpriv` belongs to util-linux; without it the test fails.
fn without_superuser_rights(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let program = sandbox.command(arguments);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(program.get_program()).args(arguments);
    command.env_clear().current_dir(sandbox.path("work")).env("XDG_DATA_HOME", sandbox.path("data"));
    command
}

#[test]
fn ten_thousand_files_are_looked_at_in_seconds() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    put_fixture(&folder, "libfixture.so");
    let start = fs::read(medcoss_test_support::sandbox::fixture()).unwrap()[..4096].to_vec();
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
