//! The plugin as the host uses it: synthetic clips, frames painted by hand, settings and files that are wrong.

use std::path::{Path, PathBuf};

/// Grid, values in a token and masked tokens.
fn sizes(geometry: &Geometry) -> (Vec<usize>, usize, usize) {
    let Geometry::Continuous(own) = geometry else { panic!("tokens are continuous") };
    (own.grid.clone(), own.d_token, own.n_masked)
}

use image::{Rgb, RgbImage};
use medcoss_sdk::serde_json::{Value, json};
use medcoss_sdk::{
    Continuous, Dataset, Error, Geometry, Modality, OpenRequest, Patches, Sample, Tokens, View, check_ranges, code,
    sample_rng, serde_json,
};
use medcoss_video::{Clips, Options, Video};

fn open(base: &Path, data: &[&str], options: Value) -> Result<Clips, Error> {
    let data = data.iter().map(PathBuf::from).collect();
    let options = serde_json::from_value(options).map_err(|error| Error::bad_request(error.to_string()))?;
    Video::open(OpenRequest { base: base.to_owned(), data, options, assets: None })
}

fn load(dataset: &Clips, index: usize, view: View, seed: u64) -> Result<(Vec<f32>, Vec<u8>), Error> {
    let Geometry::Continuous(Continuous { grid, d_token, .. }) = dataset.geometry() else {
        panic!("tokens are continuous")
    };
    let n_tokens: usize = grid.iter().product();
    let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
    let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
    dataset.load(index, view, &mut sample_rng(seed), sample)?;
    Ok((tokens, mask))
}

fn synthetic(n: usize, seed: u64) -> (tempfile::TempDir, Clips) {
    let folder = tempfile::tempdir().unwrap();
    let made = Video::synthesise(folder.path(), n, seed).unwrap();
    let dataset = open(folder.path(), &["."], made.options).unwrap();
    (folder, dataset)
}

fn ids(dataset: &Clips) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.record(index).id).collect()
}

#[test]
fn synthetic_clips_open_with_labels_in_all_formats() {
    let (_folder, dataset) = synthetic(5, 5);
    let expected = ["clip_0000/frame_0.png", "clip_0001/frame_0.jpg", "clip_0002.gif", "clip_0003/frame_0.png"];
    assert_eq!(ids(&dataset)[..4], expected);
    let labels: Vec<_> = (0..5).map(|index| dataset.record(index).label.unwrap()).collect();
    assert_eq!(labels, ["normal", "weak", "normal", "weak", "normal"]);
    // Four pairs of frames, 4 x 4 places of which one is visible at all times.
    assert_eq!(sizes(&dataset.geometry()), (vec![4, 4, 4], 512, 60));
    for index in 0..5 {
        let (tokens, mask) = load(&dataset, index, View::Evaluation, 0).unwrap();
        assert_eq!(mask, [0; 64]);
        assert!(tokens.iter().all(|value| (0.0..=1.0).contains(value)));
    }
}

#[test]
fn weak_hearts_move_less() {
    let (folder, _) = synthetic(12, 3);
    let options = json!({ "num_frames": 20, "frame_stride": 1, "size": 64, "colour": false });
    let dataset = open(folder.path(), &["."], options).unwrap();
    let mut moved = [0.0_f32; 2];
    for index in 0..12 {
        let (tokens, _) = load(&dataset, index, View::Evaluation, 0).unwrap();
        // Brightness of each of ten pairs of frames, which rises as the dark ventricle shrinks.
        let means: Vec<f32> = tokens.chunks_exact(16 * 512).map(|pair| pair.iter().sum::<f32>() / 8192.0).collect();
        let (least, most) =
            means.iter().fold((1.0_f32, 0.0_f32), |(least, most), &mean| (least.min(mean), most.max(mean)));
        moved[index % 2] += most - least;
    }
    assert!(moved[0] > 2.0 * moved[1], "{moved:?}");
}

#[test]
fn the_same_seed_writes_the_same_files() {
    let [first, again, other] = [5, 5, 6].map(|seed| synthetic(3, seed).0);
    for name in ["clip_0000/frame_7.png", "clip_0001/frame_19.jpg", "clip_0002.gif"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read(&first), read(&again), "{name}");
        assert_ne!(read(&first), read(&other), "{name}");
    }
}

#[test]
fn a_training_sample_depends_on_its_seed_alone_and_masks_tubes() {
    let (_folder, dataset) = synthetic(3, 1);
    for index in 0..3 {
        let one = load(&dataset, index, View::Training, 11).unwrap();
        assert_eq!(one, load(&dataset, index, View::Training, 11).unwrap());
        let other = load(&dataset, index, View::Training, 13).unwrap();
        assert!(one.0 != other.0 && one.1 != other.1);
        assert_eq!(one.1[..16].iter().filter(|&&masked| masked == 1).count(), 15);
        assert!(one.1.chunks_exact(16).all(|plane| plane == &one.1[..16]));
        assert_eq!(
            load(&dataset, index, View::Evaluation, 1).unwrap(),
            load(&dataset, index, View::Evaluation, 2).unwrap()
        );
    }
}

/// Frames of 32 x 16, their red the number of the frame, their green 1 on the right half.
fn paint(folder: &Path, names: impl Iterator<Item = (u8, String)>) {
    std::fs::create_dir_all(folder).unwrap();
    for (number, name) in names {
        let frame = RgbImage::from_fn(32, 32, |x, _| Rgb([number * 10, if x < 16 { 0 } else { 255 }, 0]));
        frame.save(folder.join(name)).unwrap();
    }
}

#[test]
fn tokens_are_tubes_of_every_nth_frame_in_the_order_of_numbers() {
    let base = tempfile::tempdir().unwrap();
    paint(&base.path().join("a"), (0..13).map(|number| (number, format!("f{}.png", number + 1))));
    let options = json!({ "num_frames": 4, "frame_stride": 3, "size": 32, "mask_ratio": 0.5 });
    let dataset = open(base.path(), &["a"], options).unwrap();
    assert_eq!(sizes(&dataset.geometry()), (vec![2, 2, 2], 1536, 4));
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    // Thirteen frames, of which the middle ten are reached: 1, 4, 7, 10.
    for (token, values) in tokens.chunks_exact(1536).enumerate() {
        let (time, column) = (token / 4, token % 2);
        for (at, pixel) in values.chunks_exact(3).enumerate() {
            let frame = [1.0, 4.0, 7.0, 10.0][2 * time + at / 256];
            let expected = [frame * 10.0 / 255.0, column as f32, 0.0];
            assert!(
                pixel.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{token} {at}: {pixel:?} {expected:?}"
            );
        }
    }
}

#[test]
fn crops_and_mirrors_are_the_same_in_all_frames_and_any_frame_may_be_first() {
    let base = tempfile::tempdir().unwrap();
    paint(&base.path().join("a"), (0..8).map(|number| (number, format!("f{number}.png"))));
    let options = json!({ "num_frames": 4, "frame_stride": 1, "size": 16, "mask_ratio": 0.5 });
    assert!(open(base.path(), &["a"], options).is_err(), "one place cannot be half masked");
    let options = json!({ "num_frames": 4, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 });
    let dataset = open(base.path(), &["a"], options).unwrap();
    let (mut firsts, mut flipped) = (std::collections::BTreeSet::new(), 0);
    for seed in 0..100 {
        let (tokens, _) = load(&dataset, 0, View::Training, seed).unwrap();
        let first = (tokens[0] * 25.5).round() as usize;
        firsts.insert(first);
        flipped += usize::from(tokens[1] > tokens[1536 + 15 * 3 + 1]);
        // Green is the same in each of the four frames; red counts on.
        let frame = |number: usize| &tokens[number / 2 * 4 * 1536 + number % 2 * 768..][..768];
        for number in 0..4 {
            let pixels = frame(number).chunks_exact(3).zip(frame(0).chunks_exact(3));
            let red = (first + number) as f32 / 25.5;
            assert!(pixels.into_iter().all(|(a, b)| a[1] == b[1] && (a[0] - red).abs() < 1e-5));
        }
    }
    assert_eq!(firsts, (0..=4).collect());
    assert!((30..70).contains(&flipped), "{flipped}");
}

#[test]
fn a_folder_may_hold_several_clips() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("study");
    paint(&folder, (0..3).flat_map(|n| ["left", "right"].map(|side| (n, format!("{side}_{n}.png")))));
    let options = json!({ "num_frames": 2, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 });
    let dataset = open(base.path(), &["study"], options).unwrap();
    assert_eq!(ids(&dataset), ["study/left_0.png", "study/right_0.png"]);
}

#[test]
fn kept_clips_are_the_samples_again_without_the_data() {
    let (folder, dataset) = synthetic(6, 2);
    let kept = tempfile::tempdir().unwrap();
    let indices = [4, 0, 2, 1, 4];
    let made = dataset.save_samples(&indices, kept.path()).unwrap();
    let expected: Vec<_> = indices.iter().map(|&index| load(&dataset, index, View::Training, 9).unwrap()).collect();
    folder.close().unwrap();
    let entries: Vec<_> = made.data.iter().map(|path| path.to_str().unwrap()).collect();
    let again = open(kept.path(), &entries, made.options).unwrap();
    assert_eq!(again.len(), 5);
    for (index, expected) in expected.iter().enumerate() {
        assert!(load(&again, index, View::Training, 9).unwrap() == *expected, "saved sample {index}");
    }
}

#[test]
fn an_image_shows_four_frames_side_by_side() {
    let base = tempfile::tempdir().unwrap();
    paint(&base.path().join("a"), (0..8).map(|number| (number, format!("f{number}.png"))));
    let options = json!({ "num_frames": 8, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 });
    let dataset = open(base.path(), &["a"], options).unwrap();
    let (tokens, _) = load(&dataset, 0, View::Evaluation, 0).unwrap();
    let image = image::load_from_memory(&dataset.render(Tokens::values(&tokens)).unwrap()).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (128, 32));
    for shown in 0..4 {
        // Frames 1, 3, 5 and 7.
        assert_eq!(image.get_pixel(32 * shown, 5).0, [(2 * shown as u8 + 1) * 10, 0, 0]);
        assert_eq!(image.get_pixel(32 * shown + 31, 5).0[1], 255);
    }
    assert_eq!(dataset.render(Tokens::values(&tokens[1..])).unwrap_err().code(), code::BAD_REQUEST);
}

#[test]
fn wrong_settings_are_named() {
    for (options, name) in [
        (json!({ "num_frames": 0 }), "num_frames"),
        (json!({ "num_frames": 7 }), "num_frames"),
        (json!({ "frame_stride": 0 }), "frame_stride"),
        (json!({ "size": 100 }), "size"),
        (json!({ "mask_ratio": 1.0 }), "mask_ratio"),
        (json!({ "size": 48 }), "mask_ratio"),
        (json!({ "crop_scale": [0.9, 0.1] }), "crop_scale"),
    ] {
        let given: Options = serde_json::from_value(options.clone()).unwrap();
        // As the SDK does before it calls the plugin.
        let error = check_ranges(&given).and_then(|()| Video::geometry(&given)).unwrap_err();
        assert_eq!(error.code(), code::BAD_REQUEST);
        assert!(error.message().starts_with(name), "{options}: {error}");
    }
    assert!(serde_json::from_value::<Options>(json!({ "frame": 8 })).is_err());
}

#[test]
fn bad_clips_spoil_their_own_sample_only() {
    let (folder, _) = synthetic(3, 0);
    let put = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let (gif, png, jpg) = (read("clip_0002.gif"), read("clip_0000/frame_3.png"), read("clip_0001/frame_3.jpg"));
    put("a_cut.gif", &gif[..gif.len() / 3]);
    put("a_empty.gif", b"");
    // A screen of 65535 x 65535.
    put("a_huge.gif", &[&gif[..6], &[0xff; 4], &gif[10..]].concat());
    put("a_short/1.png", &png);
    put("a_text/1.png", b"no image");
    for number in 0..8 {
        put(&format!("b_cut/{number}.jpg"), if number == 4 { &jpg[..jpg.len() / 2] } else { &jpg });
        let other = RgbImage::new(9, 7);
        put(&format!("b_size/{number}.png"), &png);
        if number == 5 {
            other.save(folder.path().join("b_size/5.png")).unwrap();
        }
    }
    let options = json!({ "num_frames": 8, "frame_stride": 1, "size": 64, "colour": false });
    let dataset = open(folder.path(), &["."], options).unwrap();
    for (index, (id, expected, word)) in [
        ("a_cut.gif", code::CORRUPT, "not a valid GIF"),
        ("a_empty.gif", code::CORRUPT, "not a valid GIF"),
        ("a_huge.gif", code::UNSUPPORTED, "65535x65535"),
        ("a_short/1.png", code::UNSUPPORTED, "hint: lower option num_frames"),
        ("a_text/1.png", code::CORRUPT, "neither PNG nor JPEG"),
        ("b_cut/0.jpg", code::CORRUPT, "cut off"),
        ("b_size/0.png", code::CORRUPT, "another is 9x7"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = load(&dataset, index, View::Evaluation, 0).unwrap_err();
        assert_eq!((dataset.record(index).id.as_str(), error.code()), (id, expected), "{error}");
        assert!(error.message().starts_with(id) && error.message().contains(word), "{error}");
    }
    for index in 7..10 {
        load(&dataset, index, View::Training, 0).unwrap();
    }
}

/// GIFs cut off anywhere and with single bytes changed: an answer or an error, never a panic.
#[test]
fn no_damage_makes_a_panic() {
    let (folder, _) = synthetic(3, 8);
    let path = folder.path().join("clip_0002.gif");
    let whole = std::fs::read(&path).unwrap();
    let options = json!({ "num_frames": 8, "frame_stride": 1, "size": 64, "colour": false });
    let (mut n_read, mut n_refused) = (0, 0);
    let places = (0..40).chain((40..whole.len()).step_by(whole.len() / 60));
    for at in places {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        for content in [&whole[..at], &changed] {
            std::fs::write(&path, content).unwrap();
            let dataset = open(folder.path(), &["clip_0002.gif"], options.clone()).unwrap();
            match load(&dataset, 0, View::Training, at as u64) {
                Ok((tokens, _)) => {
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
    assert!(n_read > 20 && n_refused > 50, "{n_read} read, {n_refused} refused");
}

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("video");
}

#[test]
fn short_clips_are_refused_or_marked() {
    let base = tempfile::tempdir().unwrap();
    paint(&base.path().join("a"), (1..4).map(|number| (number, format!("f{number}.png"))));
    let mut options = json!({ "num_frames": 8, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 });
    let error = load(&open(base.path(), &["a"], options.clone()).unwrap(), 0, View::Evaluation, 0).unwrap_err();
    assert!(error.message().contains("set short_clips = \"mark\""), "{error}");
    options["short_clips"] = "mark".into();
    let dataset = open(base.path(), &["a"], options).unwrap();
    let (mut tokens, mut mask, mut valid) = (vec![0.0; 16 * 1536], vec![0; 16], vec![9; 16]);
    let patches = Patches { tokens: &mut tokens, mask: &mut mask, valid: &mut valid, ..Patches::default() };
    dataset.load(0, View::Training, &mut sample_rng(1), Sample::Continuous(patches)).unwrap();
    assert_eq!(valid, [[1; 8], [0; 8]].concat());
    // The third frame stands for the fourth; behind it there is nothing.
    assert!(tokens[4 * 1536..].chunks_exact(1536).take(4).all(|tube| tube[..768] == tube[768..]));
    assert!(tokens[8 * 1536..].iter().all(|&value| value == 0.0));
    assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), 8);
}

#[test]
fn groups_are_patients_of_a_table_folders_or_clips() {
    let base = tempfile::tempdir().unwrap();
    for clip in ["p1/left", "p1/right", "p2/left"] {
        paint(&base.path().join(clip), (0..2).map(|number| (number, format!("{number}.png"))));
    }
    std::fs::write(base.path().join("labels.csv"), "clip,view,patient\np1/left,a,anna\np1/right,b,anna\n").unwrap();
    let groups = |more: Value| -> Vec<String> {
        let mut options = json!({ "num_frames": 2, "frame_stride": 1, "size": 32, "mask_ratio": 0.5 });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let dataset = open(base.path(), &["."], options).unwrap();
        (0..3).map(|index| dataset.record(index).group.unwrap()).collect()
    };
    assert_eq!(groups(json!({})), ["p1/left", "p1/right", "p2/left"]);
    assert_eq!(groups(json!({ "group_by": "folder" })), ["p1", "p1", "p2"]);
    let labels =
        json!({ "file": "labels.csv", "key_column": "clip", "label_column": "view", "group_column": "patient" });
    assert_eq!(groups(json!({ "labels": labels })), ["anna", "anna", "p2/left"]);
}
