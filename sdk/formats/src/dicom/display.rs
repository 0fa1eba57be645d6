//! Display of grey values in `[0, 1]`: VOI LUT or window, then the presentation LUT or polarity.
//!
//! The first of these that a file states is used: its VOI LUT, its first window, or else the minimum and maximum of the
//! image without padding. A LUT without values counts as not stated.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use medcoss_sdk::Error;

use super::attributes::{exactly, number, text};
use super::functional_groups::functional_group;
use super::modality_lut::{Table, stated_table};
use super::object::Object;
use super::pixels::{Photometric, Pixels};

/// Transformation of values to grey.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Display {
    /// By a VOI LUT.
    Table(Table),
    /// By a window.
    Window(Window),
    /// By the minimum and maximum of the image.
    Range,
}

/// VOI window: a range of values of interest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) centre: f64,
    pub(crate) width: f64,
    pub(crate) shape: Shape,
}

/// VOI LUT Function (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// LINEAR: linear over `width - 1` about `centre - 0.5`.
    Linear,
    /// LINEAR_EXACT: linear over `width` about `centre`.
    LinearExact,
    /// SIGMOID: sigmoid about `centre`.
    Sigmoid,
}

impl Display {
    /// The display transformation that a file states for a frame.
    ///
    /// # Errors
    /// A table that is damaged.
    pub(crate) fn of(object: &Object, frame: usize) -> Result<Self, Error> {
        if let Some(item) = stated_table(object, tags::VOILUT_SEQUENCE) {
            return Table::of(object, item).map(Self::Table);
        }
        let stated = functional_group(&object.header, frame, tags::FRAME_VOILUT_SEQUENCE);
        Ok(Window::of(stated).map_or(Self::Range, Self::Window))
    }

    /// Converts the values of an image to grey in `[0, 1]`, in place.
    pub(crate) fn apply(&self, values: &mut [f32], padding: Option<[f64; 2]>) {
        match self {
            Self::Table(table) => {
                for value in values {
                    *value = (table.entry(f64::from(*value)) / table.most()).min(1.0) as f32;
                }
            }
            Self::Window(window) => {
                for value in values {
                    *value = window.grey(f64::from(*value)) as f32;
                }
            }
            Self::Range => {
                let is_padding =
                    |value: f32| padding.is_some_and(|[low, high]| (low..=high).contains(&f64::from(value)));
                let pictured = values.iter().copied().filter(|&value| !is_padding(value));
                let (low, high) = pictured
                    .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
                for value in values {
                    *value = if high > low { ((*value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
                }
            }
        }
    }
}

impl Window {
    fn of(stated: &InMemDicomObject) -> Option<Self> {
        let (centre, width) = (number(stated, tags::WINDOW_CENTER)?, number(stated, tags::WINDOW_WIDTH)?);
        let shape = match text(stated, tags::VOILUT_FUNCTION).as_deref() {
            Some("SIGMOID") => Shape::Sigmoid,
            Some("LINEAR_EXACT") => Shape::LinearExact,
            _ => Shape::Linear,
        };
        let least = if shape == Shape::Linear { 1.0 } else { f64::MIN_POSITIVE };
        (width >= least).then_some(Self { centre, width, shape })
    }

    /// The grey of a value, in `[0, 1]`.
    pub(crate) fn grey(&self, value: f64) -> f64 {
        let Self { centre, width, shape } = *self;
        match shape {
            Shape::Linear if value <= centre - 0.5 - (width - 1.0) / 2.0 => 0.0,
            Shape::Linear if value > centre - 0.5 + (width - 1.0) / 2.0 => 1.0,
            Shape::Linear => (value - (centre - 0.5)) / (width - 1.0) + 0.5,
            Shape::LinearExact => ((value - centre) / width + 0.5).clamp(0.0, 1.0),
            Shape::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        }
    }
}

/// Range of stored values that pad an image to a rectangle, the least first (Pixel Padding Value and its Range Limit).
pub(crate) fn padding(object: &Object) -> Option<[f64; 2]> {
    let one = number(&object.header, tags::PIXEL_PADDING_VALUE)?;
    let other = number(&object.header, tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(one);
    Some([one.min(other), one.max(other)])
}

/// What becomes of grey after the VOI LUT or window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Presentation {
    /// Nothing.
    Identity,
    /// It is inverted.
    Inverted,
    /// It is looked up in a table, whose first entry is for black and whose last for white. `ends` are their numbers.
    Table { table: Table, ends: [f64; 2] },
}

impl Presentation {
    /// The presentation that a file states: its Presentation LUT Sequence (2050,0010), or else whether low values are white, by
    /// MONOCHROME1 or Presentation LUT Shape (2050,0020), which mean the same.
    ///
    /// # Errors
    /// A table that is damaged.
    pub(crate) fn of(object: &Object, pixels: &Pixels) -> Result<Self, Error> {
        if let Some(item) = stated_table(object, tags::PRESENTATION_LUT_SEQUENCE) {
            let table = Table::of(object, item)?;
            let [n, first, _] = exactly::<3>(item, tags::LUT_DESCRIPTOR).unwrap_or_default();
            // The number of entries has 16 bits; 0 means 65536.
            let n = if n == 0.0 { 65536.0 } else { f64::from(n as i64 as u16) };
            return Ok(Self::Table { table, ends: [first, first + n - 1.0] });
        }
        let shape = text(&object.header, tags::PRESENTATION_LUT_SHAPE);
        let inverts = pixels.photometric == Photometric::Monochrome1 || shape.as_deref() == Some("INVERSE");
        Ok(if inverts { Self::Inverted } else { Self::Identity })
    }

    /// Applies it to grey in `[0, 1]`, in place.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Inverted => values.iter_mut().for_each(|value| *value = 1.0 - *value),
            Self::Table { table, ends: [first, last] } => {
                for value in values {
                    let number = first + f64::from(*value) * (last - first);
                    *value = (table.entry(number) / table.most()).min(1.0) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greys(shape: Shape, values: &[f64]) -> Vec<f64> {
        let window = Window { centre: 2048.0, width: 4096.0, shape };
        values.iter().map(|&value| (window.grey(value) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn a_linear_window_reaches_from_0_to_4095_as_in_the_standard_s_example() {
        assert_eq!(greys(Shape::Linear, &[-1.0, 0.0, 4095.0, 4096.0]), [0.0, 0.0, 1.0, 1.0]);
        // 1000 / 4095
        assert_eq!(greys(Shape::Linear, &[1000.0]), [0.2442]);
    }

    #[test]
    fn an_exact_window_reaches_from_half_a_width_below_to_half_a_width_above() {
        assert_eq!(greys(Shape::LinearExact, &[0.0, 1024.0, 2048.0, 4096.0, 5000.0]), [0.0, 0.25, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_sigmoid_is_a_half_at_the_centre_and_never_ends() {
        // 1 / (1 + exp(-4 * 1024 / 4096)) = 0.731059
        assert_eq!(greys(Shape::Sigmoid, &[2048.0, 3072.0, 1024.0]), [0.5, 0.731059, 0.268941]);
    }

    #[test]
    fn a_window_of_width_1_is_a_threshold() {
        let window = Window { centre: 10.0, width: 1.0, shape: Shape::Linear };
        assert_eq!([9.0, 9.5, 9.6, 10.0].map(|value| window.grey(value)), [0.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn without_a_window_the_minimum_is_black_and_the_maximum_white_without_padding() {
        let mut values = [-2000.0, 100.0, 200.0, 300.0];
        Display::Range.apply(&mut values, Some([-2000.0, -2000.0]));
        assert_eq!(values, [0.0, 0.0, 0.5, 1.0]);
        let mut values = [7.0; 3];
        Display::Range.apply(&mut values, None);
        assert_eq!(values, [0.0; 3]);
    }
}
