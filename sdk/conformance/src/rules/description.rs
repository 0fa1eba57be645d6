//! The plugin's description.

use medcoss_abi::message::Geometry;
use medcoss_abi::{CONTRACT_MAJOR, CONTRACT_MINOR, operation};
use medcoss_caller::{Shape, families};

use crate::outcome::{RuleResult, passed, violation};
use crate::plugin_under_test::PluginUnderTest;
use medcoss_caller::answers::is_identifier;

/// Operations that every plugin knows.
const NEEDED: [&str; 4] = [operation::SYNTHESISE, operation::INFO, operation::RECORDS, operation::SAVE_ASSETS];

pub(super) fn header(under_test: &mut PluginUnderTest) -> RuleResult {
    under_test.try_plugin()?;
    passed(format!("contract {CONTRACT_MAJOR}.{CONTRACT_MINOR}"))
}

pub(super) fn description(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.try_description()?;
    let again: medcoss_abi::message::Description = under_test.plugin()?.describe()?;
    if again != *description {
        return Err(violation("a second `describe` answers otherwise than the first", "describe without side effects"));
    }
    for (what, text) in [("id", &description.id), ("token family", &description.family)] {
        if !is_identifier(text) {
            return Err(violation(
                format!(
                    "the {what} is {text:?}; a lower-case letter, then lower-case letters, digits or _ were expected"
                ),
                format!("give another {what}"),
            ));
        }
    }
    if let Some(id) = under_test.request.id.as_ref().filter(|&id| *id != description.id) {
        return Err(violation(
            format!("the plugin calls itself {:?}, but its symbol ends in {id}", description.id),
            "give export_plugin! the modality's ID",
        ));
    }
    if let Err(error) = semver::Version::parse(&description.version) {
        return Err(violation(
            format!("the version is {:?}, not a semantic version: {error}", description.version),
            "use env!(\"CARGO_PKG_VERSION\")",
        ));
    }
    let summary = description.summary.trim();
    if summary.is_empty() || summary.contains('\n') {
        return Err(violation(
            format!("the summary is {summary:?}; one line was expected"),
            "say in a line what it reads",
        ));
    }
    if description.reads.is_empty() || description.reads.iter().any(|kind| kind.trim().is_empty()) {
        return Err(violation(
            format!("the file kinds are {:?}; at least one, and none empty, was expected", description.reads),
            "name the kinds of files, such as \"CSV (.csv)\"",
        ));
    }
    let knows = |name: &str| description.operations.iter().any(|known| known == name);
    if let Some(missing) = NEEDED.iter().find(|name| !knows(name)) {
        return Err(violation(
            format!("the operation {missing:?} is not among those it knows"),
            "implement and name it",
        ));
    }
    if description.renders.is_some() != knows(operation::RENDER) {
        return Err(violation(
            format!("it renders {:?}, and its operations are {:?}", description.renders, description.operations),
            "name `render` among the operations exactly when `renders` says what it gives",
        ));
    }
    passed(format!("{} {}, family {}", description.id, description.version, description.family))
}

pub(super) fn geometry(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    if let Geometry::Continuous(own) = &description.geometry {
        let declared = [
            ("validity", own.validity),
            ("targets", own.targets.d_target.is_some()),
            ("coordinates", !own.coordinates.is_empty()),
            ("affines", own.affines),
        ];
        let lacks = |name: &&String| declared.iter().any(|(known, is_declared)| known == name && !is_declared);
        if let Some(name) = own.requires.iter().find(lacks) {
            return Err(violation(
                format!("it requires {name:?}, which it does not declare"),
                "require what the geometry has, and nothing else",
            ));
        }
    }
    match Shape::new(&description.geometry) {
        Ok(shape) => passed(format!("{} values a sample with default options", shape.n_values())),
        Err(what) => {
            Err(violation(what, "declare sizes that a model can learn from, with options that keep them in range"))
        }
    }
}

pub(super) fn family(under_test: &mut PluginUnderTest) -> RuleResult {
    let description = under_test.description()?;
    let (id, family, geometry) = (&description.id, &description.family, &description.geometry);
    match families::check_standard(id, family, geometry) {
        Ok(()) => passed(format!("{family}: {}", families::tokens(geometry))),
        Err(what) => {
            let (what, remedy) =
                what.split_once("\nhint: ").unwrap_or((&what, "give the modality a family of its own"));
            Err(violation(what, remedy))
        }
    }
}
