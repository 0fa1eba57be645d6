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
///
/// A present name with a dot is a field of a table, such as `labels.group_column`. The table must be there; a former option that is null
/// needs none and is removed.
pub fn with_present_names(schema: &Value, options: &mut Value) {
    let (Some(renamed), Some(options)) =
        (schema.get(RENAMED_OPTIONS).and_then(Value::as_object), options.as_object_mut())
    else {
        return;
    };
    for (former, present) in renamed {
        let Some(present) = present.as_str().filter(|_| options.contains_key(former)) else { continue };
        let (table, name) = match present.split_once('.') {
            Some(_) if options[former].is_null() => {
                options.remove(former);
                continue;
            }
            Some((table, name)) => (options.get(table).and_then(Value::as_object), name),
            None => (Some(&*options), present),
        };
        if table.is_none_or(|table| table.contains_key(name)) {
            continue;
        }
        let Some(value) = options.remove(former) else { continue };
        match present.split_once('.') {
            Some((table, name)) => options[table][name] = value,
            None => drop(options.insert(present.into(), value)),
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
        let schema = json!({ "x-renamed-options": { "group_column": "labels.group_column" } });
        for (former, present) in [
            (
                json!({ "group_column": "patient", "labels": { "file": "a.csv" } }),
                json!({ "labels": { "file": "a.csv", "group_column": "patient" } }),
            ),
            (json!({ "group_column": null, "labels": null }), json!({ "labels": null })),
            // Without a table there is no place for it: the plugin refuses the former name.
            (json!({ "group_column": "patient" }), json!({ "group_column": "patient" })),
            (json!({ "group_column": "a", "labels": null }), json!({ "group_column": "a", "labels": null })),
            (
                json!({ "group_column": "a", "labels": { "group_column": "b" } }),
                json!({ "group_column": "a", "labels": { "group_column": "b" } }),
            ),
        ] {
            let mut options = former;
            with_present_names(&schema, &mut options);
            assert_eq!(options, present);
        }
        let mut none = Value::Null;
        with_present_names(&schema, &mut none);
        assert_eq!(none, Value::Null);
    }
}
