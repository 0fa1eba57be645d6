//! The tokens of buffer samples in a file of the host, beside the plugin's files. With them a run with `buffer.store =
//! "materialised"` can replay an earlier modality when its plugin is missing.
//!
//! With the plugin, buffer samples are opened by it, augmented and masked as before, see `plugin_dataset`. Without it
//! they are the tokens of the evaluation view, always the same, and the host masks as many tokens as the plugin did, at
//! random. So the results of a run differ from those with the plugin, but not from run to run.
//!
//! The file has the format safetensors: `tokens` `[n, n_tokens, d_token]` of `f32`, with `valid` `[n, n_tokens]` of `u8` where tokens
//! may not exist, or `ids` `[n, length]` and `lengths` `[n]` of `i32`. The metadata hold the other properties. The file is written and read sample by sample.

use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use medcoss_abi::NOT_A_TARGET;
use medcoss_abi::message::Geometry;
use medcoss_core::Error;
use medcoss_core::confined_path::ConfinedPath;
use medcoss_core::data::{Dataset, GridLayout, RawBatch, SampleReport, TargetSpec, TokenSpec, View};
use medcoss_core::run::{RunLayout, StageFolder, StageState};
use medcoss_core::weights::{ElementType, TensorFile, TensorOut, TensorRows, floats_to_bytes, write_safetensors};
use medcoss_plugin_host::Shape;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::token_spec::{layout_of, spec_of, targets_of, vocabulary_digest_of};

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
        Shape::Continuous { n_tokens, d_token, ref extras, .. } => {
            let tokens = tensor("tokens", vec![n, n_tokens, d_token], ElementType::F32);
            let valid = extras.validity.then(|| tensor("valid", vec![n, n_tokens], ElementType::U8));
            [Some(tokens), valid].into_iter().flatten().collect()
        }
        Shape::Discrete { length, .. } => {
            vec![tensor("ids", vec![n, length], ElementType::I32), tensor("lengths", vec![n], ElementType::I32)]
        }
    };
    Ok(write_safetensors(&path, &tensors, &note, &mut |file| {
        let cannot = |reason: std::io::Error| Error::File { action: "cannot write", path: path.path(), reason };
        let (mut lengths, mut valid) = (Vec::new(), Vec::new());
        for position in 0..n as u64 {
            let batch = sample(position, View::Evaluation).map_err(|error| Error::Dataset(format!("{error:#}")))?;
            file.write_all(&floats_to_bytes(&batch.tokens)).map_err(cannot)?;
            file.write_all(&integers_to_bytes(&batch.ids)).map_err(cannot)?;
            lengths.extend(batch.lengths);
            valid.extend(batch.valid);
        }
        file.write_all(&integers_to_bytes(&lengths)).map_err(cannot)?;
        file.write_all(&valid).map_err(cannot)
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
    geometry: Geometry,
    layout: Option<Arc<GridLayout>>,
    shape: Shape,
    masked_ratio: f64,
    /// Which continuous tokens exist; none where all do.
    valid: Option<TensorRows>,
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
        if targets_of(&note.geometry).d_target.is_some() {
            bail!("{} learns targets that only its plugin can make", stage.name());
        }
        let mut valid = None;
        let (rows, lengths) = match shape {
            Shape::Continuous { n_tokens, d_token, ref extras, .. } => {
                if extras.validity {
                    valid = Some(file.rows("valid", &[ids.len(), n_tokens], "uint8")?);
                }
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
            layout: layout_of(&note.geometry),
            geometry: note.geometry,
            shape,
            valid,
            masked_ratio: note.masked_ratio.clamp(0.0, 1.0),
            rows,
            lengths,
        })
    }

    fn special_ids(&self) -> &[i32] {
        match &self.geometry {
            Geometry::Discrete(own) => &own.special_ids,
            Geometry::Continuous(_) => &[],
        }
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
                let mut exists = vec![1; n_tokens];
                if let Some(valid) = &self.valid {
                    exists = valid.read(index).map_err(|error| format!("{TOKENS} cannot be read: {error}"))?;
                    if let Some(wrong) = exists.iter().find(|&&valid| valid > 1) {
                        return Err(format!("the validity of a token is {wrong}, neither 0 nor 1"));
                    }
                    batch.valid[slot * n_tokens..][..n_tokens].copy_from_slice(&exists);
                }
                if view == View::Training {
                    let mask = &mut batch.mask[slot * n_tokens..][..n_tokens];
                    mask_among(&exists, n_masked, mask, &mut generator)?;
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
                    let candidates = maskable(&own[..self.lengths[index] as usize], self.special_ids());
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

/// Positions of a text that may be masked: those of no special id. Where a plugin named no special ids, the first and the last token are taken for
/// some. All positions where none would be left.
fn maskable(ids: &[i32], special_ids: &[i32]) -> Vec<usize> {
    let n = ids.len();
    let is_word = |&at: &usize| match special_ids {
        [] => at > 0 && at + 1 < n,
        special => !special.contains(&ids[at]),
    };
    let words: Vec<usize> = (0..n).filter(is_word).collect();
    if words.is_empty() { (0..n).collect() } else { words }
}

/// Masks `n_masked` tokens, so that of those that exist one at least is masked and one is visible: as many of them as their share, then others.
fn mask_among(exists: &[u8], n_masked: usize, mask: &mut [u8], generator: &mut impl Rng) -> Result<(), String> {
    let with = |wanted: u8| (0..exists.len()).filter(|&token| exists[token] == wanted).collect::<Vec<usize>>();
    let (existing, missing) = (with(1), with(0));
    let n = existing.len();
    if n < 2 {
        return Err(format!("{n} of its tokens exist; one must be masked and one visible"));
    }
    let n_visible = exists.len() - n_masked;
    let share = (n_masked as f64 * n as f64 / exists.len() as f64).round() as usize;
    let n_existing = share.clamp(n.saturating_sub(n_visible).max(1), n_masked.min(n - 1));
    for token in choose(n_existing, existing, generator).chain(choose(n_masked - n_existing, missing, generator)) {
        mask[token] = 1;
    }
    Ok(())
}

/// Draws `n` members, or all of them, with equal probability.
fn choose(n: usize, mut members: Vec<usize>, generator: &mut impl Rng) -> std::vec::IntoIter<usize> {
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
        spec_of(&self.shape)
    }

    fn ids(&self) -> &[String] {
        &self.ids
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn layout(&self) -> Option<&Arc<GridLayout>> {
        self.layout.as_ref()
    }

    fn vocabulary_digest(&self) -> Option<&str> {
        vocabulary_digest_of(&self.geometry)
    }

    fn targets(&self) -> TargetSpec {
        targets_of(&self.geometry)
    }

    fn fill(
        &self,
        view: View,
        indices: &[u64],
        seeds: &[u64],
        batch: &mut RawBatch,
    ) -> medcoss_core::Result<Vec<SampleReport>> {
        let n = indices.len();
        let (n_values, n_tokens) = (n * self.shape.n_values(), n * self.shape.n_tokens());
        let is_discrete = matches!(self.shape, Shape::Discrete { .. });
        let [continuous, discrete] = [!is_discrete, is_discrete].map(usize::from);
        refill(&mut batch.tokens, continuous * n_values, 0.0);
        refill(&mut batch.mask, continuous * n_tokens, 0);
        refill(&mut batch.ids, discrete * n_tokens, 0);
        refill(&mut batch.labels, discrete * n_tokens, NOT_A_TARGET);
        refill(&mut batch.lengths, discrete * n, 0);
        refill(&mut batch.valid, usize::from(self.valid.is_some()) * n_tokens, 1);
        batch.targets.clear();
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
                invalid.push(SampleReport::invalid(slot, format!("{}: {what}", self.ids[index])));
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
        let geometry = Geometry::grid(vec![3], 2, 1);
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
        let draw = |seed| choose(3, (2..9).collect(), &mut ChaCha8Rng::seed_from_u64(seed)).collect::<Vec<_>>();
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
        assert_eq!(choose(9, vec![0, 1], &mut ChaCha8Rng::seed_from_u64(0)).count(), 2);
    }

    #[test]
    fn masks_keep_their_number_and_leave_a_token_that_exists_on_either_side() {
        for seed in 0..200u64 {
            let mut generator = ChaCha8Rng::seed_from_u64(seed);
            let n = generator.random_range(2..12usize);
            let n_masked = generator.random_range(1..n);
            let n_existing = generator.random_range(2..=n);
            let mut exists = vec![0; n];
            choose(n_existing, (0..n).collect(), &mut generator).for_each(|token| exists[token] = 1);
            let mut mask = vec![0; n];
            mask_among(&exists, n_masked, &mut mask, &mut generator).unwrap();
            assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), n_masked);
            for side in [0, 1] {
                assert!(mask.iter().zip(&exists).any(|(&masked, &exists)| masked == side && exists == 1));
            }
        }
        assert!(mask_among(&[1, 0, 0], 2, &mut [0; 3], &mut ChaCha8Rng::seed_from_u64(0)).is_err());
    }

    #[test]
    fn special_ids_are_not_masked_and_without_their_names_neither_are_first_and_last() {
        assert_eq!(maskable(&[3, 7, 8, 9, 4], &[]), [1, 2, 3]);
        assert_eq!(maskable(&[3, 7, 3, 9, 4], &[3, 4]), [1, 3]);
        assert_eq!(maskable(&[7, 8], &[3, 4]), [0, 1]);
        assert_eq!(maskable(&[3, 4], &[3, 4]), [0, 1], "where nothing would be left");
    }
}
