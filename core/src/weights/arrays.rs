//! Datasets of prepared arrays: the tensors of a file as samples, without a plugin.

use std::path::Path;
use std::sync::Arc;

use super::published::{patch_kind, patch_side};
use super::tensor_file::TensorFile;
use crate::data::{Dataset, GridLayout, RawBatch, SampleReport, TokenSpec, View};
use crate::model::{FamilyConfig, FamilyTokens, PositionMap};
use crate::{Error, Result, WeightsError};

/// Dataset whose samples are the rows of a tensor.
///
/// | family | tensor | |
/// |---|---|---|
/// | `image` | `[n, 3, H, W]` | cut into square patches |
/// | `volume` | `[n, 1, D, H, W]` | cut into cubes |
/// | one whose grid and patch are known | `[n, C, H, W]` or `[n, C, D, H, W]` | cut into its patches |
/// | any of continuous tokens | `[n, tokens, values]` | as they are |
/// | any of discrete tokens | `[n, length]` whole numbers | with a mask `[n, length]`, 1 where a token is no padding |
#[derive(Debug)]
pub struct ArraySource {
    family: String,
    spec: TokenSpec,
    layout: Option<Arc<GridLayout>>,
    ids: Vec<String>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    /// `[n, n_tokens, d_token]`.
    Continuous(Vec<f32>),
    /// `[n, length]`, and tokens of each that are no padding.
    Discrete { ids: Vec<i32>, lengths: Vec<i32> },
}

impl ArraySource {
    /// Reads tensor `input` of a file as samples of a model's family.
    ///
    /// # Errors
    /// Tensors that are missing, or of another shape or type than the family needs; ids out of range; padding before
    /// tokens; values that are not finite.
    pub fn read(path: &Path, input: &str, attention_mask: Option<&str>, family: &FamilyConfig) -> Result<Self> {
        let file = TensorFile::open(path)?;
        let shape = file.shape(input)?.to_vec();
        let reader = Reader { file: &file, input, shape: &shape, family };
        // A file without values may claim any number of samples.
        if shape.iter().skip(1).any(|size| *size == 0) {
            return Err(reader.wrong(format!("shape {shape:?}"), "samples with values"));
        }
        let mut layout = None;
        let (spec, values) = match family.tokens {
            FamilyTokens::Continuous { .. } if attention_mask.is_some() => {
                let name = &family.name;
                return Err(WeightsError::NoPadding { family: name.to_string() }.into());
            }
            FamilyTokens::Continuous { d_token } => {
                let (grid, spec, values) = reader.continuous(d_token)?;
                layout = grid.map(Arc::new);
                (spec, values)
            }
            FamilyTokens::Discrete { vocabulary } => reader.discrete(vocabulary, attention_mask)?,
        };
        let n_tokens = match spec {
            TokenSpec::Continuous { n_tokens, .. } => n_tokens,
            TokenSpec::Discrete { length, .. } => length,
        };
        // With a grid, positions are taken at the same places of the table.
        if layout.is_none() && n_tokens > family.n_positions {
            return Err(reader.wrong(
                format!("{n_tokens} tokens a sample"),
                format!("at most {}, the positions of family {}", family.n_positions, family.name),
            ));
        }
        let ids = (0..shape[0]).map(|row| row.to_string()).collect();
        Ok(Self { family: family.name.clone(), spec, layout, ids, values })
    }
}

/// Channels and patch of arrays that are cut into tokens.
struct Cut {
    channels: usize,
    /// Rows and columns, or slices before them.
    patch: Vec<usize>,
}

struct Reader<'a> {
    file: &'a TensorFile,
    input: &'a str,
    shape: &'a [usize],
    family: &'a FamilyConfig,
}

impl Reader<'_> {
    fn wrong(&self, found: impl Into<String>, expected: impl Into<String>) -> Error {
        let (path, name) = (self.file.path().into(), self.input.into());
        WeightsError::Tensor { path, name, found: found.into(), expected: expected.into() }.into()
    }

    fn continuous(&self, d_token: usize) -> Result<(Option<GridLayout>, TokenSpec, Values)> {
        let spec = |n_tokens| TokenSpec::Continuous { n_tokens, d_token, n_masked: 0 };
        if let &[_, n_tokens, values] = self.shape
            && values == d_token
        {
            return Ok((None, spec(n_tokens), Values::Continuous(self.file.floats(self.input)?)));
        }
        let Some(cut) = self.cut(d_token) else {
            return Err(self.wrong(
                format!("shape {:?}", self.shape),
                format!("[n, tokens, {d_token}] for family {}", self.family.name),
            ));
        };
        let &[_, channels, ref sides @ ..] = self.shape else { return Err(self.misshapen(&cut, d_token)) };
        let fits = sides.len() == cut.patch.len()
            && channels == cut.channels
            && sides.iter().zip(&cut.patch).all(|(side, patch)| *side > 0 && side.is_multiple_of(*patch));
        if !fits {
            return Err(self.misshapen(&cut, d_token));
        }
        let grid: Vec<usize> = sides.iter().zip(&cut.patch).map(|(side, patch)| side / patch).collect();
        let n_tokens = grid.iter().product();
        // Images are one slice deep.
        let in_space = |sizes: &[usize]| if let [a, b, c] = *sizes { [a, b, c] } else { [1, sizes[0], sizes[1]] };
        let values = self.file.floats(self.input)?;
        let values = patchified(&values, self.shape[0], in_space(&grid), channels, in_space(&cut.patch));
        // A table of which no grid is known gives its first entries.
        let known = self.family.layout.as_ref();
        let layout = known.map(|known| GridLayout { grid, patch: cut.patch, axes: known.axes.clone() });
        if let Some((known, own)) = known.zip(layout.as_ref())
            && let Err(reason) = PositionMap::new(known, own, self.family.interpolation)
        {
            return Err(self.wrong(format!("shape {:?}", self.shape), format!("a grid with positions: {reason}")));
        }
        Ok((layout, spec(n_tokens), Values::Continuous(values)))
    }

    /// How arrays of the family are cut into tokens: as its grid says, or as families of the published layout are.
    fn cut(&self, d_token: usize) -> Option<Cut> {
        let stated = self.family.layout.as_ref().map(|layout| layout.patch.clone());
        if let Some(patch) = stated.filter(|patch| matches!(patch.len(), 2 | 3)) {
            let n_pixels = patch.iter().try_fold(1usize, |product, side| product.checked_mul(*side))?;
            let channels = d_token.checked_div(n_pixels)?;
            return (channels * n_pixels == d_token).then_some(Cut { channels, patch });
        }
        let (channels, dims) = patch_kind(&self.family.name)?;
        let side = patch_side(d_token, channels, dims)?;
        Some(Cut { channels, patch: vec![side; dims as usize] })
    }

    fn misshapen(&self, cut: &Cut, d_token: usize) -> Error {
        let axes = if cut.patch.len() == 2 { "H, W" } else { "D, H, W" };
        let sides = match cut.patch.windows(2).all(|pair| pair[0] == pair[1]) {
            true => cut.patch[0].to_string(),
            false => cut.patch.iter().map(usize::to_string).collect::<Vec<_>>().join(" x "),
        };
        let (channels, name) = (cut.channels, &self.family.name);
        let expected =
            format!("[n, {channels}, {axes}] with multiples of {sides}, or [n, tokens, {d_token}] for family {name}");
        self.wrong(format!("shape {:?}", self.shape), expected)
    }

    fn discrete(&self, vocabulary: usize, attention_mask: Option<&str>) -> Result<(TokenSpec, Values)> {
        let &[n, length] = self.shape else {
            return Err(
                self.wrong(format!("shape {:?}", self.shape), format!("[n, length] for family {}", self.family.name))
            );
        };
        let ids = self.file.integers(self.input)?;
        if let Some(id) = ids.iter().find(|id| !(0..vocabulary as i64).contains(*id)) {
            return Err(
                self.wrong(format!("the id {id}"), format!("ids below {vocabulary}, the size of the vocabulary"))
            );
        }
        let lengths = match attention_mask {
            None => vec![length as i32; n],
            Some(mask) => self.lengths(mask, length)?,
        };
        let ids = ids.into_iter().map(|id| id as i32).collect();
        Ok((TokenSpec::Discrete { length, vocabulary }, Values::Discrete { ids, lengths }))
    }

    fn lengths(&self, mask: &str, length: usize) -> Result<Vec<i32>> {
        let path = self.file.path().to_path_buf();
        if self.file.shape(mask)? != self.shape {
            let found = self.file.shape(mask)?;
            return Err(WeightsError::Tensor {
                path,
                name: mask.into(),
                found: format!("shape {found:?}"),
                expected: format!("{:?}", self.shape),
            }
            .into());
        }
        let values = self.file.integers(mask)?;
        let rows = values.chunks(length.max(1)).enumerate().map(|(row, values)| {
            let attended = values.iter().take_while(|value| **value != 0).count();
            match values[attended..].iter().any(|value| *value != 0) || attended == 0 {
                true => Err(WeightsError::Tensor {
                    path: path.clone(),
                    name: mask.into(),
                    found: format!("another row {row}"),
                    expected: "at least one 1, then zeros at padding".into(),
                }
                .into()),
                false => Ok(attended as i32),
            }
        });
        rows.collect()
    }
}

/// Patches `[n, tokens, values]` of an array `[n, channels, depth, rows, columns]`. Tokens are in (depth, row, column)
/// order, and so are the values of a token, with channels last.
fn patchified(values: &[f32], n: usize, grid: [usize; 3], channels: usize, patch: [usize; 3]) -> Vec<f32> {
    let [depth, height, width] = [0, 1, 2].map(|axis| grid[axis] * patch[axis]);
    let mut tokens = Vec::with_capacity(values.len());
    for sample in 0..n {
        for_each(grid, |[tz, ty, tx]| {
            for_each(patch, |[z, y, x]| {
                let (z, y, x) = (tz * patch[0] + z, ty * patch[1] + y, tx * patch[2] + x);
                for channel in 0..channels {
                    tokens.push(values[(((sample * channels + channel) * depth + z) * height + y) * width + x]);
                }
            });
        });
    }
    tokens
}

fn for_each([depth, height, width]: [usize; 3], mut visit: impl FnMut([usize; 3])) {
    for z in 0..depth {
        for y in 0..height {
            for x in 0..width {
                visit([z, y, x]);
            }
        }
    }
}

impl Dataset for ArraySource {
    fn modality(&self) -> &str {
        &self.family
    }

    fn family(&self) -> &str {
        &self.family
    }

    fn spec(&self) -> TokenSpec {
        self.spec
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn fingerprint(&self) -> &str {
        "arrays"
    }

    fn layout(&self) -> Option<&Arc<GridLayout>> {
        self.layout.as_ref()
    }

    /// Both views are the evaluation view: arrays are neither augmented nor masked.
    fn fill(&self, _: View, indices: &[u64], _: &[u64], batch: &mut RawBatch) -> Result<Vec<SampleReport>> {
        let rows = |n: usize| indices.iter().map(move |&index| index as usize * n..(index as usize + 1) * n);
        match (&self.values, self.spec) {
            (Values::Continuous(values), TokenSpec::Continuous { n_tokens, d_token, .. }) => {
                batch.tokens.clear();
                rows(n_tokens * d_token).for_each(|row| batch.tokens.extend_from_slice(&values[row]));
                batch.mask = vec![0; indices.len() * n_tokens];
            }
            (Values::Discrete { ids, lengths }, TokenSpec::Discrete { length, .. }) => {
                batch.ids.clear();
                rows(length).for_each(|row| batch.ids.extend_from_slice(&ids[row]));
                batch.labels = vec![-1; indices.len() * length];
                batch.lengths = indices.iter().map(|&index| lengths[index as usize]).collect();
            }
            _ => return Err(Error::Dataset("arrays of another kind than their family".into())),
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Interpolation;

    #[test]
    fn samples_without_values_are_refused_however_many_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.safetensors");
        let family = |tokens| FamilyConfig {
            name: "gait".into(),
            n_positions: 9,
            n_decoder_positions: 0,
            tokens,
            d_target: None,
            layout: None,
            interpolation: Interpolation::Linear,
        };
        for (family, dtype, shape) in [
            (family(FamilyTokens::Discrete { vocabulary: 5 }), "I64", "[1000000000000,0]"),
            (family(FamilyTokens::Continuous { d_token: 3 }), "F32", "[1000000000000,0,3]"),
            (family(FamilyTokens::Continuous { d_token: 3 }), "F32", "[1000000000000,3,0]"),
        ] {
            let header = format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,0]}}}}"#);
            std::fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
            let error = ArraySource::read(&path, "x", None, &family).unwrap_err().to_string();
            assert!(error.contains("expected samples with values"), "{error}");
        }
    }

    #[test]
    fn pixels_of_a_patch_lie_together_with_their_channels() {
        // One image of 3 channels, 4 x 6, patches of 2: a value encodes channel, row, column.
        let value = |channel: usize, row: usize, column: usize| (channel * 100 + row * 10 + column) as f32;
        let mut image = Vec::new();
        for channel in 0..3 {
            for_each([1, 4, 6], |[_, row, column]| image.push(value(channel, row, column)));
        }
        let tokens = patchified(&image, 1, [1, 2, 3], 3, [1, 2, 2]);
        // Token 4 is the second of the second row; its third pixel is the first of its second row.
        let at = 4 * 12 + 2 * 3;
        assert_eq!(tokens[at..at + 3], [value(0, 3, 2), value(1, 3, 2), value(2, 3, 2)]);

        let mut volume = Vec::new();
        for_each([2, 4, 2], |[z, y, x]| volume.push(value(z, y, x)));
        let tokens = patchified(&volume, 1, [1, 2, 1], 1, [2; 3]);
        assert_eq!(tokens[8..16], [20., 21., 30., 31., 120., 121., 130., 131.]);
    }
}
