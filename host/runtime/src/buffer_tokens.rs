//! The tokens of buffer samples in a file of the host, beside the plugin's files. With them a run with `buffer.store =
//! "materialised"` can replay an earlier modality when its plugin is missing.
//!
//! With the plugin, buffer samples are opened by it, augmented and masked as before, see `plugin_dataset`. Without it
//! they are the tokens of the evaluation view, always the same, and the host masks as many tokens as the plugin did, at
//! random. So the results of a run differ from those with the plugin, but not from run to run.
//!
//! The file has the format safetensors: `tokens` `[n, n_tokens, d_token]` of `f32`, or `ids` `[n, length]` and
//! `lengths` `[n]` of `i32`. The metadata hold the other properties. The file is written and read sample by sample.

use std::ops::Range;

use anyhow::{Result, anyhow, bail};
use medcoss_abi::NOT_A_TARGET;
use medcoss_abi::message::Geometry;
use medcoss_core::Error;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{Dataset, InvalidSample, RawBatch, TokenSpec, View};
use medcoss_core::run::{RunLayout, StageFolder, StageState};
use medcoss_core::weights::{ElementType, TensorFile, TensorOut, TensorRows, floats_to_bytes, write_safetensors};
use medcoss_plugin_host::Shape;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Name of the token file in the folder of buffer samples.
const TOKENS: &str = "tokens.safetensors";

/// Writes the tokens of `n` buffer samples. `sample` returns each by position, in the evaluation and in the training
/// view.
///
/// # Errors
/// Samples that cannot be read, a file that cannot be written.
pub fn write(
    folder: &ConfinedPath,
    geometry: &Geometry,
    n: usize,
    mut sample: impl FnMut(u64, View) -> Result<RawBatch>,
) -> Result<()> {
    let path = folder.join(TOKENS);
    let shape = Shape::new(geometry).map_err(|violation| anyhow!("{violation}"))?;
    // A text's number of masked tokens is not declared, and is counted here.
    let mut masked_ratio = 0.0;
    if matches!(shape, Shape::Discrete { .. }) {
        let (mut n_masked, mut n_tokens) = (0, 0);
        for position in 0..n as u64 {
            let batch = sample(position, View::Training)?;
            n_masked += batch.labels.iter().filter(|&&label| label != NOT_A_TARGET).count();
            n_tokens += batch.lengths.iter().map(|&length| length as usize).sum::<usize>();
        }
        masked_ratio = n_masked as f64 / n_tokens.max(1) as f64;
    }
    let note = serde_json::to_string(&Note { geometry: geometry.clone(), masked_ratio })?;
    let tensor = |name: &str, shape: Vec<usize>, dtype| TensorOut { name: name.into(), shape, dtype };
    let tensors = match shape {
        Shape::Continuous { n_tokens, d_token, .. } => {
            vec![tensor("tokens", vec![n, n_tokens, d_token], ElementType::F32)]
        }
        Shape::Discrete { length, .. } => {
            vec![tensor("ids", vec![n, length], ElementType::I32), tensor("lengths", vec![n], ElementType::I32)]
        }
    };
    Ok(write_safetensors(&path, &tensors, &note, &mut |file| {
        let cannot = |reason: std::io::Error| Error::File { action: "cannot write", path: path.path(), reason };
        let mut lengths = Vec::new();
        for position in 0..n as u64 {
            let batch = sample(position, View::Evaluation).map_err(|error| Error::Dataset(format!("{error:#}")))?;
            file.write_all(&floats_to_bytes(&batch.tokens)).map_err(cannot)?;
            file.write_all(&integers_to_bytes(&batch.ids)).map_err(cannot)?;
            lengths.extend(batch.lengths);
        }
        file.write_all(&integers_to_bytes(&lengths)).map_err(cannot)
    })?)
}

/// Metadata that are stored beside the tensors.
#[derive(Serialize, Deserialize)]
struct Note {
    geometry: Geometry,
    /// Share of a text's tokens that the plugin masked. Unused for continuous tokens, whose geometry gives the number.
    masked_ratio: f64,
}

fn integers_to_bytes(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Buffer samples of a finished stage, which are read without their plugin.
#[derive(Debug)]
pub struct BufferTokens {
    modality: String,
    family: String,
    /// Fingerprint of the data that the samples were taken from.
    fingerprint: String,
    /// Sample ids, as in the data that the samples were taken from.
    ids: Vec<String>,
    shape: Shape,
    masked_ratio: f64,
    /// Tokens or ids, one row for each sample.
    rows: TensorRows,
    /// Lengths of discrete tokens.
    lengths: Vec<i32>,
}

impl BufferTokens {
    /// Opens the buffer tokens of a finished stage.
    ///
    /// # Errors
    /// A stage without buffer tokens, a damaged file.
    pub fn open(stage: &StageFolder, state: &StageState) -> Result<Self> {
        let path = stage.file(RunLayout::BUFFER_SAMPLES).join(TOKENS);
        let ids: Vec<String> = stage.buffer()?.entries.into_iter().map(|entry| entry.id).collect();
        if !path.is_file()? {
            bail!("{} kept its samples without their tokens, which only the plugin can read", stage.name());
        }
        let damaged = |what: String| anyhow!("{} is damaged: {what}", path.display());
        let file = TensorFile::open_confined(&path)?;
        let note = file.note().ok_or_else(|| damaged("nothing says what its tokens are".into()))?;
        let note: Note = serde_json::from_str(note).map_err(|error| damaged(error.to_string()))?;
        let shape = Shape::new(&note.geometry).map_err(damaged)?;
        let (rows, lengths) = match shape {
            Shape::Continuous { n_tokens, d_token, .. } => {
                (file.rows("tokens", &[ids.len(), n_tokens, d_token], "float32")?, Vec::new())
            }
            Shape::Discrete { length, .. } => {
                let lengths = file.rows("lengths", &[ids.len()], "int32")?;
                let lengths: Vec<i32> = (0..ids.len())
                    .map(|row| Ok(words(&lengths.read(row)?).next().unwrap_or_default()))
                    .collect::<std::io::Result<_>>()
                    .map_err(|error| damaged(error.to_string()))?;
                if let Some(wrong) = lengths.iter().find(|&&own| usize::try_from(own).map_or(true, |own| own > length))
                {
                    return Err(damaged(format!("a length is {wrong}; it must be in 0..={length}")));
                }
                (file.rows("ids", &[ids.len(), length], "int32")?, lengths)
            }
        };
        Ok(Self {
            modality: state.modality.clone(),
            family: state.family.clone(),
            fingerprint: state.fingerprint.clone(),
            ids,
            shape,
            masked_ratio: note.masked_ratio.clamp(0.0, 1.0),
            rows,
            lengths,
        })
    }

    /// Loads one sample into its part of the batch.
    fn load(&self, view: View, index: usize, seed: u64, slot: usize, batch: &mut RawBatch) -> Result<(), String> {
        let n_values = self.shape.n_values();
        let bytes = self.rows.read(index).map_err(|error| format!("{TOKENS} cannot be read: {error}"))?;
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        match self.shape {
            Shape::Continuous { n_tokens, n_masked, .. } => {
                let own = &mut batch.tokens[slot * n_values..][..n_values];
                own.iter_mut().zip(words(&bytes)).for_each(|(value, word)| *value = f32::from_bits(word as u32));
                if let Some(value) = own.iter().find(|value| !value.is_finite()) {
                    return Err(format!("a value is {value}, not a finite number"));
                }
                if view == View::Training {
                    let mask = &mut batch.mask[slot * n_tokens..][..n_tokens];
                    choose(n_masked, 0..n_tokens, &mut generator).for_each(|token| mask[token] = 1);
                }
            }
            Shape::Discrete { length, vocabulary, mask_id, .. } => {
                let own = &mut batch.ids[slot * length..][..length];
                own.iter_mut().zip(words(&bytes)).for_each(|(id, word)| *id = word);
                if let Some(id) = own.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= vocabulary)) {
                    return Err(format!("an id is {id}; it must be in 0..{vocabulary}"));
                }
                batch.lengths[slot] = self.lengths[index];
                if view == View::Training {
                    let labels = &mut batch.labels[slot * length..][..length];
                    let candidates = maskable(self.lengths[index] as usize);
                    let n_masked = (self.masked_ratio * self.lengths[index] as f64).round() as usize;
                    for at in choose(n_masked.max(1), candidates, &mut generator) {
                        labels[at] = own[at];
                        own[at] = mask_id;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Positions of a text that may be masked. The first and the last token are usually special tokens, and stay unmasked.
fn maskable(length: usize) -> Range<usize> {
    if length > 2 { 1..length - 1 } else { 0..length }
}

/// Draws `n` members of a range, or all of them, with equal probability.
fn choose(n: usize, members: Range<usize>, generator: &mut impl Rng) -> impl Iterator<Item = usize> {
    let mut members: Vec<usize> = members.collect();
    let n = n.min(members.len());
    for at in 0..n {
        let other = generator.random_range(at..members.len());
        members.swap(at, other);
    }
    members.truncate(n);
    members.into_iter()
}

fn words(bytes: &[u8]) -> impl Iterator<Item = i32> {
    bytes.as_chunks::<4>().0.iter().map(|&word| i32::from_le_bytes(word))
}

impl Dataset for BufferTokens {
    fn modality(&self) -> &str {
        &self.modality
    }

    fn family(&self) -> &str {
        &self.family
    }

    fn spec(&self) -> TokenSpec {
        crate::token_spec::spec_of(&self.shape)
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut RawBatch,
    ) -> medcoss_core::Result<Vec<InvalidSample>> {
        let n = indices.len();
        let (n_values, n_tokens) = (n * self.shape.n_values(), n * self.shape.n_tokens());
        let is_discrete = matches!(self.shape, Shape::Discrete { .. });
        let [continuous, discrete] = [!is_discrete, is_discrete].map(usize::from);
        refill(&mut batch.tokens, continuous * n_values, 0.0);
        refill(&mut batch.mask, continuous * n_tokens, 0);
        refill(&mut batch.ids, discrete * n_tokens, 0);
        refill(&mut batch.labels, discrete * n_tokens, NOT_A_TARGET);
        refill(&mut batch.lengths, discrete * n, 0);
        let mut invalid = Vec::new();
        for (slot, (&index, &seed)) in indices.iter().zip(seeds).enumerate() {
            let known = usize::try_from(index).ok().filter(|&index| index < self.ids.len());
            let index = known.ok_or_else(|| {
                Error::Dataset(format!(
                    "sample {index} of {} does not exist; there are {}",
                    self.modality,
                    self.ids.len()
                ))
            })?;
            if let Err(what) = self.load(view, index, seed, slot, batch) {
                invalid.push(InvalidSample { slot, message: format!("{}: {what}", self.ids[index]) });
            }
        }
        Ok(invalid)
    }
}

fn refill<T: Copy>(buffer: &mut Vec<T>, n: usize, value: T) {
    buffer.clear();
    buffer.resize(n, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(tokens: Vec<f32>) -> RawBatch {
        RawBatch { tokens, ..RawBatch::default() }
    }

    #[test]
    fn any_reader_of_safetensors_reads_the_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let geometry = Geometry::Continuous { grid: vec![3], d_token: 2, n_masked: 1 };
        let value = |sample: u64, at: usize| sample as f32 * 10.0 + at as f32;
        write(&ConfinedPath::root(folder.path()).unwrap(), &geometry, 5, |sample, view| {
            assert_eq!(view, View::Evaluation);
            Ok(batch((0..6).map(|at| value(sample, at)).collect()))
        })
        .unwrap();
        let bytes = std::fs::read(folder.path().join(TOKENS)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tokens = tensors.tensor("tokens").unwrap();
        assert_eq!((tokens.shape(), tokens.dtype()), (&[5, 3, 2][..], safetensors::Dtype::F32));
        let words: Vec<f32> = words(tokens.data()).map(|word| f32::from_bits(word as u32)).collect();
        assert_eq!(words[3 * 6 + 4], value(3, 4));
        assert_eq!(tensors.names(), ["tokens"]);
    }

    #[test]
    fn choices_are_distinct_uniform_and_decided_by_the_seed() {
        let draw = |seed| choose(3, 2..9, &mut ChaCha8Rng::seed_from_u64(seed)).collect::<Vec<_>>();
        let mut counts = [0; 9];
        for seed in 0..7000 {
            let mut chosen = draw(seed);
            assert_eq!(chosen, draw(seed));
            chosen.iter().for_each(|&at| counts[at] += 1);
            chosen.sort();
            chosen.dedup();
            assert_eq!(chosen.len(), 3);
        }
        assert_eq!(counts[..2], [0, 0]);
        // Three of seven, 7000 times: 3000 each, give or take five standard deviations.
        assert!(counts[2..].iter().all(|count| (2793..3207).contains(count)), "{counts:?}");
        assert_eq!(choose(9, 0..2, &mut ChaCha8Rng::seed_from_u64(0)).count(), 2);
    }
}
