//! The account of the files, and the survey of them.

use serde_json::{Value, json};

use super::dataset::Dataset;
use super::fault::{Fault, current};

pub(super) fn account(dataset: &Dataset) -> Value {
    let n_used = dataset.files.len();
    let others = &dataset.left_out;
    let reason = if current() == Fault::LeftOutWithoutReason { "" } else { "another kind of file" };
    let left_out: Vec<_> = others.iter().map(|file| json!({ "file": file, "reason": reason })).collect();
    match current() {
        Fault::StrangeFileForgotten => json!({ "n_used": n_used, "n_left_out": 0, "left_out": [] }),
        Fault::StrangeFileUsed => json!({ "n_used": n_used + others.len(), "n_left_out": 0, "left_out": [] }),
        Fault::LeftOutTwice => json!({ "n_used": n_used, "n_left_out": 2 * others.len(), "left_out": left_out }),
        Fault::AccountUnknownLater if !others.is_empty() => Value::Null,
        _ => json!({ "n_used": n_used, "n_left_out": others.len(), "left_out": left_out }),
    }
}

pub(super) fn survey() -> Value {
    let (fit, option) = match current() {
        Fault::SurveyDeniesItsOwn => (0.0, json!([])),
        Fault::SurveyOutOfRange => (1.5, json!([])),
        Fault::SurveyProposesNothing => (0.9, json!([{ "name": "level", "value": 7, "reason": "it suits" }])),
        _ => (0.9, json!([{ "name": "level", "value": 2, "reason": "it suits" }])),
    };
    json!({ "fit": fit, "why": "files end in .bare", "options": option })
}
