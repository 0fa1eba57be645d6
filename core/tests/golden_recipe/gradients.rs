//! Losses and gradients of single batches: pretext tasks of images, volumes and text, distillation of volumes and text.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use medcoss_core::model::DeviceBatch;
use medcoss_core::pretext::pretext_loss;

use super::{BACKWARD, FORWARD, Models, Recipe, close, names, norm, published_gradients, without_key_bias};

/// Compares norms and some values of all gradients of a case with the golden ones.
pub(super) fn compare(recipe: &Recipe, case: &str, models: &Models, gradients: &GradientsParams, tolerance: f32) {
    let found = published_gradients(&models.student, &models.config, gradients);
    let expected_names = names(&recipe.notes[case]["grad_names"]);
    assert_eq!(found.keys().collect::<Vec<_>>(), {
        let mut sorted: Vec<_> = expected_names.iter().collect();
        sorted.sort();
        sorted
    });
    let norms: Vec<f32> = expected_names.iter().map(|name| norm(&found[name]) as f32).collect();
    close(&format!("{case}.grad_norms"), &norms, &recipe.floats(&format!("{case}.grad_norms")), tolerance);
    for name in expected_names {
        let key = format!("{case}.grad.{name}");
        // Cases of equal positions hold norms alone.
        if recipe.file.shape(&key).is_err() {
            continue;
        }
        let values = &found[&name];
        let step = match values.len().div_ceil(64) {
            step if step > 1 && step % 2 == 0 => step + 1,
            step => step,
        };
        let places: Vec<usize> = (0..values.len()).collect();
        let kept = without_key_bias(&name, &places);
        let some: Vec<usize> = (0..values.len()).step_by(step).collect();
        let expected = recipe.floats(&key);
        let pairs = some.iter().zip(&expected).filter(|(at, _)| kept.binary_search(at).is_ok());
        let (found, expected): (Vec<f32>, Vec<f32>) = pairs.map(|(at, value)| (values[*at], *value)).unzip();
        close(&key, &found, &expected, tolerance);
    }
}

fn check(recipe: &Recipe, case: &str, models: &Models, loss: Tensor<1>) {
    recipe.same(&format!("{case}.loss"), loss.clone().inner(), FORWARD);
    let gradients = GradientsParams::from_grads(loss.backward(), &models.student);
    compare(recipe, case, models, &gradients, BACKWARD);
}

#[test]
fn losses_and_gradients_of_single_batches() {
    let (recipe, inputs, models) = (Recipe::open("gradients"), Recipe::open("replay"), Models::open());
    let pretext = |family: &str, batch: &DeviceBatch, temporal: usize| {
        let family = models.family(family);
        pretext_loss(&models.student, family, batch, models.student.encode(family, batch, temporal, None))
    };
    for (family, batch) in [("image", 0), ("volume", 4)] {
        let name = |name: &str| format!("batch_{batch}.{name}");
        let samples = models.upload(inputs.patches(&name("data"), Some(&name("noise")), None));
        let loss = pretext(family, &samples, inputs.index(&name("temporal")));
        check(&recipe, &format!("{family}_pretext"), &models, loss);
    }
    let text = recipe.text(["text_pretext.ids", "text_pretext.mask"], Some("text_pretext.labels"));
    check(&recipe, "text_pretext", &models, pretext("text", &models.upload(text), 0));

    let mixed = Some(["batch_4.permutation", "batch_4.lambda"]);
    let volumes = models.upload(inputs.patches("batch_4.data", Some("batch_4.noise"), mixed));
    let places = [inputs.index("batch_4.temporal"), inputs.index("batch_4.teacher_temporal")];
    check(&recipe, "volume_distillation", &models, models.matching("volume", places).loss(&volumes, None, None));

    let text = models.upload(recipe.text(["text_distillation.mixed", "text_distillation.mixed_mask"], None));
    check(&recipe, "text_distillation", &models, models.matching("text", [0, 0]).loss(&text, None, None));
}
