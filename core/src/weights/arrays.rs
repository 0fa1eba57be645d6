//! Datasets of prepared arrays: the tensors of a file as samples, without a plugin.

use std::path::Path;

use super::published::{patch_kind, patch_side};
use super::tensor_file::TensorFile;
use crate::data::{Dataset, RawBatch, SampleReport, TokenSpec, View};
use crate::model::{FamilyConfig, FamilyTokens};
use crate::{Error, Result, WeightsError};

/// Dataset whose samples are the rows of a tensor.
///
/// | family | tensor | |
/// |---|---|---|
/// | `image` | `[n, 3, H, W]` | cut into square patches |
/// | `volume` | `[n, 1, D, H, W]` | cut into cubes |
/// | any of continuous tokens | `[n, tokens, values]` | as they are |
/// | any of discrete tokens | `[n, length]` whole numbers | with a mask `[n, length]`, 1 where a token is no padding |
#[derive(Debug)]
pub struct ArraySource {
    family: String,
    spec: TokenSpec,
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
        let (spec, values) = match family.tokens {
            FamilyTokens::Continuous { .. } if attention_mask.is_some() => {
                let name = &family.name;
                return Err(WeightsError::NoPadding { family: name.to_string() }.into());
            }
            FamilyTokens::Continuous { d_token } => reader.continuous(d_token)?,
            FamilyTokens::Discrete { vocabulary } => reader.discrete(vocabulary, attention_mask)?,
        };
        let n_tokens = match spec {
            TokenSpec::Continuous { n_tokens, .. } => n_tokens,
            TokenSpec::Discrete { length, .. } => length,
        };
        if n_tokens > family.n_positions {
            return Err(reader.wrong(
                format!("{n_tokens} tokens a sample"),
                format!("at most {}, the positions of family {}", family.n_positions, family.name),
            ));
        }
        let ids = (0..shape[0]).map(|row| row.to_string()).collect();
        Ok(Self { family: family.name.clone(), spec, ids, values })
    }
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

    fn continuous(&self, d_token: usize) -> Result<(TokenSpec, Values)> {
        let (grid, channels, patch) = self.patches(d_token)?;
        let values = self.file.floats(self.input)?;
        let n_tokens = grid.iter().product::<usize>();
        let values = if patch == 0 { values } else { patchified(&values, self.shape[0], grid, channels, patch) };
        Ok((TokenSpec::Continuous { n_tokens, d_token, n_masked: 0 }, Values::Continuous(values)))
    }

    /// Token grid along depth, rows and columns, number of channels, and side of a patch along rows and columns. The
    /// side is 0 where the tensor already holds tokens.
    fn patches(&self, d_token: usize) -> Result<([usize; 3], usize, usize)> {
        if let &[_, n_tokens, values] = self.shape
            && values == d_token
        {
            return Ok(([1, 1, n_tokens], 1, 0));
        }
        let kind = patch_kind(&self.family.name)
            .and_then(|(channels, dims)| Some((channels, dims, patch_side(d_token, channels, dims)?)));
        let expected = match kind {
            Some((3, _, side)) => format!("[n, 3, H, W] with multiples of {side}, or [n, tokens, {d_token}]"),
            Some((_, _, side)) => format!("[n, 1, D, H, W] with multiples of {side}, or [n, tokens, {d_token}]"),
            None => format!("[n, tokens, {d_token}]"),
        };
        let fits = |sizes: &[usize], side: usize| sizes.iter().all(|size| *size > 0 && size.is_multiple_of(side));
        match (kind, self.shape) {
            (Some((3, 2, side)), &[_, 3, height, width]) if fits(&[height, width], side) => {
                Ok(([1, height / side, width / side], 3, side))
            }
            (Some((1, 3, side)), &[_, 1, depth, height, width]) if fits(&[depth, height, width], side) => {
                Ok(([depth / side, height / side, width / side], 1, side))
            }
            _ => {
                Err(self
                    .wrong(format!("shape {:?}", self.shape), format!("{expected} for family {}", self.family.name)))
            }
        }
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
/// order, and so are the values of a token, with channels last. Patches are cubes with one channel, and one voxel deep
/// with several.
fn patchified(values: &[f32], n: usize, grid: [usize; 3], channels: usize, patch: usize) -> Vec<f32> {
    let deep = if channels == 1 { patch } else { 1 };
    let [depth, height, width] = [grid[0] * deep, grid[1] * patch, grid[2] * patch];
    let mut tokens = Vec::with_capacity(values.len());
    for sample in 0..n {
        for_each(grid, |[tz, ty, tx]| {
            for_each([deep, patch, patch], |[z, y, x]| {
                let (z, y, x) = (tz * deep + z, ty * patch + y, tx * patch + x);
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
        let tokens = patchified(&image, 1, [1, 2, 3], 3, 2);
        // Token 4 is the second of the second row; its third pixel is the first of its second row.
        let at = 4 * 12 + 2 * 3;
        assert_eq!(tokens[at..at + 3], [value(0, 3, 2), value(1, 3, 2), value(2, 3, 2)]);

        let mut volume = Vec::new();
        for_each([2, 4, 2], |[z, y, x]| volume.push(value(z, y, x)));
        let tokens = patchified(&volume, 1, [1, 2, 1], 1, 2);
        assert_eq!(tokens[8..16], [20., 21., 30., 31., 120., 121., 130., 131.]);
    }
}
