//! Whole slides: levels, tissue, tiles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::open_and_load;
use medcoss_pathology::Pathology;
use medcoss_sdk::serde_json::json;

fuzz_target!(|content: &[u8]| {
    let options = json!({ "size": 32, "slide_min_side": 16, "tile_size": 32, "min_tissue_ratio": 0.1 });
    open_and_load::<Pathology>("input.svs", content, options);
});
