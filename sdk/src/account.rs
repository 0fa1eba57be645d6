//! What became of the files of the data: every one of them is used, or left out for a reason.

use std::collections::HashMap;

use medcoss_abi::message::{Account as Page, LeftOut, Notice, Records};

use crate::sample_id;

/// Share of what a notice counts above which the user is warned.
pub const WARNED_SHARE: f64 = 0.05;

/// Files that are used and left out, and what is not in the samples as it is in the files.
///
/// [`crate::find_files`] begins it. A dataset that leaves out more calls [`Account::leave_out`], and gives it in
/// [`crate::Dataset::account`].
#[derive(Debug, Clone, Default)]
pub struct Account {
    n_files: u64,
    /// Files, and the index of the reason of each.
    left_out: Vec<(String, u32)>,
    reasons: Vec<String>,
    index_of_reason: HashMap<String, u32>,
    notices: Vec<Notice>,
}

impl Account {
    /// Counts a file that was found. It is used until it is left out.
    pub fn count_file(&mut self) {
        self.n_files += 1;
    }

    /// Leaves out a file that was counted. `reason` is a phrase without the file's name, the same for all files of one kind: "a localiser".
    pub fn leave_out(&mut self, file: impl Into<String>, reason: impl AsRef<str>) {
        let reason = reason.as_ref();
        let index = match self.index_of_reason.get(reason) {
            Some(&index) => index,
            None => {
                let index = self.reasons.len() as u32;
                self.reasons.push(reason.to_owned());
                self.index_of_reason.insert(reason.to_owned(), index);
                index
            }
        };
        self.left_out.push((file.into(), index));
    }

    /// Adds what is cut, filled in, converted or assumed in `n` of `of`; none where `n` is 0. `what` is a phrase in the plural that follows
    /// the number: "reports are cut". The user is warned above [`WARNED_SHARE`].
    pub fn notice(&mut self, n: usize, of: usize, what: impl Into<String>) {
        if n > 0 {
            let warns = n as f64 > WARNED_SHARE * of as f64;
            self.notices.push(Notice { what: what.into(), n: n as u64, of: of.max(n) as u64, warns });
        }
    }

    /// Number of files that are used.
    pub fn n_used(&self) -> u64 {
        self.n_files.saturating_sub(self.left_out.len() as u64)
    }

    /// Files that are left out, each with its reason, in the order in which they were.
    pub fn left_out(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.left_out.iter().map(|(file, reason)| (file.as_str(), self.reasons[*reason as usize].as_str()))
    }

    /// What is cut, filled in, converted or assumed.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The reasons with their numbers of files, in one phrase: "2 a localiser, 1 another kind of file (.txt)". Empty where none is left out.
    pub fn summary(&self) -> String {
        let mut n_files = vec![0_usize; self.reasons.len()];
        self.left_out.iter().for_each(|(_, reason)| n_files[*reason as usize] += 1);
        let phrases = n_files.iter().zip(&self.reasons).map(|(n, reason)| format!("{n} {reason}"));
        phrases.collect::<Vec<_>>().join(", ")
    }

    /// A page for the host.
    pub(crate) fn page(&self, Records { first, count }: Records) -> Page {
        let n = self.left_out.len();
        let first = usize::try_from(first).unwrap_or(n).min(n);
        let end = first.saturating_add(usize::try_from(count).unwrap_or(n)).min(n);
        let entry = |(file, reason): &(String, u32)| LeftOut {
            file: sample_id::within_limits(file.clone()),
            reason: sample_id::within_limits(self.reasons[*reason as usize].clone()),
        };
        Page {
            n_used: self.n_used(),
            n_left_out: n as u64,
            left_out: self.left_out[first..end].iter().map(entry).collect(),
            notices: self.notices.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_used_or_left_out() {
        let mut account = Account::default();
        (0..5).for_each(|_| account.count_file());
        account.leave_out("a/scout.dcm", "a localiser");
        account.leave_out("a/notes.txt", "another kind of file (.txt)");
        account.leave_out("b/scout.dcm", String::from("a localiser"));
        assert_eq!((account.n_used(), account.left_out().len()), (2, 3));
        assert_eq!(account.summary(), "2 a localiser, 1 another kind of file (.txt)");
        let page = account.page(Records { first: 1, count: 1 });
        assert_eq!((page.n_used, page.n_left_out, page.left_out.len()), (2, 3, 1));
        assert_eq!(
            (page.left_out[0].file.as_str(), page.left_out[0].reason.as_str()),
            ("a/notes.txt", "another kind of file (.txt)")
        );
        assert_eq!(account.page(Records { first: 3, count: 9 }).left_out, []);
    }

    #[test]
    fn a_notice_warns_above_a_share() {
        let mut account = Account::default();
        account.notice(0, 100, "reports are cut");
        account.notice(5, 100, "reports are cut");
        account.notice(6, 100, "words are unknown");
        let found: Vec<_> = account.notices().iter().map(|notice| (notice.n, notice.warns)).collect();
        assert_eq!(found, [(5, false), (6, true)]);
    }
}
