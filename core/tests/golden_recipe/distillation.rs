//! The teacher with a temporal position of its own, and with stochastic depth.

use burn::optim::GradientsParams;

use super::gradients::compare;
use super::{BACKWARD, FORWARD, Models, Recipe, close};

/// Losses by the teacher's temporal position, outputs and gradients of both models.
#[test]
fn a_teacher_draws_a_temporal_position_and_a_depth_of_its_own() {
    let (recipe, inputs, models) = (Recipe::open("teacher"), Recipe::open("replay"), Models::open());
    for family in ["image", "volume"] {
        // Batch 0 is an image batch that is not mixed by the replay: its mixup stands here.
        let of_case = |name: &str| match family {
            "image" => recipe.index(&format!("image.{name}")),
            _ => inputs.index(&format!("batch_1.{name}")),
        };
        let places = [of_case("temporal"), of_case("teacher_temporal")];
        let batch = match family {
            "image" => mixed_images(&recipe, &inputs),
            _ => inputs.patches("batch_1.data", Some("batch_1.noise"), Some(["batch_1.permutation", "batch_1.lambda"])),
        };
        let batch = models.upload(batch);

        let student = models.student.encode(models.family(family), &batch, places[0], None);
        recipe.same(&format!("{family}.student"), student.inner(), FORWARD);
        for (case, places) in [(family.to_string(), places), (format!("{family}_equal_index"), [places[0]; 2])] {
            let loss = models.matching(family, places).loss(&batch, None, None);
            recipe.same(&format!("{case}.loss"), loss.clone().inner(), FORWARD);
            let gradients = GradientsParams::from_grads(loss.backward(), &models.student);
            compare(&recipe, &case, &models, &gradients, BACKWARD);
        }
        let by_index: Vec<f32> = (0..8)
            .map(|index| models.matching(family, [places[0], index]).loss(&batch, None, None).into_scalar::<f32>())
            .collect();
        let expected: Vec<f32> = recipe.notes[format!("{family}_loss_by_teacher_index")]
            .as_array()
            .unwrap()
            .iter()
            .map(|loss| loss.as_f64().unwrap() as f32)
            .collect();
        close(&format!("{family}: loss by the teacher's position"), &by_index, &expected, FORWARD);

        let case = format!("{family}_drop");
        let depth = |who: &str| recipe.depth(&format!("{case}.{who}_keep"));
        let student = models.student.encode(models.family(family), &batch, places[0], Some(&mut depth("student")));
        recipe.same(&format!("{case}.student"), student.inner(), FORWARD);
        let loss =
            models.matching(family, places).loss(&batch, Some(&mut depth("student")), Some(&mut depth("teacher")));
        recipe.same(&format!("{case}.loss"), loss.clone().inner(), FORWARD);
        let gradients = GradientsParams::from_grads(loss.backward(), &models.student);
        compare(&recipe, &case, &models, &gradients, BACKWARD);
    }
}

/// The images of batch 0 with the mixup of the teacher's file.
fn mixed_images(recipe: &Recipe, inputs: &Recipe) -> medcoss_core::data::HostBatch {
    let (partners, lambdas) = (recipe.integers("image.permutation"), recipe.floats("image.lambda"));
    inputs.patches_mixed("batch_0.data", Some("batch_0.noise"), Some((partners, lambdas)))
}
