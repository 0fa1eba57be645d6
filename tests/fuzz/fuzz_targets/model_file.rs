//! Parameters of a run's model: `model.bpk`. All values that are read are finite. Needs the feature `run-folder`, and
//! with it Burn.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use medcoss_core::device::by_name;
use medcoss_core::model::Model;
use medcoss_core::run::{RunLayout, StageFolder, StageState, StoredModel};
use medcoss_core::weights::{ImportReport, Imported, InitialModel};
use medcoss_fuzz::run::{layout, model, stage, state};
use medcoss_fuzz::{first_input, folder};

/// Writes the first input: the file of a run that begins with imported weights.
fn first() {
    let device = by_name("cpu").expect("a processor");
    let (config, run) = (model(), layout());
    let imported = Imported {
        model: Model::new(&config, 0, 0, &device),
        config,
        passed_through: Vec::new(),
        report: ImportReport::default(),
    };
    InitialModel::write(&run, &imported, &folder().join("vocab.txt")).expect("room for a model");
    let made = std::fs::read(run.initial().join(RunLayout::MODEL).path()).expect("what was written");
    first_input("model_file", "small", &made);
}

fuzz_target!(init: first(), |content: &[u8]| {
    static STAGE: OnceLock<(StageFolder, StageState)> = OnceLock::new();
    let (stage, state) = STAGE.get_or_init(|| (stage(&layout()), state()));
    std::fs::write(stage.file(RunLayout::MODEL).path(), content).expect("room for an input");
    let device = by_name("cpu").expect("a processor");
    match StoredModel::of_stage(stage, state).load(&device) {
        Ok(model) => model
            .visit_parameters(&mut |parameter| {
                assert!(parameter.values()?.iter().all(|value| value.is_finite()), "{}", parameter.path);
                Ok(())
            })
            .expect("parameters can be read back"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
