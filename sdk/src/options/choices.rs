//! Options with a few names to choose from.

/// Declares an enum for an option with a few names to choose from. The first variant is the default.
///
/// ```
/// medcoss_sdk::choices! {
///     /// The deviation that signals are divided by.
///     pub enum Normalise {
///         /// Each signal by its own.
///         Signal,
///         /// All signals by one.
///         WholeRecord,
///         /// By nothing.
///         None,
///     }
/// }
/// medcoss_sdk::options! {
///     /// Settings of a stage.
///     pub struct Options {
///         /// Normalisation of signals.
///         pub normalise: Normalise = Normalise::None,
///     }
/// }
/// assert_eq!(Normalise::default(), Normalise::Signal);
/// assert_eq!(medcoss_sdk::serde_json::to_string(&Normalise::WholeRecord).unwrap(), "\"whole-record\"");
/// ```
///
/// In configurations the variants have lower-case names, with a hyphen between words. The enum has `Debug`, `Clone`, `Copy`,
/// `PartialEq`, `Eq`, `Default`, `Serialize`, `Deserialize` and `JsonSchema`, without `serde` and `schemars` among the crate's own
/// dependencies; comments become the descriptions in the schema. The crate must know this one as `medcoss_sdk`.
#[macro_export]
macro_rules! choices {
    (
        $(#[$about:meta])*
        $visible:vis enum $name:ident {
            $(#[$first_about:meta])* $first:ident
            $(, $(#[$other_about:meta])* $other:ident)* $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Default,
            $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema,
        )]
        #[serde(rename_all = "kebab-case", crate = "medcoss_sdk::serde")]
        #[schemars(crate = "medcoss_sdk::schemars")]
        $visible enum $name {
            #[default]
            $(#[$first_about])* $first,
            $($(#[$other_about])* $other),*
        }
    };
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use crate as medcoss_sdk;

    crate::choices! {
        /// Which tokens are masked.
        enum Scheme {
            /// Any.
            AnyToken,
            /// None.
            None
        }
    }

    #[test]
    fn names_are_words_with_hyphens_and_the_first_is_the_default() {
        assert_eq!(Scheme::default(), Scheme::AnyToken);
        assert_eq!(to_value(Scheme::AnyToken).unwrap(), json!("any-token"));
        assert_eq!(from_value::<Scheme>(json!("none")).unwrap(), Scheme::None);
        assert!(from_value::<Scheme>(json!("None")).is_err());
        let schema = schemars::schema_for!(Scheme).to_value();
        assert_eq!(schema["oneOf"][0]["const"], "any-token");
        assert_eq!(schema["oneOf"][0]["description"], "Any.");
    }
}
