//! Files `tokenizer.json`. The `tokenizers` library panics on some inputs, which the SDK turns into an error of the
//! plugin. So a panic inside of the library is no finding here, and a panic of our own code is.
#![no_main]

use std::panic;

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{open_and_load, put};
use medcoss_sdk::serde_json::json;
use medcoss_text::Text;

const TEXT: &[u8] = "Clear lungs, no Pleural effusion.\né 漢字 [MASK] a\u{301} 12\u{200b}3\n".as_bytes();

/// Lets panics of the library unwind; libFuzzer's own hook would end the process at any panic.
fn pass_over_library() {
    let stop = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|place| place.file().contains("/tokenizers-")) {
            stop(info);
        }
    }));
}

fuzz_target!(init: pass_over_library(), |content: &[u8]| {
    put("tokenizer.json", content);
    let options = json!({ "tokenizer": "tokenizer.json", "max_length": 16 });
    let _ = panic::catch_unwind(|| open_and_load::<Text>("input.txt", TEXT, options));
});
