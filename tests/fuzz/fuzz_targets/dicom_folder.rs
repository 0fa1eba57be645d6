//! Folders of DICOM files: a series of two slices, and a whole slide of two levels. The input is one of the files; the
//! other is the input with a changed end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{folder, open_and_load_as, put};
use medcoss_pathology::Pathology;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    std::fs::create_dir_all(folder().join("series")).expect("a folder for slices");
    put("series/1.dcm", content);
    let mut other = content.to_vec();
    // Pixels are last in a file; slice numbers and sizes come before them.
    let middle = other.len() / 2;
    other.iter_mut().skip(middle).step_by(97).for_each(|byte| *byte ^= 1);
    put("series/2.dcm", &other);
    open_and_load_as::<Ct>("series", json!({ "size": [16, 32, 32], "cache_mb": 16 }));
    let options = json!({ "size": 32, "tile_size": 32, "slide_min_side": 16, "min_tissue_ratio": 0.0 });
    open_and_load_as::<Pathology>("series", options);
});
