//! The plugin as the host uses it: synthetic clips, files written by hand, settings and files that are wrong.

use std::path::{Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, RgbImage};
use medcoss_echo::{Clips, Echo, Options};
use medcoss_formats::dicom::write_multi_frame::{Kind, MultiFrameFile, WrittenFrames};
use medcoss_sdk::image::Region;
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, check_ranges, code,
    sample_rng, serde_json,
};

fn open(base: &Path, data: &[&str], options: Value) -> Result<Clips, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    let options = serde_json::from_value(options).map_err(|error| Error::bad_request(error.to_string()))?;
    Echo::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

fn shape(dataset: &Clips) -> Continuous {
    let Geometry::Continuous(own) = dataset.geometry() else { panic!("tokens are continuous") };
    own
}

/// Tokens, mask and validity of a sample.
type Filled = (Vec<f32>, Vec<u8>, Vec<u8>);

fn load(dataset: &Clips, index: usize, view: View, seed: u64) -> Result<Filled, Error> {
    let Continuous { grid, d_token, .. } = shape(dataset);
    let n: usize = grid.iter().product();
    let (mut tokens, mut mask, mut valid) = (vec![0.0; n * d_token], vec![0; n], vec![1; n]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, valid: &mut valid, ..Patches::default() };
    dataset.load(index, view, &mut sample_rng(seed), Sample::Continuous(patches))?;
    Ok((tokens, mask, valid))
}

fn synthetic(n: usize, seed: u64) -> (tempfile::TempDir, Clips, Value) {
    let folder = tempfile::tempdir().unwrap();
    let made = Echo::synthesise(folder.path(), n, seed).unwrap();
    let dataset = open(folder.path(), &["."], made.options.clone()).unwrap();
    (folder, dataset, made.options)
}

fn ids(dataset: &Clips) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.record(index).id).collect()
}

/// A JPEG of 32 x 32 grey pixels of one value, without loss that counts.
fn jpeg(value: u8) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 100).encode(&[value; 1024], 32, 32, ExtendedColorType::L8).unwrap();
    file
}

/// A JPEG without its Huffman tables, as devices write motion JPEG.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut short = jpeg[..2].to_vec();
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            short.extend(&jpeg[at..end]);
        }
        at = end;
    }
    short.extend(&jpeg[at..]);
    short
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = [name.as_slice(), &(content.len() as u32).to_le_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

fn list(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[kind.as_slice(), &parts.concat()].concat())
}

/// The list of a video stream of 32 x 32 pixels: `rate` over `scale` frames a second.
fn stream(codec: &[u8; 4], [scale, rate]: [u32; 2]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let header = [b"vids".as_slice(), codec, &words(&[0, 0, 0, scale, rate, 0, 0, 0, 0, 0, 0, 0])].concat();
    let format = [words(&[40, 32, 32]).as_slice(), &[1, 0, 24, 0], codec, &words(&[3072, 0, 0, 0, 0])].concat();
    list(b"strl", &[chunk(b"strh", &header), chunk(b"strf", &format)])
}

/// An AVI file as devices write it: sound before the video, text about the patient, frames in groups, an empty one,
/// sound between them.
fn avi(codec: &[u8; 4], frames: &[Vec<u8>]) -> Vec<u8> {
    let sound = list(b"strl", &[chunk(b"strh", &[b"auds".as_slice(), &[0; 52]].concat()), chunk(b"strf", &[0; 16])]);
    let headers = list(b"hdrl", &[chunk(b"avih", &[0; 56]), sound, stream(codec, [1001, 30000])]);
    let about = list(b"INFO", &[chunk(b"INAM", b"Quillfeather 7739120")]);
    let mut movi = vec![chunk(b"00wb", &[7; 5])];
    for (number, frame) in frames.iter().enumerate() {
        match number % 3 {
            1 => movi.push(list(b"rec ", &[chunk(b"01dc", frame), chunk(b"00wb", &[3; 4])])),
            _ => movi.push(chunk(b"01dc", frame)),
        }
    }
    let content = [b"AVI ".as_slice(), &headers, &about, &list(b"movi", &movi), &chunk(b"idx1", &[0; 32])].concat();
    chunk(b"RIFF", &content)
}

/// Four frames of 32 x 32 pixels, one after the other.
fn plain() -> Value {
    json!({ "num_frames": 4, "frame_stride": 1, "size": 32, "colour": false, "mask_ratio": 0.5 })
}

/// Mean grey of each frame of a sample of 32 x 32 pixels, in 255ths.
fn greys(tokens: &[f32]) -> Vec<i32> {
    let frames = tokens.len() / 1024;
    let grey = |frame: usize| {
        let tubes = &tokens[frame / 2 * 4 * 512..][..4 * 512];
        let values = tubes.chunks_exact(512).flat_map(|tube| &tube[frame % 2 * 256..][..256]);
        (values.sum::<f32>() / 1024.0 * 255.0).round() as i32
    };
    (0..frames).map(grey).collect()
}

#[test]
fn synthetic_clips_open_with_labels_and_patients_in_all_formats() {
    let (_folder, dataset, _) = synthetic(6, 5);
    let expected = [
        "p00/echo_0000.avi",
        "p00/echo_0001.dcm",
        "p01/echo_0002.dcm",
        "p01/echo_0003.dcm",
        "p02/echo_0004.avi",
        "p02/echo_0005.dcm",
    ];
    assert_eq!(ids(&dataset), expected);
    let labels: Vec<_> = (0..6).map(|index| dataset.record(index).label.unwrap()).collect();
    assert_eq!(labels, ["normal", "weak", "normal", "normal", "weak", "normal"]);
    assert_eq!(dataset.record(3).group.as_deref(), Some("p01"));
    let own = shape(&dataset);
    assert_eq!((own.grid, own.d_token, own.n_masked), (vec![4, 4, 4], 512, 60));
    for index in 0..6 {
        let (tokens, mask, valid) = load(&dataset, index, View::Evaluation, 0).unwrap();
        assert_eq!(mask, [0; 64]);
        assert!(tokens.iter().all(|value| (0.0..=1.0).contains(value)));
        // The fifth has six frames, of which every second one is three: a tube and a half.
        let n_valid = if index == 4 { 32 } else { 64 };
        assert!(valid.iter().enumerate().all(|(token, &valid)| valid == u8::from(token < n_valid)), "{index}");
        assert!(tokens[n_valid * 512..].iter().all(|&value| value == 0.0));
    }
}

#[test]
fn the_default_geometry_is_that_of_the_family_video() {
    let Geometry::Continuous(own) = Echo::geometry(&Options::default()).unwrap() else { panic!() };
    assert_eq!((Echo::FAMILY, own.d_token, own.patch), ("video", 1536, vec![2, 16, 16]));
    assert_eq!(own.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>(), ["frame", "row", "column"]);
    assert_eq!(own.axes[0].step, None);
    let options = Options { frame_seconds: Some(0.05), ..Options::default() };
    let Geometry::Continuous(own) = Echo::geometry(&options).unwrap() else { panic!() };
    assert_eq!((own.axes[0].step, own.axes[0].unit.as_deref()), (Some(0.1), Some("s")));
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let [first, again, other] = [5, 5, 6].map(|seed| synthetic(4, seed).0);
    for name in ["p00/echo_0000.avi", "p00/echo_0001.dcm", "p01/echo_0002.dcm", "p01/echo_0003.dcm"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_ne!(read(&first), read(&other), "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone_and_masks_tubes() {
    let (_folder, dataset, _) = synthetic(5, 1);
    for index in 0..5 {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert!(one == load(&dataset, index, View::Training, 11).unwrap());
        // One of sixteen places is visible, so that two masks may be the same.
        let others = [12, 13, 14].map(|seed| load(&dataset, index, View::Training, seed).unwrap());
        assert!(others.iter().all(|other| one.0 != other.0) && others.iter().any(|other| one.1 != other.1));
        assert_eq!(one.1[..16].iter().filter(|&&masked| masked == 1).count(), 15);
        assert!(one.1.chunks_exact(16).all(|plane| plane == &one.1[..16]));
        assert!(
            load(&dataset, index, View::Evaluation, 1).unwrap() == load(&dataset, index, View::Evaluation, 2).unwrap()
        );
    }
}

#[test]
fn frames_of_motion_jpeg_are_found_among_sound_groups_and_gaps() {
    let base = tempfile::tempdir().unwrap();
    let mut frames: Vec<Vec<u8>> = (0..9).map(|number| jpeg(20 * number)).collect();
    frames[3] = Vec::new();
    frames[4] = without_tables(&frames[4]);
    std::fs::write(base.path().join("clip.AVI"), avi(b"MJPG", &frames)).unwrap();
    let dataset = open(base.path(), &["."], plain()).unwrap();
    // Nine frames, of which four are the middle; the empty one shows the one before it.
    let (tokens, ..) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    assert_eq!(greys(&tokens), [40, 40, 80, 100]);
    // At 29.97 frames a second, a frame every 66.7 ms is every second one.
    let mut options = plain();
    options["frame_seconds"] = (2.0 * 1001.0 / 30000.0).into();
    let (tokens, ..) = load(&open(base.path(), &["."], options).unwrap(), 0, View::Evaluation, 0).unwrap();
    assert_eq!(greys(&tokens), [20, 40, 100, 140]);
}

/// Six frames of grey 0, 40, 80, ..., written by the library of ffmpeg (PyAV 18.1, `add_stream("mjpeg", rate=25)`).
#[test]
fn a_clip_of_ffmpeg_is_read() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.avi"), include_bytes!("ffmpeg.avi")).unwrap();
    let mut options = plain();
    options["frame_seconds"] = 0.04.into();
    let (tokens, ..) = load(&open(base.path(), &["a.avi"], options).unwrap(), 0, View::Evaluation, 0).unwrap();
    let found = greys(&tokens);
    assert!(found.iter().zip([40, 80, 120, 160]).all(|(found, expected)| found.abs_diff(expected) <= 3), "{found:?}");
}

#[test]
fn other_codecs_are_refused_with_the_command_that_converts_them() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.avi"), avi(b"H264", &[jpeg(9)])).unwrap();
    let error = load(&open(base.path(), &["a.avi"], plain()).unwrap(), 0, View::Evaluation, 0).unwrap_err();
    assert_eq!(error.code(), code::UNSUPPORTED);
    assert!(
        error.message().starts_with("its codec is H264; motion JPEG is read\nhint: convert it, with ffmpeg -i"),
        "{error}"
    );
}

/// A DICOM clip of frames with a bright border and a region of tissue that is darker.
fn bordered(path: &Path, region: Option<Region>, jpeg: bool) {
    let frame = |number: u8| {
        RgbImage::from_fn(48, 40, |x, y| {
            let is_inside = (8..40).contains(&x) && (4..36).contains(&y);
            image::Rgb(if is_inside { [10 * number; 3] } else { [255; 3] })
        })
    };
    let frames: Vec<Vec<u8>> = (1..=4)
        .map(|number| match jpeg {
            false => frame(number).into_raw(),
            true => {
                let mut file = Vec::new();
                JpegEncoder::new_with_quality(&mut file, 100).encode_image(&frame(number)).unwrap();
                file
            }
        })
        .collect();
    let file = MultiFrameFile {
        kind: Kind::Ultrasound { frame_time_ms: 40.0, region },
        series: "2.25.5",
        size: [40, 48],
        channels: 3,
        frames: if jpeg { WrittenFrames::Jpeg(&frames) } else { WrittenFrames::Native(&frames) },
    };
    file.write(path).unwrap();
}

#[test]
fn frames_are_cropped_to_the_region_of_tissue() {
    let base = tempfile::tempdir().unwrap();
    let region = Region { left: 8, top: 4, width: 32, height: 32 };
    bordered(&base.path().join("a.dcm"), Some(region), false);
    bordered(&base.path().join("b.dcm"), Some(region), true);
    bordered(&base.path().join("c.dcm"), None, false);
    let dataset = open(base.path(), &["."], plain()).unwrap();
    for index in [0, 1] {
        let (tokens, ..) = load(&dataset, index, View::Evaluation, 0).unwrap();
        assert_eq!(greys(&tokens), [10, 20, 30, 40], "{index}");
        // No crop in training reaches beyond the region.
        for seed in 0..20 {
            let (tokens, ..) = load(&dataset, index, View::Training, seed).unwrap();
            assert!(tokens.iter().all(|&value| value < 0.25), "{index}");
        }
    }
    let (without, ..) = load(&dataset, 2, View::Evaluation, 0).unwrap();
    let mut options = plain();
    options["frame_area"] = "whole".into();
    let (whole, ..) = load(&open(base.path(), &["."], options).unwrap(), 0, View::Evaluation, 0).unwrap();
    assert!(whole == without && whole[0] > 0.9);
}

#[test]
fn short_clips_are_marked_or_refused() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.avi"), avi(b"MJPG", &[50, 60, 70].map(jpeg))).unwrap();
    let mut options = plain();
    options["num_frames"] = 8.into();
    let dataset = open(base.path(), &["a.avi"], options.clone()).unwrap();
    let (tokens, mask, valid) = load(&dataset, 0, View::Training, 0).unwrap();
    assert_eq!(valid, [[1; 8], [0; 8]].concat());
    let greys = greys(&tokens);
    assert!(greys[2] == greys[3] && greys[0] < greys[1] && greys[4..] == [0; 4], "{greys:?}");
    assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 8);
    options["short_clips"] = "refuse".into();
    let error = load(&open(base.path(), &["a.avi"], options).unwrap(), 0, View::Evaluation, 0).unwrap_err();
    assert!(error.message().starts_with("the clip has 3 frames, but a sample needs 8"), "{error}");
}

#[test]
fn groups_are_patients_of_a_table_folders_or_files() {
    let (folder, _, options) = synthetic(4, 2);
    let groups = |column: Value, by: &str| -> Vec<String> {
        let mut options = options.clone();
        options["labels"]["group_column"] = column;
        options["group_by"] = by.into();
        let dataset = open(folder.path(), &["."], options).unwrap();
        (0..4).map(|index| dataset.record(index).group.unwrap()).collect()
    };
    assert_eq!(groups("patient".into(), "file"), ["p00", "p00", "p01", "p01"]);
    assert_eq!(groups(Value::Null, "folder"), ["p00", "p00", "p01", "p01"]);
    assert_eq!(groups(Value::Null, "file")[1], "p00/echo_0001.dcm");
}

#[test]
fn kept_clips_are_the_samples_again_without_the_data() {
    let (folder, _, mut options) = synthetic(6, 2);
    options["frame_seconds"] = 0.05.into();
    let dataset = open(folder.path(), &["."], options).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let indices = [4, 0, 2, 1, 3, 4];
    let made = dataset.save_samples(&indices, kept.path()).unwrap();
    let expected: Vec<_> = indices.iter().map(|&index| load(&dataset, index, View::Training, 9).unwrap()).collect();
    folder.close().unwrap();
    let entries: Vec<_> = made.data.iter().map(|path| path.to_str().unwrap()).collect();
    let again = open(kept.path(), &entries, made.options).unwrap();
    assert_eq!(again.len(), 6);
    for (index, expected) in expected.iter().enumerate() {
        assert!(load(&again, index, View::Training, 9).unwrap() == *expected, "saved sample {index}");
    }
}

#[test]
fn kept_clips_hold_no_text_of_their_files() {
    let base = tempfile::tempdir().unwrap();
    let mut commented = jpeg(90);
    let comment = b"Quillfeather born 16-08-1947";
    commented.splice(2..2, [&[0xff, 0xfe, 0, comment.len() as u8 + 2], comment.as_slice()].concat());
    let frames = [commented, jpeg(80), Vec::new(), jpeg(70)];
    std::fs::write(base.path().join("Quillfeather_7739120.avi"), avi(b"MJPG", &frames)).unwrap();
    let dataset = open(base.path(), &["."], plain()).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let made = dataset.save_samples(&[0], kept.path()).unwrap();
    assert_eq!(made.data, ["000000/000000.avi"].map(PathBuf::from));
    let bytes = std::fs::read(kept.path().join(&made.data[0])).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for planted in ["Quillfeather", "7739120", "1947"] {
        assert!(!text.contains(planted), "it holds {planted}");
    }
    let again = open(kept.path(), &["000000/000000.avi"], made.options).unwrap();
    assert!(load(&again, 0, View::Evaluation, 0).unwrap() == load(&dataset, 0, View::Evaluation, 0).unwrap());
}

#[test]
fn an_image_shows_four_frames_side_by_side() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("a.avi"), avi(b"MJPG", &[10, 20, 30, 40].map(jpeg))).unwrap();
    let dataset = open(base.path(), &["a.avi"], plain()).unwrap();
    let (tokens, ..) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let image = image::load_from_memory(&dataset.render(Tokens::values(&tokens)).unwrap()).unwrap().to_luma8();
    assert_eq!(image.dimensions(), (128, 32));
    assert_eq!([5, 37, 69, 101].map(|x| image.get_pixel(x, 7).0[0]), [10, 20, 30, 40]);
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn wrong_settings_are_named() {
    for (options, name) in [
        (json!({ "num_frames": 7 }), "num_frames"),
        (json!({ "frame_stride": 0 }), "frame_stride"),
        (json!({ "frame_seconds": 0.0 }), "frame_seconds"),
        (json!({ "size": 100 }), "size"),
        (json!({ "mask_ratio": 1.0 }), "mask_ratio"),
        (json!({ "size": 48 }), "mask_ratio"),
        (json!({ "crop_scale": [0.9, 0.1] }), "crop_scale"),
        (json!({ "brightness": 1.0 }), "brightness"),
    ] {
        let given: Options = serde_json::from_value(options.clone()).unwrap();
        // As the SDK does before it calls the plugin.
        let error = check_ranges(&given).and_then(|()| Echo::geometry(&given)).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{options}: {error}");
    }
    for (_, preset) in Echo::option_presets() {
        Echo::geometry(&serde_json::from_value(preset).unwrap()).unwrap();
    }
}

#[test]
fn bad_clips_spoil_their_own_sample_only() {
    let (folder, _, _) = synthetic(4, 0);
    let put = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let whole = avi(b"MJPG", &[10, 20, 30, 40].map(jpeg));
    let frame = jpeg(10);
    put("bad_cut.avi", &whole[..whole.len() / 2]);
    put("bad_empty.avi", b"");
    put("bad_first.avi", &avi(b"MJPG", &[Vec::new(), frame.clone()]));
    put("bad_frame.avi", &avi(b"MJPG", &[frame[..frame.len() - 9].to_vec(), frame.clone()]));
    put("bad_none.avi", &avi(b"MJPG", &[]));
    let mut other = Vec::new();
    JpegEncoder::new(&mut other).encode(&[7; 256], 16, 16, ExtendedColorType::L8).unwrap();
    put("bad_size.avi", &avi(b"MJPG", &[other]));
    put("bad_text.avi", b"no clip at all");
    put("bad_wave.avi", &chunk(b"RIFF", b"WAVEfmt "));
    let dcm = std::fs::read(folder.path().join("p00/echo_0001.dcm")).unwrap();
    put("cut.dcm", &dcm[..dcm.len() / 2]);
    let dataset = open(folder.path(), &["."], plain()).unwrap();
    let expected = [
        ("bad_cut.avi", code::CORRUPT, "it is cut off"),
        ("bad_empty.avi", code::CORRUPT, "it has 0 bytes"),
        ("bad_first.avi", code::CORRUPT, "frame 0 has no content"),
        ("bad_frame.avi", code::CORRUPT, "cut off"),
        ("bad_none.avi", code::CORRUPT, "it holds no frame"),
        ("bad_size.avi", code::CORRUPT, "frame 0 is 16x16, and the header says 32x32"),
        ("bad_text.avi", code::CORRUPT, "it is cut off"),
        ("bad_wave.avi", code::CORRUPT, "does not begin as an AVI file does"),
        ("cut.dcm", code::CORRUPT, "too few for 18 frames"),
    ];
    for (index, (id, expected, word)) in expected.into_iter().enumerate() {
        let error = load(&dataset, index, View::Evaluation, 0).unwrap_err();
        assert_eq!((dataset.record(index).id.as_str(), error.code()), (id, expected), "{error}");
        assert!(error.message().contains(word), "{id}: {error}");
    }
    for index in expected.len()..dataset.len() {
        load(&dataset, index, View::Training, 0).unwrap();
    }
}

/// AVI files cut off anywhere and with single bytes changed: an answer or an error, never a panic.
#[test]
fn no_damage_makes_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avi");
    let whole = avi(b"MJPG", &[10, 20, 30, 40, 50].map(jpeg));
    let (mut n_read, mut n_refused) = (0, 0);
    for at in (0..600).step_by(2).chain((600..whole.len()).step_by(37)) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        for content in [&whole[..at], &changed] {
            std::fs::write(&path, content).unwrap();
            let dataset = open(folder.path(), &["a.avi"], plain()).unwrap();
            match load(&dataset, 0, View::Training, at as u64) {
                Ok((tokens, ..)) => {
                    assert!(tokens.iter().all(|value| (0.0..=1.0).contains(value)));
                    n_read += 1;
                }
                Err(error) => {
                    assert!([code::CORRUPT, code::UNSUPPORTED].contains(&error.code()), "{error}");
                    n_refused += 1;
                }
            }
        }
    }
    assert!(n_read > 50 && n_refused > 200, "{n_read} read, {n_refused} refused");
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("echo");
}
