//! The survey of data: a plugin recognises its own files, and what it proposes opens them.

use medcoss_abi::message::{Open, Survey, SurveyRequest};
use medcoss_abi::operation;
use medcoss_caller::survey::check_survey;
use serde_json::{Map, Value};

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::PluginUnderTest;
use crate::rules::operations::not_known;

pub(super) fn survey(under_test: &mut PluginUnderTest) -> RuleResult {
    if !under_test.knows(operation::SURVEY)? {
        return Err(not_known(operation::SURVEY));
    }
    under_test.samples()?;
    let own = under_test.synthetic()?;
    let plugin = under_test.plugin()?;
    let request = SurveyRequest { base: own.open.base.clone(), data: own.open.data.clone() };
    let survey: Option<Survey> = plugin.invoke(operation::SURVEY, &request)?;
    let Some(survey) = survey else { return Err(Stop::Skip("the plugin answers that it does not know".into())) };
    check_survey(&survey).map_err(|what| {
        violation(what, "answer with a fit from 0 to 1, and with short texts of printable characters")
    })?;
    if survey.fit == 0.0 {
        return Err(violation(
            format!("the plugin's own files have the fit 0: {}", survey.why),
            "let `survey` recognise the files that `synthesise` writes",
        ));
    }
    let options: Map<String, Value> =
        survey.options.iter().map(|option| (option.name.clone(), option.value.clone())).collect();
    let open = Open { options: Value::Object(options), ..own.open.clone() };
    OpenDataset::new(plugin, &open).map_err(|error| {
        let Stop::Violation { detail, .. } = Stop::from(error) else { return Stop::Skip("it was not opened".into()) };
        violation(
            format!("with the options that the survey proposes: {detail}"),
            "propose options that the plugin accepts, and that its files suit",
        )
    })?;
    passed(format!("fit {:.2}, {} options proposed", survey.fit, survey.options.len()))
}
