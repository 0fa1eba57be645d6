//! Checks of what a plugin says of its samples: the pages that `records` answers with.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use medcoss_abi::message::{Info, SampleRecord};
use serde_json::Value;

use crate::answers::{MAX_ID_BYTES, check_fingerprint, is_identifier, stays_below};
use crate::shape::Shape;

/// Most samples of a dataset.
pub const MAX_SAMPLES: u64 = 1 << 32;
/// Samples that are asked for at once.
pub const PAGE: u64 = 1 << 16;
/// Largest weight of a sample.
const MAX_WEIGHT: f64 = 1e6;
/// Most facts of a sample, most numbers of a fact, and most bytes of all facts of a sample.
const MAX_FACTS: usize = 64;
const MAX_NUMBERS: usize = 16;
const MAX_FACT_BYTES: usize = 4096;

/// Checks all about a dataset but its samples, and returns the checked shape.
///
/// # Errors
/// What was found and what was expected.
pub fn check_info(info: &Info) -> Result<Shape, String> {
    if info.n_samples > MAX_SAMPLES {
        return Err(format!("it has {} samples; it must have at most {MAX_SAMPLES}", info.n_samples));
    }
    check_fingerprint(&info.fingerprint)?;
    Shape::new(&info.geometry)
}

/// Checks the pages of a dataset, one after another.
#[derive(Debug)]
pub struct RecordChecks {
    n_samples: u64,
    n_entries: usize,
    next: u64,
    /// Digests of the ids so far: the ids themselves are the caller's. 128 bits, so that two never meet by chance.
    seen: HashSet<u128>,
    hashes: [RandomState; 2],
}

impl RecordChecks {
    /// For a dataset of so many samples that was opened with so many entries of data.
    pub fn new(n_samples: u64, n_entries: usize) -> Self {
        Self { n_samples, n_entries, next: 0, seen: HashSet::new(), hashes: Default::default() }
    }

    /// First sample and number of samples of the next page; `None` past the last.
    pub fn next_page(&self) -> Option<(u64, u64)> {
        (self.next < self.n_samples).then(|| (self.next, PAGE.min(self.n_samples - self.next)))
    }

    /// Checks the next page, of the size that [`Self::next_page`] says.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn check_page(&mut self, page: &[SampleRecord]) -> Result<(), String> {
        let (first, count) = self.next_page().unwrap_or((self.n_samples, 0));
        if page.len() as u64 != count {
            return Err(format!("there are {} records for {count} samples from {first} on", page.len()));
        }
        for (record, index) in page.iter().zip(first..) {
            check_record(record, self.n_entries).map_err(|what| format!("sample {index}: {what}"))?;
            let [low, high] = [0, 1].map(|at: usize| self.hashes[at].hash_one(&record.id));
            if !self.seen.insert(u128::from(high) << 64 | u128::from(low)) {
                return Err(format!("two samples have the id {:?}", record.id));
            }
        }
        self.next += count;
        Ok(())
    }
}

/// Checks one record.
///
/// # Errors
/// What was found and what was expected.
pub fn check_record(record: &SampleRecord, n_entries: usize) -> Result<(), String> {
    let SampleRecord { id, file, entry, group, label, weight, pair, metadata } = record;
    let texts = [
        ("id", Some(id)),
        ("file", file.as_ref()),
        ("group", group.as_ref()),
        ("label", label.as_ref()),
        ("pair", pair.as_ref()),
    ];
    for (name, text) in texts {
        if let Some(text) = text.filter(|text| !is_text(text)) {
            return Err(format!(
                "its {name} is {text:?}; it must be 1 to {MAX_ID_BYTES} bytes of printable characters"
            ));
        }
    }
    for (name, path) in [("id", Some(id)), ("file", file.as_ref())] {
        if let Some(path) = path.filter(|path| !stays_below(Path::new(path.as_str()))) {
            return Err(format!("its {name} is {path:?}; it must be a relative path without `..`"));
        }
    }
    if let Some(entry) = entry.filter(|&entry| entry as usize >= n_entries) {
        return Err(format!("its entry is {entry}; the data have {n_entries}"));
    }
    if let Some(weight) = weight.filter(|weight| !(0.0..=MAX_WEIGHT).contains(weight)) {
        return Err(format!("its weight is {weight}; it must be 0 to {MAX_WEIGHT}"));
    }
    if metadata.len() > MAX_FACTS {
        return Err(format!("it has {} facts of metadata; it must have at most {MAX_FACTS}", metadata.len()));
    }
    if let Some(name) = metadata.keys().find(|name| !is_identifier(name)) {
        return Err(format!("a fact of its metadata is called {name:?}; it must be a lower-case word"));
    }
    if let Some((name, value)) = metadata.iter().find(|(_, value)| !is_fact(value)) {
        return Err(format!(
            "its metadata {name} is {value}; it must be a text, a number, a boolean or up to {MAX_NUMBERS} numbers"
        ));
    }
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    match bytes {
        0..=MAX_FACT_BYTES => Ok(()),
        _ => Err(format!("its metadata have {bytes} bytes; they must have at most {MAX_FACT_BYTES}")),
    }
}

pub(crate) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES && !text.chars().any(char::is_control)
}

/// JSON has no numbers that are not finite.
fn is_fact(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.chars().any(char::is_control),
        Value::Number(_) | Value::Bool(_) => true,
        Value::Array(numbers) => numbers.len() <= MAX_NUMBERS && numbers.iter().all(Value::is_number),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(ids: &[&str]) -> Vec<SampleRecord> {
        ids.iter().map(|&id| SampleRecord::new(id)).collect()
    }

    #[test]
    fn ids_are_unique_relative_and_may_be_any_text() {
        let check = |ids: &[&str]| RecordChecks::new(ids.len() as u64, 1).check_page(&page(ids));
        assert_eq!(check(&["a/b.png", "a/b.png#z=001", "..a", "##", "x=1"]), Ok(()));
        for bad in ["", "/etc/passwd", "a/../../b", "line\nbreak", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert!(check(&["ok", bad]).unwrap_err().starts_with("sample 1: its id is"), "{bad:?}");
        }
        assert_eq!(check(&["a", "b", "a"]), Err("two samples have the id \"a\"".into()));
    }

    #[test]
    fn pages_have_the_size_that_was_asked_for_and_no_id_of_another_page() {
        let n = PAGE + 2;
        let ids: Vec<String> = (0..n).map(|at| format!("s{at}")).collect();
        let records: Vec<SampleRecord> = ids.iter().map(SampleRecord::new).collect();
        let (first, second) = records.split_at(PAGE as usize);
        let mut checks = RecordChecks::new(n, 1);
        assert_eq!(checks.next_page(), Some((0, PAGE)));
        assert!(checks.check_page(second).unwrap_err().starts_with("there are 2 records for 65536 samples from 0 on"));
        checks.check_page(first).unwrap();
        assert_eq!(checks.next_page(), Some((PAGE, 2)));
        assert!(checks.check_page(&first[7..9]).unwrap_err().contains("two samples have the id \"s7\""));
        let mut checks = RecordChecks::new(n, 1);
        checks.check_page(first).unwrap();
        checks.check_page(second).unwrap();
        assert_eq!(checks.next_page(), None);
    }

    #[test]
    fn every_other_field_has_its_range() {
        let sound = || SampleRecord::new("a").of_file("f/a.csv").of_entry(1).in_group("p07").labelled(Some("flat"));
        assert_eq!(check_record(&sound(), 2), Ok(()));
        let fact = |name: &str, value| SampleRecord { metadata: [(name.to_owned(), value)].into(), ..sound() };
        for sound in [json!("A"), json!(2.5), json!(true), json!([0.7, 0.7, 2.5])] {
            assert_eq!(check_record(&fact("site", sound), 2), Ok(()));
        }
        let many = (0..65).map(|at| (format!("k{at}"), json!(1))).collect();
        for (record, expected) in [
            (sound().of_file("../f"), "its file is \"../f\""),
            (sound().of_entry(2), "its entry is 2; the data have 2"),
            (sound().in_group(""), "its group is \"\""),
            (sound().labelled(Some("a\tb")), "its label is"),
            (SampleRecord { weight: Some(-1.0), ..sound() }, "its weight is -1"),
            (SampleRecord { weight: Some(f64::NAN), ..sound() }, "its weight is NaN"),
            (SampleRecord { pair: Some("x".repeat(1025)), ..sound() }, "its pair is"),
            (fact("Site", json!("A")), "a fact of its metadata is called \"Site\""),
            (fact("site", json!({})), "its metadata site is {}"),
            (fact("site", json!(vec![1; 17])), "its metadata site is [1,"),
            (fact("site", json!("x".repeat(4096))), "its metadata have 4102 bytes"),
            (SampleRecord { metadata: many, ..sound() }, "it has 65 facts"),
        ] {
            let message = check_record(&record, 2).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn an_info_has_a_digest_and_a_shape() {
        let info = |n_samples, fingerprint: &str, n_masked| Info {
            n_samples,
            geometry: medcoss_abi::message::Geometry::grid(vec![4], 2, n_masked),
            fingerprint: fingerprint.into(),
        };
        assert_eq!(check_info(&info(3, "0123456789abcdef", 2)).unwrap().n_tokens(), 4);
        assert!(check_info(&info(MAX_SAMPLES + 1, "0123456789abcdef", 2)).unwrap_err().contains("4294967297 samples"));
        assert!(check_info(&info(3, "xyz", 2)).unwrap_err().contains("hexadecimal"));
        assert!(check_info(&info(3, "0123456789abcdef", 4)).unwrap_err().contains("some and not all"));
    }
}
