//! Which of a recording's signals make up the channels of a sample.

use medcoss_sdk::Error;

use crate::edf::Header;
use crate::electrodes::canonical;

/// A channel as a sum of signals: their positions and factors.
pub(crate) type Mixture = Vec<(usize, f64)>;

/// Names in a message, at most, and letters of a name.
const MAX_SHOWN: usize = 20;
const MAX_LETTERS: usize = 24;

/// How each wanted channel is made of a recording's signals; `None` where it is missing. Names are canonical. A
/// difference is taken as it was recorded, or from two signals against the common reference. Of several signals of one
/// name the first counts.
pub(crate) fn mixtures(wanted: &[String], header: &Header) -> Vec<Option<Mixture>> {
    let named: Vec<Option<String>> =
        header.signals.iter().map(|signal| signal.is_potential.then(|| canonical(&signal.label))).collect();
    let position = |name: &str| named.iter().position(|signal| signal.as_deref() == Some(name));
    let mixture = |name: &String| match (position(name), name.split_once('-')) {
        (Some(at), _) => Some(vec![(at, 1.0)]),
        (None, Some((plus, minus))) => Some(vec![(position(plus)?, 1.0), (position(minus)?, -1.0)]),
        (None, None) => None,
    };
    wanted.iter().map(mixture).collect()
}

/// The signals that mixtures are made of, in their order.
pub(crate) fn used(mixtures: &[Option<Mixture>]) -> Vec<usize> {
    let mut used: Vec<usize> = mixtures.iter().flatten().flatten().map(|&(signal, _)| signal).collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// Checks that enough channels are there.
///
/// # Errors
/// Fewer than `least`, with the names of those that are missing and of those that are there.
pub(crate) fn check(
    wanted: &[String],
    mixtures: &[Option<Mixture>],
    least: usize,
    header: &Header,
) -> Result<(), Error> {
    let missing: Vec<&str> =
        wanted.iter().zip(mixtures).filter(|(_, mixture)| mixture.is_none()).map(|(name, _)| name.as_str()).collect();
    if wanted.len() - missing.len() >= least {
        return Ok(());
    }
    let there = header.signals.iter().filter(|signal| !signal.is_annotation).map(|signal| signal.label.as_str());
    Err(Error::unsupported(format!(
        "of {} channels {} are missing ({}), at least {least} must be there; its signals are {}\n\
         hint: name the channels to be used with the option channels",
        wanted.len(),
        missing.len(),
        shown(missing.iter().copied()),
        shown(there)
    )))
}

fn shown<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let printable = |name: &str| name.chars().filter(|letter| !letter.is_control()).take(MAX_LETTERS).collect();
    let mut text = names.clone().take(MAX_SHOWN).map(printable).collect::<Vec<String>>().join(", ");
    match names.count() {
        n if n > MAX_SHOWN => text.push_str(&format!(" and {} more", n - MAX_SHOWN)),
        _ => {}
    }
    text
}
