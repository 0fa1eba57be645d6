//! The files of the data as a table: used, left out and why, and what is changed.

use medcoss_core::data::{DataAccount, DataNotice};
use medcoss_runtime::numbers::count;

use super::Table;

/// Reasons that are listed; further ones are counted together.
const N_REASONS: usize = 12;

/// The account of `what` (a stage, a modality), one line for what is used, then lines for what is not. `n_samples` is the number of samples.
pub(crate) fn to_text(what: &str, n_samples: usize, account: &DataAccount) -> String {
    let samples = counted(n_samples as u64, "sample");
    let files = counted(account.n_used, "file");
    let mut text = format!("{what}: {samples} of {files}");
    match account.n_left_out() {
        0 => text.push('\n'),
        n => text.push_str(&format!(", {} left out:\n{}", counted(n, "file"), left_out(account))),
    }
    for DataNotice { what, n, of, warns } in &account.notices {
        let mark = if *warns { "warning: " } else { "" };
        text.push_str(&format!("  {mark}{} of {} {what}\n", count(*n as usize), count(*of as usize)));
    }
    text
}

/// Whether the account says more than what is used.
pub(crate) fn says_more(account: &DataAccount) -> bool {
    !account.left_out.is_empty() || !account.notices.is_empty()
}

/// Whether the user should do something.
pub(crate) fn warns(account: &DataAccount) -> bool {
    account.notices.iter().any(|notice| notice.warns)
}

fn left_out(account: &DataAccount) -> String {
    let mut reasons: Vec<(&String, u64)> = account.left_out.iter().map(|(reason, n)| (reason, *n)).collect();
    reasons.sort_by(|(one, n), (other, m)| m.cmp(n).then(one.cmp(other)));
    let mut table = Table::bare();
    for (reason, n) in reasons.iter().take(N_REASONS) {
        table.row([format!("  {:>7}", count(*n as usize)), (*reason).clone()]);
    }
    let rest: u64 = reasons.iter().skip(N_REASONS).map(|(_, n)| n).sum();
    if rest > 0 {
        let n_reasons = reasons.len() - N_REASONS;
        table.row([format!("  {:>7}", count(rest as usize)), format!("for {n_reasons} other reasons")]);
    }
    table.wrapped()
}

fn counted(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n as usize), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_by_their_number() {
        let account = DataAccount {
            n_used: 1200,
            left_out: [("a localiser".into(), 2), ("another kind of file (.txt)".into(), 14)].into(),
            notices: vec![DataNotice { what: "scans are padded".into(), n: 3, of: 1200, warns: true }],
        };
        assert_eq!(
            to_text("stage 3 ct", 5000, &account),
            "stage 3 ct: 5\u{202f}000 samples of 1\u{202f}200 files, 16 files left out:\n       14  another kind of file (.txt)\n        2  a localiser\n  warning: 3 of 1\u{202f}200 scans are padded\n"
        );
        let quiet = DataAccount { n_used: 1, ..DataAccount::default() };
        assert_eq!(to_text("ct", 1, &quiet), "ct: 1 sample of 1 file\n");
    }
}
