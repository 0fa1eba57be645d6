//! Sizes of a vision transformer, from the shapes of its tensors and from its configuration.

use super::super::import_report::ImportReport;
use super::super::known_sizes::{KnownSizes, contradiction};
use super::super::shape_checks::{check_shape, missing, n_layers, two, wrong_shape};
use super::super::tensor_file::TensorFile;
use super::super::weights_source::Document;
use super::layout::{VitLayout, not_representable};
use super::names::{DecoderNames, Names, QkvNames};
use crate::model::{Dimensions, MAX_POSITIONS, MlpKind, Preset, Variant};
use crate::{Result, WeightsError};

/// Epsilon of the norms of timm, of masked autoencoders and of DINOv2, which their files do not state.
const EPSILON: f64 = 1e-6;

/// Attention heads by width, as in all published vision transformers of these widths.
const USUAL_HEADS: [(usize, usize); 6] = [(192, 3), (384, 6), (768, 12), (1024, 16), (1280, 16), (1536, 24)];

/// Sizes of a vision transformer, and which of its parts a file has.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub dimensions: Dimensions,
    pub variant: Variant,
    /// Channels of an image.
    pub channels: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Side of the grid of positions.
    pub side: usize,
    /// Rows of the position table before those of the grid: none, the class token's, or those of class token and registers.
    pub n_prefix_rows: usize,
    pub has_scales: bool,
    pub has_qkv_bias: bool,
    /// Names of the two linear layers of an MLP.
    pub mlp: [&'static str; 2],
    /// The decoder's names and the prefix of its blocks, where the file has one.
    pub decoder: Option<(&'static DecoderNames, &'static str)>,
}

impl Sizes {
    /// Sizes of the vision transformer of a file whose prefix was removed.
    ///
    /// # Errors
    /// Shapes that contradict each other, the configuration or the known sizes; a number of heads that nothing determines.
    pub fn read(
        file: &TensorFile,
        layout: VitLayout,
        config: Option<&Document>,
        known: &KnownSizes,
        report: &mut ImportReport,
    ) -> Result<Self> {
        let names = layout.names();
        let [width, channels, patch] = kernel_sizes(file, names)?;
        let bias = format!("{}.bias", names.kernel);
        if file.tensors().contains_key(&bias) {
            check_shape(file, &bias, &[width])?;
        }
        check_shape(file, names.class_token, &[1, 1, width])?;
        let n_registers = n_registers(file, names, width)?;
        let (side, n_prefix_rows) = positions(file, layout, width, n_registers)?;
        let blocks = format!("{}.", names.blocks);
        let first = format!("{blocks}0.");
        let (mlp, kind, mlp_width) = mlp(file, names, &first)?;
        let layers = n_layers(file, &blocks);
        let epsilon = match layout.has_config() {
            false => EPSILON,
            true => {
                let Some(config) = config else {
                    return Err(WeightsError::NoConfiguration { path: file.path().into() }.into());
                };
                let found = HuggingFaceSizes { width, layers, mlp_width, patch, channels, side };
                found.compare(file, config)?;
                config.value.get("layer_norm_eps").and_then(serde_json::Value::as_f64).unwrap_or(1e-12)
            }
        };
        let decoder = decoder(file, layout);
        let heads = heads(file, width, known.heads, config, report)?;
        let usual = Preset::VitBase.dimensions();
        let mut dimensions = Dimensions {
            width,
            layers,
            heads,
            mlp_width,
            drop_path: known.drop_path.unwrap_or(usual.drop_path),
            ..usual
        };
        decoder_sizes(&mut dimensions, file, decoder, known, config, report)?;
        known.agree(&dimensions, file.path())?;
        dimensions.check()?;
        let has = |name: String| file.tensors().contains_key(&name);
        let has_qkv_bias = match names.block.qkv {
            QkvNames::Stacked(name) => has(format!("{first}{name}.bias")),
            QkvNames::Three(three) => three.iter().any(|name| has(format!("{first}{name}.bias"))),
        };
        let final_norm = has(format!("{}.weight", names.final_norm));
        if !final_norm && !has("fc_norm.weight".into()) {
            return Err(missing(file, &format!("{}.weight", names.final_norm)));
        }
        let variant = Variant {
            embedding_norm: false,
            final_norm,
            epsilon,
            decoder_epsilon: if decoder.is_some() { epsilon } else { Variant::default().decoder_epsilon },
            n_registers,
            mlp: kind,
        };
        Ok(Self {
            dimensions,
            variant,
            channels,
            patch,
            side,
            n_prefix_rows,
            has_scales: names.block.scales.is_some_and(|[name, _]| has(format!("{first}{name}"))),
            has_qkv_bias,
            mlp,
            decoder,
        })
    }

    /// Number of positions of the grid.
    pub fn n_positions(&self) -> usize {
        self.side * self.side
    }
}

/// Width, channels, and side of a patch.
fn kernel_sizes(file: &TensorFile, names: &Names) -> Result<[usize; 3]> {
    let key = format!("{}.weight", names.kernel);
    match *file.shape(&key)? {
        [width, channels, height, patch]
            if height == patch && [width, channels, patch].iter().all(|size| *size > 0) =>
        {
            Ok([width, channels, patch])
        }
        ref other => Err(wrong_shape(file, &key, other, "[width, channels, P, P] of square patches")),
    }
}

fn n_registers(file: &TensorFile, names: &Names, width: usize) -> Result<usize> {
    let Some((key, tensor)) = names.registers.and_then(|key| Some((key, file.tensors().get(key)?))) else {
        return Ok(0);
    };
    match *tensor.shape {
        [1, n, found] if n > 0 && found == width => Ok(n),
        ref other => Err(wrong_shape(file, key, other, format_args!("[1, registers, {width}]"))),
    }
}

/// Side of the grid of positions, and the number of rows before it. timm has tables without a row for the class token, and with rows for registers.
fn positions(file: &TensorFile, layout: VitLayout, width: usize, n_registers: usize) -> Result<(usize, usize)> {
    let key = layout.names().positions;
    let before: &[usize] = match layout {
        VitLayout::Timm if n_registers > 0 => &[0, 1, 1 + n_registers],
        VitLayout::Timm => &[1, 0],
        _ => &[1],
    };
    let shape = file.shape(key)?;
    let found = match *shape {
        [1, n, found] if found == width && n <= MAX_POSITIONS => before.iter().find_map(|&before| {
            let side = n.checked_sub(before)?.isqrt();
            (side > 0 && side * side + before == n).then_some((side, before))
        }),
        _ => None,
    };
    found.ok_or_else(|| {
        let expected = format!("[1, 1 + n * n, {width}], the class token's position and those of a square grid");
        wrong_shape(file, key, shape, expected)
    })
}

/// Names, kind and hidden width of the MLPs.
fn mlp(file: &TensorFile, names: &Names, first: &str) -> Result<([&'static str; 2], MlpKind, usize)> {
    let weight = |name: &str| format!("{first}{name}.weight");
    let has = |[name, _]: &&[&'static str; 2]| file.tensors().contains_key(&weight(name));
    let Some(mlp) = names.block.mlp.iter().find(has) else {
        return Err(missing(file, &weight(names.block.mlp[0][0])));
    };
    let [key_in, key_out] = mlp.map(weight);
    let (n_inputs, _) = two(file, &key_in, file.shape(&key_in)?)?;
    let (_, mlp_width) = two(file, &key_out, file.shape(&key_out)?)?;
    let kinds = [MlpKind::Gelu, MlpKind::Swiglu];
    match kinds.into_iter().find(|kind| kind.n_inputs(mlp_width) == n_inputs) {
        Some(kind) => Ok((*mlp, kind, mlp_width)),
        None => {
            let what = format!("an MLP of {n_inputs} values before its activation and {mlp_width} after it ({key_in})");
            Err(not_representable(file, &what, "medcoss has GELU, with as many, and SwiGLU, with half as many"))
        }
    }
}

fn heads(
    file: &TensorFile,
    width: usize,
    known: Option<usize>,
    config: Option<&Document>,
    report: &mut ImportReport,
) -> Result<usize> {
    let in_config = config.filter(|config| config.value.get("num_attention_heads").is_some());
    if let Some(heads) = known {
        return Ok(heads);
    }
    if let Some(config) = in_config {
        return config.size("num_attention_heads");
    }
    match USUAL_HEADS.iter().find(|(usual, _)| *usual == width) {
        Some((_, heads)) => {
            report.assumed.push(format!("heads: {heads}, as a vision transformer of width {width} usually has"));
            Ok(*heads)
        }
        None => Err(WeightsError::UnknownSize { path: file.path().into(), what: "heads".into() }.into()),
    }
}

/// The decoder of a file, with the prefix of its blocks.
fn decoder(file: &TensorFile, layout: VitLayout) -> Option<(&'static DecoderNames, &'static str)> {
    let names = layout.decoder()?;
    let has = |beginning: &str| file.tensors().keys().any(|key| key.starts_with(beginning));
    if !has(&format!("{}.", names.embed)) {
        return None;
    }
    let blocks = names.blocks.iter().find(|blocks| has(&format!("{blocks}.0.")));
    Some((names, blocks.copied().unwrap_or(names.blocks[0])))
}

/// Sizes of the decoder: the file's, or else the known or usual ones, since every stage begins a decoder afresh.
fn decoder_sizes(
    dimensions: &mut Dimensions,
    file: &TensorFile,
    decoder: Option<(&DecoderNames, &str)>,
    known: &KnownSizes,
    config: Option<&Document>,
    report: &mut ImportReport,
) -> Result<()> {
    let presets = [Preset::VitBase, Preset::VitSmall, Preset::VitTiny].map(Preset::dimensions);
    let Some((names, blocks)) = decoder else {
        let usual = presets.iter().find(|usual| usual.width == dimensions.width).unwrap_or(&presets[0]);
        dimensions.decoder_width = known.decoder_width.unwrap_or(usual.decoder_width);
        dimensions.decoder_layers = known.decoder_layers.unwrap_or(usual.decoder_layers);
        dimensions.decoder_heads = known.decoder_heads.unwrap_or(usual.decoder_heads);
        return Ok(());
    };
    let key = format!("{}.weight", names.embed);
    let (width, _) = two(file, &key, file.shape(&key)?)?;
    (dimensions.decoder_width, dimensions.decoder_layers) = (width, n_layers(file, &format!("{blocks}.")));
    let in_config = config.filter(|config| config.value.get("decoder_num_attention_heads").is_some());
    dimensions.decoder_heads = match (known.decoder_heads, in_config) {
        (Some(heads), _) => heads,
        (None, Some(config)) => config.size("decoder_num_attention_heads")?,
        (None, None) => match presets.iter().find(|usual| usual.decoder_width == width) {
            Some(usual) => {
                let heads = usual.decoder_heads;
                report.assumed.push(format!("decoder heads: {heads}, as a decoder of width {width} usually has"));
                heads
            }
            None => {
                return Err(WeightsError::UnknownSize { path: file.path().into(), what: "decoder heads".into() }.into());
            }
        },
    };
    Ok(())
}

/// Sizes that a configuration of transformers states as well.
struct HuggingFaceSizes {
    width: usize,
    layers: usize,
    mlp_width: usize,
    patch: usize,
    channels: usize,
    side: usize,
}

impl HuggingFaceSizes {
    fn compare(&self, file: &TensorFile, config: &Document) -> Result<()> {
        let stated = |name: &str| config.value.get(name).and_then(serde_json::Value::as_u64);
        for (name, found) in [
            ("hidden_size", self.width),
            ("num_hidden_layers", self.layers),
            ("intermediate_size", self.mlp_width),
            ("patch_size", self.patch),
            ("num_channels", self.channels),
            ("image_size", self.side.saturating_mul(self.patch)),
        ] {
            // Images that are no multiple of the patch have a border without a patch.
            let fits = |stated: u64| match name {
                "image_size" => stated / self.patch as u64 == self.side as u64,
                _ => stated == found as u64,
            };
            if let Some(given) = stated(name).filter(|stated| !fits(*stated)) {
                let given = usize::try_from(given).unwrap_or(usize::MAX);
                return Err(contradiction(file.path(), &format!("{name} of config.json"), given, found));
            }
        }
        match config.value.get("hidden_act").and_then(serde_json::Value::as_str) {
            None | Some("gelu") => Ok(()),
            Some(_) => Err(config.wrong("hidden_act", "gelu")),
        }
    }
}
