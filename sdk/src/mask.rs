//! Masking of patch tokens. In every mask, 1 = masked, 0 = visible.

use rand::{Rng, RngExt};

use crate::Error;

/// Number of masked tokens out of `n_tokens`: all but `floor(n_tokens * (1 - mask_ratio))`, as the masked autoencoder. A ratio
/// below 0 gives 0, one above 1 or none at all gives all.
pub fn n_masked(n_tokens: usize, mask_ratio: f64) -> usize {
    n_tokens.saturating_sub((n_tokens as f64 * (1.0 - mask_ratio)) as usize)
}

/// Random masking: the `n_masked` tokens with the largest uniform noise are masked (the smallest stay visible).
/// Ties are decided by position, so equal noise still masks exactly `n_masked`.
pub fn random(rng: &mut impl Rng, n_masked: usize, mask: &mut [u8]) {
    let noise: Vec<f32> = (0..mask.len()).map(|_| rng.random::<f32>()).collect();
    from_noise(&noise, n_masked, mask);
}

/// The mask that belongs to given noise: the smallest `len - n_masked` values stay visible.
pub fn from_noise(noise: &[f32], n_masked: usize, mask: &mut [u8]) {
    let mut order: Vec<usize> = (0..noise.len()).collect();
    order.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]).then(a.cmp(&b)));
    let n_visible = mask.len().saturating_sub(n_masked);
    mask.fill(1);
    for &token in &order[..n_visible] {
        mask[token] = 0;
    }
}

/// Random masking of a sample some of whose tokens do not exist (`valid` is 0): `n_masked` tokens in all, and of those that exist the same share,
/// as far as one of them stays visible and one is masked. Where all exist it is [`random`].
///
/// # Errors
/// A sample to be skipped, of which fewer than two tokens exist; a number of masked tokens that leaves none masked or none visible.
pub fn random_valid(rng: &mut impl Rng, n_masked: usize, valid: &[u8], mask: &mut [u8]) -> Result<(), Error> {
    let n_valid = valid.iter().filter(|&&valid| valid == 1).count();
    let n_tokens = mask.len();
    if valid.len() != n_tokens || !(1..n_tokens.max(1)).contains(&n_masked) {
        let n_stated = valid.len();
        return Err(Error::bad_request(format!(
            "{n_masked} of {n_tokens} tokens cannot be masked, where {n_stated} are said to exist or not"
        )));
    }
    if n_valid < 2 {
        return Err(Error::skip(format!("{n_valid} of {n_tokens} tokens exist; one must be masked and one visible")));
    }
    if n_valid == mask.len() {
        random(rng, n_masked, mask);
        return Ok(());
    }
    let n_visible = mask.len() - n_masked;
    let share = (n_valid as f64 * n_masked as f64 / mask.len() as f64).round() as usize;
    let share = share.clamp(n_valid.saturating_sub(n_visible).max(1), n_masked.min(n_valid - 1).max(1));
    for (kind, n_masked) in [(1, share), (0, n_masked.saturating_sub(share))] {
        let places: Vec<usize> = (0..mask.len()).filter(|&token| valid[token] == kind).collect();
        let mut own = vec![0; places.len()];
        random(rng, n_masked.min(places.len()), &mut own);
        places.into_iter().zip(own).for_each(|(token, masked)| mask[token] = masked);
    }
    Ok(())
}

/// Block masking on a 2-D grid: rectangles are masked until `n_masked` tokens are; the last one is cut short.
pub fn block(rng: &mut impl Rng, sides: [usize; 2], n_masked: usize, mask: &mut [u8]) {
    mask.fill(0);
    add_blocks(rng, sides, n_masked, mask);
}

/// Masks rectangles until `n_added` tokens more are masked, or all.
pub(crate) fn add_blocks(rng: &mut impl Rng, [rows, columns]: [usize; 2], n_added: usize, mask: &mut [u8]) {
    let mut left = n_added.min(mask.iter().filter(|&&token| token == 0).count());
    while left > 0 {
        let height = rng.random_range(1..=rows.div_ceil(2));
        let width = rng.random_range(1..=columns.div_ceil(2));
        let top = rng.random_range(0..=rows - height);
        let first = rng.random_range(0..=columns - width);
        for row in top..top + height {
            for token in &mut mask[row * columns + first..][..width] {
                if left > 0 && *token == 0 {
                    *token = 1;
                    left -= 1;
                }
            }
        }
    }
}

/// Tube masking on a `[depth, rows, columns]` grid: one random plane mask, the same at every depth. `n_masked_plane` tokens
/// of each plane are masked.
pub fn tube(rng: &mut impl Rng, [depth, rows, columns]: [usize; 3], n_masked_plane: usize, mask: &mut [u8]) {
    let plane = rows * columns;
    let (first, rest) = mask.split_at_mut(plane);
    random(rng, n_masked_plane, first);
    for slice in rest.chunks_mut(plane).take(depth.saturating_sub(1)) {
        slice.copy_from_slice(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_rng;

    #[test]
    fn the_smallest_noise_stays_visible() {
        let mut mask = [9; 5];
        from_noise(&[0.9, 0.1, 0.5, 0.3, 0.7], 3, &mut mask);
        assert_eq!(mask, [1, 0, 1, 0, 1]);
    }

    #[test]
    fn counts_are_those_of_the_masked_autoencoder() {
        assert_eq!(n_masked(196, 0.75), 147);
        assert_eq!(n_masked(9, 0.75), 7);
        assert_eq!(n_masked(144, 0.75), 108);
        assert_eq!([-0.5, 1.5, f64::NAN].map(|ratio| n_masked(64, ratio)), [0, 64, 64]);
    }

    #[test]
    fn what_does_not_exist_takes_its_share_of_the_masked_tokens() {
        for n_valid in 2..=12_usize {
            let valid: Vec<u8> = (0..12).map(|token| u8::from((token * 5) % 12 < n_valid)).collect();
            for n_masked in 1..12 {
                let mut mask = [9; 12];
                random_valid(&mut sample_rng(n_masked as u64), n_masked, &valid, &mut mask).unwrap();
                assert_eq!(mask.iter().filter(|&&masked| masked == 1).count(), n_masked);
                let of_valid = valid.iter().zip(&mask).filter(|&(&valid, &mask)| valid == 1 && mask == 1).count();
                assert!((1..n_valid).contains(&of_valid), "{n_valid} exist, {n_masked} masked: {of_valid} of them");
                let fair = n_valid as f64 * n_masked as f64 / 12.0;
                assert!(
                    (of_valid as f64 - fair).abs() <= 1.0,
                    "{n_valid} exist, {n_masked} masked: {of_valid} of them"
                );
            }
        }
        let mut mask = [0; 3];
        let error = random_valid(&mut sample_rng(0), 1, &[0, 1, 0], &mut mask).unwrap_err();
        assert_eq!(error.code(), crate::code::SKIPPED);
    }

    #[test]
    fn every_kind_masks_exactly_what_was_asked() {
        for seed in 0..20 {
            let mut mask = [0; 7 * 11];
            random(&mut sample_rng(seed), 50, &mut mask);
            assert_eq!(mask.iter().filter(|&&m| m == 1).count(), 50);
            block(&mut sample_rng(seed), [7, 11], 31, &mut mask);
            assert_eq!(mask.iter().filter(|&&m| m == 1).count(), 31);
            let mut mask = [0; 3 * 5 * 7];
            tube(&mut sample_rng(seed), [3, 5, 7], 20, &mut mask);
            assert_eq!(mask[..35].iter().filter(|&&m| m == 1).count(), 20);
            assert_eq!(mask[..35], mask[35..70]);
            assert_eq!(mask[..35], mask[70..]);
        }
    }
}
