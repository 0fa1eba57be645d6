//! What an author meets: the written module, packing, and mistakes.

use std::fs;
use std::process::Command;

use medcoss_abi::code;
use medcoss_abi::label_maps::decode;
use medcoss_abi::message::LabelMaps;
use medcoss_python_bridge::{PackRequest, pack, scaffold};
use serde_json::Value;

use crate::plugin::{Plugin, bridge, folder_of, packed, python};

#[test]
fn the_tests_of_the_written_module_pass() {
    let place = tempfile::tempdir().unwrap();
    for file in scaffold("my_eeg", "eeg") {
        assert!(!file.text.contains("{{"), "{} has a gap", file.name);
        fs::write(place.path().join(file.name), file.text).unwrap();
    }
    let tests = Command::new(python()).args(["-m", "unittest"]).current_dir(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&tests.stderr).into_owned();
    assert!(tests.status.success() && said.contains("Ran 3 tests"), "{said}");
}

#[test]
fn a_packed_library_holds_its_sources_and_one_for_development_reads_them() {
    let source = |value: i32| {
        include_str!("modules/commands.py")
            .replace("id = \"commands\"", "id = \"changing\"")
            .replace("rng.normal(size=(4, 2))", &format!("np.full((4, 2), inner.value() + {value})"))
            .replace("import ctypes", "import ctypes\nfrom parts import inner")
    };
    let (place, folder) = folder_of("changing", &source(1));
    fs::create_dir(folder.join("parts")).unwrap();
    fs::write(folder.join("parts/__init__.py"), "").unwrap();
    fs::write(folder.join("parts/inner.py"), "def value():\n    return 10\n").unwrap();
    fs::write(place.path().join("a.txt"), "fine").unwrap();

    let one = packed(&folder, false).unwrap();
    assert_eq!(one.files, ["changing.py", "parts/__init__.py", "parts/inner.py"]);
    let again = place.path().join("again.so");
    let request = PackRequest { bridge: &bridge(), folder: &folder, out: Some(&again), is_for_development: false };
    assert_eq!(pack(&request).unwrap().library, again);
    assert!(fs::read(&one.library).unwrap() == fs::read(&again).unwrap(), "the same sources give the same library");
    let development = place.path().join("development.so");
    let request = PackRequest { out: Some(&development), is_for_development: true, ..request };
    pack(&request).unwrap();

    fs::write(folder.join("changing.py"), source(2)).unwrap();
    for (library, version, expected) in [(&one.library, "0.1.0", 11.0), (&development, "0.1.0+dev", 12.0)] {
        let plugin = Plugin::load(library, "changing");
        assert_eq!(plugin.describe().unwrap()["version"], version);
        let opened = plugin.open(place.path(), &["a.txt"], Value::Null).unwrap();
        let filled = opened.fill(&[(0, 1)]);
        assert_eq!((filled.reports, filled.tokens[0]), (vec![], expected));
    }

    // The host loads a copy in memory, by its descriptor.
    let copy = rustix::fs::memfd_create("copy", rustix::fs::MemfdFlags::empty()).unwrap();
    let copy = fs::File::from(copy);
    std::io::copy(&mut fs::File::open(&again).unwrap(), &mut &copy).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
    assert_eq!(Plugin::load(path.as_ref(), "changing").describe().unwrap()["id"], "changing");

    // The id of a library for development is in its symbol.
    fs::write(folder.join("changing.py"), source(2).replace("\"changing\"", "\"changed\"")).unwrap();
    let third = place.path().join("third.so");
    fs::copy(&development, &third).unwrap();
    let error = Plugin::load(&third, "changing").describe().unwrap_err();
    assert!(error.contains("the module's id is \\\"changed\\\", and the library was packed as changing"), "{error}");
}

#[test]
fn mistakes_in_a_module_are_named_when_it_is_packed() {
    let whole = include_str!("modules/letters.py");
    for (source, expected) in [
        (
            "x = $".to_string(),
            "mistaken.py raised SyntaxError: invalid syntax (mistaken.py, line 1) (at mistaken.py:1)",
        ),
        ("x = 1".into(), "mistaken.py has 0 subclasses of Modality (none); one was expected"),
        (
            format!("{whole}\nclass Second(Letters): pass\n"),
            "mistaken.py has 2 subclasses of Modality (Letters, Second)",
        ),
        (format!("import nibabbel\n{whole}"), "mistaken.py needs the Python module nibabbel, which the Python at"),
        (
            whole.replace("id = \"letters\"", "id = \"My-Letters\""),
            "the module's id is \"My-Letters\"; a lower-case letter",
        ),
        (whole.replace("id = \"letters\"", "id = 3"), "the module's description is not as expected"),
        (whole.replace("\"Letters of a sample.\"", "\"\""), "option length has no description"),
        (whole.replace("length: int", "length: bytes"), "options have a field of type <class 'bytes'>"),
        (
            whole.replace("return sequence(options.length", "return sequence(options.size"),
            "AttributeError: 'Options' object has no",
        ),
        (
            format!("{whole}\nimport os\nos._exit(4)\n"),
            "the worker of mistaken ended with exit code 4 while it imported the module",
        ),
        (format!("{whole}\n# {}", "x".repeat(600_000)), "a library holds 524288\nhint: move data out of the sources"),
    ] {
        let (_place, folder) = folder_of("mistaken", &source);
        let error = packed(&folder, false).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(fs::read_dir(&folder).unwrap().count() == 1, "nothing is written");
    }
}

#[test]
fn a_mask_belongs_to_the_file_whose_name_it_has() {
    let source = include_str!("modules/everything.py").replace("id = \"everything\"", "id = \"masked\"");
    let plugin = Plugin::of_source("masked", &source);
    let place = tempfile::tempdir().unwrap();
    for (name, n) in [("images/a/one_0000.raw", 240), ("images/b/one_0000.raw", 240), ("images/two_0000.raw", 240)] {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; n]).unwrap();
    }
    for (name, label) in
        [("labels/a/one_seg.labels", 1), ("labels/b/one_seg.labels", 2), ("labels/other_seg.labels", 3)]
    {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![label; 60]).unwrap();
    }
    let opened = plugin.open(place.path(), &["images"], Value::Null).unwrap();
    let request = LabelMaps {
        base: place.path().into(),
        data: vec!["labels".into()],
        mask_suffix: "_seg".into(),
        sample_suffix: "_0000".into(),
        indices: vec![1, 2, 0],
        ..LabelMaps::default()
    };
    let asked = |request: &LabelMaps| opened.query_bytes("label-maps", &serde_json::to_vec(request).unwrap());
    let (header, labels) = decode(&asked(&request).unwrap()).unwrap();
    assert_eq!(header.shape, [3, 20]);
    assert_eq!(labels, [[2; 60], [1; 60]].concat());
    assert_eq!(header.samples[0].spacing_mm, Some(vec![1.0, 0.125]));
    let error = header.samples[1].error.as_ref().unwrap();
    assert_eq!(error.code, code::UNREADABLE);
    assert!(
        error.message.starts_with("images/two_0000.raw has no mask: none of 3 mask files has its name"),
        "{error:?}"
    );

    // Without the folders a name fits two files.
    let flat = LabelMaps { data: vec!["labels/a".into()], ..request.clone() };
    let (header, labels) = decode(&asked(&flat).unwrap()).unwrap();
    assert_eq!(labels, [0; 0]);
    let error = header.samples[2].error.as_ref().unwrap();
    assert!(
        error.message.starts_with("mask labels/a/one_seg.labels fits both images/a/one_0000.raw and images/b"),
        "{error:?}"
    );
    let (code, error) = asked(&LabelMaps { mask_suffix: "_mask".into(), ..request }).unwrap_err();
    assert!(code == code::BAD_REQUEST && error.contains("none of 3 masks has a name that ends in '_mask'"), "{error}");
}

#[test]
fn a_folder_without_a_module_and_a_file_that_is_no_bridge_are_refused() {
    let (place, folder) = folder_of("one", include_str!("modules/letters.py"));
    fs::rename(folder.join("one.py"), folder.join("letters.py")).unwrap();
    assert_eq!(packed(&folder, false).unwrap().id, "letters", "the only file is the module");
    fs::write(folder.join("other.py"), "").unwrap();
    let error = packed(&folder, false).unwrap_err().to_string();
    assert!(
        error.contains("neither one.py nor exactly one other file of Python (found: letters.py, other.py)"),
        "{error}"
    );
    fs::remove_file(folder.join("other.py")).unwrap();
    let request =
        PackRequest { bridge: &place.path().join("nothing.so"), folder: &folder, out: None, is_for_development: false };
    assert!(pack(&request).unwrap_err().to_string().contains("nothing.so cannot be read: No such file"));
    let executable = std::env::current_exe().unwrap();
    let error = pack(&PackRequest { bridge: &executable, ..request }).unwrap_err().to_string();
    assert!(error.contains("it is not the bridge of this version"), "{error}");
    let packed = packed(&folder, false).unwrap();
    let error = pack(&PackRequest { bridge: &packed.library, ..request }).unwrap_err().to_string();
    assert!(error.contains("it is not the bridge of this version: it does not export its symbol"), "{error}");
}
