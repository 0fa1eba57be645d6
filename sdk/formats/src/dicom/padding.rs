//! Pixel padding: stored values of pixels that are no part of the image, such as those around the circle of a CT
//! reconstruction. Pixel Padding Value (0028,0120) and Pixel Padding Range Limit (0028,0121) state them.

use dicom_dictionary_std::tags;

use super::attributes::number;
use super::modality_lut::ModalityLut;
use super::object::Object;
use super::pixels::Pixels;

/// Range of stored values of pixels outside of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Padding {
    low: f64,
    high: f64,
    /// Whether samples are unsigned numbers of 32 bits, which are held wrapped.
    is_wrapped: bool,
}

impl Padding {
    /// The padding that a file states.
    pub(super) fn of(object: &Object, pixels: &Pixels) -> Option<Self> {
        // Some writers state a negative value as an unsigned one.
        let signed = |value: f64| {
            let n_values = f64::from(pixels.bits_allocated).exp2();
            if pixels.signed && value >= n_values / 2.0 { value - n_values } else { value }
        };
        let value = |tag| number(&object.header, tag).map(signed);
        let one = value(tags::PIXEL_PADDING_VALUE)?;
        let other = value(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(one);
        let is_wrapped = pixels.bits_stored == 32 && !pixels.signed;
        Some(Self { low: one.min(other), high: one.max(other), is_wrapped })
    }

    /// Whether a stored sample is padding.
    pub(super) fn contains(&self, sample: i32) -> bool {
        let value = if self.is_wrapped { f64::from(sample as u32) } else { f64::from(sample) };
        (self.low..=self.high).contains(&value)
    }

    /// Whether padding has values above `outside`, so that a reader that ignores it would take it for tissue.
    pub(super) fn differs(&self, lut: &ModalityLut, outside: f32) -> bool {
        [self.low, self.high].iter().any(|&end| lut.value(end) > f64::from(outside))
    }
}
