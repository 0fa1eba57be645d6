//! Preparation of batches on the loader's worker threads: visible tokens, reconstruction targets, mixup.

use std::sync::Arc;

use rand::RngExt;

use super::dataset::{RawBatch, TargetSpec, TokenSpec};
use super::grid_layout::GridLayout;
use crate::rng::Rng;

/// A prepared batch of one modality in host memory, ready for upload.
#[derive(Debug, Clone)]
pub enum HostBatch {
    /// Batch of continuous tokens.
    Patches(PatchBatch),
    /// Batch of discrete tokens.
    Tokens(TokenBatch),
}

impl HostBatch {
    /// Number of samples in the batch.
    pub fn n(&self) -> usize {
        match self {
            Self::Patches(batch) => batch.n,
            Self::Tokens(batch) => batch.n,
        }
    }
}

/// A batch of continuous tokens: visible tokens and reconstruction targets.
#[derive(Debug, Clone, Default)]
pub struct PatchBatch {
    /// Number of samples.
    pub n: usize,
    /// Tokens in a whole sample.
    pub n_tokens: usize,
    /// Values in a token.
    pub d_token: usize,
    /// Visible tokens in a sample.
    pub n_visible: usize,
    /// Values of the visible tokens, `[n, n_visible, d_token]`.
    pub visible: Vec<f32>,
    /// Positions of the visible tokens, `[n, n_visible]`, ascending.
    pub visible_index: Vec<i32>,
    /// Positions of the masked tokens, `[n, n_tokens - n_visible]`, ascending; empty in the evaluation view.
    pub masked_index: Vec<i32>,
    /// Targets of the masked tokens that exist, sample after sample by ascending position: the values of each
    /// token, or as many as the dataset's own targets have. Empty for a batch without targets.
    pub targets: Vec<f32>,
    /// Whether each token exists, `[n, n_tokens]`; empty where all do.
    pub valid: Vec<bool>,
    /// Grid of the tokens, where the dataset knows it.
    pub layout: Option<Arc<GridLayout>>,
    /// Affine maps from tokens to voxels of the samples' files, see [`super::RawBatch::affines`]; empty where they are not known.
    pub affines: Vec<f32>,
}

impl PatchBatch {
    /// Whether a token of a sample exists.
    pub fn exists(&self, sample: usize, token: usize) -> bool {
        self.valid.is_empty() || self.valid[sample * self.n_tokens + token]
    }
}

/// A batch of discrete tokens and their prediction targets.
#[derive(Debug, Clone, Default)]
pub struct TokenBatch {
    /// Number of samples.
    pub n: usize,
    /// Tokens in a sample, padding included.
    pub length: usize,
    /// Token ids, `[n, length]`.
    pub ids: Vec<i32>,
    /// Attention mask, `[n, length]`: true where a token is no padding.
    pub attended: Vec<bool>,
    /// Positions of the targets in the flattened `[n * length]`, ascending.
    pub target_index: Vec<i32>,
    /// Ids to predict at the positions `target_index`.
    pub target_ids: Vec<i32>,
}

/// Intra-modal mixup inside a batch (section 3.3 of the paper). Continuous tokens: one lambda ~ U(0,1) a sample, a convex combination. Discrete
/// tokens: one ratio ~ U(0,1) a batch, each token and its padding mask from either sample.
#[derive(Debug)]
pub(crate) struct Mixup<'a> {
    pub rng: &'a mut Rng,
}

/// Prepares a batch from raw samples. `keep` lists the valid slots of the raw batch.
pub(crate) fn prepare(
    raw: &RawBatch,
    (spec, targets): (TokenSpec, TargetSpec),
    keep: &[usize],
    with_targets: bool,
    mixup: Option<Mixup<'_>>,
) -> HostBatch {
    match spec {
        TokenSpec::Continuous { n_tokens, d_token, .. } => {
            HostBatch::Patches(prepare_patches(raw, [n_tokens, d_token], keep, with_targets.then_some(targets), mixup))
        }
        TokenSpec::Discrete { length, .. } => HostBatch::Tokens(prepare_tokens(raw, length, keep, mixup)),
    }
}

fn prepare_patches(
    raw: &RawBatch,
    [n_tokens, d_token]: [usize; 2],
    keep: &[usize],
    targets: Option<TargetSpec>,
    mixup: Option<Mixup<'_>>,
) -> PatchBatch {
    let partners = mixup.map(|mixup| {
        let partners = permutation(keep.len(), mixup.rng);
        let lambdas: Vec<f32> = keep.iter().map(|_| mixup.rng.random()).collect();
        (partners, lambdas)
    });
    let d_target = targets.and_then(|targets| targets.d_target).unwrap_or(d_token);
    let mut batch = PatchBatch { n: keep.len(), n_tokens, d_token, ..PatchBatch::default() };
    let exists = |slot: usize, token: usize| raw.valid.is_empty() || raw.valid[slot * n_tokens + token] == 1;
    for (row, &slot) in keep.iter().enumerate() {
        for token in 0..n_tokens {
            let at = slot * n_tokens + token;
            let own = &raw.tokens[at * d_token..][..d_token];
            let partner = partners.as_ref().map(|(partners, lambdas)| (keep[partners[row]], lambdas[row]));
            if !raw.valid.is_empty() {
                batch.valid.push(exists(slot, token) || partner.is_some_and(|(other, _)| exists(other, token)));
            }
            if raw.mask[at] == 1 {
                batch.masked_index.push(token as i32);
                if let Some(targets) = targets.filter(|_| exists(slot, token)) {
                    let target = match raw.targets.is_empty() {
                        true => own,
                        false => &raw.targets[at * d_target..][..d_target],
                    };
                    match targets.normalise {
                        true => push_normalised(target, &mut batch.targets),
                        false => batch.targets.extend_from_slice(target),
                    }
                }
                continue;
            }
            batch.visible_index.push(token as i32);
            let Some((other_slot, lambda)) = partner else {
                batch.visible.extend_from_slice(own);
                continue;
            };
            let other = &raw.tokens[(other_slot * n_tokens + token) * d_token..][..d_token];
            // Where one of both does not exist, there is nothing to mix.
            match (exists(slot, token), exists(other_slot, token)) {
                (true, true) => {
                    batch.visible.extend(own.iter().zip(other).map(|(a, b)| lambda * a + (1.0 - lambda) * b));
                }
                (false, true) => batch.visible.extend_from_slice(other),
                (_, false) => batch.visible.extend_from_slice(own),
            }
        }
    }
    batch.n_visible = batch.visible_index.len().checked_div(keep.len()).unwrap_or(0);
    if !raw.affines.is_empty() {
        let n_slots = raw.mask.len() / n_tokens;
        let n_affine = raw.affines.len() / n_slots.max(1);
        batch.affines = keep.iter().flat_map(|slot| &raw.affines[slot * n_affine..][..n_affine]).copied().collect();
    }
    batch
}

/// Appends a token with zero mean and unit variance (unbiased, + 1e-6) to `targets`: the target of the masked autoencoder.
pub(crate) fn push_normalised(token: &[f32], targets: &mut Vec<f32>) {
    let (mean, deviation) = mean_and_deviation(token);
    targets.extend(token.iter().map(|&value| ((f64::from(value) - mean) / deviation) as f32));
}

/// Mean, and the square root of the unbiased variance + 1e-6, of a token's values.
pub(crate) fn mean_and_deviation(token: &[f32]) -> (f64, f64) {
    let n = token.len() as f64;
    let mean = token.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
    let squares = token.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    (mean, (squares / (n - 1.0).max(1.0) + 1e-6).sqrt())
}

fn prepare_tokens(raw: &RawBatch, length: usize, keep: &[usize], mixup: Option<Mixup<'_>>) -> TokenBatch {
    let mut batch = TokenBatch { n: keep.len(), length, ..TokenBatch::default() };
    let mixed = mixup.map(|mixup| {
        let partners = permutation(keep.len(), mixup.rng);
        let ratio: f64 = mixup.rng.random();
        (partners, ratio, mixup.rng)
    });
    let attended = |slot: usize, token: usize| (token as i32) < raw.lengths[slot];
    match mixed {
        None => {
            for (row, &slot) in keep.iter().enumerate() {
                for token in 0..length {
                    batch.ids.push(raw.ids[slot * length + token]);
                    batch.attended.push(attended(slot, token));
                    let label = raw.labels[slot * length + token];
                    if label >= 0 {
                        batch.target_index.push((row * length + token) as i32);
                        batch.target_ids.push(label);
                    }
                }
            }
        }
        Some((partners, ratio, generator)) => {
            for (row, &own) in keep.iter().enumerate() {
                for token in 0..length {
                    let slot = if generator.random::<f64>() < ratio { own } else { keep[partners[row]] };
                    batch.ids.push(raw.ids[slot * length + token]);
                    batch.attended.push(attended(slot, token));
                }
            }
        }
    }
    batch
}

/// A uniform permutation of `0..n` (Fisher and Yates).
fn permutation(n: usize, generator: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, generator.random_range(0..=last));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng;

    fn raw() -> RawBatch {
        RawBatch {
            tokens: (0..3 * 4 * 2).map(|v| v as f32).collect(),
            mask: vec![1, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0],
            ids: vec![2, 7, 3, 0, 2, 8, 9, 3],
            labels: vec![-100, 5, -100, -100, -100, -100, 6, -100],
            lengths: vec![3, 4],
            ..RawBatch::default()
        }
    }

    const SPEC: TokenSpec = TokenSpec::Continuous { n_tokens: 4, d_token: 2, n_masked: 2 };

    #[test]
    fn visible_tokens_keep_their_positions_and_invalid_slots_are_left_out() {
        let HostBatch::Patches(batch) = prepare(&raw(), (SPEC, TargetSpec::default()), &[0, 2], true, None) else {
            panic!("patches")
        };
        assert_eq!(batch.visible_index, [1, 3, 2, 3]);
        assert_eq!(batch.masked_index, [0, 2, 0, 1]);
        assert_eq!(batch.visible, [2., 3., 6., 7., 20., 21., 22., 23.]);
        // Two values with difference 1: mean +- 0.5, unbiased variance 0.5.
        let expected = 0.5 / (0.5f64 + 1e-6).sqrt();
        assert!((f64::from(batch.targets[1]) - expected).abs() < 1e-6);
        assert_eq!(batch.targets.len(), 2 * 2 * 2);
    }

    proptest::proptest! {
        #[test]
        fn mixed_values_lie_between_two_samples_and_visible_tokens_are_those_that_are_not_masked(
            n in 1usize..6, n_tokens in 1usize..12, d_token in 1usize..5, seed: u64,
        ) {
            let mut values = rng::keyed(seed, "values", &[]);
            let n_masked = values.random_range(0..n_tokens);
            let mask = |sample: usize, token: usize| u8::from((token + sample) % n_tokens < n_masked);
            let raw = RawBatch {
                tokens: (0..n * n_tokens * d_token).map(|_| values.random::<f32>() * 8.0 - 4.0).collect(),
                mask: (0..n * n_tokens).map(|at| mask(at / n_tokens, at % n_tokens)).collect(),
                ..RawBatch::default()
            };
            let spec = TokenSpec::Continuous { n_tokens, d_token, n_masked };
            let mixup = Mixup { rng: &mut rng::keyed(seed, "mixup", &[]) };
            let keep: Vec<usize> = (0..n).collect();
            let HostBatch::Patches(batch) = prepare(&raw, (spec, TargetSpec::default()), &keep, false, Some(mixup)) else { panic!("patches") };
            assert_eq!(batch.n_visible, n_tokens - n_masked);
            let partners = permutation(n, &mut rng::keyed(seed, "mixup", &[]));
            for (row, at) in batch.visible_index.chunks(batch.n_visible).enumerate().flat_map(|(row, positions)| {
                positions.iter().enumerate().map(move |(place, token)| (row, (place, *token as usize)))
            }) {
                let (place, token) = at;
                assert_eq!(raw.mask[row * n_tokens + token], 0);
                let of = |sample: usize| &raw.tokens[(sample * n_tokens + token) * d_token..][..d_token];
                let mixed = &batch.visible[(row * batch.n_visible + place) * d_token..][..d_token];
                for ((a, b), value) in of(row).iter().zip(of(partners[row])).zip(mixed) {
                    assert!(a.min(*b) - 1e-5 <= *value && *value <= a.max(*b) + 1e-5);
                }
            }
        }
    }

    #[test]
    fn mixup_is_convex_between_a_sample_and_its_partner_at_the_same_position() {
        let mixup = Mixup { rng: &mut rng::keyed(3, "mixup", &[]) };
        let HostBatch::Patches(mixed) = prepare(&raw(), (SPEC, TargetSpec::default()), &[0, 1, 2], false, Some(mixup))
        else {
            panic!("patches")
        };
        let mut again = rng::keyed(3, "mixup", &[]);
        let partners = permutation(3, &mut again);
        let lambdas: Vec<f32> = (0..3).map(|_| again.random()).collect();
        for row in 0..3 {
            for visible in 0..2 {
                let at = mixed.visible_index[row * 2 + visible] as usize;
                let (own, other) = ((row * 4 + at) * 2, (partners[row] * 4 + at) * 2);
                let expected = lambdas[row] * own as f32 + (1.0 - lambdas[row]) * other as f32;
                assert!((mixed.visible[(row * 2 + visible) * 2] - expected).abs() < 1e-5);
            }
        }
        assert!(mixed.targets.is_empty());
    }

    #[test]
    fn tokens_that_do_not_exist_have_no_targets_and_no_share_in_a_mixup() {
        // Token 2 of sample 0 and token 3 of sample 1 do not exist.
        let mut raw = raw();
        raw.valid = vec![1, 1, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1];
        raw.tokens[4..6].fill(0.0);
        raw.tokens[14..16].fill(0.0);
        let specs = (SPEC, TargetSpec { d_target: None, normalise: false });
        let HostBatch::Patches(batch) = prepare(&raw, specs, &[0, 1], true, None) else { panic!("patches") };
        assert_eq!(batch.masked_index, [0, 2, 2, 3]);
        assert_eq!(batch.targets, [0.0, 1.0, 12.0, 13.0], "of token 0 of the first and token 2 of the second sample");
        assert_eq!(batch.valid, raw.valid[..8].iter().map(|&valid| valid == 1).collect::<Vec<_>>());
        let mut raw = RawBatch { mask: vec![0; 12], ..raw };
        raw.tokens.truncate(16);
        raw.mask.truncate(8);
        raw.valid.truncate(8);
        let mixup = Mixup { rng: &mut rng::keyed(1, "mixup", &[]) };
        let partners = permutation(2, &mut rng::keyed(1, "mixup", &[]));
        let HostBatch::Patches(mixed) = prepare(&raw, specs, &[0, 1], false, Some(mixup)) else { panic!("patches") };
        let token = |sample: usize, token: usize| &raw.tokens[(sample * 4 + token) * 2..][..2];
        for (sample, &other) in partners.iter().enumerate() {
            let existing = if sample == 1 || other == 1 { token(1, 2) } else { token(0, 2) };
            assert_eq!(mixed.visible[(sample * 4 + 2) * 2..][..2], *existing);
            assert_eq!(mixed.exists(sample, 2), sample == 1 || other == 1);
            assert_eq!(mixed.exists(sample, 3), sample == 0 || other == 0);
        }
    }

    #[test]
    fn targets_of_their_own_are_taken_as_they_are_or_normalised() {
        let mut raw = raw();
        let specs = |d_target, normalise| (SPEC, TargetSpec { d_target, normalise });
        let targets = |raw: &RawBatch, specs| match prepare(raw, specs, &[0, 2], true, None) {
            HostBatch::Patches(batch) => batch.targets,
            HostBatch::Tokens(_) => panic!("patches"),
        };
        let of_tokens = targets(&raw, specs(None, true));
        raw.targets = raw.tokens.clone();
        assert_eq!(targets(&raw, specs(Some(2), true)), of_tokens, "two routes to one answer");
        raw.targets = (0..12).map(|at| at as f32).collect();
        assert_eq!(targets(&raw, specs(Some(1), false)), [0.0, 2.0, 8.0, 9.0]);
    }

    #[test]
    fn targets_of_text_are_flat_positions_and_mixed_tokens_come_from_either_sample() {
        let spec = TokenSpec::Discrete { length: 4, vocabulary: 10 };
        let HostBatch::Tokens(plain) = prepare(&raw(), (spec, TargetSpec::default()), &[0, 1], true, None) else {
            panic!("tokens")
        };
        assert_eq!((plain.target_index, plain.target_ids), (vec![1, 6], vec![5, 6]));
        assert_eq!(plain.attended, [true, true, true, false, true, true, true, true]);
        for seed in 0..20 {
            let mixup = Mixup { rng: &mut rng::keyed(seed, "mixup", &[]) };
            let HostBatch::Tokens(mixed) = prepare(&raw(), (spec, TargetSpec::default()), &[0, 1], false, Some(mixup))
            else {
                panic!("tokens")
            };
            for (at, id) in mixed.ids.iter().enumerate() {
                let pair = [raw().ids[at % 4], raw().ids[4 + at % 4]];
                assert!(pair.contains(id), "{id} at {at} from neither sample");
            }
            // The padding mask goes with the token: only the padding of sample 0 is not attended.
            assert!(mixed.ids.iter().zip(&mixed.attended).all(|(&id, &attended)| attended == (id != 0)));
        }
    }
}
