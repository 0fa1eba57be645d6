//! Export of weights to a safetensors file: the published names, shapes and order, or medcoss' own.

use std::collections::BTreeMap;
use std::io::Write;

use safetensors::Dtype;

use super::metadata::{Layout, Metadata};
use super::published::{Correspondence, PUBLISHED_FAMILIES, Part, UNUSED, correspondences};
use super::safetensors_file::{TensorOut, floats_to_bytes, write_safetensors};
use super::tensor_file::NamedTensor;
use crate::confined_path::ConfinedPath;
use crate::data::TokenSpec;
use crate::model::{FamilyTokens, Model, ModelConfig};
use crate::{Error, Result, WeightsError};

/// Families of the published layout for a model that lacks them: tokens in a sample, values in a token, positions. Sizes of the paper: images of 224
/// x 224 with positions up to 512 x 512, volumes of 16 x 192 x 192 with positions up to 256 x 256 x 256.
const PAPERS_FAMILIES: [(&str, TokenSpec, usize); 3] = [
    ("text", TokenSpec::Discrete { length: 112, vocabulary: 30522 }, 512),
    ("image", TokenSpec::Continuous { n_tokens: 196, d_token: 768, n_masked: 147 }, 1024),
    ("volume", TokenSpec::Continuous { n_tokens: 144, d_token: 4096, n_masked: 108 }, 4096),
];

/// Summary of an export.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Exported {
    /// Number of tensors.
    pub n_tensors: usize,
    /// Number of values.
    pub n_values: usize,
    /// Families that the layout needs and the model lacks: written with the initial values of a new model.
    pub untrained: Vec<String>,
    /// Families without names in the layout, which are not written.
    pub left: Vec<String>,
}

/// Exports a model to a safetensors file. `passed_through` are tensors of [`super::Imported`] that are written again; `seed` determines the values of
/// families that the published layout needs and the model lacks.
///
/// # Errors
/// A family whose tokens the published layout cannot hold, a file that cannot be written.
pub fn export(
    model: &Model,
    config: &ModelConfig,
    passed_through: &[NamedTensor],
    layout: Layout,
    seed: u64,
    path: &ConfinedPath,
) -> Result<Exported> {
    let note = Metadata { layout, model: config.clone() }.to_json();
    match layout {
        Layout::MedcossRs => {
            let mut tensors = Vec::new();
            model.visit_parameters(&mut |parameter| {
                tensors.push(out(parameter.path, parameter.shape.to_vec()));
                Ok(())
            })?;
            write_safetensors(path, &tensors, &note, &mut |file| {
                model.visit_parameters(&mut |parameter| put(file, path, &parameter.values()?))
            })?;
            Ok(exported(&tensors))
        }
        Layout::Medcoss if !config.variant.is_default() => {
            let differences = config.variant.differences().join(", ");
            Err(WeightsError::VariantNotPublishable { differences }.into())
        }
        Layout::Medcoss => {
            let (complete, untrained) = completed(config)?;
            let left = config.families.iter().map(|family| family.name.clone());
            let left = left.filter(|name| !PUBLISHED_FAMILIES.contains(&name.as_str())).collect();
            let tensors = match untrained.is_empty() {
                true => write_published(model, &complete, passed_through, path, &note)?,
                false => {
                    write_published(&copied_into(model, &complete, seed)?, &complete, passed_through, path, &note)?
                }
            };
            Ok(Exported { untrained, left, ..exported(&tensors) })
        }
    }
}

pub(super) fn exported(tensors: &[TensorOut]) -> Exported {
    let n_values = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    Exported { n_tensors: tensors.len(), n_values, ..Exported::default() }
}

pub(super) fn out(name: &str, shape: Vec<usize>) -> TensorOut {
    TensorOut { name: name.into(), shape, dtype: Dtype::F32 }
}

/// Configuration with all families of the published layout, and the names of the added ones.
fn completed(config: &ModelConfig) -> Result<(ModelConfig, Vec<String>)> {
    let mut complete = config.clone();
    let mut untrained = Vec::new();
    for (name, spec, n_positions) in PAPERS_FAMILIES {
        match complete.family(name) {
            None => {
                complete.admit(name, name, spec, Some(n_positions))?;
                untrained.push(name.to_string());
            }
            Some(at) => {
                let tokens = complete.families[at].tokens;
                let known =
                    correspondences(&ModelConfig { families: vec![complete.families[at].clone()], ..complete.clone() });
                let embedder = Part::Embedder(name.into());
                if !known.iter().any(|entry| entry.part == embedder) {
                    let kind = if matches!(tokens, FamilyTokens::Discrete { .. }) { "ids" } else { "square patches" };
                    return Err(WeightsError::NotPublishable {
                        family: name.to_string(),
                        tokens: tokens.to_string(),
                        expected: kind,
                    }
                    .into());
                }
            }
        }
    }
    Ok((complete, untrained))
}

/// A model with more families, and the values of `model` for its own.
fn copied_into(model: &Model, complete: &ModelConfig, seed: u64) -> Result<Model> {
    let mut values = BTreeMap::new();
    model.visit_parameters(&mut |parameter| {
        values.insert(parameter.path.to_string(), parameter.values()?);
        Ok(())
    })?;
    Model::new(complete, seed, 0, &burn::tensor::Device::flex()).with_parameters(&mut |path, _| Ok(values.remove(path)))
}

fn write_published(
    model: &Model,
    config: &ModelConfig,
    passed_through: &[NamedTensor],
    path: &ConfinedPath,
    note: &str,
) -> Result<Vec<TensorOut>> {
    let table: BTreeMap<String, Correspondence> =
        correspondences(config).into_iter().map(|entry| (entry.own.clone(), entry)).collect();
    let mut tensors = Vec::new();
    model.visit_parameters(&mut |parameter| {
        if let Some(entry) = table.get(parameter.path)
            && let Some(shape) = entry.order.published_shape(parameter.shape)
        {
            tensors.push(out(&entry.published, shape));
        }
        Ok(())
    })?;
    let mut unused = Vec::new();
    for (name, rows) in UNUSED {
        let shape = vec![rows, config.dimensions.width];
        let kept = passed_through.iter().find(|tensor| tensor.name == name && tensor.shape == shape);
        let values = kept.map(|tensor| tensor.values.clone());
        unused.push(values.unwrap_or_else(|| vec![0.0; shape.iter().product()]));
        tensors.push(out(name, shape));
    }
    write_safetensors(path, &tensors, note, &mut |file| {
        model.visit_parameters(&mut |parameter| match table.get(parameter.path) {
            Some(entry) => put(file, path, &entry.order.to_published(parameter.values()?, parameter.shape)),
            None => Ok(()),
        })?;
        unused.iter().try_for_each(|values| put(file, path, values))
    })?;
    Ok(tensors)
}

pub(super) fn put(file: &mut dyn Write, path: &ConfinedPath, values: &[f32]) -> Result<()> {
    file.write_all(&floats_to_bytes(values)).map_err(Error::file("cannot write", &path.path()))
}
