//! Presets of options: each must be accepted as options.

use medcoss_abi::code;
use medcoss_caller::options::presets;
use serde_json::{Map, Value};

use super::options::fits;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::{PluginUnderTest, merged};

/// Names and types are compared with the schema. Then the plugin's own files are opened with the preset, under the options that
/// `synthesise` recommends for these files. The files need not suit a preset: an error about the data is no violation.
pub(super) fn accepted(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    let schema = &description.options;
    if presets(schema).next().is_none() {
        return Err(Stop::Skip("it has no presets".into()));
    }
    let plugin = under_test.plugin()?;
    let synthetic = under_test.synthetic()?.open.clone();
    let (remedy, empty) = ("name options of the plugin in a preset, with values that the plugin accepts", Map::new());
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    for (name, options) in presets(schema) {
        let Some(table) = options.as_object() else {
            return Err(violation(format!("preset {name:?} is {options}; an object of options was expected"), remedy));
        };
        for (option, value) in table {
            let Some(property) = known.get(option) else {
                return Err(violation(format!("preset {name:?} names {option:?}, which is no option"), remedy));
            };
            if let Err(what) = fits(value, property, schema, 0) {
                return Err(violation(format!("option {option:?} of preset {name:?} does not fit: {what}"), remedy));
            }
        }
        let mut request = synthetic.clone();
        request.options = merged(options, &synthetic.options);
        match plugin.open(&request) {
            Ok(handle) => (plugin.table.close)(handle),
            Err(error) if error.code() == Some(code::BAD_REQUEST) || error.is_fault() => {
                return Err(violation(format!("with preset {name:?}: {error}"), remedy));
            }
            Err(_) => {}
        }
    }
    passed(presets(schema).map(|(name, _)| name).collect::<Vec<_>>().join(", "))
}
