//! Checks of what a plugin says of the files of its data: the pages that `account` answers with.

use std::path::Path;

use medcoss_abi::message::{Account, LeftOut, Notice};

use crate::answers::stays_below;
use crate::records::{PAGE, is_text};

/// Most files of a dataset.
const MAX_FILES: u64 = 1 << 32;
/// Most notices.
const MAX_NOTICES: usize = 256;

/// Checks the pages of an account, one after another.
#[derive(Debug, Default)]
pub struct AccountChecks {
    /// Number of files that are left out, once the first page said so.
    n_left_out: Option<u64>,
    next: u64,
}

impl AccountChecks {
    /// First file and number of files of the next page; `None` past the last.
    pub fn next_page(&self) -> Option<(u64, u64)> {
        match self.n_left_out {
            None => Some((0, PAGE)),
            Some(n) => (self.next < n).then_some((self.next, PAGE)),
        }
    }

    /// Checks the next page, of the size that [`Self::next_page`] says.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn check_page(&mut self, page: &Account) -> Result<(), String> {
        let Account { n_used, n_left_out, left_out, notices } = page;
        if let Some(n) = [n_used, n_left_out].into_iter().find(|n| **n > MAX_FILES) {
            return Err(format!("it counts {n} files; there may be {MAX_FILES} at most"));
        }
        let all = *self.n_left_out.get_or_insert(*n_left_out);
        if all != *n_left_out {
            return Err(format!("{n_left_out} files are left out; an earlier page said {all}"));
        }
        let expected = PAGE.min(all - self.next);
        if left_out.len() as u64 != expected {
            return Err(format!(
                "a page from {} on names {} of {all} files, not {expected}",
                self.next,
                left_out.len()
            ));
        }
        if let Some(wrong) = left_out
            .iter()
            .find(|LeftOut { file, reason }| !is_text(file) || !stays_below(Path::new(file)) || !is_text(reason))
        {
            return Err(format!(
                "it leaves out {:?} because {:?}; file and reason must be printable, and the file a relative path without `..`",
                wrong.file, wrong.reason
            ));
        }
        if notices.len() > MAX_NOTICES {
            return Err(format!("it has {} notices; there may be {MAX_NOTICES} at most", notices.len()));
        }
        if let Some(Notice { what, n, of, .. }) =
            notices.iter().find(|Notice { what, n, of, .. }| !is_text(what) || n > of || *n == 0)
        {
            return Err(format!("a notice says {what:?} of {n} in {of}; it must be printable, and 1 to all of them"));
        }
        self.next += expected;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(n_left_out: u64, files: &[&str]) -> Account {
        let left_out = files.iter().map(|file| LeftOut { file: (*file).into(), reason: "a localiser".into() });
        Account { n_used: 1, n_left_out, left_out: left_out.collect(), notices: Vec::new() }
    }

    #[test]
    fn pages_must_name_what_they_count() {
        let mut checks = AccountChecks::default();
        assert_eq!(checks.next_page(), Some((0, PAGE)));
        checks.check_page(&page(2, &["a", "b"])).unwrap();
        assert_eq!(checks.next_page(), None);
        let refused = |page: Account| AccountChecks::default().check_page(&page).unwrap_err();
        assert!(refused(page(3, &["a", "b"])).contains("names 2 of 3 files, not 3"));
        assert!(refused(page(1, &["../a"])).contains("without `..`"));
        assert!(refused(page(u64::MAX, &[])).contains("at most"));
        let notice = |n, of| Notice { what: "reports are cut".into(), n, of, warns: false };
        let with = |notice| Account { notices: vec![notice], ..page(0, &[]) };
        assert!(refused(with(notice(0, 1))).contains("1 to all"));
        assert!(refused(with(notice(3, 2))).contains("1 to all"));
        AccountChecks::default().check_page(&with(notice(2, 2))).unwrap();
    }

    #[test]
    fn a_count_that_changes_from_page_to_page_is_noticed() {
        let names: Vec<String> = (0..PAGE).map(|index| index.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut checks = AccountChecks::default();
        checks.check_page(&page(PAGE + 1, &names)).unwrap();
        assert_eq!(checks.next_page(), Some((PAGE, PAGE)));
        assert!(checks.check_page(&page(PAGE + 2, &["x", "y"])).unwrap_err().contains("an earlier page"));
    }
}
