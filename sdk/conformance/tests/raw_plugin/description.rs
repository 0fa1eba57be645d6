//! What the plugin says of itself.

use std::sync::atomic::Ordering;

use medcoss_abi::PluginError;
use medcoss_abi::abi_stable::std_types::{ROk, RResult, RString};
use serde_json::{Value, json};

use super::dataset::{Kind, N_CALLS};
use super::fault::{Fault, current, is};

pub(super) fn geometry(kind: Kind) -> Value {
    let mut geometry = match kind {
        Kind::Words => {
            json!({ "kind": "discrete", "length": 32, "vocabulary": 300, "padding_id": 299, "mask_id": 298 })
        }
        Kind::Numbers => json!({ "kind": "continuous", "grid": [3, 4], "d_token": 2, "n_masked": 7 }),
        Kind::Rich => json!({
            "kind": "continuous", "grid": [3, 4], "d_token": 2, "n_masked": 7, "validity": true, "affines": true,
            "targets": { "d_target": 3 }, "coordinates": [{ "name": "x", "range": [-1.0, 1.0] }],
            "requires": ["validity"]
        }),
    };
    if is(Fault::RequiresUndeclared) {
        geometry["requires"] = json!(["affines"]);
    }
    geometry
}

pub(super) extern "C" fn describe() -> RResult<RString, PluginError> {
    let mut description = json!({
        "id": "bare", "version": "2.0.0", "summary": "bytes", "family": "series", "reads": ["BARE (.bare)"],
        "operations": ["synthesise", "survey", "info", "records", "account", "save-assets", "keep", "label-maps", "grids", "render"],
        "geometry": geometry(Kind::Numbers), "renders": "text",
        "options": { "type": "object", "additionalProperties": false, "properties": {
            "words": { "type": "boolean", "default": false, "description": "Ids of words instead of numbers." },
            "rich": { "type": "boolean", "default": false, "description": "Numbers and more." },
            "level": { "type": "integer", "minimum": -2, "maximum": 3, "default": 1, "description": "Nothing." } },
            "x-option-order": ["words", "level"], "x-option-presets": { "text": { "words": true } } }
    });
    let option = "/options/properties/words";
    match current() {
        Fault::DescriptionIsGibberish => return ROk("{".into()),
        Fault::DescriptionChanges => {
            description["summary"] = json!(format!("described {} times", N_CALLS.fetch_add(1, Ordering::Relaxed)));
        }
        Fault::BadFamily => description["family"] = json!("My Family"),
        Fault::FamilyOfImages => description["family"] = json!("image"),
        Fault::OrderOfNothing => description["options"]["x-option-order"] = json!(["words", "wordz"]),
        Fault::BadVersion => description["version"] = json!("two"),
        Fault::NoSummary => description["summary"] = json!(" "),
        Fault::NoReads => description["reads"] = json!([]),
        Fault::LacksAnOperation => description["operations"] = json!(["synthesise", "info", "save-assets", "render"]),
        Fault::RendersWithoutSaying => description["renders"] = json!(null),
        Fault::NoImage | Fault::HalfAPicture => description["renders"] = json!("png"),
        Fault::SizesOverflow => description["geometry"]["grid"] = json!([u64::MAX, 4]),
        Fault::AllMasked => description["geometry"]["n_masked"] = json!(12),
        Fault::OptionWithoutDefault => {
            description.pointer_mut(option).unwrap().as_object_mut().unwrap().remove("default");
        }
        Fault::OptionWithoutDescription => {
            description.pointer_mut(option).unwrap().as_object_mut().unwrap().remove("description");
        }
        Fault::DefaultOutOfRange => description.pointer_mut(option).unwrap()["enum"] = json!([true]),
        Fault::PresetOfNothing => description["options"]["x-option-presets"]["text"] = json!({ "letters": true }),
        Fault::PresetOfAnotherType => description["options"]["x-option-presets"]["text"] = json!({ "words": 1 }),
        Fault::RequiredOption => description["options"]["required"] = json!(["words"]),
        _ => {}
    }
    ROk(description.to_string().into())
}
