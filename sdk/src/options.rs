//! Options of a plugin: the struct with the defaults and ranges beside its fields, its JSON Schema, presets, and names that have
//! changed.

mod choices;
mod ranges;

use std::fmt::Display;
use std::ops::RangeInclusive;

use medcoss_abi::message::{OPTION_PRESETS, RENAMED_OPTIONS};
use serde_json::{Map, Value};

pub use ranges::{Above, LeftOpen, Limits, MultipleOf, Open, OptionNumber, OptionRange, Ranged, check_ranges};
#[doc(hidden)]
pub use ranges::{Declared, annotate};

use crate::{Error, Modality};

/// JSON Schema of a modality's options. Renamed options, where there are some, stand under [`RENAMED_OPTIONS`], presets under
/// [`OPTION_PRESETS`]; the order of the names comes with the struct's own schema.
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
/// A former name of an option, an unknown name, a value of another type, one out of the range that its schema states.
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
    let options =
        serde_json::from_value(given).map_err(|error| Error::bad_request(format!("options of {}: {error}", M::ID)))?;
    check_ranges(&options)?;
    Ok(options)
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

/// Declares a struct of options whose fields have defaults and, where they are numbers, ranges.
///
/// ```
/// medcoss_sdk::options! {
///     /// Settings of a stage.
///     pub struct Options {
///         /// Side of the samples in pixels.
///         pub size: usize = 224 => MultipleOf(16, 16..=512),
///         /// Fraction of the patches that are masked in training.
///         pub mask_ratio: f64 = 0.75 => Open(0.0, 1.0),
///         /// Least and largest fraction of the area in a random crop.
///         pub crop_scale: [f64; 2] = [0.2, 1.0] => LeftOpen(0.0, 1.0),
///         /// Whether samples are flipped.
///         pub flip: bool = true,
///     }
/// }
/// assert_eq!(Options::default().size, 224);
/// let error = medcoss_sdk::check_ranges(&Options { mask_ratio: 1.5, ..Options::default() }).unwrap_err();
/// assert_eq!(error.message(), "mask_ratio is 1.5; it must be above 0 and below 1");
/// ```
///
/// The same as the struct with `Debug`, `Clone`, `Serialize`, `Deserialize` and `JsonSchema`, with
/// `#[serde(default, deny_unknown_fields)]` and an implementation of [`Default`], and without `serde` and `schemars` among the
/// crate's own dependencies. Comments become the descriptions in the schema, which also states the order of the fields.
///
/// A range is one of Rust's own (`1..=4096`, `0.0..1.0`, `1..`), [`Open`](crate::options::Open),
/// [`LeftOpen`](crate::options::LeftOpen), [`Above`](crate::options::Above) or
/// [`MultipleOf`](crate::options::MultipleOf), which need no import here. Of a list or an `Option` it holds for the numbers in it. The
/// schema states it, and the SDK checks it before [`Modality::open`]: by then all values are in their ranges.
///
/// Options with a few names to choose from are declared with [`choices!`](crate::choices). Where more is wanted (a rename, a nested
/// struct), write the struct by hand. The crate must know this one as `medcoss_sdk`.
#[macro_export]
macro_rules! options {
    (
        $(#[$about:meta])*
        $visible:vis struct $name:ident {
            $($(#[$field_about:meta])* $field_visible:vis $field:ident: $kind:ty = $default:expr $(=> $range:expr)?),+ $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields, crate = "medcoss_sdk::serde")]
        #[schemars(crate = "medcoss_sdk::schemars", transform = $crate::options::annotate::<$name>)]
        $visible struct $name {
            $($(#[$field_about])* $field_visible $field: $kind),+
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl $crate::options::Declared for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            fn limits() -> ::std::vec::Vec<(&'static str, $crate::options::Limits)> {
                #[allow(unused_imports)]
                use $crate::options::{Above, LeftOpen, MultipleOf, Open};
                ::std::vec![$($((stringify!($field), $crate::options::Limits::of::<$kind>($range)),)?)+]
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::labels::LabelTable;
    use crate::{
        FileDataset, FileSample, FoundFile, Geometry, OpenRequest, Sample, SampleRng, Synthesised, View, code,
    };
    // The macro names the crate as authors do.
    use crate as medcoss_sdk;

    crate::options! {
        /// Options of which two were once called otherwise.
        struct Options {
            /// Numbers.
            length: usize = 3 => 1..=9,
            /// Labels and groups.
            labels: Option<LabelTable> = None,
        }
    }

    struct Renamed;

    impl Modality for Renamed {
        const ID: &'static str = "renamed";
        const VERSION: &'static str = "1.0.0";
        const SUMMARY: &'static str = "files";
        const FAMILY: &'static str = "renamed";
        const FILE_FORMATS: &'static [&'static str] = &["BIN"];
        const RENAMED_OPTIONS: &'static [(&'static str, &'static str)] =
            &[("size", "length"), ("group_column", "labels.group_column")];
        type Options = Options;
        type Dataset = FileDataset<Options>;

        fn geometry(options: &Options) -> Result<Geometry, Error> {
            Ok(Geometry::grid(vec![options.length], 1, 1))
        }

        fn open(request: OpenRequest<Options>) -> Result<FileDataset<Options>, Error> {
            FileDataset::open::<Self>(request, |name| name.ends_with(".bin"))
        }

        fn synthesise(folder: &Path, _: usize, _: u64) -> Result<Synthesised, Error> {
            Err(Error::unsupported(format!("nothing is written to {}", folder.display())))
        }
    }

    impl FileSample for Options {
        fn load(&self, _: &FoundFile, _: View, _: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
            sample.continuous()?.0.fill(0.5);
            Ok(())
        }
    }

    #[test]
    fn a_former_name_is_refused_with_the_present_one_even_of_a_field_of_a_table() {
        let error = |given: Value| parse::<Renamed>(given).map(|_| ()).unwrap_err();
        for (given, expected) in [
            (json!({ "size": 3 }), "option size of renamed is now called length\nhint: rename size to length"),
            (
                json!({ "group_column": "patient", "labels": null }),
                "option group_column of renamed is now called labels.group_column\n\
                 hint: rename group_column to labels.group_column",
            ),
        ] {
            let error = error(given);
            assert_eq!((error.code(), error.message()), (code::BAD_REQUEST, expected));
        }
        let table = json!({ "file": "a.csv", "key_column": "file", "label_column": "kind", "group_column": "patient" });
        let options = parse::<Renamed>(json!({ "length": 4, "labels": table })).unwrap();
        assert_eq!(options.labels.unwrap().group_column.as_deref(), Some("patient"));
        let renamed = json!({ "size": "length", "group_column": "labels.group_column" });
        assert_eq!(schema::<Renamed>()[RENAMED_OPTIONS], renamed);
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        in_range("size", 3, 1..=3).unwrap();
        assert_eq!(in_range("size", 4, 1..=3).unwrap_err().message(), "size is 4; it must be 1 to 3");
        assert!(in_range("ratio", f64::NAN, 0.0..=1.0).is_err());
    }
}
