//! Completion of a model with families that it has not learned yet.

use burn::tensor::Device;

use crate::continual::model_of_stage;
use crate::model::{FamilyConfig, Model, ModelConfig};
use crate::run::StoredModel;
use crate::{ModelError, Result};

/// A model with embedders for all `families` of `config`: families that `stored` lacks have fresh parameters, as at the start of their stage. Without
/// `stored` all parameters are fresh. Fresh parameters depend on the seed and on `config` alone, so that models after different stages differ only in
/// their learned parameters. Where weights belong to stages, the weights of stages after `as_of` are left out.
///
/// # Errors
/// Files that cannot be read; a model whose families are not the first of `config`.
pub fn complete_model(
    stored: Option<&StoredModel>,
    as_of: usize,
    config: &ModelConfig,
    seed: u64,
    device: &Device,
) -> Result<Model> {
    let Some(stored) = stored else { return Ok(Model::new(config, seed, 1, device)) };
    let same =
        |a: &FamilyConfig, b: &FamilyConfig| (&a.name, a.n_positions, a.tokens) == (&b.name, b.n_positions, b.tokens);
    let known = &stored.config.families;
    if known.len() > config.families.len() || !known.iter().zip(&config.families).all(|(a, b)| same(a, b)) {
        let names = |families: &[FamilyConfig]| families.iter().map(|family| family.name.clone()).collect::<Vec<_>>();
        return Err(ModelError::NotEarlier { found: names(known), expected: names(&config.families) }.into());
    }
    let model = model_of_stage(stored, as_of, device)?;
    let complete = known.len() == config.families.len();
    Ok(if complete { model } else { model.next_student(config, seed, 1, device) })
}
