//! Segmented palettes: a channel of colours in runs of values and of straight lines (DICOM PS3.3, C.7.9.2).

/// Opcodes of segments: values as they follow, a straight line to a value, and a repetition of earlier segments.
const DISCRETE: u16 = 0;
const LINEAR: u16 = 1;
const INDIRECT: u16 = 2;

/// The entries of a channel whose data are `numbers`, bytes for entries of 8 bits and words for those of 16; `n` of them at most. `None`
/// where the segments are damaged.
pub(super) fn expanded(numbers: &[u16], n_bits: u32, n: usize) -> Option<Vec<u16>> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at + 1 < numbers.len() && entries.len() < n {
        if numbers[at] != INDIRECT {
            at = direct(numbers, at, &mut entries, n)?;
            continue;
        }
        let n_segments = numbers[at + 1];
        let (place, next) = if n_bits == 8 {
            let &[a, b, c, d] = numbers.get(at + 2..)?.first_chunk()?;
            (u32::from_le_bytes([a, b, c, d].map(|byte| byte as u8)) as usize, at + 6)
        } else {
            let &[low, high] = numbers.get(at + 2..)?.first_chunk()?;
            ((usize::from(high) << 16 | usize::from(low)) / 2, at + 4)
        };
        let mut from = place;
        for _ in 0..n_segments {
            if entries.len() >= n {
                break;
            }
            // Repeated segments must not repeat others.
            from = direct(numbers, from, &mut entries, n)?;
        }
        at = next;
    }
    entries.truncate(n);
    Some(entries)
}

/// Adds the entries of a discrete or linear segment and returns where the next begins.
fn direct(numbers: &[u16], at: usize, entries: &mut Vec<u16>, n: usize) -> Option<usize> {
    let &[opcode, length] = numbers.get(at..)?.first_chunk()?;
    let (start, length) = (at + 2, usize::from(length));
    match opcode {
        DISCRETE => {
            entries.extend(numbers.get(start..start + length)?);
            Some(start + length)
        }
        LINEAR => {
            let (&from, &to) = (entries.last()?, numbers.get(start)?);
            let step = (f64::from(to) - f64::from(from)) / length.max(1) as f64;
            let value = |number: usize| (f64::from(from) + step * number as f64).round_ties_even() as u16;
            entries.extend((1..=length.min(n)).map(value));
            Some(start + 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_expanded_as_other_readers_expand_them() {
        // pydicom 3.0.2, `pixels.processing._expand_segmented_lut`, little-endian. It takes the place of repeated words in words, and was
        // given 5; the standard has bytes.
        let words = [0, 3, 10, 20, 30, 1, 4, 100, 1, 2, 100, 2, 2, 10, 0, 0, 1, 7];
        let expected = [10, 20, 30, 48, 65, 82, 100, 100, 100, 100, 100, 100, 100, 100, 100, 7];
        assert_eq!(expanded(&words, 16, 256).unwrap(), expected);
        let bytes = [0, 3, 10, 20, 30, 1, 4, 100, 1, 2, 100, 2, 2, 5, 0, 0, 0, 0, 1, 7];
        assert_eq!(expanded(&bytes, 8, 256).unwrap(), expected);
        assert_eq!(expanded(&words, 16, 5).unwrap(), expected[..5]);
    }

    #[test]
    fn damaged_segments_give_no_entries() {
        // A line without a start, an unknown opcode, values that end early, and a repetition of itself.
        for damaged in [&[1, 4, 100][..], &[3, 1, 1], &[0, 3, 1, 2], &[0, 1, 5, 2, 1, 6, 0]] {
            assert_eq!(expanded(damaged, 16, 100), None, "{damaged:?}");
        }
        // A line of many entries claims no more memory than the palette has entries.
        assert_eq!(expanded(&[0, 1, 5, 1, 65535, 5], 16, 10).unwrap(), [5; 10]);
    }
}
