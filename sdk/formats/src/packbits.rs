//! PackBits, the run lengths of TIFF and of DICOM.

/// Unpacks up to `n` bytes; fewer where the packed ones end.
pub(crate) fn unpacked(packed: &[u8], n: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(n);
    let mut rest = packed;
    while let ([control, after @ ..], true) = (rest, bytes.len() < n) {
        match *control as i8 {
            literal @ 0.. => {
                let (literal, after) = after.split_at((literal as usize + 1).min(after.len()));
                bytes.extend_from_slice(literal);
                rest = after;
            }
            // The standards give -128 no meaning.
            -128 => rest = after,
            repeated => {
                let Some((&value, after)) = after.split_first() else { break };
                bytes.extend(std::iter::repeat_n(value, 1 + usize::from(repeated.unsigned_abs())));
                rest = after;
            }
        }
    }
    bytes.truncate(n);
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn runs_and_literals_are_unpacked_up_to_a_number_of_bytes() {
        let packed = [2, 1, 2, 3, 0x80, 0xfe, 9, 0, 4, 0xff];
        assert_eq!(super::unpacked(&packed, 100), [1, 2, 3, 9, 9, 9, 4]);
        assert_eq!(super::unpacked(&packed, 5), [1, 2, 3, 9, 9]);
    }
}
