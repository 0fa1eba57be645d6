//! Rows that are kept by the values of their columns, and why others are not.

use std::collections::BTreeMap;

use super::quoting::shown;

/// Why a row is left out, as the end of a sentence that begins with the number of such rows; `None` for one that is kept. `value` gives
/// the row's value in a column.
pub fn reason_to_leave_out<'a, V: AsRef<str>>(
    keep_rows: &'a BTreeMap<String, Vec<String>>,
    value: impl Fn(&'a str) -> Option<V>,
) -> Option<String> {
    let (column, wanted) = keep_rows.iter().find(|(column, wanted)| {
        let found = value(column);
        let found = found.as_ref().map_or("", |found| found.as_ref().trim());
        !wanted.iter().any(|wanted| wanted == found)
    })?;
    let wanted: Vec<_> = wanted.iter().map(|value| shown(value)).collect();
    Some(format!("whose {} is not {}", shown(column), wanted.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_by_all_of_their_columns() {
        let keep: BTreeMap<_, _> = [("split", &["train"][..]), ("view", &["AP", "PA"])]
            .map(|(column, values)| (column.to_owned(), values.iter().map(ToString::to_string).collect()))
            .into();
        let reason = |split: &str, view: Option<&str>| {
            let value = |column: &str| if column == "split" { Some(split.to_owned()) } else { view.map(String::from) };
            reason_to_leave_out(&keep, value)
        };
        assert_eq!(reason(" train", Some("PA")), None);
        assert_eq!(reason("test", Some("PA")).as_deref(), Some("whose \"split\" is not \"train\""));
        assert_eq!(reason("train", None).as_deref(), Some("whose \"view\" is not \"AP\" or \"PA\""));
    }
}
