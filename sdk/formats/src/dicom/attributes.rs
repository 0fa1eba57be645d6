//! Lenient access to the values of elements: an element that is absent, empty or malformed gives `None`.
//!
//! The caller decides what an absent value means. Numbers are finite.

use std::borrow::Cow;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use dicom_object::InMemDicomObject;

/// An element's value. Some converters write elements of the standard with an unknown representation (UN); the
/// dictionary then gives the representation.
fn value(object: &InMemDicomObject, tag: Tag) -> Option<Cow<'_, PrimitiveValue>> {
    let element = object.get(tag)?;
    let value = element.value().primitive()?;
    let (VR::UN, PrimitiveValue::U8(bytes)) = (element.vr(), value) else { return Some(Cow::Borrowed(value)) };
    let vr = StandardDataDictionary.by_tag(tag)?.vr().relaxed();
    // Values of UN are always little-endian.
    Some(Cow::Owned(match vr {
        VR::US | VR::SS | VR::OW => {
            let (pairs, _) = bytes.as_chunks::<2>();
            PrimitiveValue::U16(pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect())
        }
        VR::FD => {
            let (eights, _) = bytes.as_chunks::<8>();
            PrimitiveValue::F64(eights.iter().map(|&eight| f64::from_le_bytes(eight)).collect())
        }
        _ => PrimitiveValue::Str(String::from_utf8_lossy(bytes).into_owned()),
    }))
}

/// The first text value of an element, without padding spaces.
pub(crate) fn text(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let value = value(object, tag)?;
    let value = value.to_str();
    // The first of several values.
    let first = value.split('\\').next().unwrap_or_default();
    let trimmed = first.trim_matches(['\0', ' ']);
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// All numbers of an element.
pub(crate) fn numbers(object: &InMemDicomObject, tag: Tag) -> Option<Vec<f64>> {
    let value = value(object, tag)?;
    let found = match &*value {
        PrimitiveValue::Str(text) => {
            PrimitiveValue::Strs(text.split('\\').map(String::from).collect()).to_multi_float64()
        }
        value => value.to_multi_float64(),
    }
    .ok()?;
    (!found.is_empty() && found.iter().all(|number| number.is_finite())).then_some(found)
}

/// The first number of an element.
pub(crate) fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    // One malformed value among several does not prevent reading the first.
    let first = |value: Cow<'_, PrimitiveValue>| value.to_float64().ok().filter(|number| number.is_finite());
    numbers(object, tag).and_then(|found| found.first().copied()).or_else(|| value(object, tag).and_then(first))
}

/// The numbers of an element that has exactly `N`.
pub(crate) fn exactly<const N: usize>(object: &InMemDicomObject, tag: Tag) -> Option<[f64; N]> {
    numbers(object, tag)?.try_into().ok()
}

/// The first number of an element as a count; `None` where it is negative, not whole or above 32 bits.
pub(crate) fn count(object: &InMemDicomObject, tag: Tag) -> Option<u64> {
    let found = number(object, tag)?;
    (found >= 0.0 && found.fract() == 0.0 && found <= f64::from(u32::MAX)).then_some(found as u64)
}

/// The items of a sequence; empty where the sequence is absent.
pub(crate) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|element| element.items()).unwrap_or_default()
}

/// The 16-bit words of an element, stored as numbers or as bytes.
pub(crate) fn words(object: &InMemDicomObject, tag: Tag, big_endian: bool) -> Option<Vec<u16>> {
    let value = value(object, tag)?;
    if let PrimitiveValue::U8(bytes) = &*value {
        let (pairs, _) = bytes.as_chunks::<2>();
        let word = |&pair: &[u8; 2]| if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
        return Some(pairs.iter().map(word).collect());
    }
    // The numbers are signed where Pixel Representation says so; only their bits matter.
    let found = value.to_multi_int::<i64>().ok()?;
    Some(found.into_iter().map(|number| number as u16).collect())
}
