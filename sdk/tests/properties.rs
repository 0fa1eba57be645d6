//! What must hold for any input: numbers of masked tokens and their uniformity, patches and back, whole words.

use medcoss_sdk::whole_word_masking::WordMasking;
use medcoss_sdk::{Masking, MaskingScheme, NOT_A_TARGET, code, mask, patch, sample_rng};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn random_and_tube_masks_cover_exactly_what_was_asked(
        grid in (1usize..6, 1usize..6, 1usize..6), share in 0.0f64..1.0, seed: u64,
    ) {
        let n_tokens = grid.0 * grid.1 * grid.2;
        let n_masked = mask::n_masked(n_tokens, share);
        // All but the whole part of what stays visible.
        prop_assert!(n_masked <= n_tokens && (n_tokens - n_masked) as f64 <= n_tokens as f64 * (1.0 - share));
        let mut tokens = vec![7; n_tokens];
        mask::random(&mut sample_rng(seed), n_masked, &mut tokens);
        prop_assert_eq!(tokens.iter().filter(|token| **token == 1).count(), n_masked);
        prop_assert_eq!(tokens.iter().filter(|token| **token == 0).count(), n_tokens - n_masked);

        let n_plane = mask::n_masked(grid.1 * grid.2, share);
        mask::tube(&mut sample_rng(seed), [grid.0, grid.1, grid.2], n_plane, &mut tokens);
        let planes: Vec<&[u8]> = tokens.chunks(grid.1 * grid.2).collect();
        prop_assert!(planes.iter().all(|plane| *plane == planes[0]));
        prop_assert_eq!(planes[0].iter().filter(|token| **token == 1).count(), n_plane);
    }

    #[test]
    fn masking_keeps_its_count_under_any_validity(
        grid in vec(1usize..6, 1..4), ratio in 0.01f64..0.99, scheme in 0usize..4, axis in 0usize..3, seed: u64,
        pattern in vec(0u8..=1, 125),
    ) {
        let scheme = match scheme {
            0 => MaskingScheme::Random,
            1 if grid.len() == 2 => MaskingScheme::Block,
            1 | 2 => MaskingScheme::Tube,
            _ => MaskingScheme::Spans { axis: axis % grid.len() },
        };
        let n_tokens: usize = grid.iter().product();
        let valid = &pattern[..n_tokens];
        let n_valid = valid.iter().filter(|token| **token == 1).count();
        let masking = Masking { ratio, scheme };
        // Small grids may have no number between none and all.
        let Ok(n_masked) = masking.count(&grid) else { return Ok(()) };
        prop_assert!(n_masked > 0 && n_masked < n_tokens);
        let mut mask = vec![7; n_tokens];
        match masking.draw(&mut sample_rng(seed), &grid, valid, &mut mask) {
            Err(error) => prop_assert!(n_valid < 2 && error.code() == code::SKIPPED),
            Ok(()) => {
                prop_assert!(n_valid >= 2 && mask.iter().all(|token| *token <= 1));
                prop_assert_eq!(mask.iter().filter(|token| **token == 1).count(), n_masked);
                let masked = mask.iter().zip(valid).filter(|(masked, valid)| **masked == 1 && **valid == 1).count();
                prop_assert!(masked >= n_valid.saturating_sub(n_tokens - n_masked).max(1));
                prop_assert!(masked <= n_masked.min(n_valid - 1));
                // One by one and in blocks, the ratio holds among those that exist, as far as these ends allow.
                if matches!(scheme, MaskingScheme::Random | MaskingScheme::Block) {
                    let wanted = mask::n_masked(n_valid, ratio);
                    let fewest = n_valid.saturating_sub(n_tokens - n_masked).max(1);
                    prop_assert_eq!(masked, wanted.clamp(fewest, n_masked.min(n_valid - 1)));
                }
            }
        }
    }

    #[test]
    fn given_noise_leaves_the_smallest_visible(noise in vec(0.0f32..1.0, 1..40), share in 0.0f64..1.0) {
        let n_masked = mask::n_masked(noise.len(), share);
        let mut tokens = vec![7; noise.len()];
        mask::from_noise(&noise, n_masked, &mut tokens);
        let of = |value: u8| noise.iter().zip(&tokens).filter(move |(_, token)| **token == value).map(|(noise, _)| *noise);
        let largest_visible = of(0).fold(f32::NEG_INFINITY, f32::max);
        prop_assert!(of(1).all(|masked| masked >= largest_visible));
    }

    #[test]
    fn unpatchify_undoes_patchify(
        grid in (1usize..4, 1usize..4, 1usize..4), size in (1usize..4, 1usize..4, 1usize..4), channels in 1usize..4,
    ) {
        let patch = [size.0, size.1, size.2];
        let shape = [grid.0 * size.0, grid.1 * size.1, grid.2 * size.2, channels];
        let voxels: Vec<f32> = (0..shape.iter().product()).map(|at: usize| at as f32).collect();
        let (mut tokens, mut back) = (vec![-1.0; voxels.len()], vec![-1.0; voxels.len()]);
        patch::patchify_3d(&voxels, shape, patch, &mut tokens);
        patch::unpatchify_3d(&tokens, shape, patch, &mut back);
        prop_assert_eq!(&back, &voxels);
        // Every token holds one patch: its values differ by less than a patch reaches in memory.
        tokens.sort_by(f32::total_cmp);
        prop_assert_eq!(tokens, voxels);
    }

    #[test]
    fn words_are_chosen_whole_and_frames_never(
        lengths in vec(1usize..6, 1..30), share in 0.01f64..1.0, seed: u64,
    ) {
        // A frame token, words of these many tokens, a frame token.
        let mut words = vec![None];
        for (word, length) in lengths.iter().enumerate() {
            words.extend(vec![Some(word as u32); *length]);
        }
        words.push(None);
        let original: Vec<i32> = (0..words.len() as i32).map(|at| 10 + at).collect();
        let (mut ids, mut labels) = (original.clone(), vec![0; words.len()]);
        let masking = WordMasking::new(share, 1000, 4, &[0, 1, 2, 3]).unwrap();
        masking.apply(&mut sample_rng(seed), &words, &mut ids, &mut labels);
        let chosen: Vec<bool> = labels.iter().map(|label| *label != NOT_A_TARGET).collect();
        for (at, word) in words.iter().enumerate() {
            prop_assert_eq!(labels[at], if chosen[at] { original[at] } else { NOT_A_TARGET });
            prop_assert!(chosen[at] || ids[at] == original[at]);
            prop_assert!(!(chosen[at] && word.is_none()));
            let together = (0..words.len()).filter(|other| words[*other] == *word && word.is_some());
            prop_assert!(together.map(|other| chosen[other]).all(|other| other == chosen[at]));
        }
        let n_chosen = chosen.iter().filter(|chosen| **chosen).count();
        let wanted = ((words.len() as f64 * share).round_ties_even() as usize).max(1);
        let shortest = lengths.iter().min().copied().unwrap_or(0);
        prop_assert!(n_chosen > 0 && (n_chosen <= wanted || shortest > wanted));
    }
}

/// Every token is masked equally often: chi squared over 2000 masks stays below what one in ten thousand exceeds.
#[test]
fn every_token_is_masked_equally_often() {
    let (n_tokens, n_masks) = (20, 2000);
    let n_masked = mask::n_masked(n_tokens, 0.75);
    let mut counts = vec![0.0f64; n_tokens];
    let mut tokens = vec![0; n_tokens];
    for seed in 0..n_masks {
        mask::random(&mut sample_rng(seed), n_masked, &mut tokens);
        counts.iter_mut().zip(&tokens).for_each(|(count, token)| *count += f64::from(*token));
    }
    let (expected, share) = (n_masks as f64 * 0.75, 0.75);
    let deviations = counts.iter().map(|count| (count - expected).powi(2) / (n_masks as f64 * share * (1.0 - share)));
    // Drawn without replacement: the sum over n tokens, scaled by (n - 1) / n, is chi squared with n - 1 = 19 degrees.
    let chi_squared = deviations.sum::<f64>() * (n_tokens as f64 - 1.0) / n_tokens as f64;
    assert!((3.0..48.0).contains(&chi_squared), "{chi_squared}");
}
