//! CSV with a text column and a label column by name, and with a single column.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, open_and_load_as, text_options};
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

fuzz_target!(|content: &[u8]| {
    let columns = json!({ "text_column": "report", "label_column": "finding" });
    open_and_load::<Text>("input.csv", content, text_options(columns));
    open_and_load_as::<Text>("input.csv", text_options(json!({})));
});
