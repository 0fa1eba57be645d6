//! What surveys of plugins have in common.

use medcoss_abi::message::Survey;

use crate::Error;

/// The survey of data among which a plugin finds nothing of its modality: fit 0. `error` is why.
pub fn nothing_found(error: &Error) -> Survey {
    let why = error.message().lines().next().unwrap_or_default().to_owned();
    Survey { why, ..Survey::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_one_line_without_its_hint() {
        let survey = nothing_found(&Error::unreadable("data a not found\nhint: look elsewhere"));
        assert_eq!((survey.fit, survey.why.as_str(), survey.facts.len()), (0.0, "data a not found", 0));
    }
}
