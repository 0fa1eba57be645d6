//! Ranges of options. A range is stated once, in the JSON Schema of the options, by the schema's own keywords; the check and the
//! sentence of its error come from there. So the ranges of structs that were written by hand, with `#[schemars(range(min = 1))]`, are
//! checked as well.

use std::ops::{Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};

use medcoss_abi::message::OPTION_ORDER;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::Error;

const MINIMUM: &str = "minimum";
const MAXIMUM: &str = "maximum";
const EXCLUSIVE_MINIMUM: &str = "exclusiveMinimum";
const EXCLUSIVE_MAXIMUM: &str = "exclusiveMaximum";
const MULTIPLE_OF: &str = "multipleOf";

/// Above the first number and below the second: `Open(0.0, 1.0)`.
#[derive(Debug, Clone, Copy)]
pub struct Open<T>(pub T, pub T);

/// Above the first number, up to the second: `LeftOpen(0.0, 600.0)`.
#[derive(Debug, Clone, Copy)]
pub struct LeftOpen<T>(pub T, pub T);

/// Above a number: `Above(0.0)`.
#[derive(Debug, Clone, Copy)]
pub struct Above<T>(pub T);

/// Multiples of a number within a range: `MultipleOf(16, 16..=512)`.
#[derive(Debug, Clone, Copy)]
pub struct MultipleOf<T, R>(pub T, pub R);

/// A number that an option may be.
pub trait OptionNumber: Copy + Serialize {
    /// The number as it is written in JSON. No number in ranges is infinite or NaN.
    fn written(self) -> Value {
        // By way of text: 0.1 as f32 is then 0.1 and not the nearest f64 to it.
        serde_json::to_string(&self).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }
}

/// A range of numbers, as the keywords of JSON Schema state it.
pub trait OptionRange<T> {
    /// The keywords.
    fn limits(&self) -> Limits;
}

/// A type of options that a range can be given for: a number, or a list or an `Option` of such.
pub trait Ranged {
    /// The numbers in it.
    type Number;
}

/// Keywords of JSON Schema with their numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits(Map<String, Value>);

impl Limits {
    /// The limits of a field of type `F`.
    pub fn of<F: Ranged>(range: impl OptionRange<F::Number>) -> Self {
        range.limits()
    }

    fn new<T: OptionNumber>(limits: &[(&str, T)]) -> Self {
        Self(limits.iter().map(|(keyword, number)| ((*keyword).to_owned(), number.written())).collect())
    }
}

macro_rules! ranges {
    ($($range:ty: $self:ident => [$($keyword:ident $number:expr),+];)+) => {
        $(impl<T: OptionNumber> OptionRange<T> for $range {
            fn limits(&self) -> Limits {
                let $self = self;
                Limits::new(&[$(($keyword, $number)),+])
            }
        })+
    };
}

ranges! {
    RangeInclusive<T>: range => [MINIMUM *range.start(), MAXIMUM *range.end()];
    Range<T>: range => [MINIMUM range.start, EXCLUSIVE_MAXIMUM range.end];
    RangeFrom<T>: range => [MINIMUM range.start];
    RangeToInclusive<T>: range => [MAXIMUM range.end];
    RangeTo<T>: range => [EXCLUSIVE_MAXIMUM range.end];
    Open<T>: range => [EXCLUSIVE_MINIMUM range.0, EXCLUSIVE_MAXIMUM range.1];
    LeftOpen<T>: range => [EXCLUSIVE_MINIMUM range.0, MAXIMUM range.1];
    Above<T>: range => [EXCLUSIVE_MINIMUM range.0];
}

impl<T: OptionNumber, R: OptionRange<T>> OptionRange<T> for MultipleOf<T, R> {
    fn limits(&self) -> Limits {
        let Limits(mut limits) = self.1.limits();
        limits.insert(MULTIPLE_OF.into(), self.0.written());
        Limits(limits)
    }
}

macro_rules! numbers {
    ($($number:ty)+) => {
        $(
            impl OptionNumber for $number {}
            impl Ranged for $number {
                type Number = $number;
            }
        )+
    };
}

numbers! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64 }

impl<F: Ranged> Ranged for Option<F> {
    type Number = F::Number;
}

impl<F: Ranged> Ranged for Vec<F> {
    type Number = F::Number;
}

impl<F: Ranged, const N: usize> Ranged for [F; N] {
    type Number = F::Number;
}

/// What [`options!`](crate::options!) knows of the struct that it declares. Implemented by the macro only.
#[doc(hidden)]
pub trait Declared {
    /// The fields as they were declared.
    const NAMES: &'static [&'static str];

    /// The ranges of the fields that have one.
    fn limits() -> Vec<(&'static str, Limits)>;
}

/// Writes order and ranges of the declared fields into the struct's schema.
#[doc(hidden)]
pub fn annotate<D: Declared>(schema: &mut Schema) {
    let plain = |name: &&'static str| name.trim_start_matches("r#");
    schema.insert(OPTION_ORDER.into(), D::NAMES.iter().map(plain).collect());
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, Limits(limits)) in D::limits() {
        let Some(mut numbers) = properties.get_mut(plain(&name)) else { continue };
        while numbers.get("items").is_some() {
            numbers = &mut numbers["items"];
        }
        if let Some(numbers) = numbers.as_object_mut() {
            // Types have ends of their own, such as the 0 of those without negative numbers.
            for (inclusive, exclusive) in [(MINIMUM, EXCLUSIVE_MINIMUM), (MAXIMUM, EXCLUSIVE_MAXIMUM)] {
                if limits.contains_key(exclusive) {
                    numbers.remove(inclusive);
                }
            }
            numbers.extend(limits);
        }
    }
}

/// Checks that the values of options, and those in lists among them, are in the ranges that their schema states. The SDK does it with
/// the options of every request, before [`Modality::open`](crate::Modality::open); tests and programs that call a plugin's functions
/// themselves may do it too. Structs within options are not looked into.
///
/// # Errors
/// The first value out of its range, by name: "mask_ratio is 1.5; it must be above 0 and below 1".
pub fn check_ranges<O: Serialize + JsonSchema>(options: &O) -> Result<(), Error> {
    let unwritable =
        |error: serde_json::Error| Error::bad_request("options cannot be written as JSON").caused_by(&error);
    // By way of text, as in `OptionNumber::written`.
    let text = serde_json::to_string(options).map_err(unwritable)?;
    let values: Map<String, Value> = serde_json::from_str(&text).map_err(unwritable)?;
    let schema = schemars::schema_for!(O).to_value();
    let declared = schema.get(OPTION_ORDER).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut names: Vec<&str> = declared.collect();
    names.extend(values.keys().map(String::as_str).filter(|name| !names.contains(name)).collect::<Vec<_>>());
    for name in names {
        if let (Some(value), Some(property)) = (values.get(name), schema["properties"].get(name)) {
            check(name, value, property)?;
        }
    }
    Ok(())
}

/// Checks a value, or each one of a list. `name` is `crop_scale`, or `crop_scale[1]`.
fn check(name: &str, value: &Value, schema: &Value) -> Result<(), Error> {
    match value {
        Value::Array(values) => {
            let items = &schema["items"];
            values.iter().enumerate().try_for_each(|(at, value)| check(&format!("{name}[{at}]"), value, items))
        }
        Value::Number(number) if !is_inside(number, schema) => {
            Err(Error::bad_request(format!("{name} is {}; it must be {}", shown(number), range_in_words(schema))))
        }
        // What is no finite number is written as null.
        Value::Null if schema["type"] == "number" && has_limits(schema) => Err(Error::bad_request(format!(
            "{name} is infinite or no number at all; it must be {}",
            range_in_words(schema)
        ))),
        _ => Ok(()),
    }
}

fn limit<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Number> {
    schema.get(keyword).and_then(Value::as_number)
}

fn has_limits(schema: &Value) -> bool {
    [MINIMUM, MAXIMUM, EXCLUSIVE_MINIMUM, EXCLUSIVE_MAXIMUM].iter().any(|keyword| limit(schema, keyword).is_some())
}

fn is_inside(number: &Number, schema: &Value) -> bool {
    let limit = |keyword| limit(schema, keyword).and_then(Number::as_f64);
    let Some(number) = number.as_f64() else { return false };
    limit(MINIMUM).is_none_or(|least| number >= least)
        && limit(MAXIMUM).is_none_or(|most| number <= most)
        && limit(EXCLUSIVE_MINIMUM).is_none_or(|least| number > least)
        && limit(EXCLUSIVE_MAXIMUM).is_none_or(|most| number < most)
        && limit(MULTIPLE_OF).is_none_or(|step| number % step == 0.0)
}

/// "1 to 4096", "above 0 and below 1", "a multiple of 16 from 16 to 512".
fn range_in_words(schema: &Value) -> String {
    let limit = |keyword| limit(schema, keyword).map(shown);
    let (least, most) = (limit(MINIMUM), limit(MAXIMUM));
    let multiple = limit(MULTIPLE_OF).map(|step| format!("a multiple of {step}"));
    if let (Some(least), Some(most)) = (&least, &most) {
        return match multiple {
            Some(multiple) => format!("{multiple} from {least} to {most}"),
            None => format!("{least} to {most}"),
        };
    }
    let below = least.map(|least| format!("at least {least}"));
    let below = below.or_else(|| limit(EXCLUSIVE_MINIMUM).map(|least| format!("above {least}")));
    let above = most.map(|most| format!("up to {most}"));
    let above = above.or_else(|| limit(EXCLUSIVE_MAXIMUM).map(|most| format!("below {most}")));
    let ends = [below, above].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    [multiple, Some(ends)].into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// A number without needless digits: 1 for 1.0.
fn shown(number: &Number) -> String {
    let fits = |number: &f64| number.fract() == 0.0 && number.abs() < 1e15;
    number.as_f64().filter(fits).map_or_else(|| number.to_string(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    // The macro names the crate as authors do.
    use crate as medcoss_sdk;

    crate::options! {
        /// Options.
        struct Options {
            /// Inclusive.
            size: usize = 3 => 1..=4,
            /// Open.
            ratio: f64 = 0.5 => Open(0.0, 1.0),
            /// Half open, with numbers that f32 rounds.
            gain: f32 = 0.1 => 0.1..0.7,
            /// The other half.
            seconds: f64 = 9.0 => LeftOpen(0.0, 9.5),
            /// One end.
            rate: f64 = 1.0 => Above(0.0),
            /// The other.
            cap: i32 = -3 => ..=7,
            /// The other, of a type with an end of its own.
            n: u8 = 3 => ..9,
            /// Multiples.
            side: u32 = 32 => MultipleOf(16, 16..=64),
            /// Multiples without an end.
            stride: u64 = 2 => MultipleOf(2, 2..),
            /// A list.
            scale: [f64; 2] = [0.5, 1.0] => LeftOpen(0.0, 1.0),
            /// A list of lists that may be missing.
            windows: Option<Vec<Vec<i32>>> = None => -5..5,
            /// No range.
            r#type: String = "a".into(),
        }
    }

    #[test]
    fn a_range_is_schema_check_and_sentence_at_once() {
        let schema = schemars::schema_for!(Options).to_value();
        let keywords = |pointer: &str| {
            let mut found = schema.pointer(&format!("/properties/{pointer}")).unwrap().as_object().unwrap().clone();
            found.retain(|keyword, _| {
                [MINIMUM, MAXIMUM, EXCLUSIVE_MINIMUM, EXCLUSIVE_MAXIMUM, MULTIPLE_OF].contains(&keyword.as_str())
            });
            Value::Object(found)
        };
        for (pointer, expected) in [
            ("size", json!({ "minimum": 1, "maximum": 4 })),
            ("ratio", json!({ "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0 })),
            ("gain", json!({ "minimum": 0.1, "exclusiveMaximum": 0.7 })),
            ("seconds", json!({ "exclusiveMinimum": 0.0, "maximum": 9.5 })),
            ("rate", json!({ "exclusiveMinimum": 0.0 })),
            ("cap", json!({ "maximum": 7 })),
            ("n", json!({ "minimum": 0, "exclusiveMaximum": 9 })),
            ("side", json!({ "minimum": 16, "maximum": 64, "multipleOf": 16 })),
            ("scale/items", json!({ "exclusiveMinimum": 0.0, "maximum": 1.0 })),
            ("scale", json!({})),
            ("windows/items/items", json!({ "minimum": -5, "exclusiveMaximum": 5 })),
        ] {
            assert_eq!(keywords(pointer), expected, "{pointer}");
        }

        let options = Options::default;
        check_ranges(&options()).unwrap();
        check_ranges(&Options { size: 1, ratio: 1e-9, seconds: 9.5, cap: i32::MIN, side: 64, ..options() }).unwrap();
        for (wrong, expected) in [
            (Options { size: 0, ..options() }, "size is 0; it must be 1 to 4"),
            (Options { size: 5, ..options() }, "size is 5; it must be 1 to 4"),
            (Options { ratio: 0.0, ..options() }, "ratio is 0; it must be above 0 and below 1"),
            (Options { ratio: 1.5, ..options() }, "ratio is 1.5; it must be above 0 and below 1"),
            (
                Options { ratio: f64::NAN, ..options() },
                "ratio is infinite or no number at all; it must be above 0 and below 1",
            ),
            (Options { gain: 0.7, ..options() }, "gain is 0.7; it must be at least 0.1 and below 0.7"),
            (Options { seconds: 0.0, ..options() }, "seconds is 0; it must be above 0 and up to 9.5"),
            (Options { rate: -2.0, ..options() }, "rate is -2; it must be above 0"),
            (Options { cap: 8, ..options() }, "cap is 8; it must be up to 7"),
            (Options { n: 9, ..options() }, "n is 9; it must be at least 0 and below 9"),
            (Options { side: 40, ..options() }, "side is 40; it must be a multiple of 16 from 16 to 64"),
            (Options { stride: 3, ..options() }, "stride is 3; it must be a multiple of 2, at least 2"),
            (Options { scale: [0.5, 1.5], ..options() }, "scale[1] is 1.5; it must be above 0 and up to 1"),
            (
                Options { windows: Some(vec![vec![], vec![4, 5]]), ..options() },
                "windows[1][1] is 5; it must be at least -5 and below 5",
            ),
            // The first in the order of declaration.
            (Options { size: 9, cap: 9, ..options() }, "size is 9; it must be 1 to 4"),
        ] {
            let error = check_ranges(&wrong).unwrap_err();
            assert_eq!((error.code(), error.message()), (crate::code::BAD_REQUEST, expected));
        }
    }

    #[test]
    fn names_stand_in_the_order_of_their_declaration() {
        let schema = schemars::schema_for!(Options).to_value();
        let order =
            ["size", "ratio", "gain", "seconds", "rate", "cap", "n", "side", "stride", "scale", "windows", "type"];
        assert_eq!(schema[OPTION_ORDER], json!(order));
        assert_eq!(order.len(), schema["properties"].as_object().unwrap().len());
    }

    /// As an author writes it who needs more than the macro.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct ByHand {
        #[schemars(range(min = 1, max = 9))]
        size: usize,
        free: f64,
    }

    #[test]
    fn ranges_of_structs_by_hand_are_checked_as_well() {
        check_ranges(&ByHand { size: 9, free: f64::NAN }).unwrap();
        assert_eq!(check_ranges(&ByHand::default()).unwrap_err().message(), "size is 0; it must be 1 to 9");
    }
}
