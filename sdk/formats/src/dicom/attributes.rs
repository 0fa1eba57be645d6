//! Values of elements, leniently: an element that is absent, empty or malformed is `None`.
//!
//! What an absent value means is for the caller to decide. Numbers are finite.

use dicom_core::Tag;
use dicom_object::InMemDicomObject;

/// Text, without the spaces that pad it.
pub(crate) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = object.get(tag)?.to_str().ok()?;
    // Of several values the first.
    let first = value.split('\\').next().unwrap_or_default();
    let trimmed = first.trim_matches(['\0', ' ']);
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// All numbers of an element.
pub(crate) fn numbers(object: &InMemDicomObject, tag: Tag) -> Option<Vec<f64>> {
    let found = object.get(tag)?.to_multi_float64().ok()?;
    (!found.is_empty() && found.iter().all(|number| number.is_finite())).then_some(found)
}

/// The first number of an element.
pub(crate) fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    let element = object.get(tag)?;
    // One malformed value among several does not spoil the first.
    numbers(object, tag)
        .and_then(|found| found.first().copied())
        .or_else(|| element.to_float64().ok().filter(|number| number.is_finite()))
}

/// Exactly `N` numbers.
pub(crate) fn exactly<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    numbers(object, tag)?.try_into().ok()
}

/// The first whole number of an element, which is not negative.
pub(crate) fn count(object: &InMemDicomObject, tag: Tag) -> Option<u64> {
    let found = number(object, tag)?;
    (found >= 0.0 && found.fract() == 0.0 && found <= f64::from(u32::MAX)).then_some(found as u64)
}

/// The items of a sequence; none when there is no such sequence.
pub(crate) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}

/// 16-bit words, whether they are stored as numbers or as bytes.
pub(crate) fn words(object: &InMemDicomObject, tag: Tag, big_endian: bool) -> Option<Vec<u16>> {
    let element = object.get(tag)?;
    if let Some(bytes) = element.value().primitive().and_then(|value| match value {
        dicom_core::PrimitiveValue::U8(bytes) => Some(bytes),
        _ => None,
    }) {
        let (pairs, _) = bytes.as_chunks::<2>();
        let word = |&pair: &[u8; 2]| if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
        return Some(pairs.iter().map(word).collect());
    }
    // Signed where the representation of pixels says so; the bits are what counts.
    let found = element.to_multi_int::<i64>().ok()?;
    Some(found.into_iter().map(|number| number as u16).collect())
}
