//! The layout of the answer to [`crate::operation::LABEL_MAPS`], for both sides.
//!
//! A frame ([`crate::framed`]) with the header [`LabelMapsHeader`]. Behind it, for each sample without an error in the order of the
//! request, its labels: as many little-endian `u16` as the product of `shape`, the last axis fastest. 0 is the background, also where a
//! sample reaches beyond its file.

use crate::framed;
use crate::message::LabelMapsHeader;

/// Writes an answer: the header, and the labels of those samples that have some.
///
/// # Errors
/// A header that cannot be written as JSON.
pub fn encode<'a>(
    header: &LabelMapsHeader,
    labels: impl IntoIterator<Item = &'a [u16]>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut answer = framed::begin(header)?;
    for values in labels {
        answer.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(answer)
}

/// Takes an answer apart: the header, and the labels of all samples that have some, one after another.
///
/// # Errors
/// An answer that ends too early, a header that is not one, another number of labels than the header says.
pub fn decode(answer: &[u8]) -> Result<(LabelMapsHeader, Vec<u16>), String> {
    let (header, values): (LabelMapsHeader, _) = framed::split(answer)?;
    let a_sample = header.shape.iter().try_fold(2usize, |bytes, &side| bytes.checked_mul(side));
    let n = header.samples.iter().filter(|sample| sample.error.is_none()).count();
    if a_sample.and_then(|bytes| bytes.checked_mul(n)) != Some(values.len()) {
        let (found, shape) = (values.len(), &header.shape);
        return Err(format!("it has {found} bytes of labels for {n} samples of {shape:?}, 2 bytes a label"));
    }
    let (words, _) = values.as_chunks::<2>();
    Ok((header, words.iter().map(|&word| u16::from_le_bytes(word)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{LabelMapError, LabelMapNote};

    #[test]
    fn an_answer_comes_back_and_a_damaged_one_is_refused() {
        let found = |spacing_mm| LabelMapNote { spacing_mm, error: None };
        let missing =
            LabelMapNote { spacing_mm: None, error: Some(LabelMapError { code: 2, message: "no mask".into() }) };
        let samples = vec![found(Some(vec![2.5, 0.5])), missing, found(None)];
        let header = LabelMapsHeader { shape: vec![2, 3], samples };
        let (one, two) = ([0u16, 1, 258, 65535, 4, 5], [7u16; 6]);
        let answer = encode(&header, [&one[..], &two]).unwrap();
        assert_eq!(answer[..2], [answer.len() as u8 - 8 - 24, 0]);
        assert_eq!(answer[answer.len() - 20..][..2], [2, 1]);
        let (again, values) = decode(&answer).unwrap();
        assert_eq!((again, values), (header.clone(), [one, two].concat()));
        for short in [0, 7, 20, answer.len() - 1] {
            assert!(decode(&answer[..short]).is_err(), "{short}");
        }
        let endless = [&u64::MAX.to_le_bytes()[..], &[0; 50]].concat();
        assert!(decode(&endless).unwrap_err().contains("states a header"));
        let huge = LabelMapsHeader { shape: vec![usize::MAX, 2], ..header };
        assert!(decode(&encode(&huge, [&one[..]]).unwrap()).unwrap_err().contains("12 bytes of labels for 2 samples"));
    }
}
