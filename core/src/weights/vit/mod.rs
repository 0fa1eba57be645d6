//! Import of published vision transformers: timm, masked autoencoders, DINOv2, and those of Hugging Face transformers.
//!
//! | file | |
//! |---|---|
//! | `names` | names of tensors, by library |
//! | `layout` | which library a file is of |
//! | `sizes` | sizes, from shapes and configuration |
//! | `recipes` | where each parameter comes from |
//! | `sine_cosine` | the positions that tell masked autoencoders from timm |
//! | `patch_embedding` | the embedding of images for other channels, volumes and pixels |
//!
//! What medcoss's model does otherwise is its [`Variant`]. The rest is folded into parameters, exactly: the position of the class token is added to it,
//! absent biases are 0, an absent LayerScale is 1, three layers of queries, keys and values become one.

mod layout;
mod names;
mod patch_embedding;
mod recipes;
mod sine_cosine;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};

use super::derived_family::DerivedFamily;
use super::import_report::{ImportReport, TakenPart, converted, count, left};
use super::known_sizes::KnownSizes;
use super::pixel_statistics::PixelStatistics;
use super::tensor_file::TensorFile;
use super::weights_source::WeightsSource;
use crate::data::{GridAxis, GridLayout};
use crate::model::{FamilyConfig, FamilyTokens, InitialValues, Model, ModelConfig, N_TEMPORAL, TextAttention};
use crate::{Result, SettingError, WeightsError};
use layout::not_representable;
pub(super) use layout::{Recognised, VitLayout};
use patch_embedding::PatchKernel;
use recipes::{Recipes, Source};
use sine_cosine::is_sine_cosine;
use sizes::Sizes;

/// Family whose tokens are patches of images.
const IMAGE: &str = "image";

/// Options of the import of a vision transformer, see [`super::Import`].
pub(super) struct VitImport<'a> {
    pub known: &'a KnownSizes,
    pub without: &'a [String],
    pub families: &'a BTreeMap<String, DerivedFamily>,
    pub pixels: Option<&'a PixelStatistics>,
    pub text_attention: TextAttention,
    pub initial_values: InitialValues,
    pub seed: u64,
}

impl VitImport<'_> {
    /// A model with the weights of a file.
    ///
    /// # Errors
    /// Tensors that are missing, of another shape, or without a counterpart in the model; sizes and settings that contradict them.
    pub fn read(
        &self,
        file: &mut TensorFile,
        source: &WeightsSource,
        recognised: &Recognised,
    ) -> Result<(Model, ModelConfig, ImportReport)> {
        let own_keys = unwrap(file, &recognised.prefix)?;
        let file = &*file;
        let mut report = ImportReport::default();
        let sizes = Sizes::read(file, recognised.layout, source.config.as_ref(), self.known, &mut report)?;
        let layout = of_weights(file, recognised.layout, &sizes)?;
        report.origin = Some(layout.origin());
        let derived = self.derived()?;
        let statistics = match self.pixels {
            Some(given) => Some((given.clone(), "as given".to_string())),
            None => PixelStatistics::beside(source, sizes.channels)?,
        };
        let kernel = PatchKernel {
            width: sizes.dimensions.width,
            channels: sizes.channels,
            patch: sizes.patch,
            statistics: statistics.as_ref().map(|(statistics, _)| statistics.clone()),
        };
        if let Some(statistics) = &kernel.statistics {
            statistics.check(Some(sizes.channels))?;
        }
        let config = self.config(layout, &sizes, &derived, &kernel)?;
        config.check()?;

        let mut recipes = Recipes::default();
        recipes.encoder(layout.names(), &sizes);
        prefix_tokens(&mut recipes, layout, &sizes);
        for (at, (name, family)) in derived.iter().enumerate() {
            embedder(&mut recipes, [name, &format!("embedders.{at}")], layout, (&kernel, family), &sizes, file);
        }
        self.decode(&mut recipes, &derived, &kernel, &sizes, &mut report);

        // All shapes are checked before memory is allocated.
        let mut taken: BTreeMap<String, TakenPart> = BTreeMap::new();
        let mut used = BTreeSet::new();
        for recipe in recipes.0.values() {
            recipe.source.check(file, &recipe.shape)?;
            let keys = recipe.source.keys();
            if !keys.is_empty() {
                count(&mut taken, &recipe.part, &recipe.shape);
            }
            used.extend(keys.into_iter().map(String::from));
        }
        let reason = |key: &str| {
            let known = layout.names().left.iter().find(|(beginning, _)| key.starts_with(beginning));
            known.map(|(_, why)| *why)
        };
        let unknown: Vec<&String> =
            own_keys.iter().filter(|key| !used.contains(*key) && reason(key).is_none()).take(3).collect();
        if !unknown.is_empty() {
            let what = unknown.iter().map(|key| key.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
            return Err(not_representable(file, &what, "the model has no such part, and may be wrong without it"));
        }
        let values = &mut |path: &str, shape: &[usize]| match recipes.0.get(path) {
            Some(recipe) => recipe.source.values(file, shape).map(Some),
            None => Ok(None),
        };
        let model = Model::new(&config, self.seed, 0, &burn::tensor::Device::flex()).with_parameters(values)?;

        report.taken = taken.into_values().collect();
        report.converted = converted(file, &used);
        report.left = left(file, &used, &|key| {
            reason(key).filter(|_| own_keys.contains(key)).unwrap_or("outside of the encoder").into()
        });
        report.remarks = remarks(layout, &sizes, &derived, statistics.as_ref());
        Ok((model, config, report))
    }

    /// Families that get an embedder, by name: images like the file's, and those that were asked for.
    fn derived(&self) -> Result<BTreeMap<String, DerivedFamily>> {
        let mut derived = BTreeMap::from([(IMAGE.to_string(), DerivedFamily::default())]);
        derived.extend(self.families.iter().map(|(name, family)| (name.clone(), family.clone())));
        for (name, family) in &derived {
            family.check(name)?;
        }
        for name in self.without {
            if derived.remove(name).is_none() {
                return Err(SettingError::NoSuchFamily { family: name.clone() }.into());
            }
        }
        Ok(derived)
    }

    fn config(
        &self,
        layout: VitLayout,
        sizes: &Sizes,
        derived: &BTreeMap<String, DerivedFamily>,
        kernel: &PatchKernel,
    ) -> Result<ModelConfig> {
        let axis = |name: &str| GridAxis { name: name.into(), ..GridAxis::default() };
        let family = |(name, family): (&String, &DerivedFamily)| {
            if kernel.channels_of(family).is_none() {
                let found = family.channels.unwrap_or_default();
                let expected = format!("{} as in the file, or 1", sizes.channels);
                let setting = format!("model.init_families.{name}.channels");
                return Err(SettingError::out_of_range(setting, found, expected).into());
            }
            let (side, patch) = (sizes.side, sizes.patch);
            let own = match family.depth {
                None => GridLayout {
                    grid: vec![side, side],
                    patch: vec![patch, patch],
                    axes: vec![axis("row"), axis("column")],
                },
                Some(depth) => GridLayout {
                    grid: vec![family.planes, side, side],
                    patch: vec![depth, patch, patch],
                    axes: vec![axis("depth"), axis("row"), axis("column")],
                },
            };
            let n_positions = sizes.n_positions().saturating_mul(family.planes);
            Ok(FamilyConfig {
                name: name.clone(),
                n_positions,
                n_decoder_positions: n_positions,
                tokens: FamilyTokens::Continuous { d_token: kernel.d_token(family) },
                d_target: None,
                layout: Some(own),
                interpolation: layout.interpolation(sizes.variant.n_registers > 0),
            })
        };
        Ok(ModelConfig {
            dimensions: sizes.dimensions.clone(),
            variant: sizes.variant,
            initial_values: self.initial_values,
            text_attention: self.text_attention,
            families: derived.iter().map(family).collect::<Result<_>>()?,
        })
    }

    /// Decoder, and head of the family whose tokens are those that it predicts; what the file lacks is fresh.
    fn decode(
        &self,
        recipes: &mut Recipes,
        derived: &BTreeMap<String, DerivedFamily>,
        kernel: &PatchKernel,
        sizes: &Sizes,
        report: &mut ImportReport,
    ) {
        let has_decoder = sizes.decoder.filter(|_| !derived.is_empty());
        match has_decoder {
            Some((names, blocks)) => recipes.decoder(names, blocks, sizes),
            None => report.fresh.push("decoder".into()),
        }
        for (at, (name, family)) in derived.iter().enumerate() {
            let part = format!("{name} head");
            let is_images = family.depth.is_none() && kernel.channels_of(family) == Some(sizes.channels);
            match has_decoder.filter(|_| is_images) {
                Some((names, _)) => recipes.head(&part, at, names, sizes, kernel.d_token(family)),
                None => report.fresh.push(part),
            }
        }
    }
}

/// Removes a prefix from the names that have it, and the chunk from those of blocks in chunks (`blocks.1.7.norm1` of DINOv2's training is
/// `blocks.7.norm1`). Returns the names that had the prefix.
///
/// # Errors
/// Two tensors that get one name.
fn unwrap(file: &mut TensorFile, prefix: &str) -> Result<BTreeSet<String>> {
    let bare = |name: &str| {
        let name = name.strip_prefix(prefix)?;
        let parts: Vec<&str> = name.splitn(4, '.').collect();
        let is_number = |text: &str| text.parse::<usize>().is_ok();
        Some(match parts[..] {
            ["blocks", chunk, number, rest] if is_number(chunk) && is_number(number) => {
                format!("blocks.{number}.{rest}")
            }
            _ => name.to_string(),
        })
    };
    let renamed = |name: &str| bare(name).unwrap_or_else(|| name.to_string());
    let mut all = BTreeSet::new();
    if let Some(twice) = file.tensors().keys().map(|name| renamed(name)).find(|name| !all.insert(name.clone())) {
        let (path, found) = (file.path().into(), "two places in the file".into());
        return Err(WeightsError::Tensor { path, name: twice, found, expected: "one".into() }.into());
    }
    let own = file.tensors().keys().filter_map(|name| bare(name)).collect();
    file.rename(&renamed);
    Ok(own)
}

/// The layout, after a look at its positions: a masked autoencoder without its decoder has timm's names.
fn of_weights(file: &TensorFile, layout: VitLayout, sizes: &Sizes) -> Result<VitLayout> {
    if layout != VitLayout::Timm || sizes.n_prefix_rows != 1 {
        return Ok(layout);
    }
    let table = file.floats(layout.names().positions)?;
    let is_mae = is_sine_cosine(&table, sizes.side, sizes.dimensions.width);
    Ok(if is_mae { VitLayout::Mae } else { layout })
}

/// Class token and registers, with their positions where the table has some.
fn prefix_tokens(recipes: &mut Recipes, layout: VitLayout, sizes: &Sizes) {
    let (names, width) = (layout.names(), sizes.dimensions.width);
    let (class, positions) = (names.class_token, names.positions);
    let n_rows = sizes.n_prefix_rows;
    recipes.add("class token", "class_token", &[1, 1, width], sum_of_rows(class, positions, n_rows.min(1), 0, width));
    if let Some(registers) = names.registers.filter(|_| sizes.variant.n_registers > 0) {
        let source = sum_of_rows(registers, positions, n_rows.saturating_sub(1), 1, width);
        recipes.add("registers", "registers", &[1, sizes.variant.n_registers, width], source);
    }
}

/// A tensor plus `n` rows of a table, from row `first` on; the tensor alone for none.
fn sum_of_rows(key: &'static str, table: &'static str, n: usize, first: usize, width: usize) -> Source {
    let compute = move |file: &TensorFile| {
        let mut values = file.floats(key)?;
        if n > 0 {
            let rows = file.floats(table)?;
            values.iter_mut().zip(&rows[first * width..][..n * width]).for_each(|(value, row)| *value += row);
        }
        Ok(values)
    };
    Source::Computed { keys: vec![key.into()], compute: Box::new(compute) }
}

/// Linear layer and position tables of a family.
fn embedder(
    recipes: &mut Recipes,
    [family_name, own]: [&str; 2],
    layout: VitLayout,
    (kernel, family): (&PatchKernel, &DerivedFamily),
    sizes: &Sizes,
    file: &TensorFile,
) {
    let (part, names) = (&format!("{family_name} embedder"), layout.names());
    let [weight, bias] = ["weight", "bias"].map(|ending| format!("{}.{ending}", names.kernel));
    let (width, d_token) = (kernel.width, kernel.d_token(family));
    let compute = {
        let (kernel, family, key) = (kernel.clone(), family.clone(), weight.clone());
        move |file: &TensorFile| Ok(kernel.weights(&file.floats(&key)?, &family))
    };
    let source = Source::Computed { keys: vec![weight.clone()], compute: Box::new(compute) };
    recipes.add(part, format!("{own}.projection.weight"), &[d_token, width], source);
    // A convolution without a bias has one of 0.
    let bias = Some(bias).filter(|key| file.tensors().contains_key(key));
    let keys = bias.iter().cloned().chain([weight.clone()]).collect();
    let compute = {
        let (kernel, family) = (kernel.clone(), family.clone());
        move |file: &TensorFile| {
            let bias = bias.as_ref().map_or_else(|| Ok(vec![0.0; kernel.width]), |key| file.floats(key))?;
            Ok(kernel.bias(&file.floats(&weight)?, &bias, &family))
        }
    };
    let source = Source::Computed { keys, compute: Box::new(compute) };
    recipes.add(part, format!("{own}.projection.bias"), &[width], source);
    let (planes, first, positions) = (family.planes, sizes.n_prefix_rows, names.positions);
    let compute = move |file: &TensorFile| Ok(file.floats(positions)?[first * width..].repeat(planes));
    let source = Source::Computed { keys: vec![positions.into()], compute: Box::new(compute) };
    recipes.add(part, format!("{own}.spatial"), &[planes * sizes.n_positions(), width], source);
    recipes.add(part, format!("{own}.temporal"), &[N_TEMPORAL, width], Source::Constant(0.0));
}

/// What was folded into parameters, and what the model expects of samples.
fn remarks(
    layout: VitLayout,
    sizes: &Sizes,
    derived: &BTreeMap<String, DerivedFamily>,
    statistics: Option<&(PixelStatistics, String)>,
) -> Vec<String> {
    let mut remarks: Vec<String> = sizes.variant.differences();
    let (side, patch) = (sizes.side, sizes.patch);
    let interpolation = layout.interpolation(sizes.variant.n_registers > 0);
    remarks.push(format!("positions of {side} x {side} patches of {patch} x {patch}, for other grids {interpolation}"));
    if sizes.n_prefix_rows > 0 {
        remarks.push("the position of the class token is added to it".into());
    }
    if !sizes.has_scales {
        remarks.push("LayerScale, which the file lacks, is 1".into());
    }
    if !sizes.has_qkv_bias {
        remarks.push("the biases of queries, keys and values, which the file lacks, are 0".into());
    }
    if !sizes.variant.final_norm {
        remarks.push("features are those before the norm of pooled features, which the model does not have".into());
    }
    for (name, family) in derived {
        let [low, high] = family.value_range;
        let mut remark = format!("family {name}: values {low} and {high} are black and white");
        if family.channels.is_some_and(|channels| channels < sizes.channels) {
            remark.push_str(", its channel has the sum of the weights of the file's channels");
        }
        if let Some(depth) = family.depth {
            remark.push_str(&format!(
                ", a patch of {depth} slices has the weights of an image in each, divided by {depth}"
            ));
        }
        remarks.push(remark);
    }
    remarks.push(match statistics {
        Some((PixelStatistics { mean, std }, place)) => format!(
            "mean {mean:?} and deviation {std:?} of pixels from 0 to 1 ({place}) are folded into the patch embedding: samples are not normalised"
        ),
        None => "the file states no mean and deviation of pixels: pixels enter as they are, from 0 to 1, unless model.init_pixels states some".into(),
    });
    if statistics.is_some() && sizes.decoder.is_some() {
        remarks.push("the decoder predicts pixels after their normalisation".into());
    }
    remarks
}
