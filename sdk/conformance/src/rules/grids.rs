//! The grids of samples' files: the operation `grids`.

use medcoss_abi::message::{FileGrid, Grids};
use medcoss_abi::operation::GRIDS;
use medcoss_caller::grids::{check, meets};
use medcoss_caller::{FillPattern, SampleView, Shape, View};

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin::{PANIC_REMEDY, read};
use crate::plugin_under_test::PluginUnderTest;
use crate::rules::operations::{json, not_known};
use crate::samples_under_test::Samples;

pub(super) fn grids(under_test: &mut PluginUnderTest) -> RuleResult {
    if !under_test.knows(GRIDS)? {
        return Err(not_known(GRIDS));
    }
    let (samples, seed) = (under_test.samples()?, under_test.request.seed);
    let dataset = &samples.dataset;
    let past_the_end = Grids { indices: vec![dataset.len() as u64] };
    match dataset.query(GRIDS, json(&past_the_end)?.as_bytes()) {
        Err(error) if error.is_fault() => return Err(violation(error.to_string(), PANIC_REMEDY)),
        Err(_) => {}
        Ok(_) => {
            return Err(violation(
                format!("the grid of sample {} of {} is answered; an error was expected", dataset.len(), dataset.len()),
                "refuse an index that no sample has",
            ));
        }
    }
    let all = asked(dataset, &samples.indices)?;
    for (slot, &index) in samples.indices.iter().enumerate() {
        if asked(dataset, &[index])? != all[slot..=slot] {
            return Err(violation(
                format!("the grid of sample {} differs from that in a request with other samples", dataset.id(index)),
                "make `grid` depend on its arguments and the dataset alone",
            ));
        }
    }
    check_places(&samples, &all, seed)?;
    match all.iter().flatten().count() {
        0 => passed("the plugin knows the grid of none of its samples"),
        n => passed(format!("{n} of {} grids are known", all.len())),
    }
}

fn asked(dataset: &OpenDataset, indices: &[u64]) -> Result<Vec<Option<FileGrid>>, Stop> {
    let request = Grids { indices: indices.to_vec() };
    let answer: Vec<Option<FileGrid>> = read(GRIDS, &dataset.query(GRIDS, json(&request)?.as_bytes())?)?;
    let remedy =
        "answer with a grid or null for each index, with as many axes as samples have, in the file's own index order";
    check(dataset.shape.n_axes(), &answer, indices.len()).map_err(|what| violation(what, remedy))?;
    Ok(answer)
}

/// Samples with an affine lie at least in part on the grids of their files. What is wrong with an affine alone is another rule's business.
fn check_places(samples: &Samples, grids: &[Option<FileGrid>], seed: u64) -> Result<(), Stop> {
    let dataset = &samples.dataset;
    let Shape::Continuous { grid, .. } = &dataset.shape else { return Ok(()) };
    for (&index, file) in samples.indices.iter().zip(grids) {
        let Some(file) = file else { continue };
        let batch = dataset.read(View::Evaluation, &[index], seed, FillPattern::EmptySample)?;
        let SampleView::Continuous { affine, .. } = batch.sample(0) else { continue };
        if !affine.is_empty() && affine.iter().all(|value| value.is_finite()) && !meets(affine, grid, &file.shape) {
            return Err(violation(
                format!(
                    "the evaluation view of sample {} lies beside its file: its affine is {affine:?}, the file's grid {:?}",
                    dataset.id(index),
                    file.shape
                ),
                "give affine and grid the same axes, those of the file in its own index order, and count voxels of the file",
            ));
        }
    }
    Ok(())
}
