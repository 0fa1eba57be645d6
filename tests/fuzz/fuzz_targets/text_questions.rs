//! Questions with answers in XML.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, text_options};
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

fuzz_target!(|content: &[u8]| open_and_load::<Text>("input.xml", content, text_options(json!({}))));
