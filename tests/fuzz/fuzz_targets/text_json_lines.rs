//! JSON Lines with fields by name, by path, and with a single field, and the same bytes as one JSON value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, open_and_load_as, text_options};
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

fuzz_target!(|content: &[u8]| {
    let fields = json!({ "text_column": "report", "label_column": "finding" });
    open_and_load::<Text>("input.jsonl", content, text_options(fields));
    open_and_load_as::<Text>("input.jsonl", text_options(json!({ "text_column": "report.text" })));
    open_and_load_as::<Text>("input.jsonl", text_options(json!({})));
    open_and_load::<Text>("input.json", content, text_options(json!({ "text_column": "report" })));
});
