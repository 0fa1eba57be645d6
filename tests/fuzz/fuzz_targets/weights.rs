//! Files of weights: PyTorch containers and safetensors. All values that are read are finite, and an error names the
//! file. The same file is also read as prepared samples, which `embed` accepts without a plugin. Needs the feature
//! `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_core::data::{Dataset, RawBatch, View};
use medcoss_core::device::by_name;
use medcoss_core::model::{FamilyTokens, Model};
use medcoss_core::run::RunLayout;
use medcoss_core::weights::{
    ArraySource, ElementType, Import, KnownSizes, Layout, TensorOut, export, write_safetensors,
};
use medcoss_fuzz::run::model;
use medcoss_fuzz::{first_input, folder};

/// Writes the first inputs: a small model in this project's layout, and samples of its families.
fn first() {
    let (config, device) = (model(), by_name("cpu").expect("a processor"));
    let path = RunLayout::open(folder()).expect("a folder").folder().join("made.safetensors");
    let made = || std::fs::read(path.path()).expect("what was written");
    export(&Model::new(&config, 0, 0, &device), &config, &[], Layout::MedcossRs, 0, &path).expect("room for a model");
    first_input("weights", "small", &made());
    let tensor = |name: &str, shape: &[usize], dtype| TensorOut { name: name.into(), shape: shape.into(), dtype };
    let samples = [
        ("texts", vec![tensor("input", &[2, 3], ElementType::I32), tensor("mask", &[2, 3], ElementType::U8)], 30),
        ("signals", vec![tensor("input", &[2, 3, 2], ElementType::F32)], 48),
        ("images", vec![tensor("input", &[1, 3, 4, 4], ElementType::F16)], 96),
    ];
    for (name, tensors, n_bytes) in samples {
        let values = &mut |file: &mut dyn std::io::Write| Ok(file.write_all(&vec![0; n_bytes]).expect("room"));
        write_safetensors(&path, &tensors, "", values).expect("room for samples");
        first_input("weights", name, &made());
    }
}

fuzz_target!(init: first(), |content: &[u8]| {
    let path = folder().join("weights.pth");
    std::fs::write(&path, content).expect("room for an input");
    let known = KnownSizes {
        heads: Some(1),
        decoder_heads: Some(1),
        decoder_width: Some(8),
        decoder_layers: Some(1),
        ..KnownSizes::default()
    };
    match (Import { known, ..Import::default() }).read(&path) {
        Ok(imported) => imported
            .model
            .visit_parameters(&mut |parameter| {
                assert!(parameter.values()?.iter().all(|value| value.is_finite()), "{}", parameter.path);
                Ok(())
            })
            .expect("parameters can be read back"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let mut families = model().families;
    // Families of the published layout cut arrays into patches.
    let (mut image, mut volume) = (families[1].clone(), families[1].clone());
    (image.name, image.tokens) = ("image".into(), FamilyTokens::Continuous { d_token: 3 * 2 * 2 });
    (volume.name, volume.tokens) = ("volume".into(), FamilyTokens::Continuous { d_token: 8 });
    families.extend([image, volume]);
    for (family, mask) in families.iter().flat_map(|family| [(family, None), (family, Some("mask"))]) {
        let Ok(samples) = ArraySource::read(&path, "input", mask, family) else { continue };
        if !samples.ids().is_empty() {
            let filled = samples.fill(View::Evaluation, &[0], &[0], &mut RawBatch::default());
            filled.expect("a sample that is there");
        }
    }
});
