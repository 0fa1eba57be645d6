//! Operations other than reading: assets, saved samples, rendering, and unknown operations.

use medcoss_abi::message::{Keep, Open, Render, Rendering, SaveAssets, Synthesised};
use medcoss_abi::{code, framed, operation};
use medcoss_caller::answers::check_assets;
use medcoss_caller::{FillPattern, SampleView, View};

use crate::batch::{difference, same};
use crate::open_dataset::{OpenDataset, seed_of};
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin::read;
use crate::plugin_under_test::{PluginUnderTest, check_made};
use crate::rules::fill::continuous;
use crate::rules::options::expect_code;
use crate::samples_under_test::Samples;

/// Samples that are rendered and kept.
const N_SHOWN: usize = 3;
/// Largest difference of a token's values between a sample and its kept copy, which the host allows too: a step of 16-bit
/// pixels, in units of the largest value or of 1.
const KEPT_TOLERANCE: f32 = 1.0 / 32768.0;
/// Longest side of an image in pixels.
const LONGEST_SIDE: u32 = 16384;

pub(super) fn save_assets(under_test: &mut PluginUnderTest) -> RuleResult {
    if !under_test.knows(operation::SAVE_ASSETS)? {
        return Err(not_known(operation::SAVE_ASSETS));
    }
    let samples = under_test.repeatable_samples()?;
    let folder = under_test.new_folder("assets")?;
    let body = json(&SaveAssets { folder: folder.clone() })?;
    let names: Vec<String> =
        read(operation::SAVE_ASSETS, &samples.dataset.query(operation::SAVE_ASSETS, body.as_bytes())?)?;
    check_assets(&folder, &names)
        .map_err(|what| violation(what, "answer with the plain names of the files that were written"))?;
    let open = Open { assets: Some(folder), ..samples.open.clone() };
    let again = OpenDataset::new(under_test.plugin()?, &open)?;
    same_samples(
        &samples,
        &samples.indices,
        &again,
        &samples.indices,
        under_test.request.seed,
        "from saved assets",
        0.0,
    )?;
    passed(if names.is_empty() { "nothing is learned from data".into() } else { names.join(", ") })
}

pub(super) fn keep(under_test: &mut PluginUnderTest) -> RuleResult {
    if !under_test.knows(operation::KEEP)? {
        return Err(not_known(operation::KEEP));
    }
    let samples = under_test.repeatable_samples()?;
    let folder = under_test.new_folder("kept")?;
    // Backwards, since the order is the plugin's to keep.
    let indices: Vec<u64> = samples.indices.iter().rev().take(N_SHOWN).copied().collect();
    let body = json(&Keep { folder: folder.clone(), indices: indices.clone() })?;
    let kept: Synthesised = read(operation::KEEP, &samples.dataset.query(operation::KEEP, body.as_bytes())?)?;
    check_made(&folder, &kept)?;
    let mut assets = None;
    if under_test.knows(operation::SAVE_ASSETS)? {
        let folder = under_test.new_folder("kept-assets")?;
        let body = json(&SaveAssets { folder: folder.clone() })?;
        samples.dataset.query(operation::SAVE_ASSETS, body.as_bytes())?;
        assets = Some(folder);
    }
    // Elsewhere, since a run may be moved.
    let moved = under_test.new_folder("moved")?.join("kept");
    std::fs::rename(&folder, &moved).map_err(|error| Stop::Skip(format!("{folder:?} cannot be moved: {error}")))?;
    let open = Open { base: moved, data: kept.data, options: kept.options, assets };
    let again = OpenDataset::new(under_test.plugin()?, &open)?;
    if again.len() != indices.len() {
        return Err(violation(
            format!("{} samples were kept and {} are opened again", indices.len(), again.len()),
            "write exactly the samples that were asked for, in their order",
        ));
    }
    let places: Vec<u64> = again.all().collect();
    same_samples(&samples, &indices, &again, &places, under_test.request.seed, "when it was kept", KEPT_TOLERANCE)?;
    passed(format!("{} samples, opened in another place", indices.len()))
}

pub(super) fn render(under_test: &mut PluginUnderTest) -> RuleResult {
    let Some(kind) = under_test.description()?.renders else { return Err(not_known(operation::RENDER)) };
    let samples = under_test.samples()?;
    let mut shown = String::new();
    for &index in samples.indices.iter().take(N_SHOWN) {
        let batch =
            samples.dataset.read(View::Evaluation, &[index], under_test.request.seed, FillPattern::EmptySample)?;
        let body = render_request(&batch.sample(0), None)?;
        let answer = samples.dataset.query(operation::RENDER, &body)?;
        shown = match kind {
            Rendering::Png => image(answer)?,
            Rendering::Text => text(answer)?,
        };
        let short = samples.dataset.query(operation::RENDER, &body[..body.len() - 1]);
        let refused = short.err().map(|error| (error.is_fault(), error.to_string()));
        if refused.as_ref().is_none_or(|(fault, _)| *fault) {
            let found = refused.map_or("an answer".into(), |(_, message)| message);
            return Err(violation(
                format!("tokens that lack a byte gave {found}; an error of the contract was expected"),
                "compare the length of what is to be rendered with the geometry",
            ));
        }
    }
    passed(shown)
}

/// What stands behind the mask does not reach the image.
pub(super) fn render_mask(under_test: &mut PluginUnderTest) -> RuleResult {
    if under_test.description()?.renders.is_none() {
        return Err(not_known(operation::RENDER));
    }
    let samples = continuous(under_test)?;
    for &index in samples.indices.iter().take(N_SHOWN) {
        let batch =
            samples.dataset.read(View::Evaluation, &[index], under_test.request.seed, FillPattern::EmptySample)?;
        let SampleView::Continuous { tokens, mask, .. } = batch.sample(0) else { return passed("") };
        let d_token = tokens.len() / mask.len();
        // Every other token is hidden.
        let hidden: Vec<u8> = (0..mask.len()).map(|token| (token % 2) as u8).collect();
        let changed: Vec<f32> = tokens
            .iter()
            .enumerate()
            .map(|(at, value)| if at / d_token % 2 == 1 { value + 0.25 } else { *value })
            .collect();
        let images = [tokens, &changed].map(|values| {
            let sample = SampleView::Continuous {
                tokens: values,
                mask,
                valid: &[],
                targets: &[],
                coordinates: &[],
                affine: &[],
            };
            Ok::<_, Stop>(samples.dataset.query(operation::RENDER, &render_request(&sample, Some(&hidden))?)?)
        });
        let [as_it_is, changed] = images;
        if as_it_is? != changed? {
            return Err(violation(
                format!(
                    "sample {} is rendered otherwise when values behind the mask change",
                    samples.dataset.id(index)
                ),
                "draw hidden tokens without their values: in grey, say",
            ));
        }
    }
    passed("")
}

/// The request of `render` for a sample, with a mask where it is given.
pub(super) fn render_request(sample: &SampleView<'_>, mask: Option<&[u8]>) -> Result<Vec<u8>, Stop> {
    let (kind, values): (&str, Vec<u8>) = match sample {
        SampleView::Continuous { tokens, .. } => {
            ("tokens", tokens.iter().flat_map(|value| value.to_le_bytes()).collect())
        }
        SampleView::Discrete { ids, .. } => ("ids", ids.iter().flat_map(|id| id.to_le_bytes()).collect()),
    };
    let parts = [Some(kind), mask.map(|_| "mask")].into_iter().flatten().map(String::from).collect();
    let mut body = framed::begin(&Render { parts })
        .map_err(|error| Stop::Skip(format!("the request cannot be written: {error}")))?;
    body.extend(values);
    body.extend(mask.unwrap_or_default());
    Ok(body)
}

pub(super) fn unknown(under_test: &mut PluginUnderTest) -> RuleResult {
    let plugin = under_test.plugin()?;
    let samples = under_test.samples()?;
    let remedy = "answer operations that are not known with UNKNOWN_OPERATION: later hosts ask for new ones";
    let name = "no-such-operation";
    let answers = [
        ("invoke", plugin.invoke::<serde_json::Value>(name, &serde_json::json!({})).map(drop)),
        ("query", samples.dataset.query(name, b"{}").map(drop)),
    ];
    for (call, answer) in answers {
        match answer {
            Ok(()) => {
                return Err(violation(format!("`{call}` of {name:?} gave an answer; an error was expected"), remedy));
            }
            Err(error) => expect_code(&error, code::UNKNOWN_OPERATION, remedy)?,
        }
    }
    passed("")
}

/// Whether samples are the same in both views and both places.
fn same_samples(
    samples: &Samples,
    indices: &[u64],
    again: &OpenDataset,
    others: &[u64],
    seed: u64,
    how: &str,
    tolerance: f32,
) -> Result<(), Stop> {
    let remedy =
        "write what a sample is made of without loss, before augmentation, and answer with the options in force";
    if again.shape != samples.dataset.shape {
        let (found, expected) = (&again.shape, &samples.dataset.shape);
        return Err(violation(format!("opened again, the samples are {found} instead of {expected}"), remedy));
    }
    for (&index, &other) in indices.iter().zip(others) {
        for view in View::ALL {
            let seeds = [seed_of(seed, index)];
            let a = samples.dataset.read_seeded(view, &[index], &seeds, FillPattern::EmptySample)?;
            let b = again.read_seeded(view, &[other], &seeds, FillPattern::EmptySample)?;
            if !close(a.sample(0), b.sample(0), tolerance) {
                let id = samples.dataset.id(index);
                let difference = difference(&a.sample(0), &b.sample(0));
                return Err(violation(
                    format!("sample {id} differs {how}: {difference}; the same values were expected"),
                    remedy,
                ));
            }
        }
    }
    Ok(())
}

/// Whether two samples differ by no more than a fraction of the range of their values; masks and ids not at all.
fn close(a: SampleView<'_>, b: SampleView<'_>, tolerance: f32) -> bool {
    match (a, b) {
        (
            SampleView::Continuous { tokens, mask, .. },
            SampleView::Continuous { tokens: others, mask: other_mask, .. },
        ) if tolerance > 0.0 => {
            let most_apart = tolerance * tokens.iter().fold(1.0f32, |most, value| most.max(value.abs()));
            mask == other_mask
                && tokens.iter().zip(others).all(|(a, b)| a.to_bits() == b.to_bits() || (a - b).abs() <= most_apart)
        }
        (a, b) => same(&a, &b),
    }
}

/// Decodes the whole image.
fn image(answer: Vec<u8>) -> Result<String, Stop> {
    let failed = |what: String| violation(what, "encode images with the SDK's `encode_png`");
    let n = answer.len();
    let decoder = png::Decoder::new(std::io::Cursor::new(answer));
    let mut reader = decoder.read_info().map_err(|error| failed(format!("{n} bytes are no PNG image: {error}")))?;
    let (width, height) = reader.info().size();
    if width > LONGEST_SIDE || height > LONGEST_SIDE {
        return Err(failed(format!(
            "the image has {width} x {height} pixels; sides up to {LONGEST_SIDE} were expected"
        )));
    }
    let mut pixels = vec![0; reader.output_buffer_size().unwrap_or_default()];
    reader.next_frame(&mut pixels).map_err(|error| failed(format!("the image cannot be decoded: {error}")))?;
    Ok(format!("an image of {width} x {height} pixels"))
}

fn text(answer: Vec<u8>) -> Result<String, Stop> {
    match String::from_utf8(answer) {
        Ok(text) if !text.trim().is_empty() => Ok(format!("{} characters of text", text.chars().count())),
        Ok(_) => Err(violation("the text is empty; some was expected", "write out what the tokens stand for")),
        Err(error) => Err(violation(format!("the text is not UTF-8: {error}"), "answer with UTF-8")),
    }
}

pub(super) fn not_known(operation: &str) -> Stop {
    Stop::Skip(format!("the plugin has no operation `{operation}`"))
}

pub(super) fn json(body: &impl serde::Serialize) -> Result<String, Stop> {
    serde_json::to_string(body).map_err(|error| Stop::Skip(format!("the request cannot be written: {error}")))
}
