//! Import of weights: a model from a checkpoint or safetensors file, with a report of taken and remaining entries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::derived_family::DerivedFamily;
use super::import_report::{ImportReport, LeftEntry, Origin, TakenPart, converted, count, left};
use super::known_sizes::{KnownSizes, contradiction};
use super::metadata::{Layout, Metadata};
use super::pixel_statistics::PixelStatistics;
use super::published::{
    Correspondence, PUBLISHED_FAMILIES, Part, UNI_PERCEIVER_LEFT, UNI_PERCEIVER_POSITIONS, UNUSED, correspondences,
    is_uni_perceiver, patch_kind, uni_perceiver_lacks,
};
use super::shape_checks::{check_shape, missing, n_layers, two, wrong_shape};
use super::tensor_file::{NamedTensor, TensorFile};
use super::vit::{VitImport, VitLayout};
use super::weights_source::WeightsSource;
use crate::model::{
    Dimensions, FamilyConfig, FamilyTokens, InitialValues, Interpolation, MAX_POSITIONS, Model, ModelConfig, Preset,
    TextAttention, Variant,
};
use crate::{Error, Result, SettingError, WeightsError};

/// Prefix of the encoder's layers in the published layout; every checkpoint has them.
const ENCODER: &str = "fused_encoder.layers.";

/// Options of an import.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// Sizes that are known before the import.
    pub known: KnownSizes,
    /// Families that are left out, with embedder and head.
    pub without: Vec<String>,
    /// Attention of text tokens; `None` takes that of the file, or else causal attention, as in the training of the
    /// published weights.
    pub text_attention: Option<TextAttention>,
    /// Distribution of the values that the file lacks.
    pub initial_values: InitialValues,
    /// Families whose embedders are made from a vision transformer's, by their names; `image` is made from it without being named.
    pub families: BTreeMap<String, DerivedFamily>,
    /// Mean and deviation that a vision transformer's pixels had; `None` takes those beside the weights.
    pub pixels: Option<PixelStatistics>,
    /// Seed of the values that the file lacks.
    pub seed: u64,
}

/// Imported model, with a report.
#[derive(Debug)]
pub struct Imported {
    /// The model, on the CPU.
    pub model: Model,
    /// Configuration of the model: sizes and families.
    pub config: ModelConfig,
    /// Passed-through tensors: tensors of the published layout that no model uses, kept for a later export.
    pub passed_through: Vec<NamedTensor>,
    /// Report of the import.
    pub report: ImportReport,
}

impl Import {
    /// Imports a PyTorch checkpoint or safetensors file: in the published layout (a bare state dict, or one under `model`), with a vision transformer of
    /// another library, or in medcoss' own layout. A path may be a folder with a `config.json` beside the weights.
    ///
    /// # Errors
    /// A file of another kind; an encoder tensor that is missing, a part that is incomplete, a wrong shape, values that
    /// are not finite: each error names the key; sizes that contradict the known ones; unknown numbers of heads; an encoder that the model cannot
    /// represent.
    pub fn read(&self, path: &Path) -> Result<Imported> {
        let source = WeightsSource::find(path)?;
        let mut file = TensorFile::open(&source.weights)?;
        let note = Metadata::of(&file)?;
        if note.is_none()
            && let Some(recognised) = VitLayout::recognise(&file, source.config.as_ref())?
        {
            let text_attention = self.text_attention.unwrap_or_default();
            let Self { known, without, families, pixels, initial_values, seed, .. } = self;
            let (pixels, initial_values, seed) = (pixels.as_ref(), *initial_values, *seed);
            let options = VitImport { known, without, families, pixels, text_attention, initial_values, seed };
            let (model, config, report) = options.read(&mut file, &source, &recognised)?;
            return Ok(Imported { model, config, passed_through: Vec::new(), report });
        }
        self.check_settings_of_vision_transformers(&file)?;
        let is_note = note.is_some();
        let mut imported = match note {
            Some(note) if note.layout == Layout::MedcossRs => self.own(&file, note)?,
            note => {
                unwrap(&mut file);
                self.published(&file, note)?
            }
        };
        imported.report.origin = Some(origin_of(&file, is_note));
        Ok(imported)
    }

    /// Weights whose families are their own take no settings of others.
    fn check_settings_of_vision_transformers(&self, file: &TensorFile) -> Result<()> {
        let setting = match (self.families.is_empty(), &self.pixels) {
            (false, _) => "model.init_families",
            (true, Some(_)) => "model.init_pixels",
            (true, None) => return Ok(()),
        };
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        let expected = format!("no such setting: {name} has embedders of its own");
        Err(SettingError::out_of_range(setting, "given", expected).into())
    }

    fn own(&self, file: &TensorFile, note: Metadata) -> Result<Imported> {
        let config =
            ModelConfig { text_attention: self.text_attention.unwrap_or(note.model.text_attention), ..note.model };
        self.known.agree(&config.dimensions, file.path())?;
        check_claim(file, &config)?;
        config.check()?;
        let mut taken: BTreeMap<String, TakenPart> = BTreeMap::new();
        let mut used = BTreeSet::new();
        let model =
            Model::new(&config, self.seed, 0, &burn::tensor::Device::flex()).with_parameters(&mut |path, shape| {
                used.insert(path.to_string());
                let part = path.split('.').next().unwrap_or(path);
                count(&mut taken, part, shape);
                check_shape(file, path, shape)?;
                file.floats(path).map(Some)
            })?;
        let mut report = ImportReport { taken: taken.into_values().collect(), ..ImportReport::default() };
        report.converted = converted(file, &used);
        report.left = left(file, &used, &|_| "no parameter of the model has this name".into());
        Ok(Imported { model, config, passed_through: Vec::new(), report })
    }

    fn published(&self, file: &TensorFile, note: Option<Metadata>) -> Result<Imported> {
        if let Some(unknown) = self.without.iter().find(|family| !PUBLISHED_FAMILIES.contains(&family.as_str())) {
            return Err(SettingError::NoSuchFamily { family: unknown.to_string() }.into());
        }
        let mut report = ImportReport::default();
        let noted = note.as_ref().map(|note| &note.model);
        let dimensions = self.dimensions(file, noted.map(|model| &model.dimensions), &mut report)?;
        let skipped = |family: &str| {
            self.without.iter().any(|without| without == family)
                || noted.is_some_and(|model| model.family(family).is_none())
        };
        let order: Vec<&str> = match noted {
            Some(model) => model.families.iter().map(|family| family.name.as_str()).collect(),
            None => PUBLISHED_FAMILIES.to_vec(),
        };
        let is_uni_perceiver = is_uni_perceiver(file);
        let mut families = Vec::new();
        for name in order.into_iter().filter(|name| PUBLISHED_FAMILIES.contains(name) && !skipped(name)) {
            families.extend(family(file, name, is_uni_perceiver)?);
        }
        let noted_attention = noted.map(|model| model.text_attention);
        let text_attention = self.text_attention.or(noted_attention).unwrap_or(TextAttention::Causal);
        let (variant, initial_values) = (Variant::default(), self.initial_values);
        let config = ModelConfig { dimensions, variant, initial_values, text_attention, families };
        if let (Some(given), Some(at)) = (self.known.vocabulary, config.family("text"))
            && config.families[at].tokens != (FamilyTokens::Discrete { vocabulary: given })
        {
            return Err(contradiction(file.path(), "vocabulary", given, config.families[at].tokens));
        }

        let table: BTreeMap<String, Correspondence> =
            correspondences(&config).into_iter().map(|entry| (entry.own.clone(), entry)).collect();
        let present: BTreeSet<&Part> = table
            .values()
            .filter(|entry| file.tensors().contains_key(&entry.published))
            .map(|entry| &entry.part)
            .collect();
        // All shapes are checked before memory is allocated: one tensor determines each size of the model, and all others must agree.
        let mut taken: BTreeMap<String, TakenPart> = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut fresh = BTreeSet::new();
        for entry in table.values() {
            let key = &entry.published;
            if entry.part != Part::Encoder && !present.contains(&entry.part) {
                fresh.insert(entry.part.to_string());
                continue;
            }
            if let Some(what) =
                uni_perceiver_lacks(key).filter(|_| is_uni_perceiver && !file.tensors().contains_key(key))
            {
                fresh.insert(what.into());
                continue;
            }
            let expected = entry.order.published_shape(&entry.shape).ok_or_else(|| WeightsError::Tensor {
                path: file.path().into(),
                name: key.clone(),
                found: format!("shape {:?}", entry.shape),
                expected: "a patch embedding".into(),
            })?;
            check_shape(file, key, &expected)?;
            used.insert(key.clone());
            count(&mut taken, &entry.part.to_string(), &entry.shape);
        }
        // Class token, norm and decoder of a model without continuous families have no entry.
        config.check()?;
        let values = &mut |path: &str, shape: &[usize]| match table.get(path) {
            Some(entry) if used.contains(&entry.published) => {
                Ok(Some(entry.order.to_own(file.floats(&entry.published)?, shape)))
            }
            _ => Ok(None),
        };
        let model = Model::new(&config, self.seed, 0, &burn::tensor::Device::flex()).with_parameters(values)?;

        let mut passed_through = Vec::new();
        for (key, _) in UNUSED {
            if let Some(tensor) = file.tensors().get(key) {
                used.insert(key.into());
                let (name, shape) = (key.to_string(), tensor.shape.clone());
                passed_through.push(NamedTensor { name, shape, values: file.floats(key)? });
                let why = "no part of the model reads it; kept for export".into();
                report.left.push(LeftEntry { key: key.into(), n: 1, why });
            }
        }
        report.taken = taken.into_values().collect();
        report.fresh = fresh.into_iter().collect();
        report.converted = converted(file, &used);
        report.left.extend(left(file, &used, &|key| match Part::of_key(key) {
            Some(part) => format!("{part}: left out"),
            None => UNI_PERCEIVER_LEFT
                .iter()
                .find(|(beginning, _)| is_uni_perceiver && key.starts_with(beginning))
                .map_or("the published layout has no such tensor", |(_, why)| why)
                .into(),
        }));
        Ok(Imported { model, config, passed_through, report })
    }

    /// Dimensions from the shapes of a checkpoint, compared with the known sizes.
    fn dimensions(
        &self,
        file: &TensorFile,
        noted: Option<&Dimensions>,
        report: &mut ImportReport,
    ) -> Result<Dimensions> {
        let first = format!("{ENCODER}0.linear1.weight");
        let Some(tensor) = file.tensors().get(&first) else {
            let found: Vec<&str> = file.tensors().keys().map(String::as_str).take(5).collect();
            let found = if found.is_empty() { "no tensors".into() } else { found.join(", ") };
            return Err(WeightsError::NotMedcoss { path: file.path().into(), missing: first, found }.into());
        };
        let (mlp_width, width) = two(file, &first, &tensor.shape)?;
        let decoder = match file.tensors().get("decoder_embed.weight") {
            Some(tensor) => Some(two(file, "decoder_embed.weight", &tensor.shape)?.0),
            None => None,
        };
        let known = &self.known;
        let like = [Preset::VitBase, Preset::VitSmall, Preset::VitTiny].into_iter().find(|preset| {
            let sizes = preset.dimensions();
            sizes.width == width && decoder.is_none_or(|decoder| decoder == sizes.decoder_width)
        });
        let like = like.map(Preset::dimensions);
        let mut heads = |what: &str, given: Option<usize>, of: fn(&Dimensions) -> usize| {
            if let Some(heads) = given.or(noted.map(of)) {
                return Ok(heads);
            }
            let Some(like) = &like else {
                return Err(Error::from(WeightsError::UnknownSize { path: file.path().into(), what: what.into() }));
            };
            report.assumed.push(format!("{what}: {}, as a model of width {width} usually has", of(like)));
            Ok(of(like))
        };
        let n_heads = heads("heads", known.heads, |sizes| sizes.heads)?;
        let usual = Preset::VitBase.dimensions();
        let (decoder_width, decoder_layers, decoder_heads) = match decoder {
            Some(width) => {
                let heads = heads("decoder heads", known.decoder_heads, |sizes| sizes.decoder_heads)?;
                (width, n_layers(file, "decoder_blocks."), heads)
            }
            // Every stage initialises the decoder; its size is the paper's or the known one.
            None => {
                let like = noted.or(like.as_ref()).unwrap_or(&usual);
                (
                    known.decoder_width.unwrap_or(like.decoder_width),
                    known.decoder_layers.unwrap_or(like.decoder_layers),
                    known.decoder_heads.unwrap_or(like.decoder_heads),
                )
            }
        };
        let dimensions = Dimensions {
            width,
            layers: n_layers(file, ENCODER),
            heads: n_heads,
            mlp_width,
            decoder_width,
            decoder_layers,
            decoder_heads,
            drop_path: known.drop_path.or(noted.map(|sizes| sizes.drop_path)).unwrap_or(usual.drop_path),
            layer_scale: noted.map_or(usual.layer_scale, |sizes| sizes.layer_scale),
        };
        known.agree(&dimensions, file.path())?;
        dimensions.check()?;
        Ok(dimensions)
    }
}

impl Origin {
    /// Origin of a file of weights, by the names of its tensors; their values are not read.
    ///
    /// # Errors
    /// A file that is no checkpoint or safetensors file; an encoder that the model cannot represent.
    pub fn of_file(path: &Path) -> Result<Self> {
        let source = WeightsSource::find(path)?;
        let mut file = TensorFile::open(&source.weights)?;
        let is_note = Metadata::of(&file)?.is_some();
        if !is_note && let Some(recognised) = VitLayout::recognise(&file, source.config.as_ref())? {
            return Ok(recognised.layout.origin());
        }
        unwrap(&mut file);
        Ok(origin_of(&file, is_note))
    }
}

fn origin_of(file: &TensorFile, is_exported: bool) -> Origin {
    match is_exported {
        true => Origin::Exported,
        false if is_uni_perceiver(file) => Origin::UniPerceiver,
        false => Origin::Medcoss,
    }
}

/// Unwraps the state dict of an entry `model`, `state_dict`, or the `module` of a distributed run.
fn unwrap(file: &mut TensorFile) {
    let first = format!("{ENCODER}0.linear1.weight");
    let wrapper = file.tensors().keys().find_map(|key| key.strip_suffix(&first)).map(String::from);
    if let Some(wrapper) = wrapper.filter(|wrapper| !wrapper.is_empty()) {
        file.strip_prefix(&wrapper);
    }
}

/// A family of the published layout, if the file has its embedder.
fn family(file: &TensorFile, name: &str, is_uni_perceiver: bool) -> Result<Option<FamilyConfig>> {
    let shape = |key: &str| file.tensors().get(key).map(|tensor| tensor.shape.as_slice());
    let sizes = |key: &str| match shape(key) {
        Some(shape) if shape.first().is_some_and(|rows| (1..=MAX_POSITIONS).contains(rows)) => two(file, key, shape),
        Some(other) => Err(wrong_shape(file, key, other, format_args!("1 to {MAX_POSITIONS} rows"))),
        None => Err(missing(file, key)),
    };
    let Some((channels, dims)) = patch_kind(name) else {
        let key = "token_embed.embeddings.weight";
        if shape(key).is_none() {
            return Ok(None);
        }
        let (vocabulary, _) = sizes(key)?;
        let (n_positions, _) = sizes("token_embed.embeddings_pos.position_embeddings.weight")?;
        let tokens = FamilyTokens::Discrete { vocabulary };
        return Ok(Some(FamilyConfig {
            name: name.into(),
            n_positions,
            n_decoder_positions: 0,
            tokens,
            d_target: None,
            layout: None,
            interpolation: Interpolation::Linear,
        }));
    };
    let key = if dims == 2 { "video_embed.embeddings.weight" } else { "video_embed.embeddings_3D.weight" };
    let Some(kernel) = shape(key) else { return Ok(None) };
    let sides = kernel.get(2..).unwrap_or_default();
    let cube = sides.len() == dims as usize && sides.windows(2).all(|pair| pair[0] == pair[1]);
    if !cube || kernel[1] != channels || sides[0] == 0 {
        let patches = if dims == 2 { "P, P" } else { "P, P, P" };
        return Err(wrong_shape(file, key, kernel, format_args!("[D, {channels}, {patches}]")));
    }
    let positions = format!("video_embed.embeddings_st_pos_{dims}D.spatial_pos_embed.weight");
    let n_positions = match shape(&positions) {
        None if is_uni_perceiver => UNI_PERCEIVER_POSITIONS,
        _ => sizes(&positions)?.0,
    };
    let n_decoder_positions = match shape(&format!("decoder_pos_embed_{dims}D")) {
        Some([1, n, _]) if *n > 0 => n - 1,
        Some(other) => return Err(wrong_shape(file, &format!("decoder_pos_embed_{dims}D"), other, "[1, 1 + N, D]")),
        None => n_positions,
    };
    let d_token = sides.iter().fold(channels, |values, side| values.saturating_mul(*side));
    Ok(Some(FamilyConfig {
        name: name.into(),
        n_positions,
        n_decoder_positions,
        tokens: FamilyTokens::Continuous { d_token },
        d_target: None,
        layout: None,
        interpolation: Interpolation::Linear,
    }))
}

/// Checks that a file is large enough for the model that its metadata claims, before memory is allocated.
fn check_claim(file: &TensorFile, config: &ModelConfig) -> Result<()> {
    let values =
        file.tensors().values().map(|tensor| tensor.shape.iter().fold(1u64, |n, size| n.saturating_mul(*size as u64)));
    let (claimed, held) = (config.n_parameters(), values.fold(0, u64::saturating_add));
    if claimed > held {
        return Err(Error::damaged(file.path(), format!("it claims a model of {claimed} values and holds {held}")));
    }
    Ok(())
}

impl Part {
    /// Part of a published key, by the key's prefix.
    fn of_key(key: &str) -> Option<Self> {
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| key.starts_with(beginning));
        Some(match key {
            _ if begins(&["token_embed."]) => Self::Embedder("text".into()),
            _ if begins(&["mlm_head.", "decoder_pos_embed_1D"]) => Self::Head("text".into()),
            _ if begins(&["video_embed.embeddings_3D", "video_embed.embeddings_st_pos_3D"]) => {
                Self::Embedder("volume".into())
            }
            _ if begins(&["decoder_pos_embed_3D", "decoder_pred_3D"]) => Self::Head("volume".into()),
            _ if begins(&["video_embed.embeddings.", "video_embed.embeddings_st_pos_2D"]) => {
                Self::Embedder("image".into())
            }
            _ if begins(&["decoder_pos_embed_2D", "decoder_pred_2D"]) => Self::Head("image".into()),
            _ if begins(&["decoder_blocks.", "decoder_embed.", "decoder_norm.", "mask_token"]) => Self::Decoder,
            _ if begins(&["cls_token", "video_embed.embeddings_norm."]) => Self::Patches,
            _ => return None,
        })
    }
}
