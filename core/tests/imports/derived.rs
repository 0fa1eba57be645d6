//! Embedders for other channels, volumes and pixels, made from that of images.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use medcoss_core::data::{GridAxis, GridLayout, PatchBatch};
use medcoss_core::model::PatchTensors;
use medcoss_core::weights::{DerivedFamily, Import, Imported, PixelStatistics};

use super::{Expected, Image, TOLERANCE, heads, imported, largest_error, values, weights};

fn with_family(import: Import, name: &str, family: DerivedFamily) -> Import {
    Import { families: [(name.to_string(), family)].into(), ..import }
}

/// Output of the encoder for images of the family `image`.
fn output(imported: &Imported, image: &Image) -> Vec<f32> {
    let family = imported.config.family("image").unwrap();
    values(imported.model.hidden_states(family, &image.batch()).output)
}

#[test]
fn one_channel_has_the_sum_of_the_weights_of_three() {
    let expected = Expected::open("timm");
    let family = DerivedFamily { channels: Some(1), ..DerivedFamily::default() };
    let grey = imported("timm_vit.safetensors", &with_family(heads(4), "image", family));
    let error = super::compare(&grey, &expected, "timm_vit_grey", &expected, "timm_vit_grey");
    assert!(error > 0.0);
}

/// A volume of equal slices, with values from -1 to 1, gives what one slice gave as a grey image.
#[test]
fn a_volume_of_equal_slices_gives_what_the_image_gave() {
    let expected = Expected::open("timm");
    let family = DerivedFamily { channels: Some(1), depth: Some(3), planes: 2, value_range: [-1.0, 1.0] };
    let imported = imported("timm_vit.safetensors", &with_family(heads(4), "volume", family));
    let names: Vec<&str> = imported.config.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, ["image", "volume"]);
    let image = expected.image("timm_vit_grey.image", 16);
    let tokens: Vec<f32> =
        image.tokens.chunks(256).flat_map(|token| token.repeat(3)).map(|value| 2.0 * value - 1.0).collect();
    let axes = ["depth", "row", "column"].map(|name| GridAxis { name: name.into(), ..GridAxis::default() });
    let layout = GridLayout { grid: vec![1, 4, 4], patch: vec![3, 16, 16], axes: axes.to_vec() };
    let batch = PatchBatch {
        n: 2,
        n_tokens: 16,
        d_token: 768,
        n_visible: 16,
        visible: tokens,
        visible_index: (0..32).map(|at| at % 16).collect(),
        layout: Some(layout.into()),
        ..PatchBatch::default()
    };
    let found = imported.model.hidden_states(1, &PatchTensors::new(batch, &Device::flex())).output;
    let error = largest_error(&values(found), &expected.floats("timm_vit_grey.normed"));
    assert!(error < TOLERANCE, "{error:e}");
}

/// A copy of the folder of a ViT with a configuration of its pixels.
fn folder_with_pixels(folder: &Path, preprocessor: &str) {
    for name in ["config.json", "model.safetensors"] {
        fs::copy(weights("hf_vit").join(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("preprocessor_config.json"), preprocessor).unwrap();
}

#[test]
fn pixels_need_no_normalisation_where_their_statistics_are_known() {
    let folder = tempfile::tempdir().unwrap();
    folder_with_pixels(
        folder.path(),
        r#"{ "do_normalize": true, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225] }"#,
    );
    let expected = Expected::open("hf");
    let mut image = expected.image("hf_vit.image", 16);
    // The golden image is what the library's model saw: after the normalisation.
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    image.tokens.iter_mut().enumerate().for_each(|(at, value)| *value = *value * std[at % 3] + mean[at % 3]);
    let by_file = Import::default().read(folder.path()).unwrap();
    let statistics = PixelStatistics { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] };
    let given = Import { pixels: Some(statistics), ..Import::default() }.read(&weights("hf_vit")).unwrap();
    for imported in [by_file, given] {
        let error = largest_error(&output(&imported, &image), &expected.floats("hf_vit.normed"));
        assert!(error < TOLERANCE, "{error:e}");
        assert!(imported.report.remarks.iter().any(|remark| remark.contains("folded into the patch embedding")));
    }
    let unknown = imported("hf_vit", &Import::default());
    assert!(unknown.report.remarks.iter().any(|remark| remark.contains("states no mean")));
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let statistics = |std: &[f64]| Some(PixelStatistics { mean: vec![0.5; std.len()], std: std.to_vec() });
    let family = |change: fn(&mut DerivedFamily)| {
        let mut family = DerivedFamily::default();
        change(&mut family);
        with_family(heads(4), "image", family)
    };
    for (import, expected) in [
        (Import { pixels: statistics(&[1.0]), ..heads(4) }, "pixel mean is [0.5], expected 3 finite numbers"),
        (Import { pixels: statistics(&[1.0, 0.0, 1.0]), ..heads(4) }, "pixel std is [1.0, 0.0, 1.0]"),
        (Import { pixels: statistics(&[1e-320; 3]), ..heads(4) }, "values that are not finite after pixels"),
        (
            family(|family| family.channels = Some(4)),
            "model.init_families.image.channels is 4, expected 3 as in the file, or 1",
        ),
        (family(|family| family.planes = 2), "model.init_families.image.planes is 2, expected 1"),
        (family(|family| family.depth = Some(1 << 40)), "values in a token, expected 1 to"),
        (family(|family| family.value_range = [1.0, 1.0]), "value_range is [1, 1]"),
        (Import { without: vec!["text".into()], ..heads(4) }, "there is no family text to leave out"),
    ] {
        let error = import.read(&weights("timm_vit.safetensors")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} is not {expected}");
    }
    let published = with_family(Import::default(), "volume", DerivedFamily::default());
    let error = published.read(&medcoss_test_support::golden("medcoss_tiny.pth")).unwrap_err().to_string();
    assert!(error.contains("model.init_families is given") && error.contains("embedders of its own"), "{error}");
}
