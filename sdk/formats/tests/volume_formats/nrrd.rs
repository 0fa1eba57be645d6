//! NRRD.

use super::*;

/// A header with these lines changed, added or, with an empty value, left out, and its end.
fn header(changes: &[(&str, &str)]) -> String {
    let mut fields: Vec<(&str, &str)> = vec![
        ("type", "signed short"),
        ("dimension", "3"),
        ("space", "left-posterior-superior"),
        ("sizes", "5 4 3"),
        ("space directions", "(0.5,0,0) (0,0.75,0) (0,0,2.5)"),
        ("kinds", "domain domain domain"),
        ("endian", "little"),
        ("encoding", "raw"),
        ("space origin", "(10,-20,30)"),
    ];
    for &(name, value) in changes {
        match fields.iter_mut().find(|(field, _)| *field == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    let lines = fields.iter().filter(|(_, value)| !value.is_empty());
    let lines: String = lines.map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("NRRD0005\n# made for a test: type: float\n{lines}key:=value\n\n")
}

fn golden_bytes() -> Vec<u8> {
    golden_numbers().into_iter().flat_map(i16::to_le_bytes).collect()
}

fn file(changes: &[(&str, &str)], voxels: &[u8]) -> Vec<u8> {
    [header(changes).as_bytes(), voxels].concat()
}

/// Header fields of a body in a space, given by its signs in right, anterior, superior.
fn fields_of(body: &Body, space: &'static str, signs: [f64; 3]) -> [(&'static str, String); 3] {
    let directions = body.steps.map(|step| {
        let [x, y, z] = [0, 1, 2].map(|part| step[part] * signs[part]);
        format!("({x},{y}, {z})")
    });
    let sizes = body.size.map(|n| n.to_string()).join(" ");
    [("space", space.to_owned()), ("space directions", directions.join(" ")), ("sizes", sizes)]
}

const SPACES: [(&str, [f64; 3]); 6] = [
    ("left-posterior-superior", [-1.0, -1.0, 1.0]),
    ("LPS", [-1.0, -1.0, 1.0]),
    ("right-anterior-superior", [1.0, 1.0, 1.0]),
    ("RAS", [1.0, 1.0, 1.0]),
    ("Left-Anterior-Superior", [-1.0, 1.0, 1.0]),
    ("LAS", [-1.0, 1.0, 1.0]),
];

#[test]
fn every_orientation_in_every_space_gives_what_nifti_gives() {
    for (at, facing) in facings().into_iter().enumerate() {
        let (space, signs) = SPACES[at % SPACES.len()];
        let body = Body::facing(&facing);
        let fields = fields_of(&body, space, signs);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_as_nifti(&body, &[("scan.nrrd", &file(&fields, &body.bytes()))], &format!("{facing} in {space}"));
    }
}

#[test]
fn compressed_detached_and_big_endian_voxels_are_those_of_nifti() {
    let body = Body::facing("PIR");
    let (own, bytes) = (fields_of(&body, "RAS", [1.0; 3]), body.bytes());
    let with = |more: &[(&'static str, &'static str)]| {
        let fields = own.iter().map(|(name, value)| (*name, value.as_str()));
        header(&fields.chain(more.iter().copied()).collect::<Vec<_>>()).into_bytes()
    };
    let local = |more: &[(&'static str, &'static str)], voxels: &[u8]| [with(more), voxels.to_vec()].concat();
    assert_as_nifti(&body, &[("scan.nrrd", &local(&[("endian", "big")], &body.big_endian_bytes()))], "big-endian");
    assert_as_nifti(&body, &[("scan.nrrd", &local(&[("encoding", "gzip")], &gzip(&bytes)))], "gzip");
    let long = [b"one\ntwo\nabc", bytes.as_slice()].concat();
    let skip = [("line skip", "2"), ("byte skip", "3")];
    assert_as_nifti(&body, &[("scan.nrrd", &local(&skip, &long))], "skips");
    let skip = [("lineskip", "2"), ("byteskip", "3"), ("datafile", "./voxels.raw")];
    assert_as_nifti(&body, &[("scan.nhdr", &with(&skip)), ("voxels.raw", &long)], "skips, detached");
    let end = [("byte skip", "-1"), ("data file", "voxels.raw")];
    assert_as_nifti(&body, &[("scan.nhdr", &with(&end)), ("voxels.raw", &long)], "at the end");
    assert_as_nifti(&body, &[("scan.nrrd", &local(&[("byte skip", "-1")], &long))], "at the end of the same file");
    let gz = [("data file", "voxels.raw.gz"), ("encoding", "gz")];
    assert_as_nifti(&body, &[("scan.nhdr", &with(&gz)), ("voxels.raw.gz", &gzip(&bytes))], "gzip, detached");
    let lines = [&b"one\n"[..], &gzip(&bytes)].concat();
    assert_as_nifti(
        &body,
        &[("scan.nrrd", &local(&[("encoding", "gzip"), ("line skip", "1")], &lines))],
        "line and gzip",
    );
    // A detached header needs no empty line at its end.
    let unended = header(&[("data file", "voxels.raw")]).trim_end().to_owned();
    let found = read_files(&[("scan.nhdr", unended.as_bytes()), ("voxels.raw", &golden_bytes())]).unwrap();
    assert_eq!(found, read("scan.nrrd", &file(&[], &golden_bytes())).unwrap());
}

#[test]
fn an_oblique_scan_is_that_of_simpleitk() {
    // SimpleITK 2.5.7: DICOMOrient(ReadImage(file), "LPS"). The directions are those of the oblique matrix by spacing.
    let directions = "(0.099503719,-0.4477667355,0.199007438) (-0.07277569425,0.2896022475,0.68799290475) \
                      (-2.4379555875,-0.55293838,-0.025133562499999998)";
    for (space, values) in [
        ("left-posterior-superior", GOLDEN_VALUES),
        ("RAS", [0.0, 740.0, 37.0, 185.0, 165.0, 999.0]),
        ("left-anterior-superior", [471.0, 740.0, 508.0, 656.0, 703.0, 999.0]),
    ] {
        let oblique = file(&[("space", space), ("space directions", directions)], &golden_bytes());
        assert_golden(&read("scan.nrrd", &oblique).unwrap().volume, values, space);
    }
}

#[test]
fn a_space_that_says_nothing_of_the_body_is_noted_as_in_nifti() {
    for changes in [
        [("space", "scanner-xyz"), ("kinds", "")],
        [("space", "3D-right-handed"), ("kinds", "")],
        [("space", ""), ("space dimension", "3")],
    ] {
        let found = info("scan.nrrd", &file(&changes, &golden_bytes()));
        assert!(found.notes[0].contains("right, anterior, superior"), "{found:?}");
        assert_eq!((found.size, found.spacing_mm), ([3, 4, 5], [2.5, 0.75, 0.5]));
    }
    let plain = [("space", ""), ("space directions", ""), ("space origin", ""), ("spacings", "0.5 0.75 2.5")];
    let found = info("scan.nrrd", &file(&plain, &golden_bytes()));
    assert!(found.notes.len() == 1 && found.notes[0].contains("right, anterior, superior"), "{found:?}");
    assert_eq!((found.size, found.spacing_mm), ([3, 4, 5], [2.5, 0.75, 0.5]));
    let voxels = read("scan.nrrd", &file(&plain, &golden_bytes())).unwrap().volume;
    // Right and anterior are turned to left and posterior: the first voxel is the last of the first slice.
    assert_eq!(voxels.voxels()[..3], [703.0, 666.0, 629.0]);
    let units = [plain.as_slice(), &[("units", "\"cm\" \"cm\" \"cm\""), ("spacings", "0.05 0.075 0.25")]].concat();
    assert_eq!(info("scan.nrrd", &file(&units, &golden_bytes())).spacing_mm, [2.5, 0.75, 0.5]);
    let bare = [plain.as_slice(), &[("spacings", "")]].concat();
    let found = info("scan.nrrd", &file(&bare, &golden_bytes()));
    assert!(found.notes.len() == 2 && found.notes[1].contains("spacing") && found.spacing_mm == [1.0; 3], "{found:?}");
    for directions in ["(nan,0,0) (0,1,0) (0,0,1)", "(1,0,0) (1,0,0) (0,0,1)"] {
        let found = info("scan.nrrd", &file(&[("space directions", directions)], &golden_bytes()));
        assert!(found.notes[0].contains("orientation"), "{directions}: {found:?}");
    }
    let micrometres = [("space units", "\"um\" \"um\" \"um\""), ("space directions", "(500,0,0) (0,750,0) (0,0,2500)")];
    assert_eq!(info("scan.nrrd", &file(&micrometres, &golden_bytes())).spacing_mm, [2.5, 0.75, 0.5]);
}

#[test]
fn every_version_and_spelling_of_a_type_is_read() {
    for version in 1..=5 {
        let text = header(&[]).replace("NRRD0005", &format!("NRRD000{version}")).replace('\n', "\r\n");
        let found = read("scan.nrrd", &[text.as_bytes(), &golden_bytes()].concat()).unwrap();
        assert_eq!(found, read("scan.nrrd", &file(&[], &golden_bytes())).unwrap());
    }
    refused("scan.nrrd", &file(&[], &[]).replacen(b"NRRD0005", b"NRRD0009"), code::CORRUPT, "NRRD0009");
    let types: [(&[&str], Vec<u8>, f32); 10] = [
        (&["uchar", "unsigned char", "uint8", "uint8_t"], vec![200], 200.0),
        (&["signed char", "int8", "int8_t"], vec![200], -56.0),
        (&["ushort", "unsigned short int", "uint16_t"], 60_000_u16.to_le_bytes().to_vec(), 60_000.0),
        (&["short", "short int", "int16", "SHORT"], (-3000_i16).to_le_bytes().to_vec(), -3000.0),
        (&["uint", "unsigned int", "uint32"], 3_000_000_000_u32.to_le_bytes().to_vec(), 3e9),
        (&["int", "signed int", "int32_t"], (-70_000_i32).to_le_bytes().to_vec(), -70_000.0),
        (&["ulonglong", "unsigned long long", "uint64"], (1_u64 << 40).to_le_bytes().to_vec(), (1_u64 << 40) as f32),
        (&["longlong", "long long int", "int64_t"], (-(1_i64 << 40)).to_le_bytes().to_vec(), -((1_u64 << 40) as f32)),
        (&["float"], 0.25_f32.to_le_bytes().to_vec(), 0.25),
        (&["double"], (-1.5e3_f64).to_le_bytes().to_vec(), -1.5e3),
    ];
    for (names, bytes, value) in types {
        for name in names {
            let found = read("scan.nrrd", &file(&[("type", name)], &bytes.repeat(60))).unwrap();
            assert_eq!(found.volume.voxels(), [value; 60], "{name}");
        }
    }
}

trait Replaced {
    fn replacen(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl Replaced for Vec<u8> {
    fn replacen(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self.windows(from.len()).position(|window| window == from).unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}

#[test]
fn of_axes_that_are_not_in_space_the_first_value_is_read() {
    let one = read("scan.nrrd", &file(&[], &golden_bytes())).unwrap();
    // Two numbers in each voxel, as pynrrd 1.1.3 writes an array of vectors: the axis that is not in space is first.
    let pairs: Vec<u8> =
        golden_numbers().into_iter().flat_map(|number| [number, -1]).flat_map(i16::to_le_bytes).collect();
    let first = [
        ("dimension", "4"),
        ("sizes", "2 5 4 3"),
        ("space directions", "none (0.5,0,0) (0,0.75,0) (0,0,2.5)"),
        ("kinds", "vector domain domain domain"),
    ];
    assert_eq!(read("scan.nrrd", &file(&first, &pairs)).unwrap(), one);
    assert!(info("scan.nrrd", &file(&first, &pairs)).notes[0].contains("several volumes"));
    let folder = tempfile::tempdir().unwrap();
    assert_slabs(&source_of(folder.path(), &[("scan.nrrd", &file(&first, &pairs))]).unwrap(), "pairs");
    // Volumes one behind the other.
    let last = [
        ("dimension", "4"),
        ("sizes", "5 4 3 2"),
        ("space directions", "(0.5,0,0) (0,0.75,0) (0,0,2.5) none"),
        ("kinds", "domain domain domain list"),
    ];
    assert_eq!(read("scan.nrrd", &file(&last, &golden_bytes().repeat(2))).unwrap(), one);
    // By kinds alone, and by nothing: then the first three axes are in space, as in NIfTI.
    let undirected = |changes: &[(&'static str, &'static str)], voxels: &[u8]| {
        let plain = [("space", ""), ("space directions", ""), ("spacings", "nan 0.5 0.75 2.5")];
        read("scan.nrrd", &file(&[changes, &plain].concat(), voxels)).unwrap().volume
    };
    let by_kinds = undirected(&[("dimension", "4"), ("sizes", "2 5 4 3"), ("kinds", "list space space space")], &pairs);
    assert_eq!((by_kinds.size(), by_kinds.voxels()[0]), ([3, 4, 5], 703.0));
    let by_order = undirected(&[("dimension", "4"), ("sizes", "5 4 3 2"), ("kinds", "")], &golden_bytes().repeat(2));
    assert_eq!((by_order.size(), by_order.voxels()[0]), ([3, 4, 5], 703.0));
    let image = [("dimension", "2"), ("sizes", "5 4"), ("space", ""), ("space directions", ""), ("kinds", "")];
    assert_eq!(read("scan.nrrd", &file(&image, &golden_bytes())).unwrap().volume.size(), [1, 4, 5]);
}

#[test]
fn what_is_not_read_is_named() {
    let numbers = golden_bytes();
    let is_refused = |changes: &[(&str, &str)], code: i32, says: &str| {
        refused("scan.nrrd", &file(changes, &numbers), code, says);
    };
    for encoding in ["bzip2", "ascii", "hex"] {
        is_refused(&[("encoding", encoding)], code::UNSUPPORTED, encoding);
    }
    is_refused(&[("data file", "LIST")], code::UNSUPPORTED, "many files");
    is_refused(&[("data file", "slice%03d.raw 1 3 1")], code::UNSUPPORTED, "many files");
    is_refused(&[("type", "block")], code::UNSUPPORTED, "block");
    let colour = [("kinds", "RGB-color domain domain domain"), ("dimension", "4"), ("sizes", "3 5 4 1")];
    is_refused(&colour, code::UNSUPPORTED, "rgb-color");
    let apart =
        [("dimension", "4"), ("sizes", "5 1 4 3"), ("space directions", "(1,0,0) none (0,1,0) (0,0,1)"), ("kinds", "")];
    is_refused(&apart, code::UNSUPPORTED, "3 of 4 axes in space");
    is_refused(&[("space directions", "(1,0,0) (0,0,0) (0,0,1)")], code::UNSUPPORTED, "2 of 3 axes in space");
    is_refused(&[("encoding", "gzip"), ("byte skip", "3")], code::UNSUPPORTED, "byte skip of 3");
    for name in ["../voxels.raw", "/etc/hostname", "below/voxels.raw"] {
        is_refused(&[("data file", name)], code::UNSUPPORTED, "folder of the header alone");
    }
    is_refused(&[("data file", "none.raw")], code::UNREADABLE, "none.raw");
}

#[test]
fn headers_that_cannot_be_right_are_refused() {
    let numbers = golden_bytes();
    let is_refused = |changes: &[(&str, &str)], says: &str| {
        refused("scan.nrrd", &file(changes, &numbers), code::CORRUPT, says);
    };
    is_refused(&[("sizes", "5 4 4")], "too few");
    is_refused(&[("sizes", "65535 65535 65535")], "too few");
    is_refused(&[("encoding", "gzip"), ("sizes", "60000 60000 60000")], "too few");
    is_refused(&[("sizes", "5 -4 3")], "sizes");
    is_refused(&[("sizes", "5 0 3")], "at least 1");
    is_refused(&[("sizes", "5 4")], "sizes");
    is_refused(&[("sizes", "")], "without the field sizes");
    is_refused(&[("dimension", "17")], "17");
    is_refused(&[("endian", "")], "endian");
    is_refused(&[("space directions", "(1,0,0) (0,1,0)")], "2 space directions of 3 axes");
    is_refused(&[("space directions", "(1,0) (0,1) (0,0)")], "(x,y,z)");
    is_refused(&[("space directions", "(1,0,0) (0,a,0) (0,0,1)")], "(x,y,z)");
    is_refused(&[("line skip", "-1")], "line skip");
    is_refused(&[("byte skip", "-2")], "byte skip");
    is_refused(&[("byte skip", "9223372036854775807")], "too few");
    is_refused(&[("encoding", "gzip"), ("byte skip", "-1")], "byte skip");
    let many = [
        ("dimension", "4"),
        ("sizes", "18446744073709551615 5 4 3"),
        ("space directions", "none (1,0,0) (0,1,0) (0,0,1)"),
        ("kinds", ""),
    ];
    is_refused(&many, "too few");
    refused("scan.nrrd", b"NRRD0004\n# one\nnonsense\n\n", code::CORRUPT, "line 3 is no");
    refused("scan.nrrd", b"NRRD0004\ntype: short\ntype: short\n\n", code::CORRUPT, "type twice");
    refused("scan.nrrd", &[b"NRRD0004\n# ".as_slice(), &[b'x'; 2 << 20]].concat(), code::CORRUPT, "more than");
    let wide = [("dimension", "4"), ("sizes", "40000000 5 1 1"), ("space directions", "none (1,0,0) (0,1,0) (0,0,1)")];
    // As much as so many compressed bytes may hold.
    let zeros = vec![0; 400_000];
    let wide = [wide.as_slice(), &[("kinds", ""), ("encoding", "gzip")]].concat();
    refused("scan.nrrd", &file(&wide, &zeros), code::UNSUPPORTED, "40000000 numbers in each voxel");
}

#[test]
fn no_byte_of_a_file_can_make_reading_panic() {
    let (header, numbers) = (header(&[]), golden_bytes());
    assert_no_panic("scan.nrrd", &[header.as_bytes(), &numbers].concat(), header.len());
}
