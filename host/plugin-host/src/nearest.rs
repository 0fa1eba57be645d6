//! The name most similar to a misspelt one, for hints.

/// The most similar name: the name with the smallest edit distance to the given one, if that is small for its length,
/// otherwise the first name that the given one is a prefix of. Of equal names, the first.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let most_slips = given.chars().count().div_ceil(3);
    let mut best = None;
    for name in names {
        let lower = name.to_lowercase();
        let begun = given.len() >= 3 && lower.starts_with(&given);
        let n_slips = if begun { most_slips } else { strsim::osa_distance(&given, &lower) };
        if n_slips <= most_slips && best.is_none_or(|(_, fewest)| n_slips < fewest) {
            best = Some((name, n_slips));
        }
    }
    best.map(|(name, _)| name)
}

/// The text `did you mean "x"? ` for the start of a hint, or an empty text when no name is similar.
pub fn did_you_mean<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, names).map(|name| format!("did you mean {name:?}? ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_different_word_is_not() {
        let names = ["ct", "mri", "pathology", "text", "xray"];
        assert_eq!(nearest("xrays", names), Some("xray"));
        assert_eq!(nearest("MIR", names), Some("mri"));
        assert_eq!(nearest("patology", names), Some("pathology"));
        assert_eq!(nearest("path", names), Some("pathology"));
        assert_eq!(nearest("ultrasound", names), None);
        assert_eq!(nearest("gait", names), None);
        assert_eq!(did_you_mean("ultrasound", names), "");
    }
}
