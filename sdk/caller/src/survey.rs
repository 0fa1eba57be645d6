//! Checks of what a plugin makes of data of which nobody has said what they are.

use std::path::PathBuf;

use medcoss_abi::message::Survey;

use crate::answers::{MAX_ID_BYTES, stays_below};
use crate::records::is_text;

/// Most facts and options of a survey.
const MAX_SURVEYED: usize = 256;

/// Checks what a plugin makes of data that it looked at.
///
/// # Errors
/// What was found and what was expected.
pub fn check_survey(survey: &Survey) -> Result<(), String> {
    let Survey { fit, why, facts, options, leave_out } = survey;
    if !(0.0..=1.0).contains(fit) {
        return Err(format!("the fit is {fit}; it must be 0 to 1"));
    }
    if facts.len().max(options.len()) > MAX_SURVEYED {
        let (facts, options) = (facts.len(), options.len());
        return Err(format!("it has {facts} facts and {options} options; there may be {MAX_SURVEYED} of each"));
    }
    let is_below = |folder: &&PathBuf| stays_below(folder) && is_text(&folder.to_string_lossy());
    if leave_out.len() > MAX_SURVEYED || !leave_out.iter().all(|folder| is_below(&folder)) {
        return Err(format!(
            "it leaves out {} folders, {:?} the first; there may be {MAX_SURVEYED}, each a relative path without `..`",
            leave_out.len(),
            leave_out.iter().find(|folder| !is_below(folder)).or(leave_out.first())
        ));
    }
    let of_facts = facts.iter().flat_map(|fact| [&fact.name, &fact.value]);
    let of_options = options.iter().flat_map(|option| [&option.name, &option.reason]);
    match [why].into_iter().chain(of_facts).chain(of_options).find(|text| !is_text(text)) {
        Some(text) => Err(format!("it says {text:?}; texts must be 1 to {MAX_ID_BYTES} bytes of printable characters")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::message::Fact;

    #[test]
    fn a_fit_is_a_share_and_texts_are_printable() {
        let survey = |fit, why: &str| Survey { fit, why: why.into(), ..Survey::default() };
        check_survey(&survey(0.0, "no file was found")).unwrap();
        for fit in [-0.1, 1.1, f64::NAN] {
            assert!(check_survey(&survey(fit, "x")).unwrap_err().contains("0 to 1"));
        }
        assert!(check_survey(&survey(1.0, "")).unwrap_err().contains("printable"));
        let leaving = |folder: &str| Survey { leave_out: vec![folder.into()], ..survey(1.0, "x") };
        check_survey(&leaving("mri/labels")).unwrap();
        for folder in ["../labels", "/labels", "", "a\nb"] {
            assert!(check_survey(&leaving(folder)).unwrap_err().contains("without `..`"), "{folder:?}");
        }
        let fact = Fact { name: "a\u{1b}".into(), value: "b".into() };
        assert!(check_survey(&Survey { facts: vec![fact.clone()], ..survey(1.0, "x") }).is_err());
        let many = vec![Fact { name: "a".into(), ..fact }; MAX_SURVEYED + 1];
        assert!(check_survey(&Survey { facts: many, ..survey(1.0, "x") }).unwrap_err().contains("257 facts"));
    }
}
