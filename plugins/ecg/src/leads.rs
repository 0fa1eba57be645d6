//! Names of leads, and which of a record's signals make up the leads of a sample.

use medcoss_sdk::{Error, choices};

choices! {
    /// What happens to a record that lacks leads.
    pub enum MissingLeads {
        /// It is an invalid sample.
        Refuse,
        /// Tokens of the missing leads do not exist. One lead at least must be there.
        Mark,
    }
}

/// A lead as a sum of a record's signals: their positions and factors. Of nothing where the lead is missing.
pub(crate) type Mixture = Vec<(usize, f32)>;

/// The limb leads over I and II: Einthoven's law for III, Goldberger's definitions of the augmented ones.
pub(crate) const LIMB: [(&str, [f32; 2]); 6] = [
    ("I", [1.0, 0.0]),
    ("II", [0.0, 1.0]),
    ("III", [-1.0, 1.0]),
    ("AVR", [-0.5, -0.5]),
    ("AVL", [1.0, -0.5]),
    ("AVF", [-0.5, 1.0]),
];

/// A lead's name in the form in which names are compared: upper case, without a unit in brackets and without what
/// some devices put before it (`MDC_ECG_LEAD_`, `Lead`, `ECG`).
pub(crate) fn canonical(name: &str) -> String {
    let name = name.split(['(', '[']).next().unwrap_or_default().trim().to_uppercase();
    let mut rest = name.as_str();
    for prefix in ["MDC_ECG_", "ECG", "LEAD"] {
        rest = match rest.strip_prefix(prefix).map(|rest| rest.trim_start_matches([' ', '_', '-'])) {
            Some(shorter) if !shorter.is_empty() => shorter,
            _ => rest,
        };
    }
    rest.to_string()
}

/// How each wanted lead is made of the signals that a record has.
///
/// # Errors
/// A lead that the record neither has nor gives by its other limb leads, or, where missing leads are marked, no lead that is there.
pub(crate) fn mixtures(wanted: &[String], signals: &[String], missing: MissingLeads) -> Result<Vec<Mixture>, Error> {
    let named: Vec<_> = signals.iter().map(|name| canonical(name)).collect();
    let position = |name: &str| named.iter().position(|signal| signal == name);
    let mixture = |lead: &String| {
        let name = canonical(lead);
        match position(&name) {
            Some(at) => Ok(vec![(at, 1.0)]),
            None => from_limb_leads(&name, position).ok_or_else(|| {
                Error::unsupported(format!(
                    "there is no lead {lead}; the signals are {}\nhint: name those to be used with the option leads",
                    shown(signals)
                ))
            }),
        }
    };
    let found: Vec<Result<Mixture, Error>> = wanted.iter().map(mixture).collect();
    if missing == MissingLeads::Mark && found.iter().any(Result::is_ok) {
        return Ok(found.into_iter().map(Result::unwrap_or_default).collect());
    }
    found.into_iter().collect()
}

/// A limb lead from the first two others that are there.
fn from_limb_leads(name: &str, position: impl Fn(&str) -> Option<usize>) -> Option<Mixture> {
    let [x, y] = LIMB.iter().find(|(limb, _)| *limb == name)?.1;
    let present: Vec<_> = LIMB.iter().filter_map(|(limb, factors)| Some((position(limb)?, *factors))).collect();
    // No two of the six are multiples of each other, so that the first two will do.
    let [(first, [a, c]), (second, [b, d])] = present.get(..2)? else { return None };
    // Cramer's rule: p * first + q * second = lead.
    let determinant = a * d - b * c;
    Some(vec![(*first, (x * d - b * y) / determinant), (*second, (a * y - x * c) / determinant)])
}

/// Names for a message, the first twenty.
fn shown(names: &[String]) -> String {
    let mut text =
        names.iter().take(20).map(|name| name.chars().take(24).collect()).collect::<Vec<String>>().join(", ");
    if names.len() > 20 {
        text.push_str(&format!(" and {} more", names.len() - 20));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn names_of_many_devices_are_the_same_leads() {
        for name in ["aVR", "AVR", "avr (mV)", "ECG aVR", "Lead_aVR", "MDC_ECG_LEAD_AVR", " aVR [uV]"] {
            assert_eq!(canonical(name), "AVR", "{name}");
        }
        assert_eq!(canonical("ECG"), "ECG");
        assert_eq!(canonical("MLII"), "MLII");
    }

    #[test]
    fn leads_come_in_the_order_asked_for() {
        let found = mixtures(&names(&["v1", "II"]), &names(&["II", "V5", "V1"]), MissingLeads::Refuse).unwrap();
        assert_eq!(found, [vec![(2, 1.0)], vec![(0, 1.0)]]);
    }

    #[test]
    fn missing_limb_leads_follow_from_any_two_others() {
        // At one moment I is 0.7 mV and II is 0.9 mV; the others by their definitions from the electrodes.
        let values = [("I", 0.7), ("II", 0.9), ("III", 0.2), ("aVR", -0.8), ("aVL", 0.25), ("aVF", 0.55)];
        for (at, (one, first)) in values.iter().enumerate() {
            for (two, second) in &values[at + 1..] {
                for (wanted, expected) in values {
                    let mixture =
                        &mixtures(&names(&[wanted]), &names(&["V1", one, two]), MissingLeads::Refuse).unwrap()[0];
                    let signals = [9.0, *first, *second];
                    let found: f32 = mixture.iter().map(|&(at, factor)| factor * signals[at]).sum();
                    assert!((found - expected).abs() < 1e-6, "{wanted} from {one} and {two}: {found}");
                }
            }
        }
    }

    #[test]
    fn a_lead_that_cannot_be_had_is_named_beside_those_that_are_there() {
        let error = mixtures(&names(&["V3"]), &names(&["MLII", "V5"]), MissingLeads::Refuse).unwrap_err();
        assert!(error.message().contains("lead V3") && error.message().contains("MLII, V5"), "{error}");
        assert!(error.message().contains("hint: "), "{error}");
        assert!(mixtures(&names(&["aVF"]), &names(&["II"]), MissingLeads::Refuse).is_err());
    }
    #[test]
    fn missing_leads_are_made_of_nothing_where_they_are_marked() {
        let found = mixtures(&names(&["V3", "II"]), &names(&["II", "V5"]), MissingLeads::Mark).unwrap();
        assert_eq!(found, [vec![], vec![(0, 1.0)]]);
        assert!(mixtures(&names(&["V3"]), &names(&["II", "V5"]), MissingLeads::Mark).is_err());
    }
}
