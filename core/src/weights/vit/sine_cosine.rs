//! The fixed positions of masked autoencoders, which distinguish their weights for fine-tuning from timm's: names are the same without a decoder, and
//! positions are interpolated otherwise.

/// Largest difference of a value from the formula.
const TOLERANCE: f64 = 1e-4;

/// Whether a table `[1 + side * side, width]` holds MAE's sines and cosines: the first half of the channels for the column, the second for the row, each
/// the sines and then the cosines of `position * 10000^(-k / (width / 4))`; zeros for the class token.
pub(super) fn is_sine_cosine(table: &[f32], side: usize, width: usize) -> bool {
    let quarter = width / 4;
    if quarter == 0 || !width.is_multiple_of(4) || table.len() != (1 + side * side) * width {
        return false;
    }
    let value = |token: usize, channel: usize| {
        let place = if channel < 2 * quarter { token % side } else { token / side };
        let angle = place as f64 / 10_000f64.powf((channel % quarter) as f64 / quarter as f64);
        if (channel / quarter).is_multiple_of(2) { angle.sin() } else { angle.cos() }
    };
    let (class, grid) = table.split_at(width);
    let fits = |(at, found): (usize, &f32)| (f64::from(*found) - value(at / width, at % width)).abs() < TOLERANCE;
    class.iter().all(|value| f64::from(value.abs()) < TOLERANCE) && grid.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_comes_first_and_another_value_is_noticed() {
        let zero = [0.0f32, 0.0, 1.0, 1.0];
        // Two frequencies: 1 and 1/100.
        let one = [1f32.sin(), 0.01f32.sin(), 1f32.cos(), 0.01f32.cos()];
        let tokens = [[zero, zero], [one, zero], [zero, one], [one, one]];
        let mut table = vec![0.0f32; 8];
        table.extend(tokens.iter().flatten().flatten());
        assert!(is_sine_cosine(&table, 2, 8));
        table[12] += 0.01;
        assert!(!is_sine_cosine(&table, 2, 8));
        assert!(!is_sine_cosine(&[0.0; 4], 1, 2));
    }
}
