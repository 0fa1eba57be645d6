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

/// All text values of an element, without padding spaces; empty ones stay, because values are known by their places.
pub(crate) fn texts(object: &InMemDicomObject, tag: Tag) -> Vec<String> {
    let Some(value) = value(object, tag) else { return Vec::new() };
    let value = value.to_multi_str();
    let each = value.iter().flat_map(|value| value.split('\\'));
    each.map(|value| value.trim_matches(['\0', ' ']).to_owned()).collect()
}

/// All numbers of an element. A comma in a number is read as a decimal point.
pub(crate) fn numbers(object: &InMemDicomObject, tag: Tag) -> Option<Vec<f64>> {
    let value = value(object, tag)?;
    let found = match &*value {
        PrimitiveValue::Str(text) => text.split('\\').map(parsed).collect::<Option<Vec<f64>>>()?,
        PrimitiveValue::Strs(texts) => texts.iter().map(|text| parsed(text)).collect::<Option<Vec<f64>>>()?,
        value => value.to_multi_float64().ok()?,
    };
    (!found.is_empty() && found.iter().all(|number| number.is_finite())).then_some(found)
}

/// The first number of an element.
pub(crate) fn number(object: &InMemDicomObject, tag: Tag) -> Option<f64> {
    // One malformed value among several does not prevent reading the first.
    let first = || text(object, tag).as_deref().and_then(parsed).filter(|number| number.is_finite());
    numbers(object, tag).and_then(|found| found.first().copied()).or_else(first)
}

/// A decimal string. Writers of some countries put a comma where the standard has a point.
fn parsed(text: &str) -> Option<f64> {
    let text = text.trim_matches(['\0', ' ', '\t', '\r', '\n']);
    text.parse().ok().or_else(|| has_decimal_comma(text).then(|| text.replacen(',', ".", 1).parse().ok())?)
}

/// Whether a text is a number with a comma in the place of the decimal point.
fn has_decimal_comma(text: &str) -> bool {
    let Some((before, after)) = text.split_once(',') else { return false };
    let is_whole = |text: &str| text.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit());
    is_whole(before) && after.starts_with(|letter: char| letter.is_ascii_digit()) && !after.contains([',', '.'])
}

/// Whether one of these elements has a number with a decimal comma.
pub(crate) fn have_decimal_comma(object: &InMemDicomObject, tags: &[Tag]) -> bool {
    tags.iter().any(|&tag| texts(object, tag).iter().any(|text| has_decimal_comma(text)))
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

#[cfg(test)]
mod tests {
    use dicom_core::DataElement;
    use dicom_dictionary_std::tags;

    use super::*;

    fn object(text: &str) -> InMemDicomObject {
        InMemDicomObject::from_element_iter([DataElement::new(
            tags::RESCALE_INTERCEPT,
            VR::DS,
            PrimitiveValue::from(text),
        )])
    }

    #[test]
    fn a_comma_in_a_number_is_a_decimal_point() {
        let cases = [
            ("-1024,0", Some(-1024.0)),
            ("0,5 ", Some(0.5)),
            (",5", Some(0.5)),
            ("1,5e1", Some(15.0)),
            ("-1024.0", Some(-1024.0)),
            ("+3", Some(3.0)),
            // Neither a number in one notation nor in the other.
            ("1,024.5", None),
            ("1,2,3", None),
            ("1,", None),
            ("a,5", None),
            ("NaN", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(&object(text), tags::RESCALE_INTERCEPT), expected, "{text}");
        }
        let two = object("0,8\\0,7");
        assert_eq!(numbers(&two, tags::RESCALE_INTERCEPT), Some(vec![0.8, 0.7]));
        assert!(have_decimal_comma(&two, &[tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT]));
        assert!(!have_decimal_comma(&object("0.8\\0.7"), &[tags::RESCALE_INTERCEPT]));
        assert_eq!(texts(&two, tags::RESCALE_INTERCEPT), ["0,8", "0,7"]);
    }
}
