//! Options: their schema, their defaults, and names that do not exist.

use medcoss_abi::code;
use medcoss_abi::message::{Continuous, Geometry, OPTION_ORDER, Open};
use medcoss_caller::Shape;
use serde_json::{Map, Value, json};

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin::CallError;
use crate::plugin_under_test::{PluginUnderTest, needs};

/// How deep references are followed: schemas may refer to themselves.
const DEEPEST: usize = 8;

pub(super) fn schema(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    let schema = &description.options;
    let Some(table) = schema.as_object() else {
        return Err(violation(
            format!("the schema is {schema}; an object was expected"),
            "derive JsonSchema for the options",
        ));
    };
    let empty = Map::new();
    let properties = match table.get("properties") {
        None => &empty,
        Some(Value::Object(properties)) => properties,
        Some(other) => {
            return Err(violation(format!("`properties` is {other}; an object was expected"), "derive JsonSchema"));
        }
    };
    if table.get("required").and_then(Value::as_array).is_some_and(|names| !names.is_empty()) {
        let names = &table["required"];
        return Err(violation(
            format!("options {names} are required; a plugin must work with its defaults"),
            "put #[serde(default)] on the options",
        ));
    }
    for (name, property) in properties {
        let target = resolved(property, schema);
        let described = [property, target].iter().any(|schema| {
            schema.get("description").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
        });
        if !described {
            return Err(violation(
                format!("option {name:?} has no description"),
                "write a doc comment on the field: users read it in `medcoss plugin inspect`",
            ));
        }
        let Some(default) = property.get("default").or_else(|| target.get("default")) else {
            return Err(violation(format!("option {name:?} has no default"), "put #[serde(default)] on the options"));
        };
        if let Err(what) = fits(default, property, schema, 0) {
            return Err(violation(
                format!("the default of option {name:?} does not fit its own schema: {what}"),
                "fix the default, or the range in the schema",
            ));
        }
    }
    passed(format!("{} options", properties.len()))
}

pub(super) fn defaults(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    if Shape::new(&description.geometry).is_err() {
        return Err(needs("geometry"));
    }
    let plugin = under_test.plugin()?;
    let mut request = under_test.synthetic()?.open.clone();
    let asked = request.options.as_object().cloned().unwrap_or_default();
    // An option without a default of its own, such as the column of a table, may have to be given.
    let mut given = Map::new();
    let mut written = Map::new();
    for (name, property) in description.options.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let target = resolved(property, &description.options);
        match (property.get("default").or_else(|| target.get("default")), asked.get(name)) {
            (Some(Value::Null), Some(value)) => {
                given.insert(name.clone(), value.clone());
                written.insert(name.clone(), value.clone());
            }
            (Some(default), _) => drop(written.insert(name.clone(), default.clone())),
            (None, _) => {}
        }
    }
    let none = if given.is_empty() { Value::Null } else { Value::Object(given.clone()) };
    for (what, options) in [
        ("no options", none),
        ("an empty table", Value::Object(given)),
        ("the schema's defaults", Value::Object(written)),
    ] {
        request.options = options;
        let opened = OpenDataset::new(plugin, &request).map_err(|error| {
            violation(
                format!("with {what}: {error}"),
                "let the defaults open anything of the plugin's formats; complain when a sample does not suit them",
            )
        })?;
        let found = opened.geometry();
        if !alike(found, &description.geometry) {
            return Err(violation(
                format!("with {what} the geometry is {found:?}; the description says {:?}", description.geometry),
                "describe the geometry that the defaults give",
            ));
        }
    }
    passed("none, empty and written out")
}

pub(super) fn unknown(under_test: &mut PluginUnderTest) -> RuleResult {
    let plugin = under_test.plugin()?;
    let mut request: Open = under_test.synthetic()?.open.clone();
    let remedy = "put #[serde(deny_unknown_fields)] on the options: a mistyped option must not be ignored";
    if let Value::Object(options) = &mut request.options {
        options.insert("no_such_option_of_any_plugin".into(), json!(1));
    }
    match plugin.open(&request) {
        Ok(handle) => {
            (plugin.table.close)(handle);
            Err(violation("an option \"no_such_option_of_any_plugin\" was accepted; an error was expected", remedy))
        }
        Err(error) => expect_code(&error, code::BAD_REQUEST, remedy).and_then(|()| passed(error.to_string())),
    }
}

/// A value just outside of a range in the schema is refused, by the option's name.
pub(super) fn ranges(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    let plugin = under_test.plugin()?;
    let synthetic = under_test.synthetic()?.open.clone();
    let mut n_tried = 0;
    for (name, property) in description.options.get("properties").and_then(Value::as_object).into_iter().flatten() {
        for value in outside(property, resolved(property, &description.options)) {
            n_tried += 1;
            let mut request = synthetic.clone();
            let mut options = request.options.as_object().cloned().unwrap_or_default();
            options.insert(name.clone(), value.clone());
            request.options = Value::Object(options);
            let remedy = "compare options with their ranges in `geometry` and `open`: the SDK's `options!` does it where ranges are declared there";
            match plugin.open(&request) {
                Ok(handle) => {
                    (plugin.table.close)(handle);
                    return Err(violation(
                        format!("option {name} = {value} is out of its range and was accepted"),
                        remedy,
                    ));
                }
                Err(error) => {
                    expect_code(&error, code::BAD_REQUEST, remedy)?;
                    if !error.to_string().contains(name.as_str()) {
                        return Err(violation(
                            format!("option {name} = {value} was refused without its name: {error}"),
                            remedy,
                        ));
                    }
                }
            }
        }
    }
    match n_tried {
        0 => Err(Stop::Skip("no option states a range".into())),
        n => passed(format!("{n} values outside of ranges")),
    }
}

/// Values just outside of the range that a schema states.
fn outside(property: &Value, target: &Value) -> Vec<Value> {
    let keyword = |name: &str| property.get(name).or_else(|| target.get(name)).and_then(Value::as_f64);
    let of_type = |kind: &Value| match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "integer"),
        kind => kind == "integer",
    };
    let is_whole = [property, target].iter().any(|schema| schema.get("type").is_some_and(of_type));
    let number = |value: f64| match is_whole {
        true => json!(value as i64),
        false => json!(value),
    };
    let step = if is_whole { 1.0 } else { 1e-3 };
    // schemars states a minimum of 0 for unsigned integers, and the numbers that a type can hold: what lies beyond is refused by serde.
    let stated = |value: &f64| value.abs() < 1e9 && !(is_whole && *value == 0.0);
    let below = keyword("minimum").filter(stated).map(|least| least - step);
    let above = keyword("maximum").filter(stated).map(|most| most + step);
    let at_ends = [keyword("exclusiveMinimum"), keyword("exclusiveMaximum")];
    [below, above].into_iter().chain(at_ends).flatten().map(number).collect()
}

pub(super) fn order(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    let schema = &description.options;
    let Some(order) = schema.get(OPTION_ORDER) else {
        return Err(Stop::Skip("the schema states no order of options".into()));
    };
    let remedy = "list each option's name once, as they are declared";
    let names: Vec<&str> = order.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if order.as_array().map(Vec::len) != Some(names.len()) {
        return Err(violation(format!("{OPTION_ORDER} is {order}; a list of names was expected"), remedy));
    }
    for (at, name) in names.iter().enumerate() {
        if schema.get("properties").and_then(|properties| properties.get(name)).is_none() || names[..at].contains(name)
        {
            return Err(violation(
                format!("{OPTION_ORDER} has {name:?}, which is no option or stands there twice"),
                remedy,
            ));
        }
    }
    passed(format!("{} names", names.len()))
}

/// The error must have this code.
pub(super) fn expect_code(error: &CallError, expected: i32, remedy: &str) -> Result<(), Stop> {
    if error.code() == Some(expected) {
        return Ok(());
    }
    let expected = crate::plugin::code_in_words(expected);
    Err(violation(format!("{error}; {expected} was expected"), remedy))
}

/// Vocabularies may depend on the data, and so may the names of places along an axis.
fn alike(a: &Geometry, b: &Geometry) -> bool {
    match (a, b) {
        (Geometry::Discrete(one), Geometry::Discrete(other)) => one.length == other.length,
        (Geometry::Continuous(one), Geometry::Continuous(other)) => {
            let unnamed = |geometry: &Continuous| {
                let mut geometry = geometry.clone();
                geometry.axes.retain(|axis| axis.places.is_empty());
                geometry
            };
            unnamed(one) == unnamed(other)
        }
        _ => a == b,
    }
}

/// Follows references within the schema.
fn resolved<'a>(mut schema: &'a Value, root: &'a Value) -> &'a Value {
    for _ in 0..DEEPEST {
        let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
        match pointer.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// Whether a value fits a schema, as far as the keywords go that schemas of options consist of: references,
/// alternatives, types, constants, ranges, lengths, items and properties (JSON Schema 2020-12).
pub(super) fn fits(value: &Value, schema: &Value, root: &Value, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Ok(());
    }
    if let Some(target) = schema.get("$ref").map(|_| resolved(schema, root)).filter(|&target| target != schema) {
        fits(value, target, root, depth + 1)?;
    }
    for key in ["anyOf", "oneOf"] {
        let Some(several) = schema.get(key).and_then(Value::as_array) else { continue };
        if !several.iter().any(|schema| fits(value, schema, root, depth + 1).is_ok()) {
            return Err(format!("{value} is none of the alternatives of `{key}`"));
        }
    }
    for schema in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        fits(value, schema, root, depth + 1)?;
    }
    if let Some(constant) = schema.get("const").filter(|&constant| constant != value) {
        return Err(format!("{value} is not {constant}"));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array).filter(|values| !values.contains(value)) {
        return Err(format!("{value} is not one of {}", Value::Array(values.clone())));
    }
    if let Some(kind) = schema.get("type").filter(|kind| !has_type(value, kind)) {
        return Err(format!("{value} is not of type {kind}"));
    }
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    if let Some(number) = value.as_f64() {
        let inside = limit("minimum").is_none_or(|least| number >= least)
            && limit("maximum").is_none_or(|most| number <= most)
            && limit("exclusiveMinimum").is_none_or(|least| number > least)
            && limit("exclusiveMaximum").is_none_or(|most| number < most);
        if !inside {
            return Err(format!("{value} is out of its range"));
        }
    }
    if let Some(items) = value.as_array() {
        let n = items.len() as f64;
        if limit("minItems").is_some_and(|least| n < least) || limit("maxItems").is_some_and(|most| n > most) {
            return Err(format!("{value} has {n} items"));
        }
        if let Some(schema) = schema.get("items").filter(|schema| schema.is_object()) {
            items.iter().try_for_each(|item| fits(item, schema, root, depth + 1))?;
        }
    }
    if let (Some(fields), Some(properties)) = (value.as_object(), schema.get("properties").and_then(Value::as_object)) {
        for (name, field) in fields {
            if let Some(schema) = properties.get(name) {
                fits(field, schema, root, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn has_type(value: &Value, kind: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    };
    match kind {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_against_the_keywords_of_options() {
        let root = json!({ "$defs": { "Kind": { "oneOf": [{ "const": "a" }, { "enum": ["b", "c"] }] } } });
        let kind = json!({ "$ref": "#/$defs/Kind" });
        let pair = json!({ "type": "array", "items": { "type": "integer" }, "minItems": 2, "maxItems": 2 });
        let maybe = json!({ "type": ["number", "null"], "minimum": 0.0, "exclusiveMaximum": 1 });
        let table = json!({ "type": "object", "properties": { "x": { "type": "string" } } });
        for (value, schema) in [
            (json!("a"), &kind),
            (json!("c"), &kind),
            (json!([3, 4]), &pair),
            (json!(null), &maybe),
            (json!(0.5), &maybe),
            (json!({ "x": "y" }), &table),
        ] {
            assert_eq!(fits(&value, schema, &root, 0), Ok(()), "{value} {schema}");
        }
        for (value, schema) in [
            (json!("d"), &kind),
            (json!([3]), &pair),
            (json!([3, 4.5]), &pair),
            (json!("0.5"), &maybe),
            (json!(1.0), &maybe),
            (json!(-0.1), &maybe),
            (json!({ "x": 3 }), &table),
        ] {
            assert!(fits(&value, schema, &root, 0).is_err(), "{value} {schema}");
        }
    }
}
