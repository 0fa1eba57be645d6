//! Patient data in outputs: names, numbers and dates are planted in every input, and every byte of every output is
//! searched for them. `PRIVACY.md` has the same table of which output may contain what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use medcoss_test_support::program::{command, text};

/// A place in the inputs, with a planted name, number and date of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Elements, meta information and private elements of DICOM.
    Dicom,
    /// Header and extension of NIfTI.
    Nifti,
    /// Text chunks of PNG.
    Png,
    /// Tags of TIFF, and a second page.
    Tiff,
    /// Texts of reports.
    Report,
    /// Names of image files.
    FileName,
    /// Cells of a table of labels that are no labels.
    LabelTable,
    /// Comments of the configuration and of the tasks file.
    Comment,
}

const PLACES: [Place; 8] = [
    Place::Dicom,
    Place::Nifti,
    Place::Png,
    Place::Tiff,
    Place::Report,
    Place::FileName,
    Place::LabelTable,
    Place::Comment,
];

impl Place {
    fn planted(self) -> [String; 3] {
        let at = PLACES.iter().position(|place| *place == self).unwrap();
        let letter = char::from(b'a' + at as u8);
        [format!("quillfeather{letter}{letter}"), format!("77391{at}264"), format!("194{at}0816")]
    }

    fn all(self) -> String {
        self.planted().join(" ")
    }
}

/// Outputs, and the places whose planted texts they may contain. An output contains no others.
const MAY_HOLD: [(&str, &[Place]); 11] = [
    ("buffer.jsonl", &[Place::FileName]),
    ("kept.jsonl", &[Place::Report]),
    ("run folder, all other files", &[]),
    ("evaluation", &[]),
    ("report", &[Place::FileName, Place::Report]),
    ("report --anonymous", &[]),
    ("export", &[]),
    ("embed", &[Place::FileName]),
    ("embed --id-key", &[]),
    ("event files of report --anonymous", &[]),
    ("messages", &[]),
];

fn grey(seed: u32, at: usize) -> u8 {
    ((at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed * 977) >> 24) as u8
}

fn png(path: &Path, seed: u32) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 64, 64);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.add_text_chunk("Patient".into(), Place::Png.all()).unwrap();
    let pixels: Vec<u8> = (0..64 * 64).map(|at| grey(seed, at)).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

fn dicom(path: &Path, seed: u32) {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    let mut put = |group: u16, element: u16, vr: &[u8; 2], value: &[u8]| {
        file.extend([group.to_le_bytes(), element.to_le_bytes()].concat());
        file.extend(vr);
        let length = value.len().next_multiple_of(2);
        match vr {
            b"OB" => file.extend([&[0, 0][..], &(length as u32).to_le_bytes()].concat()),
            _ => file.extend((length as u16).to_le_bytes()),
        }
        file.extend(value);
        file.resize(file.len() + length - value.len(), b' ');
    };
    let planted = Place::Dicom.all();
    let [name, number, date] = Place::Dicom.planted();
    put(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0");
    put(2, 0x16, b"AE", planted.as_bytes());
    put(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.1\0");
    put(8, 0x18, b"UI", format!("1.2.3.{number}").as_bytes());
    put(8, 0x20, b"DA", date.as_bytes());
    put(8, 0x60, b"CS", b"CR");
    put(8, 0x80, b"LO", planted.as_bytes());
    put(0x10, 0x10, b"PN", name.as_bytes());
    put(0x10, 0x20, b"LO", number.as_bytes());
    put(0x10, 0x30, b"DA", date.as_bytes());
    put(0x20, 0x0e, b"UI", format!("1.2.3.{number}.1").as_bytes());
    put(0x28, 2, b"US", &1_u16.to_le_bytes());
    put(0x28, 4, b"CS", b"MONOCHROME2");
    for (element, value) in [(0x10, 64_u16), (0x11, 64), (0x100, 8), (0x101, 8), (0x102, 7), (0x103, 0)] {
        put(0x28, element, b"US", &value.to_le_bytes());
    }
    put(0x28, 0x301, b"CS", b"YES");
    put(0x29, 0x10, b"LO", planted.as_bytes());
    let pixels: Vec<u8> = (0..64 * 64).map(|at| grey(seed, at)).collect();
    put(0x7fe0, 0x10, b"OB", &pixels);
    fs::write(path, file).unwrap();
}

fn tiff(path: &Path, seed: u32) {
    let planted = Place::Tiff.all();
    let pixels: Vec<u8> = (0..64 * 64).map(|at| grey(seed, at)).collect();
    let description = 8 + pixels.len() as u32;
    let directory = (description + planted.len() as u32 + 1).next_multiple_of(2);
    let mut file = b"II*\0".to_vec();
    file.extend(directory.to_le_bytes());
    file.extend(&pixels);
    file.extend(planted.as_bytes());
    file.resize(directory as usize, 0);
    let long = |value: u32| (4_u16, 1_u32, value);
    let short = |value: u32| (3_u16, 1_u32, value);
    let entries = [
        (256_u16, long(64)),
        (257, long(64)),
        (258, short(8)),
        (259, short(1)),
        (262, short(1)),
        (270, (2, planted.len() as u32 + 1, description)),
        (273, long(8)),
        (277, short(1)),
        (278, long(64)),
        (279, long(64 * 64)),
    ];
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, (format, count, value)) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(format.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.extend(planted.as_bytes());
    fs::write(path, file).unwrap();
}

fn nifti(path: &Path, seed: u32) {
    let planted = Place::Nifti.all();
    let size = [48_u16, 48, 32];
    let mut file = vec![0_u8; 348];
    file[..4].copy_from_slice(&348_i32.to_le_bytes());
    let dimensions: Vec<u8> =
        [3, size[0], size[1], size[2], 1, 1, 1, 1].into_iter().flat_map(u16::to_le_bytes).collect();
    file[40..56].copy_from_slice(&dimensions);
    file[70..72].copy_from_slice(&4_u16.to_le_bytes());
    file[72..74].copy_from_slice(&16_u16.to_le_bytes());
    let spacing: Vec<u8> = [1.0_f32; 8].into_iter().flat_map(f32::to_le_bytes).collect();
    file[76..108].copy_from_slice(&spacing);
    let extension = (8 + planted.len()).next_multiple_of(16);
    file[108..112].copy_from_slice(&((352 + extension) as f32).to_le_bytes());
    file[123] = 2;
    // db_name, descrip, aux_file and intent_name.
    for (at, length) in [(14, 18), (148, 80), (228, 24), (328, 16)] {
        let n = planted.len().min(length);
        file[at..at + n].copy_from_slice(&planted.as_bytes()[..n]);
    }
    file[344..348].copy_from_slice(b"n+1\0");
    file.extend([1, 0, 0, 0]);
    file.extend((extension as u32).to_le_bytes());
    file.extend(6_u32.to_le_bytes());
    file.extend(planted.as_bytes());
    file.resize(352 + extension, 0);
    let voxels = size.iter().map(|&n| usize::from(n)).product();
    file.extend((0..voxels).flat_map(|at| (i16::from(grey(seed, at)) * 4 - 500).to_le_bytes()));
    fs::write(path, file).unwrap();
}

/// Writes all inputs below a folder.
fn plant(folder: &Path) {
    let name = Place::FileName.planted().join("_");
    let (xray, ct) = (folder.join("xray"), folder.join("ct"));
    fs::create_dir_all(&xray).unwrap();
    fs::create_dir_all(&ct).unwrap();
    let mut table = String::from("file,finding,patient,seen\n");
    let [_, number, date] = Place::LabelTable.planted();
    for at in 0..16_u32 {
        let (extension, write): (&str, fn(&Path, u32)) = match at % 4 {
            0 => ("dcm", dicom),
            1 => ("tif", tiff),
            _ => ("png", png),
        };
        let file = format!("{name}_{at}.{extension}");
        write(&xray.join(&file), at);
        let finding = ["calm", "loud"][at as usize / 4 % 2];
        table.push_str(&format!("{file},{finding},{number}{} {},{date}\n", at / 2, Place::LabelTable.planted()[0]));
    }
    fs::write(folder.join("labels.csv"), table).unwrap();
    for at in 0..6 {
        nifti(&ct.join(format!("{name}_{at}.nii")), at);
    }
    let mut reports = String::from("report,finding\n");
    for at in 0..24 {
        // Planted in four reports: one fewer than the vocabulary requires of a word.
        let seen = if at % 6 == 0 { Place::Report.all() } else { String::from("nobody") };
        let finding = ["calm", "loud"][at % 2];
        reports.push_str(&format!("\"seen was {seen} with a {finding} heart and clear lungs\",{finding}\n"));
    }
    fs::write(folder.join("reports.csv"), reports).unwrap();
    let comment = Place::Comment.all();
    fs::write(folder.join("run.toml"), format!("# {comment}\n{RUN} # {comment}\n")).unwrap();
    fs::write(folder.join("tasks.toml"), format!("# {comment}\n{TASKS} # {comment}\n")).unwrap();
}

const RUN: &str = r#"
[model]
preset = "demo"
[buffer]
store = "materialised"
ratio = 1.0
cluster_ratio = 0.2
[training]
epochs = 1
batch_size = 4
[[stage]]
modality = "xray"
data = "xray"
options = { size = 48, labels = { file = "labels.csv", key_column = "file", label_column = "finding" } }
[[stage]]
modality = "ct"
data = "ct"
options = { size = [16, 48, 48] }
[[stage]]
modality = "text"
data = "reports.csv"
options = { text_column = "report", label_column = "finding", max_length = 128, vocab_size = 300 }
"#;

const TASKS: &str = r#"
[[task]]
name = "findings"
modality = "xray"
data = "xray"
protocol = "knn"
k = 1
labels = { table = "labels.csv", key = "file", label = "finding", group = "patient" }
split = { test = 0.5 }
"#;

/// Finds the planted texts in bytes: as they are, in either case, as UTF-16, within gzip, and within images of a page.
fn search(bytes: &[u8], found: &mut BTreeSet<Place>) {
    let lower: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
    for place in PLACES {
        let is_there = place.planted().iter().any(|planted| {
            let wide: Vec<u8> = planted.encode_utf16().flat_map(u16::to_le_bytes).collect();
            [planted.as_bytes(), &wide].iter().any(|wanted| lower.windows(wanted.len()).any(|window| window == *wanted))
        });
        if is_there {
            found.insert(place);
        }
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut inflated = Vec::new();
        MultiGzDecoder::new(bytes).read_to_end(&mut inflated).unwrap();
        search(&inflated, found);
    }
    const IMAGE: &[u8] = b"data:image/png;base64,";
    if bytes.starts_with(b"<!DOCTYPE html>") {
        let page = String::from_utf8_lossy(bytes);
        for image in page.split(std::str::from_utf8(IMAGE).unwrap()).skip(1) {
            search(&STANDARD.decode(image.split('"').next().unwrap()).unwrap(), found);
        }
        // Words that a page draws in pieces, with elements between them.
        let mut words = String::new();
        let mut in_mark = false;
        for letter in page.chars() {
            match letter {
                '<' => in_mark = true,
                '>' => in_mark = false,
                letter if !in_mark => words.push(letter),
                _ => {}
            }
        }
        if words.len() < page.len() {
            search(words.as_bytes(), found);
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn planted_texts_are_found_where_the_table_says_and_nowhere_else() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    plant(&folder);
    let path = |name: &str| text(&place.path().join(name));
    let (data, run) = (text(&folder), path("run"));
    let mut found: BTreeMap<&str, BTreeSet<Place>> = BTreeMap::new();
    let mut messages = Vec::new();
    let mut medcoss = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        messages.extend(output.stdout);
        messages.extend(output.stderr);
        errors
    };
    let config = text(&folder.join("run.toml"));
    let said = medcoss(&["pretrain", &config, "--data-root", &data, "--out", &run]);
    assert!(said.contains("4 of 16 copied samples state annotations in their pixels"), "{said}");
    medcoss(&["eval", &run, &text(&folder.join("tasks.toml")), "--data-root", &data]);
    medcoss(&["report", &run, "--data-root", &data, "--out", &path("plain.html")]);
    medcoss(&[
        "report",
        &run,
        "--data-root",
        &data,
        "--anonymous",
        "--out",
        &path("anonymous.html"),
        "--tensorboard",
        &path("board"),
    ]);
    medcoss(&["export", &run, "--out", &path("export.safetensors")]);
    medcoss(&["export", &run, "--layout", "huggingface", "--family", "image", "--out", &path("encoder")]);
    let embed = ["embed", &run, "--modality", "xray", "--data", "xray", "--data-root", &data, "--out"];
    medcoss(&[embed.as_slice(), &[&path("plain.safetensors")]].concat());
    medcoss(&[embed.as_slice(), &[&path("hashed.safetensors"), "--id-key", &path("ids.key")]].concat());

    for file in files(Path::new(&run)) {
        let below = file.strip_prefix(&run).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let output = match name {
            "buffer.jsonl" => "buffer.jsonl",
            "kept.jsonl" => "kept.jsonl",
            _ if below.starts_with("evaluation") => "evaluation",
            _ => "run folder, all other files",
        };
        let found = found.entry(output).or_default();
        let before = found.clone();
        search(&fs::read(&file).unwrap(), found);
        search(below.to_str().unwrap().as_bytes(), found);
        if *found != before {
            println!("{}: {found:?}", below.display());
        }
    }
    for (output, file) in [
        ("report", "plain.html"),
        ("report --anonymous", "anonymous.html"),
        ("export", "export.safetensors"),
        ("embed", "plain.safetensors"),
        ("embed --id-key", "hashed.safetensors"),
        ("embed --id-key", "ids.key"),
    ] {
        search(&fs::read(place.path().join(file)).unwrap(), found.entry(output).or_default());
    }
    for file in files(&place.path().join("encoder")) {
        search(&fs::read(&file).unwrap(), found.entry("export").or_default());
    }
    for file in files(&place.path().join("board")) {
        let found = found.entry("event files of report --anonymous").or_default();
        search(&fs::read(&file).unwrap(), found);
        search(file.file_name().unwrap().to_str().unwrap().as_bytes(), found);
    }
    search(&messages, found.entry("messages").or_default());

    let outputs: BTreeSet<&str> = MAY_HOLD.iter().map(|(output, _)| *output).collect();
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), outputs);
    for (output, expected) in MAY_HOLD {
        assert_eq!(found[output], expected.iter().copied().collect(), "{output}");
    }
    // The anonymous page has figures as well, and both pages are about the same run.
    let page = fs::read_to_string(place.path().join("anonymous.html")).unwrap();
    for kept in ["An anonymous report", "an anonymous report shows no samples", "Map of features", "label 1", "class 1"]
    {
        assert!(page.contains(kept), "{kept}");
    }
    for gone in ["data:image", "findings", "calm", "reports.csv", "vocab_size", "xray/"] {
        assert!(!page.contains(gone), "{gone}");
    }
}

#[test]
fn the_table_is_in_the_documentation() {
    let document = fs::read_to_string(medcoss_test_support::repository().join("PRIVACY.md")).unwrap();
    for (output, may_hold) in MAY_HOLD {
        let words = may_hold.iter().map(|place| match place {
            Place::FileName => "names of files",
            Place::Report => "texts",
            other => panic!("{other:?} is in no output"),
        });
        let words: Vec<&str> = words.collect();
        let words = if words.is_empty() { "nothing".into() } else { words.join(", ") };
        let row = format!("| {output} | {words} |");
        assert!(document.contains(&row), "PRIVACY.md lacks the row {row:?}");
    }
}
