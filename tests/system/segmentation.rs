//! Masks as a downstream task, through the whole program: segmentation from features, and sizes of masks as classes.

use std::fs::{self, File};
use std::path::Path;

use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

const SIDE: usize = 48;
const N: usize = 24;

/// A grey PNG of 16 bit.
fn write(path: &Path, [width, height]: [usize; 2], value: impl Fn(usize, usize) -> u16) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    let words = (0..width * height).flat_map(|at| value(at % width, at / width).to_be_bytes());
    encoder.write_header().unwrap().write_image_data(&words.collect::<Vec<u8>>()).unwrap();
}

/// Images of a bright rectangle in different places, their masks with a different number each, a run that was trained
/// on the images, and a tasks file.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for at in 0..N {
        let (left, top, size) = ((at * 7) % 20, (at * 11) % 18, 8 + at);
        let inside = move |x: usize, y: usize| (left..left + size).contains(&x) && (top..top + size).contains(&y);
        let image = |x: usize, y: usize| if inside(x, y) { 52_000 } else { 4_000 + (x * 37 + y * 91) as u16 % 900 };
        write(&folder.path().join(format!("images/p{at:02}.png")), [SIDE, SIDE], image);
        let mask = |x: usize, y: usize| if inside(x, y) { 300 + at as u16 } else { 0 };
        write(&folder.path().join(format!("masks/p{at:02}_mask.png")), [SIDE, SIDE], mask);
    }
    let run = "[model]\npreset = \"demo\"\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 8\n[[stage]]\n\
               modality = \"xray\"\ndata = \"images\"\noptions = { size = 48 }\n";
    fs::write(folder.path().join("run.toml"), run).unwrap();
    let tasks = "[[task]]\nname = \"rectangle\"\nmodality = \"xray\"\ndata = \"images\"\nprotocol = \"segmentation\"\n\
                 labels = { masks = \"masks\", mask_suffix = \"_mask\", classes = \"foreground\" }\nepochs = 60\nbatch_size = 4\n\
                 learning_rate = 0.01\n\
                 [[task]]\nname = \"size\"\nmodality = \"xray\"\ndata = \"images\"\nprotocol = \"knn\"\nk = 3\n\
                 labels = { masks = \"masks\", mask_suffix = \"_mask\", classes = \"foreground\", quantiles = 2 }\n";
    fs::write(folder.path().join("tasks.toml"), tasks).unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    succeeded(medcoss(&["pretrain", &at("run.toml"), "--out", &at("run"), "--quiet"]));
    folder
}

#[test]
fn masks_are_segmented_and_their_sizes_are_classes() {
    let folder = prepared();
    let at = |name: &str| text(&folder.path().join(name));
    let eval = |out: &str, more: &[&str]| {
        let out = at(out);
        let (run, tasks) = (at("run"), at("tasks.toml"));
        let all = [&["eval", &run, &tasks, "--seeds", "2", "--out", &out, "--quiet"], more].concat();
        medcoss(&all)
    };
    let scores: Value = serde_json::from_str(&succeeded(eval("one", &["--json"]))).unwrap();
    let [rectangle, size] = [0, 1].map(|at| &scores["tasks"][at]);
    assert_eq!((&rectangle["protocol"], &rectangle["primary_metric"]), (&"segmentation".into(), &"dice".into()));
    assert_eq!(rectangle["classes"], serde_json::json!(["foreground"]));
    assert_eq!(size["classes"].as_array().unwrap().len(), 2);
    let of = |metric: &str| {
        let all = scores["scores"].as_array().unwrap();
        all.iter().find(|score| score["task"] == "rectangle" && score["metric"] == metric)
    };
    let dice = of("dice").unwrap()["value"].as_f64().unwrap();
    assert!((0.4..=1.0).contains(&dice), "{dice}");
    let distance = of("hd95_voxels").unwrap();
    assert!(distance["value"].as_f64().unwrap() < 48.0 && distance["n_undefined"].is_u64(), "{distance}");
    assert!(of("hd95_mm").is_none(), "the images have no spacing");

    // Evaluated again: the same bytes; the printed table has the scores.
    assert!(succeeded(eval("two", &[])).contains("rectangle  xray      segmentation  dice"));
    let files = ["one", "two"].map(|out| fs::read(folder.path().join(out).join("scores.csv")).unwrap());
    assert_eq!(files[0], files[1]);

    // A mask that does not fit its sample is named with the sample, and so is a missing mask.
    write(&folder.path().join("masks/p03_mask.png"), [SIDE, 40], |_, _| 1);
    let error = refused(eval("three", &[]));
    assert!(error.contains("mask masks/p03_mask.png is 40x48, and images/p03.png is 48x48"), "{error}");
    assert!(error.contains("1 of 24 samples have no label: images/p03.png"), "{error}");
    fs::remove_file(folder.path().join("masks/p03_mask.png")).unwrap();
    let error = refused(eval("three", &[]));
    assert!(error.contains("images/p03.png has no mask: none of 23 mask files has its name"), "{error}");
    fs::remove_dir_all(folder.path().join("masks")).unwrap();
    let error = refused(eval("three", &[]));
    assert!(error.contains("masks: data masks not found") && error.contains("hint:"), "{error}");
    assert!(!folder.path().join("three").exists());
}
