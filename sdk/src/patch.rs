//! Patches: pixels to tokens and back, in 2-D and 3-D.
//!
//! Tokens are in (depth, row, column) order of the patch grid; values inside a patch are pixel-major with channels
//! last, as the masked autoencoder's target.

/// Grid of `[rows, columns]` patches of `[height, width, channels]` pixels: `[rows * columns, patch * patch * channels]`.
///
/// # Panics
/// When the sizes are no multiples of `patch`, or the slices do not have them.
pub fn patchify_2d(pixels: &[f32], [height, width, channels]: [usize; 3], patch: usize, tokens: &mut [f32]) {
    patchify_3d(pixels, [1, height, width, channels], [1, patch, patch], tokens);
}

/// As [`patchify_2d`] of an image whose three channels are all `pixels` `[height, width]`: `[rows * columns, patch * patch * 3]`.
///
/// # Panics
/// When the sizes are no multiples of `patch`, or the slices do not have them.
pub fn patchify_grey(pixels: &[f32], [height, width]: [usize; 2], patch: usize, tokens: &mut [f32]) {
    assert_eq!(tokens.len(), 3 * pixels.len());
    let (tokens, _) = tokens.as_chunks_mut::<3>();
    for_each_run([1, height, width, 1], [1, patch, patch], pixels.len(), tokens.len(), |pixel, token, run| {
        for (triple, &value) in tokens[token..token + run].iter_mut().zip(&pixels[pixel..pixel + run]) {
            *triple = [value; 3];
        }
    });
}

/// The inverse of [`patchify_2d`].
///
/// # Panics
/// As [`patchify_2d`].
pub fn unpatchify_2d(tokens: &[f32], [height, width, channels]: [usize; 3], patch: usize, pixels: &mut [f32]) {
    unpatchify_3d(tokens, [1, height, width, channels], [1, patch, patch], pixels);
}

/// Grid of `[depth, rows, columns]` patches of `[depth, height, width, channels]` voxels.
///
/// # Panics
/// When the sizes are no multiples of `patch`, or the slices do not have them.
pub fn patchify_3d(voxels: &[f32], size: [usize; 4], patch: [usize; 3], tokens: &mut [f32]) {
    for_each_run(size, patch, voxels.len(), tokens.len(), |voxel, token, run| {
        copy_run(&voxels[voxel..voxel + run], &mut tokens[token..token + run]);
    });
}

/// The inverse of [`patchify_3d`].
///
/// # Panics
/// As [`patchify_3d`].
pub fn unpatchify_3d(tokens: &[f32], size: [usize; 4], patch: [usize; 3], voxels: &mut [f32]) {
    for_each_run(size, patch, voxels.len(), tokens.len(), |voxel, token, run| {
        copy_run(&tokens[token..token + run], &mut voxels[voxel..voxel + run]);
    });
}

/// Copies a run. Those of the usual patches, 16 values of grey and 48 of colour, are too short for a call each.
fn copy_run(from: &[f32], to: &mut [f32]) {
    if let (Ok(from), Ok(to)) = (<&[f32; 16]>::try_from(from), <&mut [f32; 16]>::try_from(&mut *to)) {
        *to = *from;
    } else if let (Ok(from), Ok(to)) = (<&[f32; 48]>::try_from(from), <&mut [f32; 48]>::try_from(&mut *to)) {
        *to = *from;
    } else {
        to.copy_from_slice(from);
    }
}

/// Calls back with (offset in voxels, offset in tokens, length) of every run that is contiguous in both.
fn for_each_run(
    [depth, height, width, channels]: [usize; 4],
    [patch_d, patch_h, patch_w]: [usize; 3],
    n_voxels: usize,
    n_values: usize,
    mut copy: impl FnMut(usize, usize, usize),
) {
    let whole = depth % patch_d == 0 && height % patch_h == 0 && width % patch_w == 0;
    assert!(whole, "{depth}x{height}x{width} is no multiple of the patch {patch_d}x{patch_h}x{patch_w}");
    assert_eq!(n_voxels, depth * height * width * channels);
    assert_eq!(n_values, n_voxels);
    let run = patch_w * channels;
    let mut token = 0;
    for z in (0..depth).step_by(patch_d) {
        for y in (0..height).step_by(patch_h) {
            for x in (0..width).step_by(patch_w) {
                for dz in 0..patch_d {
                    for dy in 0..patch_h {
                        copy((((z + dz) * height + y + dy) * width + x) * channels, token, run);
                        token += run;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_pixel_major_with_channels_last() {
        // 2 x 4 pixels, 2 channels, patch 2: two tokens of 8 values.
        let pixels: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let mut tokens = [0.0; 16];
        patchify_2d(&pixels, [2, 4, 2], 2, &mut tokens);
        assert_eq!(tokens[..8], [0., 1., 2., 3., 8., 9., 10., 11.]);
        assert_eq!(tokens[8..], [4., 5., 6., 7., 12., 13., 14., 15.]);
    }

    #[test]
    fn grey_is_the_same_in_three_channels() {
        let grey: Vec<f32> = (0..6 * 4).map(|v| v as f32).collect();
        let colour: Vec<f32> = grey.iter().flat_map(|&value| [value; 3]).collect();
        let (mut expected, mut tokens) = ([0.0; 72], [0.0; 72]);
        patchify_2d(&colour, [6, 4, 3], 2, &mut expected);
        patchify_grey(&grey, [6, 4], 2, &mut tokens);
        assert_eq!(tokens, expected);
    }

    #[test]
    fn unpatchify_undoes_patchify_for_unequal_axes() {
        let size = [4, 6, 15, 3];
        let voxels: Vec<f32> = (0..size.iter().product()).map(|v: usize| v as f32).collect();
        let (mut tokens, mut back) = (vec![0.0; voxels.len()], vec![0.0; voxels.len()]);
        patchify_3d(&voxels, size, [2, 3, 5], &mut tokens);
        assert_ne!(tokens, voxels);
        unpatchify_3d(&tokens, size, [2, 3, 5], &mut back);
        assert_eq!(back, voxels);
    }
}
