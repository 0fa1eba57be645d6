//! Files that are no plugins, or spoilt ones: each is named with the reason and the remedy, exit code 1, and nothing panics.

use std::fs;
use std::path::Path;

use medcoss_abi::CONTRACT_MINOR as MINOR;
use medcoss_test_support::sandbox::{Sandbox, build_folder, header_at, put_fixture, put_spoilt, replace};

/// Looks at a file by its path, which must fail as expected, and lists its folder, which must succeed and report the same error.
fn is_refused(sandbox: &Sandbox, path: &Path, reason: &str, hint: &str) {
    let inspected = sandbox.run(["plugin", "inspect", path.to_str().unwrap()]);
    assert_eq!(inspected.code, 1, "{inspected:?}");
    assert_eq!(inspected.out, "");
    let expected = format!("error: {}: {reason}", path.display());
    assert!(inspected.err.starts_with(&expected), "expected {expected}\nfound {}", inspected.err);
    assert!(inspected.err.contains(&format!("\nhint: {hint}")), "{}", inspected.err);

    let folder = path.parent().unwrap().to_str().unwrap();
    let listed = sandbox.run(["plugin", "list", "--no-builtin", "--plugin-dir", folder]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let expected = format!("\nRefused:\n  {}\n    {reason}", path.display());
    assert!(listed.out.contains(&expected), "expected {expected}\nfound {}", listed.out);
}

#[test]
fn files_that_are_no_elf_libraries_are_refused() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let file = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    is_refused(&sandbox, &file("empty.so", b""), "it is empty\n", "copy or build the file again");
    let text = file("text.so", b"#!/bin/sh\necho hello\n");
    is_refused(&sandbox, &text, "it is not an ELF shared library\n", "give the .so file");
    is_refused(&sandbox, &file("two.so", b"\x7fE"), "it is not an ELF shared library\n", "give the .so file");
    let start = file("start.so", b"\x7fELF\x02\x01\x01");
    is_refused(&sandbox, &start, "it is truncated or damaged: the header is incomplete\n", "copy or build");
}

#[test]
fn a_path_without_a_file_is_refused() {
    let sandbox = Sandbox::new();
    for (path, reason) in [
        ("gone.so", "it cannot be read: No such file"),
        ("./data/", "it cannot be read"),
        ("/", "it is not a regular file"),
    ] {
        let answer = sandbox.run(["plugin", "inspect", path]);
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.err.starts_with(&format!("error: {path}: {reason}")), "{}", answer.err);
        assert!(answer.err.contains("\nhint: "), "{}", answer.err);
    }
}

#[test]
fn truncated_libraries_are_refused_wherever_they_end() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    for (part, keep) in [("header", 100), ("page", 5000), ("half", usize::MAX / 2), ("end", usize::MAX)] {
        let path = put_spoilt(&folder, &format!("{part}.so"), |bytes| {
            let len = bytes.len();
            bytes.truncate(match keep {
                usize::MAX => len - 1,
                half if half > len => len / 2,
                keep => keep,
            });
        });
        is_refused(&sandbox, &path, "it is truncated or damaged: ", "copy or build the file again");
    }
}

#[test]
fn libraries_for_another_machine_are_refused() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let own = format!("this program is built for {}, 64 bit, little-endian\n", std::env::consts::ARCH);
    // e_machine is at 18, the class at 4, the byte order at 5.
    let other = put_spoilt(&folder, "machine.so", |bytes| bytes[18..20].copy_from_slice(&22u16.to_le_bytes()));
    is_refused(
        &sandbox,
        &other,
        &format!("it is built for s390, 64 bit, little-endian; {own}"),
        "build the plugin for this machine",
    );
    let narrow = put_spoilt(&folder, "narrow.so", |bytes| bytes[4] = 1);
    is_refused(
        &sandbox,
        &narrow,
        &format!("it is built for {}, 32 bit, little-endian; {own}", std::env::consts::ARCH),
        "build the plugin for",
    );
    let big = put_spoilt(&folder, "big.so", |bytes| bytes[5] = 2);
    is_refused(&sandbox, &big, "it is built for machine ", "build the plugin for this machine");
    let version = put_spoilt(&folder, "version.so", |bytes| bytes[6] = 9);
    is_refused(&sandbox, &version, "it is truncated or damaged: Unsupported ELF header", "copy or build");
    let kind = put_spoilt(&folder, "kind.so", |bytes| bytes[16] = 1);
    is_refused(&sandbox, &kind, "it is an ELF file, but not a shared library\n", "give the .so file");
}

#[test]
fn a_library_without_the_symbol_is_listed_as_a_helper_and_never_opened() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let procedural = fs::read_dir(build_folder())
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("libserde_derive-") && name.ends_with(".so")
        })
        .expect("cargo leaves procedural macros' libraries beside the program");
    let path = folder.join("macros.so");
    fs::copy(procedural, &path).unwrap();
    let listed = sandbox.run(["plugin", "list", "--no-builtin", "--plugin-dir", folder.to_str().unwrap()]);
    assert!(listed.code == 0 && !listed.out.contains("Refused"), "{}", listed.out);
    let helper =
        format!("Libraries without a plugin (the crate of a plugin calls export_plugin!):\n  {}\n", path.display());
    assert!(listed.out.contains(&helper), "{}", listed.out);
}

#[test]
fn symbols_of_another_contract_and_without_an_id_are_refused() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    let symbol = b"medcoss_plugin_v1_fixture";
    let next = put_spoilt(&folder, "next.so", |bytes| replace(bytes, symbol, b"medcoss_plugin_v2_fixture"));
    let reason = "it exports medcoss_plugin_v2_fixture, which is of another version of the plugin contract; this host speaks version 1\n";
    is_refused(&sandbox, &next, reason, "build the plugin against the SDK");
    let upper = put_spoilt(&folder, "upper.so", |bytes| replace(bytes, symbol, b"medcoss_plugin_v1_Fixture"));
    is_refused(
        &sandbox,
        &upper,
        "its symbol medcoss_plugin_v1_Fixture does not end in an id",
        "build the plugin against",
    );
}

#[test]
fn headers_that_differ_are_refused_field_by_field() {
    let sandbox = Sandbox::new();
    let spoil = |name: &str, offset: usize, value: &[u8]| {
        put_spoilt(&sandbox.folder(name), &format!("{name}.so"), |bytes| {
            let at = header_at(bytes) + offset;
            bytes[at..at + value.len()].copy_from_slice(value);
        })
    };
    let magic = spoil("magic", 0, b"Medcoss");
    is_refused(
        &sandbox,
        &magic,
        "its header begins with \"Medcoss-plugin\\0\\0\" instead of \"medcoss-plugin\"\n",
        "build it with the export_plugin! macro",
    );
    let version = spoil("version", 16, &2u32.to_ne_bytes());
    let reason = format!("it was built for version 2.{MINOR} of the plugin contract; this host speaks 1.{MINOR}\n");
    is_refused(&sandbox, &version, &reason, "build it against the SDK of this host's version");
    let format = spoil("format", 24, &12u32.to_ne_bytes());
    is_refused(&sandbox, &format, "its layout description has format 0.12; this host reads 0.11\n", "build it against");
    let size = spoil("size", 28, &8u32.to_ne_bytes());
    is_refused(&sandbox, &size, "its header has 8 bytes instead of ", "build it against");
}

#[test]
fn a_function_table_with_another_field_is_refused() {
    let sandbox = Sandbox::new();
    // Names of the table's fields, as the layout description keeps them.
    let path = put_spoilt(&sandbox.folder("plugins"), "layout.so", |bytes| {
        replace(bytes, b"attach;,describe;invoke", b"attach;,describe;revoke");
    });
    is_refused(&sandbox, &path, "its function table has another layout: ", "build it against the SDK");
}

#[test]
fn a_spoilt_file_keeps_its_id_and_hides_what_comes_later() {
    let sandbox = Sandbox::new();
    let (first, second) = (sandbox.folder("first"), sandbox.folder("second"));
    put_spoilt(&first, "old.so", |bytes| {
        let at = header_at(bytes) + 16;
        bytes[at] = 7;
    });
    put_fixture(&second, "new.so");
    let folders = ["--plugin-dir", first.to_str().unwrap(), "--plugin-dir", second.to_str().unwrap()];
    let answer = sandbox.run(["plugin", "inspect", "fixture"].iter().chain(&folders));
    assert_eq!(answer.code, 1);
    let expected = format!(
        "error: SANDBOX/first/old.so: it was built for version 7.{MINOR} of the plugin contract; this host speaks 1.{MINOR}\n\
         hint: build it against the SDK of this host's version\n"
    );
    assert_eq!(sandbox.anonymous(&answer.err), expected);
}
