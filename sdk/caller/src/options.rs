//! Former names of options, and presets of options, as a plugin lists them in the schema of its options.

use medcoss_abi::message::{OPTION_PRESETS, RENAMED_OPTIONS};
use serde_json::{Map, Value};

/// The presets of a schema by name, each an object of options; a plugin without presets has none.
pub fn presets(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let presets = schema.get(OPTION_PRESETS).and_then(Value::as_object);
    presets.into_iter().flatten().map(|(name, options)| (name.as_str(), options))
}

/// The options of a preset, by the preset's name; none where the plugin has no such preset or it is no object.
pub fn preset<'a>(schema: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    schema.get(OPTION_PRESETS)?.get(name)?.as_object()
}

/// The present name of an option that the plugin has renamed; none for any other name.
pub fn present_name<'a>(schema: &'a Value, former: &str) -> Option<&'a str> {
    schema.get(RENAMED_OPTIONS)?.get(former)?.as_str()
}

/// Renames options that were written down under former names, such as those of an earlier run. An option that is there under its
/// present name too stays as it is.
pub fn with_present_names(schema: &Value, options: &mut Value) {
    let (Some(renamed), Some(options)) =
        (schema.get(RENAMED_OPTIONS).and_then(Value::as_object), options.as_object_mut())
    else {
        return;
    };
    for (former, present) in renamed {
        let Some(present) = present.as_str().filter(|present| !options.contains_key(*present)) else { continue };
        if let Some(value) = options.remove(former) {
            options.insert(present.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn presets_are_found_by_name() {
        let schema = json!({ "x-option-presets": { "reference": { "size": 3 }, "odd": 1 } });
        assert_eq!(preset(&schema, "reference").map(Map::len), Some(1));
        assert_eq!(preset(&schema, "odd"), None);
        assert_eq!(preset(&json!({}), "reference"), None);
        assert_eq!(presets(&schema).count() + presets(&json!({ "x-option-presets": 1 })).count(), 2);
    }

    #[test]
    fn former_names_become_present_ones() {
        let schema = json!({ "properties": {}, "x-renamed-options": { "window": "hu_range", "mirror": "flip" } });
        assert_eq!(present_name(&schema, "window"), Some("hu_range"));
        assert_eq!(present_name(&schema, "size"), None);
        assert_eq!(present_name(&json!({}), "window"), None);
        let mut options = json!({ "window": [0, 1], "mirror": true, "flip": false, "size": 3 });
        with_present_names(&schema, &mut options);
        assert_eq!(options, json!({ "hu_range": [0, 1], "mirror": true, "flip": false, "size": 3 }));
        let mut none = Value::Null;
        with_present_names(&schema, &mut none);
        assert_eq!(none, Value::Null);
    }
}
