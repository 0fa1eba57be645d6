//! The reference's start from Uni-Perceiver's weights: what is taken, what begins afresh, what stays in the file.

use std::collections::BTreeSet;

use medcoss_core::model::{DeviceBatch, InitialValues};
use medcoss_core::weights::{Import, KnownSizes, UNUSED, correspondences};
use medcoss_test_support::golden;

use super::{FORWARD, Recipe, names};

#[test]
fn uni_perceivers_file_gives_what_the_reference_takes() {
    let (recipe, inputs) = (Recipe::open("uni_perceiver"), Recipe::open("replay"));
    let known: KnownSizes = serde_json::from_slice(&std::fs::read(golden("config.json")).unwrap()).unwrap();
    let import = Import { known, initial_values: InitialValues::Medcoss, ..Import::default() };
    let imported = import.read(&golden("recipe/uni_perceiver_tiny.pth")).unwrap();
    let report = &imported.report;
    println!("{report:#?}");
    let families: Vec<&str> = imported.config.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(families, ["text", "image"], "the file has no kernel of volumes");
    for part in ["class token", "image positions", "decoder", "text head", "image head"] {
        assert!(report.fresh.iter().any(|fresh| fresh == part), "{part}: {:?}", report.fresh);
    }

    // Names that were taken: those of the report's numbers.
    let taken: BTreeSet<String> = names(&recipe.notes["first_stage"]["taken"]).into_iter().collect();
    let file = medcoss_core::weights::TensorFile::open(&golden("recipe/uni_perceiver_tiny.pth")).unwrap();
    let mut n_same = 0;
    let table = correspondences(&imported.config);
    imported
        .model
        .visit_parameters(&mut |parameter| {
            let entry = table.iter().find(|entry| entry.own == parameter.path).unwrap();
            let key = format!("model.{}", entry.published);
            let in_file = file.floats(&key).ok();
            let values = entry.order.to_published(parameter.values()?, parameter.shape);
            assert_eq!(in_file.as_ref() == Some(&values), taken.contains(&entry.published), "{key}");
            n_same += usize::from(taken.contains(&entry.published));
            Ok(())
        })
        .unwrap();
    let unused = UNUSED.iter().filter(|(name, _)| taken.contains(*name)).count();
    assert_eq!(n_same + unused, taken.len());
    let n_left: usize =
        report.left.iter().filter(|left| !left.why.contains("kept for export")).map(|left| left.n).sum();
    let others = file.others().len();
    assert_eq!(n_left - others, names(&recipe.notes["first_stage"]["left_in_the_file"]).len());

    let text = DeviceBatch::new(inputs.text(["batch_2.ids", "batch_2.mask"], None), &burn::tensor::Device::flex());
    let at = imported.config.family("text").unwrap();
    recipe.same("text_features", imported.model.encode(at, &text, 0, None), FORWARD);
}
