//! Writes the first inputs of every target into `corpus/`: files that the plugins write themselves, sorted by the
//! targets that read them. This is not a fuzz target; it is among them to be built in the same way, so that nothing is
//! compiled twice.
#![no_main]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_ecg::Ecg;
use medcoss_echo::Echo;
use medcoss_eeg::Eeg;
use medcoss_oct::Oct;
use medcoss_pathology::Pathology;
use medcoss_sdk::{Modality, OpenRequest, serde_json};
use medcoss_text::Text;
use medcoss_video::Video;
use medcoss_xray::Xray;

fuzz_target!(init: make().expect("room for the seeds"), |_unused: &[u8]| {});

fn make() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = medcoss_fuzz::folder().join("seeds");
    for (name, synthesise) in [
        ("text", Text::synthesise as fn(&Path, usize, u64) -> _),
        ("ct", Ct::synthesise),
        ("xray", Xray::synthesise),
        ("pathology", Pathology::synthesise),
        ("ecg", Ecg::synthesise),
        ("eeg", Eeg::synthesise),
        ("echo", Echo::synthesise),
        ("oct", Oct::synthesise),
        ("video", Video::synthesise),
    ] {
        let folder = made.join(name);
        fs::create_dir_all(&folder)?;
        synthesise(&folder, 6, 1)?;
        for path in files_below(&folder)? {
            for target in targets_of(name, &path) {
                put(here, target, &path)?;
            }
        }
    }
    small_volume(here)?;
    wfdb_record(here, &made.join("ecg"))?;
    learn_tokenizer(&made.join("text"), here)?;
    write(here, "gif", "small.gif", &small_animation())?;
    write(here, "image", "small.bmp", &small_bmp())?;
    write(here, "mask_image", "small.bmp", &small_bmp())?;
    write(here, "vocabulary", "vocab.txt", medcoss_fuzz::VOCABULARY.as_bytes())?;
    fs::remove_dir_all(medcoss_fuzz::folder())?;
    Ok(())
}

/// Names of the targets that read a file of a plugin.
fn targets_of(plugin: &str, path: &Path) -> &'static [&'static str] {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match (plugin, extension) {
        ("text", "txt") => &["text_lines", "text_learning"],
        ("text", "csv") => &["text_csv"],
        ("text", "jsonl") => &["text_json_lines"],
        ("text", "xml") => &["text_questions"],
        ("ecg", "csv") => &["ecg_csv"],
        ("eeg", "edf" | "bdf") => &["eeg_edf"],
        ("echo", "avi") => &["echo_avi"],
        ("oct", "pgm") => &["oct_slices"],
        ("oct", "dcm") => &["dicom", "dicom_folder", "oct_slices"],
        ("video", "gif") => &["gif"],
        ("video", "png" | "jpg") => &["frames"],
        ("ct", "nii") => &["nifti", "mask_volume"],
        ("ct", "gz") => &["nifti_gz"],
        (_, "dcm") => &["dicom", "dicom_folder"],
        (_, "csv") => &["label_table"],
        (_, "tif") => &["slide", "image", "mask_image"],
        (_, "png") => &["image", "frames", "mask_image"],
        (_, "jpg" | "jpeg") => &["image", "frames"],
        _ => &[],
    }
}

/// A volume that consists mostly of its header.
fn small_volume(here: &Path) -> Result<(), Box<dyn Error>> {
    let volume = medcoss_fuzz::small_volume(&fs::read(here.join("corpus/nifti_gz/scan_0000.nii.gz"))?);
    write(here, "mask_volume", "scan.nii", &volume)?;
    write(here, "nifti", "scan.nii", &volume)
}

/// Three rows of five pixels, indices of a palette of two colours.
fn small_bmp() -> Vec<u8> {
    let head = [b"BM\0\0\0\0\0\0\0\0".as_slice(), &62_u32.to_le_bytes(), &40_u32.to_le_bytes()].concat();
    let sizes = [5_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat();
    let kind = [[1, 0, 8, 0].as_slice(), [0_u32, 0, 0, 0, 2, 0].map(u32::to_le_bytes).as_flattened()].concat();
    [head, sizes, kind, vec![0, 0, 0, 0, 255, 255, 255, 0], [0, 1, 1, 0, 1, 0, 0, 0].repeat(3)].concat()
}

/// An animation of four frames of one pixel: changes then concern headers and not compressed pixels.
fn small_animation() -> Vec<u8> {
    let frame = |disposal: u8| {
        let control = [0x21, 0xf9, 4, disposal << 2, 10, 0, 0, 0];
        [control.as_slice(), &[0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0], &[2, 2, 0x44, 1, 0]].concat()
    };
    let head: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff";
    [head, &[0, 1, 2, 3].map(frame).concat(), b";"].concat()
}

/// Writes a header and its signals as one input, and headers in the forms of published databases.
fn wfdb_record(here: &Path, made: &Path) -> Result<(), Box<dyn Error>> {
    let header =
        files_below(made)?.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "hea"));
    if let Some(header) = header {
        let stem = header.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read_to_string(&header)?.replace(&format!("{stem}.dat"), "r.dat");
        let record = [text.as_bytes(), b"\0", &fs::read(header.with_extension("dat"))?].concat();
        write(here, "ecg_wfdb", "record", &record)?;
    }
    for (name, header) in [
        (
            "two",
            "r 2 100 200 0:0:0 1/1/2000\nr.dat 16 200(1024)/mV 16 0 0 0 0 I\nr.dat 16 100/uV 16 -50 0 0 0 II\n# Dx: 42\n",
        ),
        (
            "packed",
            "r 2 100/500.00(0) 200\nr.dat 212+1 200 11 1024 995 -22131 0 I\nr.dat 212+1 200 11 1024 1011 20052 0 II\n",
        ),
    ] {
        write(here, "ecg_wfdb", name, &[header.as_bytes(), &[0; 900]].concat())?;
    }
    Ok(())
}

fn learn_tokenizer(data: &Path, here: &Path) -> Result<(), Box<dyn Error>> {
    let options = serde_json::from_value(serde_json::json!({ "vocab_size": 160 }))?;
    let request = OpenRequest { base: data.to_owned(), data: vec!["reports.txt".into()], options, assets: None };
    let dataset = Text::open(request)?;
    medcoss_sdk::Dataset::save_assets(&dataset, data)?;
    put(here, "tokenizer_json", &data.join("tokenizer.json"))
}

fn put(here: &Path, target: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    write(here, target, &name, &fs::read(path)?)
}

fn write(here: &Path, target: &str, name: &str, content: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = here.join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), content)?;
    println!("corpus/{target}/{name}");
    Ok(())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files_below(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}
