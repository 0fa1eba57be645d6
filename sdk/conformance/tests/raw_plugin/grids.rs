//! The grids of the files.

use std::sync::atomic::Ordering;

use medcoss_abi::code;
use medcoss_abi::message::Grids;
use serde_json::{Value, json};

use super::dataset::{Answer, Dataset, Kind, N_CALLS, failed};
use super::fault::{Fault, current};

/// Samples of numbers lie at rows 1 to 13 and columns 8 to 0 of files of 14 x 8 numbers; words lie on no grid.
pub(super) fn grids(dataset: &Dataset, request: &Grids) -> Answer<Value> {
    let (fault, n) = (current(), dataset.files.len());
    if let Some(index) = request.indices.iter().find(|&&index| index >= n as u64)
        && fault != Fault::GridOfNoSample
    {
        return failed(code::BAD_REQUEST, format!("sample {index} of {n}"));
    }
    let grid = |_: &u64| match fault {
        _ if dataset.kind == Kind::Words => Value::Null,
        Fault::GridWithoutVoxels => json!({ "shape": [14, 0] }),
        Fault::GridsOfTheMoment => json!({ "shape": [14, 8 + N_CALLS.fetch_add(1, Ordering::Relaxed)] }),
        Fault::GridElsewhere => json!({ "shape": [1, 8] }),
        _ => json!({ "shape": [14, 8], "spacing_mm": [0.5, 2.0] }),
    };
    let mut answer: Vec<Value> = request.indices.iter().map(grid).collect();
    if fault == Fault::GridsTooFew {
        answer.pop();
    }
    Ok(json!(answer))
}
