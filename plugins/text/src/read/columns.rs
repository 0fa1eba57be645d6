//! Columns by name: of tables, and fields of JSON objects.

use medcoss_sdk::Error;

use super::quoting::shown;

/// Names of columns that a message lists at most.
const MAX_LISTED: usize = 20;

/// Position of a column among `names`: the one that is asked for, or the only one.
pub fn position_of(asked: Option<&str>, option: &str, names: &[&str], place: &str) -> Result<usize, Error> {
    match asked {
        Some(asked) => {
            let mut found = names.iter().enumerate().filter(|(_, name)| name.trim() == asked).map(|(at, _)| at);
            match (found.next(), found.next()) {
                (Some(at), None) => Ok(at),
                (None, _) => Err(no_column(asked, option, names, place)),
                (Some(first), Some(second)) => Err(Error::bad_request(format!(
                    "{place} has two columns {asked:?}, the {}. and the {}., and option {option} asks for one\n\
                     hint: give columns distinct names",
                    first + 1,
                    second + 1
                ))),
            }
        }
        None if names.len() == 1 => Ok(0),
        None => Err(Error::bad_request(format!(
            "{place} has {} columns: {}\nhint: say with option {option} which one to read",
            names.len(),
            listed(names)
        ))),
    }
}

/// The error for a column that is not there.
pub fn no_column(asked: &str, option: &str, names: &[&str], place: &str) -> Error {
    let listed = listed(names);
    Error::bad_request(format!("{place} has no column {asked:?}, which option {option} asks for; it has {listed}"))
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(MAX_LISTED).map(|name| shown(name)).collect();
    let more = if names.len() > MAX_LISTED { ", ..." } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_columns_are_truncated() {
        let many = vec!["c"; 21];
        let message = position_of(None, "text_column", &many, "a.csv").unwrap_err();
        assert!(message.message().contains("21 columns") && message.message().contains("\"c\", ...\n"), "{message}");
    }

    #[test]
    fn columns_are_found_by_name_or_for_being_alone() {
        let names = ["id", " text "];
        assert_eq!(position_of(Some("text"), "text_column", &names, "a.csv").unwrap(), 1);
        assert_eq!(position_of(None, "text_column", &["only"], "a.csv").unwrap(), 0);
        let error = position_of(None, "text_column", &names, "a.csv").unwrap_err();
        assert!(error.message().contains("a.csv has 2 columns: \"id\", \" text \""), "{error}");
        let error = position_of(Some("b"), "text_column", &["b", "a", " b"], "a.csv").unwrap_err();
        assert!(
            error.message().starts_with("a.csv has two columns \"b\", the 1. and the 3., and option text_column"),
            "{error}"
        );
        let error = position_of(Some("note"), "label_column", &names, "a.csv").unwrap_err();
        assert!(error.message().contains("\"note\"") && error.message().contains("label_column"), "{error}");
    }
}
