//! HDF5 files: datasets in chunks or not, named or not, and masks beside them.
#![no_main]

use hdf5_pure::FileBuilder;
use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{first_input, label_map, open_and_load, open_and_load_as};
use medcoss_sdk::serde_json::json;

fuzz_target!(
    init: {
        for file in ["left_atrium", "kinds"] {
            let path = format!("{}/../../sdk/formats/tests/golden/hdf5_{file}.h5", env!("CARGO_MANIFEST_DIR"));
            first_input("hdf5", file, &std::fs::read(path).expect("a golden file"));
        }
        let numbers: Vec<i16> = (0..60).collect();
        let mut builder = FileBuilder::new();
        builder.create_dataset("image").with_i16_data(&numbers).with_shape(&[5, 4, 3]);
        let chunks = builder.create_dataset("label").with_i16_data(&numbers).with_shape(&[5, 4, 3]).with_chunks(&[2, 4, 3]);
        chunks.with_shuffle().with_deflate(4);
        first_input("hdf5", "small", &builder.finish().expect("a small file"));
        label_map_of(&[]);
    },
    |content: &[u8]| {
        let size = [16, 32, 32];
        open_and_load::<Ct>("input.h5", content, json!({ "size": size, "cache_mb": 16 }));
        open_and_load_as::<Ct>("input.h5", json!({ "size": size, "cache_mb": 16, "dataset": "image" }));
        let slabs = json!({ "size": size, "cache_mb": 0, "stride": 7, "dataset": "label", "slice_axis": "first" });
        open_and_load_as::<Ct>("input.h5", slabs);
        label_map_of(content);
    }
);

/// Reads an input as the mask of a small scan.
fn label_map_of(content: &[u8]) {
    let mut builder = FileBuilder::new();
    builder.create_dataset("image").with_u8_data(&[9; 60]).with_shape(&[5, 4, 3]);
    medcoss_fuzz::put("scan.h5", &builder.finish().expect("a small file"));
    let options = json!({ "size": [16, 32, 32], "cache_mb": 16, "mask_dataset": "label" });
    label_map::<Ct>("scan.h5", "mask.h5", content, options);
}
