//! Fine-tuning on a small synthetic dataset, whose classes are the sign of a wave.

use medcoss_core::Result;
use medcoss_core::data::LoaderOptions;
use medcoss_core::data::{Dataset, RawBatch, SampleReport, TokenSpec, View};
use medcoss_core::device;
use medcoss_core::evaluation::{Finetuner, Finetuning, Labels};
use medcoss_core::model::{Dimensions, InitialValues, Model, ModelConfig, TextAttention, Variant};

/// Six tokens of five values; of odd samples with the other sign.
struct Signs {
    ids: Vec<String>,
}

impl Dataset for Signs {
    fn modality(&self) -> &str {
        "signs"
    }
    fn family(&self) -> &str {
        "signal"
    }
    fn spec(&self) -> TokenSpec {
        TokenSpec::Continuous { n_tokens: 6, d_token: 5, n_masked: 4 }
    }
    fn ids(&self) -> &[String] {
        &self.ids
    }
    fn fingerprint(&self) -> &str {
        "signs"
    }
    fn fill(&self, view: View, indices: &[u64], _: &[u64], batch: &mut RawBatch) -> Result<Vec<SampleReport>> {
        assert_eq!(view, View::Evaluation);
        let value = |index: u64, at: usize| {
            let sign = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
            sign * (1.0 + ((index * 31 + at as u64 * 17) % 13) as f32 / 13.0)
        };
        *batch = RawBatch {
            tokens: indices.iter().flat_map(|index| (0..30).map(|at| value(*index, at))).collect(),
            mask: vec![0; 6 * indices.len()],
            ..RawBatch::default()
        };
        Ok(Vec::new())
    }
}

fn config() -> ModelConfig {
    let dimensions = Dimensions {
        width: 24,
        layers: 2,
        heads: 3,
        mlp_width: 48,
        decoder_width: 16,
        decoder_layers: 1,
        decoder_heads: 2,
        drop_path: 0.1,
        layer_scale: 0.1,
    };
    let mut config = ModelConfig {
        dimensions,
        variant: Variant::default(),
        initial_values: InitialValues::default(),
        text_attention: TextAttention::default(),
        families: Vec::new(),
    };
    config.admit("signal", "signs", Signs { ids: Vec::new() }.spec(), Some(8)).unwrap();
    config
}

/// Class probabilities of the samples from 41 on, after fine-tuning on 40 labelled samples.
fn tuned(settings: &Finetuning, num_workers: usize, class: impl Fn(u64) -> usize) -> Result<Vec<f64>> {
    let dataset = Signs { ids: (0..61).map(|index| format!("signs/{index}")).collect() };
    let device = device::by_name("cpu").unwrap();
    let model = Model::new(&config(), 3, 1, &device.clone().autodiff());
    let finetuner = Finetuner {
        settings,
        family: 0,
        drop_path: 0.1,
        dataset: &dataset,
        loader: LoaderOptions { num_workers, max_invalid_fraction: 0.0 },
        seed: 7,
        device: &device,
    };
    let indices: Vec<u64> = (0..41).collect();
    let classes: Vec<usize> = indices.iter().map(|index| class(*index)).collect();
    let train = Labels { indices: &indices, classes: &classes, n_classes: 2 };
    let test: Vec<u64> = (41..61).collect();
    let mut latest = 0;
    let scores = finetuner.scores(model, train, &test, &mut |done| {
        assert!(done > latest);
        latest = done;
        Ok(())
    })?;
    assert_eq!(latest, (settings.epochs + 2) * 41 + 20);
    Ok(scores)
}

#[test]
fn a_sign_is_learned_with_any_number_of_workers() {
    let settings = Finetuning { epochs: 6, batch_size: 8, learning_rate: 3e-3, ..Finetuning::default() };
    let scores = tuned(&settings, 1, |index| (index % 2) as usize).unwrap();
    assert_eq!(scores.len(), 40);
    for (row, index) in scores.chunks(2).zip(41u64..) {
        assert!((row[0] + row[1] - 1.0).abs() < 1e-5);
        assert!(row[(index % 2) as usize] > 0.8, "{row:?} of sample {index}");
    }
    assert_eq!(scores, tuned(&settings, 3, |index| (index % 2) as usize).unwrap());

    let error = tuned(&settings, 2, |_| 1).unwrap_err().to_string();
    assert!(error.contains("class 0 of 2 has no sample"), "{error}");
}

#[test]
fn lower_layers_learn_less_with_layer_decay() {
    // The learning rate of embedder and encoder is so low that the head alone learns.
    let settings =
        |layer_decay| Finetuning { epochs: 2, batch_size: 8, learning_rate: 1e-3, layer_decay, weight_decay: 0.0 };
    let class = |index: u64| (index % 2) as usize;
    let [all, most, head] = [1.0, 0.75, 1e-9].map(|decay| tuned(&settings(decay), 2, class).unwrap());
    let right = |scores: &[f64]| -> f64 {
        scores.chunks(2).zip(41u64..).map(|(row, index)| row[class(index)]).sum::<f64>() / 20.0
    };
    assert!(
        right(&all) > right(&most) && right(&most) > right(&head),
        "{} {} {}",
        right(&all),
        right(&most),
        right(&head)
    );
}

#[test]
fn settings_and_losses_out_of_range_are_errors() {
    let error = |settings: Finetuning| tuned(&settings, 1, |index| (index % 2) as usize).unwrap_err().to_string();
    assert!(error(Finetuning { epochs: 0, ..Finetuning::default() }).contains("epochs is 0"));
    assert!(error(Finetuning { layer_decay: 1.5, ..Finetuning::default() }).contains("layer_decay is 1.5"));
    let message = error(Finetuning { learning_rate: 1e30, batch_size: 4, ..Finetuning::default() });
    assert!(message.contains("the loss of fine-tuning is"), "{message}");
}
