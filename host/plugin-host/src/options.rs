//! Options of plugins, read from their JSON Schema: `inspect` lists them, and names are checked before a plugin is
//! called. The plugin itself checks the values.

use medcoss_abi::message::OPTION_ORDER;
use medcoss_caller::options::present_name;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::nearest::did_you_mean;

/// Largest depth to which references and nested tables are followed, since schemas may refer to themselves.
const DEEPEST: usize = 4;

/// One option of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginOption {
    /// Name of the option. An option inside of a table carries the table's name before a dot.
    pub name: String,
    /// Type of the value, for people: `integer`, `[number, number]`, `"a" | "b"`.
    pub kind: String,
    /// Default value, or `None` when the schema gives none.
    pub default: Option<Value>,
    /// Description of the option's effect.
    pub description: String,
}

/// All options of a schema. Options of a table follow the table. Empty when the schema lists none.
pub fn list(schema: &Value) -> Vec<PluginOption> {
    let mut options = Vec::new();
    collect(schema, schema, "", &mut options, 0);
    options
}

/// Compares the names of given options with the schema's.
///
/// # Errors
/// A former name, with the present one; a name that does not exist, with the nearest that does; options that are not a table.
pub fn check_names(schema: &Value, options: &Value) -> Result<(), String> {
    let given = match options {
        Value::Null => return Ok(()),
        Value::Object(given) => given,
        other => return Err(format!("the options are {other}, not a table of names and values")),
    };
    let Some(known) = closed_properties(schema) else { return Ok(()) };
    let Some(name) = given.keys().find(|name| !known.contains_key(*name)) else { return Ok(()) };
    if let Some(present) = present_name(schema, name) {
        return Err(format!("option {name} is now called {present}\nhint: rename {name} to {present}"));
    }
    let names: Vec<_> = known.keys().map(String::as_str).collect();
    let all = if names.is_empty() { "it has none".into() } else { format!("options are {}", names.join(", ")) };
    let proposal = did_you_mean(name, names.iter().copied());
    Err(format!("there is no option {name:?}\nhint: {proposal}{all}"))
}

/// Compares the values of given options with the ranges and choices that the schema states for them.
///
/// # Errors
/// The first option out of its range, with the range.
pub fn check_values(schema: &Value, options: &Value) -> Result<(), String> {
    let (Some(given), Some(known)) = (options.as_object(), schema.get("properties").and_then(Value::as_object)) else {
        return Ok(());
    };
    for (name, value) in given {
        let Some(property) = known.get(name) else { continue };
        let target = resolve(property, schema);
        if let Some(range) = value.as_f64().and_then(|number| Range::of(property, target).refused(number)) {
            return Err(format!("option {name} is {value}; it must be {range}"));
        }
    }
    Ok(())
}

/// The range that a schema states for a number.
struct Range {
    /// Smallest value, and whether it is itself in the range.
    least: Option<(f64, bool)>,
    /// Largest value, and whether it is itself in the range.
    most: Option<(f64, bool)>,
}

impl Range {
    fn of(property: &Value, target: &Value) -> Self {
        let keyword = |name: &str| property.get(name).or_else(|| target.get(name)).and_then(Value::as_f64);
        let end = |inclusive: &str, exclusive: &str| {
            keyword(inclusive).map(|end| (end, true)).or(keyword(exclusive).map(|end| (end, false)))
        };
        Self { least: end("minimum", "exclusiveMinimum"), most: end("maximum", "exclusiveMaximum") }
    }

    /// The range in words, if the number is not in it.
    fn refused(&self, number: f64) -> Option<String> {
        let below = self.least.is_some_and(|(least, in_it)| number < least || number == least && !in_it);
        let above = self.most.is_some_and(|(most, in_it)| number > most || number == most && !in_it);
        let least = self.least.map(|(least, in_it)| format!("{} {least}", if in_it { "at least" } else { "above" }));
        let most = self.most.map(|(most, in_it)| format!("{} {most}", if in_it { "at most" } else { "below" }));
        (below || above).then(|| [least, most].into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

/// The options of a plugin's preset by its name, from the schema of the options; `None` where the plugin has no such preset. The
/// user's own options go over them.
pub(crate) fn preset(schema: &Value, name: &str) -> Option<Map<String, Value>> {
    medcoss_caller::options::preset(schema, name).cloned()
}

/// The properties of a schema that allows no others.
fn closed_properties(schema: &Value) -> Option<&Map<String, Value>> {
    let open = match schema.get("additionalProperties") {
        None | Some(Value::Bool(false)) => false,
        Some(_) => true,
    };
    schema.get("properties")?.as_object().filter(|_| !open)
}

fn collect(schema: &Value, root: &Value, prefix: &str, options: &mut Vec<PluginOption>, depth: usize) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let order = schema.get(OPTION_ORDER).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let first: Vec<&String> = order.filter_map(|name| properties.get_key_value(name)).map(|(name, _)| name).collect();
    let rest = properties.keys().filter(|name| !first.contains(name));
    for name in first.iter().copied().chain(rest) {
        let property = &properties[name];
        let name = format!("{prefix}{name}");
        let target = resolve(property, root);
        let text = |schema: &Value| schema.get("description").and_then(Value::as_str).map(one_line);
        options.push(PluginOption {
            name: name.clone(),
            kind: kind(property, root, 0),
            default: property.get("default").or_else(|| target.get("default")).cloned(),
            description: text(property).or_else(|| text(target)).unwrap_or_default(),
        });
        if depth < DEEPEST {
            collect(target, root, &format!("{name}."), options, depth + 1);
        }
    }
}

/// Follows a reference, and the one alternative to null of an optional value.
fn resolve<'a>(mut schema: &'a Value, root: &'a Value) -> &'a Value {
    for _ in 0..DEEPEST {
        let next = match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)),
            None => match alternatives(schema).as_slice() {
                [only] => Some(*only),
                _ => None,
            },
        };
        match next {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// Alternatives of a schema, null left out.
fn alternatives(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
        .filter(|schema| schema.get("type").and_then(Value::as_str) != Some("null"))
        .collect()
}

fn kind(schema: &Value, root: &Value, depth: usize) -> String {
    if depth > DEEPEST {
        return "value".into();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return joined(values.iter().filter(|value| !value.is_null()).map(Value::to_string));
    }
    let target = resolve(schema, root);
    if !std::ptr::eq(target, schema) {
        return kind(target, root, depth + 1);
    }
    let several = alternatives(schema);
    if !several.is_empty() {
        return joined(several.into_iter().map(|schema| kind(schema, root, depth + 1)));
    }
    match schema.get("type") {
        Some(Value::String(name)) => simple_kind(name, schema, root, depth),
        Some(Value::Array(names)) => joined(
            names
                .iter()
                .filter_map(Value::as_str)
                .filter(|&name| name != "null")
                .map(|name| simple_kind(name, schema, root, depth)),
        ),
        _ => "value".into(),
    }
}

fn simple_kind(name: &str, schema: &Value, root: &Value, depth: usize) -> String {
    match name {
        "object" => "table".into(),
        "array" => {
            let item = schema.get("items").map_or_else(|| "value".into(), |items| kind(items, root, depth + 1));
            let size = |key| schema.get(key).and_then(Value::as_u64);
            match (size("minItems"), size("maxItems")) {
                (Some(n @ 1..=4), Some(most)) if n == most => format!("[{}]", vec![item; n as usize].join(", ")),
                _ => format!("list of {item}"),
            }
        }
        other => other.into(),
    }
}

fn joined(kinds: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for kind in kinds {
        if !all.contains(&kind) {
            all.push(kind);
        }
    }
    all.join(" | ")
}

/// The first paragraph of a text, in one line.
fn one_line(text: &str) -> String {
    text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A schema as schemars 1 writes it.
    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "crop_scale": {
                    "type": "array", "items": { "type": "number", "format": "double" }, "minItems": 2, "maxItems": 2,
                    "default": [0.2, 1.0], "description": "Area kept\nby a crop.\n\nMore."
                },
                "labels": {
                    "anyOf": [{ "$ref": "#/$defs/LabelTable" }, { "type": "null" }],
                    "default": null, "description": "Labels."
                },
                "masking": { "$ref": "#/$defs/Masking", "default": "tube" },
                "size": { "type": "integer", "minimum": 0, "default": 224, "description": "Side." },
                "spacing": { "type": ["number", "null"], "default": null },
                "words": { "type": "array", "items": { "type": "string" } }
            },
            "$defs": {
                "LabelTable": { "type": "object", "properties": { "file": { "type": "string", "description": "CSV." } } },
                "Masking": {
                    "description": "How.",
                    "oneOf": [{ "const": "random", "type": "string" }, { "enum": ["block", "tube"], "type": "string" }]
                }
            }
        })
    }

    #[test]
    fn options_are_listed_with_kinds_defaults_and_descriptions() {
        let shown: Vec<_> = list(&schema())
            .into_iter()
            .map(|o| (o.name, o.kind, o.default.map(|value| value.to_string()), o.description))
            .collect();
        let row = |name: &str, kind: &str, default: Option<&str>, description: &str| {
            (name.to_string(), kind.to_string(), default.map(String::from), description.to_string())
        };
        let expected = [
            row("crop_scale", "[number, number]", Some("[0.2,1.0]"), "Area kept by a crop."),
            row("labels", "table", Some("null"), "Labels."),
            row("labels.file", "string", None, "CSV."),
            row("masking", "\"random\" | \"block\" | \"tube\"", Some("\"tube\""), "How."),
            row("size", "integer", Some("224"), "Side."),
            row("spacing", "number", Some("null"), ""),
            row("words", "list of string", None, ""),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_wrong_name_gives_the_nearest_and_all() {
        assert_eq!(check_names(&schema(), &json!({ "size": "any value passes" })), Ok(()));
        assert_eq!(check_names(&schema(), &Value::Null), Ok(()));
        let message = check_names(&schema(), &json!({ "size": 1, "crop_scales": 1 })).unwrap_err();
        let expected = "there is no option \"crop_scales\"\nhint: did you mean \"crop_scale\"? \
                        options are crop_scale, labels, masking, size, spacing, words";
        assert_eq!(message, expected);
        assert!(check_names(&schema(), &json!([1])).is_err());
        let mut renamed = schema();
        renamed["x-renamed-options"] = json!({ "side": "size" });
        let message = check_names(&renamed, &json!({ "side": 3 })).unwrap_err();
        assert_eq!(message, "option side is now called size\nhint: rename side to size");
    }

    #[test]
    fn values_out_of_their_range_are_refused_with_the_range() {
        let schema = json!({ "properties": {
            "ratio": { "type": "number", "exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0 },
            "size": { "$ref": "#/$defs/Size" },
            "name": { "type": "string" }
        }, "$defs": { "Size": { "type": "integer", "minimum": 16, "maximum": 512 } } });
        for sound in
            [json!({ "ratio": 0.5, "size": 16 }), json!({ "size": "text" }), json!({ "other": -9 }), Value::Null]
        {
            assert_eq!(check_values(&schema, &sound), Ok(()));
        }
        let refused = |options: Value| check_values(&schema, &options).unwrap_err();
        assert_eq!(refused(json!({ "ratio": 1.0 })), "option ratio is 1.0; it must be above 0 and below 1");
        assert_eq!(refused(json!({ "size": 15 })), "option size is 15; it must be at least 16 and at most 512");
    }

    #[test]
    fn options_of_a_preset_are_found_by_its_name() {
        let mut with_preset = schema();
        with_preset["x-option-presets"] = json!({ "reference": { "size": 192 } });
        assert_eq!(preset(&with_preset, "reference").map(Value::Object), Some(json!({ "size": 192 })));
        assert_eq!((preset(&with_preset, "other"), preset(&schema(), "reference")), (None, None));
    }

    #[test]
    fn a_schema_that_allows_other_names_refuses_none() {
        assert_eq!(check_names(&json!({ "properties": {}, "additionalProperties": true }), &json!({ "x": 1 })), Ok(()));
        assert_eq!(check_names(&json!({}), &json!({ "x": 1 })), Ok(()));
        let message = check_names(&json!({ "properties": {} }), &json!({ "x": 1 })).unwrap_err();
        assert_eq!(message, "there is no option \"x\"\nhint: it has none");
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let endless = json!({ "properties": { "a": { "$ref": "#" } } });
        assert!(list(&endless).len() <= DEEPEST + 1);
        let circle =
            json!({ "properties": { "a": { "$ref": "#/$defs/x" } }, "$defs": { "x": { "$ref": "#/$defs/x" } } });
        assert_eq!(list(&circle)[0].kind, "value");
    }
}
