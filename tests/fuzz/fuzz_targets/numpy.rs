//! NumPy arrays: `.npy`, and archives of one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_ct::Ct;
use medcoss_fuzz::{first_input, open_and_load, open_and_load_as};
use medcoss_sdk::serde_json::json;

fuzz_target!(
    init: {
        let dictionary = "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4, 5), }";
        let head = [b"\x93NUMPY\x01\0".as_slice(), &(dictionary.len() as u16).to_le_bytes()].concat();
        let array = [&head, dictionary.as_bytes(), &[1; 120]].concat();
        first_input("numpy", "array", &array);
        let n = array.len() as u8;
        let common = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, n, 0, 0, 0, n, 0, 0, 0, 5, 0, 0, 0];
        let entry = [b"PK\x03\x04".as_slice(), &common, b"a.npy", &array].concat();
        let place = [0; 14];
        let directory = [b"PK\x01\x02\x14\0".as_slice(), &common, &place, b"a.npy"].concat();
        let sizes = [directory.len() as u32, entry.len() as u32].map(u32::to_le_bytes).concat();
        let end = [b"PK\x05\x06\0\0\0\0\x01\0\x01\0".as_slice(), &sizes, &[0, 0]].concat();
        first_input("numpy", "archive", &[entry, directory, end].concat());
    },
    |content: &[u8]| {
        open_and_load::<Ct>("input.npz", content, json!({ "size": [16, 32, 32], "cache_mb": 16 }));
        open_and_load_as::<Ct>("input.npz", json!({ "size": [16, 32, 32], "cache_mb": 0, "stride": 7 }));
    }
);
