//! Options of a plugin: the struct with the defaults beside its fields, its JSON Schema, ranges of values, presets, and names
//! that have changed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use medcoss_abi::message::{OPTION_PRESETS, RENAMED_OPTIONS};
use serde_json::{Map, Value};

use crate::{Error, Modality};

/// JSON Schema of a modality's options. Renamed options, where there are some, stand under [`RENAMED_OPTIONS`], presets under
/// [`OPTION_PRESETS`].
pub(crate) fn schema<M: Modality>() -> Value {
    let mut schema = schemars::schema_for!(M::Options).to_value();
    let renamed = M::RENAMED_OPTIONS.iter().map(|&(former, present)| (former.into(), present.into())).collect();
    let presets = M::option_presets().into_iter().map(|(name, options)| (name.into(), options)).collect();
    let annotations: [(&str, Map<String, Value>); 2] = [(RENAMED_OPTIONS, renamed), (OPTION_PRESETS, presets)];
    if let Some(schema) = schema.as_object_mut() {
        let given = annotations.into_iter().filter(|(_, entries)| !entries.is_empty());
        schema.extend(given.map(|(keyword, entries)| (keyword.into(), entries.into())));
    }
    schema
}

/// The options of a request; null stands for the defaults.
///
/// # Errors
/// A former name of an option, an unknown name, a value of another type.
pub(crate) fn parse<M: Modality>(given: Value) -> Result<M::Options, Error> {
    if given.is_null() {
        return Ok(M::Options::default());
    }
    let renamed = M::RENAMED_OPTIONS.iter().find(|(former, _)| given.get(former).is_some());
    if let Some((former, present)) = renamed {
        return Err(Error::bad_request(format!(
            "option {former} of {} is now called {present}\nhint: rename {former} to {present}",
            M::ID
        )));
    }
    serde_json::from_value(given).map_err(|error| Error::bad_request(format!("options of {}: {error}", M::ID)))
}

/// Checks that an option is in its range.
///
/// # Errors
/// A value outside, or one that is not a number.
pub fn in_range<T: PartialOrd + Display>(name: &str, value: T, range: RangeInclusive<T>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::bad_request(format!("{name} is {value}; it must be {} to {}", range.start(), range.end())))
}

/// Declares a struct of options whose fields have defaults.
///
/// ```
/// medcoss_sdk::options! {
///     /// Settings of a stage.
///     pub struct Options {
///         /// Side of the samples in pixels.
///         pub size: usize = 224,
///         /// Fraction of the patches that are masked in training.
///         pub mask_ratio: f64 = 0.75,
///     }
/// }
/// assert_eq!(Options::default().size, 224);
/// ```
///
/// The same as the struct with `Debug`, `Clone`, `Serialize`, `Deserialize` and `JsonSchema`, with
/// `#[serde(default, deny_unknown_fields)]` and an implementation of [`Default`], and without `serde` and `schemars` among the
/// crate's own dependencies. Comments become the descriptions in the schema. Where more is wanted (an enum, a rename), write the
/// struct by hand. The crate must know this one as `medcoss_sdk`.
#[macro_export]
macro_rules! options {
    (
        $(#[$about:meta])*
        $visible:vis struct $name:ident {
            $($(#[$field_about:meta])* $field_visible:vis $field:ident: $kind:ty = $default:expr),+ $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields, crate = "medcoss_sdk::serde")]
        #[schemars(crate = "medcoss_sdk::schemars")]
        $visible struct $name {
            $($(#[$field_about])* $field_visible $field: $kind),+
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        in_range("size", 3, 1..=3).unwrap();
        assert_eq!(in_range("size", 4, 1..=3).unwrap_err().message(), "size is 4; it must be 1 to 3");
        assert!(in_range("ratio", f64::NAN, 0.0..=1.0).is_err());
    }
}
