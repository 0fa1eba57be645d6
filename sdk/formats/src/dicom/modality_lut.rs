//! Modality LUT: from stored values to values of the modality, such as Hounsfield units or optical densities.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use medcoss_sdk::Error;

use super::attributes::{exactly, items, number, text, words};
use super::decode::number as stored_number;
use super::functional_groups::functional_group;
use super::object::Object;
use super::pixels::Pixels;

/// Modality transformation of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ModalityLut {
    /// Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).
    Linear([f64; 2]),
    /// Lookup table.
    Table(Table),
}

/// Lookup table of 16-bit entries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    first: f64,
    entries: Vec<u16>,
    /// Bits of an entry.
    n_bits: u32,
}

impl ModalityLut {
    /// The modality transformation of a frame; the identity where none is stated.
    ///
    /// # Errors
    /// A table that is damaged.
    pub(crate) fn of(object: &Object, frame: usize) -> Result<Self, Error> {
        let header = &object.header;
        if let Some(item) = stated_table(object, tags::MODALITY_LUT_SEQUENCE) {
            return Table::of(object, item).map(Self::Table);
        }
        let stated = functional_group(header, frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
        let slope = number(stated, tags::RESCALE_SLOPE).unwrap_or(1.0);
        // A slope of zero would make every image black and cannot be meant.
        let slope = if slope == 0.0 { 1.0 } else { slope };
        Ok(Self::Linear([slope, number(stated, tags::RESCALE_INTERCEPT).unwrap_or(0.0)]))
    }

    /// The samples of a frame, in the units of the modality.
    pub(crate) fn values(&self, samples: Vec<i32>, pixels: &Pixels) -> Vec<f32> {
        match self {
            // The usual case has a branch of its own, which the compiler can vectorise.
            Self::Linear([slope, intercept]) if pixels.bits_stored < 32 || pixels.signed => {
                samples.iter().map(|&sample| (f64::from(sample) * slope + intercept) as f32).collect()
            }
            _ => samples.iter().map(|&sample| self.value(stored_number(sample, pixels)) as f32).collect(),
        }
    }

    /// A stored value in the units of the modality.
    pub(crate) fn value(&self, stored: f64) -> f64 {
        match self {
            Self::Linear([slope, intercept]) => stored * slope + intercept,
            Self::Table(table) => table.entry(stored),
        }
    }
}

/// What keeps the rescale of a frame from giving values in Hounsfield units; `None` where it does. A lookup table has
/// the unit that its maker meant.
pub(crate) fn rescale_problem(object: &Object, frame: usize) -> Option<&'static str> {
    let header = &object.header;
    if stated_table(object, tags::MODALITY_LUT_SEQUENCE).is_some() {
        return None;
    }
    let stated = functional_group(header, frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
    let [slope, intercept] = [tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT].map(|tag| number(stated, tag));
    let is_stated = |tag| text(stated, tag).is_some();
    let unit = text(stated, tags::RESCALE_TYPE);
    match (slope, intercept) {
        (Some(0.0), _) => Some("their Rescale Slope (0028,1053) is 0"),
        (None, _) if is_stated(tags::RESCALE_SLOPE) => Some("their Rescale Slope (0028,1053) is no number"),
        (_, None) if is_stated(tags::RESCALE_INTERCEPT) => Some("their Rescale Intercept (0028,1052) is no number"),
        (None, None) => Some("they have neither Rescale Slope (0028,1053) nor Rescale Intercept (0028,1052)"),
        (None, _) => Some("they have no Rescale Slope (0028,1053)"),
        (_, None) => Some("they have no Rescale Intercept (0028,1052)"),
        // Spectral scanners write maps of other quantities with the modality CT.
        _ if unit.is_some_and(|unit| OTHER_UNITS.contains(&unit.as_str())) => {
            Some("their Rescale Type (0028,1054) is not HU")
        }
        _ => None,
    }
}

/// Rescale Types (PS3.3, C.11.1.1.2) of quantities other than the attenuation in Hounsfield units.
const OTHER_UNITS: &[&str] = &["OD", "MGML", "Z_EFF", "ED", "EDW", "PCT", "%", "1/CM", "MM2", "PPM"];

/// The first item of a sequence whose table has values; `None` where none has.
pub(crate) fn stated_table(object: &Object, sequence: Tag) -> Option<&InMemDicomObject> {
    let is_empty = |item: &InMemDicomObject, tag: Tag| {
        let value = item.get(tag).map(|element| element.value());
        value.is_none_or(|value| value.primitive().is_some_and(|value| value.multiplicity() == 0))
    };
    let has_values =
        |item: &&InMemDicomObject| !is_empty(item, tags::LUT_DESCRIPTOR) || !is_empty(item, tags::LUT_DATA);
    items(&object.header, sequence).iter().find(has_values)
}

impl Table {
    /// Reads the lookup table in an item of a sequence.
    ///
    /// # Errors
    /// A table without entries or descriptor.
    pub(crate) fn of(object: &Object, item: &InMemDicomObject) -> Result<Self, Error> {
        let damaged = || Error::corrupt(format!("{} has a damaged lookup table", object.path.display()));
        let [n, first, n_bits] = exactly::<3>(item, tags::LUT_DESCRIPTOR).ok_or_else(damaged)?;
        let n = if n == 0.0 { 65536 } else { n as i64 as u16 as usize };
        let mut entries = words(item, tags::LUT_DATA, object.encoding.big_endian).ok_or_else(damaged)?;
        if n_bits == 8.0 && entries.len() < n {
            // Entries of 8 bits are packed in pairs.
            entries = entries.iter().flat_map(|entry| entry.to_le_bytes()).map(u16::from).collect();
        }
        entries.truncate(n);
        let n_bits = if (1.0..=16.0).contains(&n_bits) { n_bits as u32 } else { 16 };
        if entries.is_empty() {
            return Err(damaged());
        }
        Ok(Self { first, entries, n_bits })
    }

    /// The entry for a number; a number beyond either end has that end's entry.
    pub(crate) fn entry(&self, number: f64) -> f64 {
        let last = self.entries.len() - 1;
        f64::from(self.entries[(number - self.first).round().clamp(0.0, last as f64) as usize])
    }

    /// Largest value that an entry can have.
    pub(crate) fn most(&self) -> f64 {
        f64::from((1_u32 << self.n_bits) - 1)
    }
}
