//! What a plugin says of the files of its data: how many are used, which are left out and why.

use std::collections::BTreeMap;

use medcoss_abi::message::{Account, LeftOut, Notice, Records};
use medcoss_abi::operation;
use medcoss_caller::account::AccountChecks;

use crate::dataset::{OpenDataset, ask};
use crate::error::PluginError;

/// Files of a reason that are kept as examples.
const N_EXAMPLES: usize = 5;
/// Most reasons that are distinguished.
const MAX_REASONS: usize = 1000;
/// What further reasons are counted as.
const OTHER_REASONS: &str = "for other reasons";

/// The files of a dataset: used, or left out for a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataFiles {
    /// Number of files that are read for samples.
    pub n_used: u64,
    /// Files that are not, by their reason.
    pub left_out: BTreeMap<String, LeftOutFiles>,
    /// What is cut, filled in, converted or assumed.
    pub notices: Vec<Notice>,
}

/// Files that are left out for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOutFiles {
    /// How many.
    pub n: u64,
    /// The first of them.
    pub examples: Vec<String>,
}

impl DataFiles {
    /// Number of files that are left out.
    pub fn n_left_out(&self) -> u64 {
        self.left_out.values().map(|files| files.n).sum()
    }

    fn add(&mut self, LeftOut { file, reason }: LeftOut) {
        let known = self.left_out.contains_key(&reason) || self.left_out.len() < MAX_REASONS;
        let files = self.left_out.entry(if known { reason } else { OTHER_REASONS.into() }).or_default();
        files.n += 1;
        if files.examples.len() < N_EXAMPLES {
            files.examples.push(file);
        }
    }
}

impl OpenDataset {
    /// The files of the data; `None` where the plugin does not know, or was built before there was this question.
    ///
    /// # Errors
    /// Errors that the plugin reports, answers that break the contract.
    pub fn files(&self) -> Result<Option<DataFiles>, PluginError> {
        let mut files = DataFiles::default();
        let known = self.each_left_out(|left_out| files.add(left_out))?;
        Ok(known.map(|(n_used, notices)| DataFiles { n_used, notices, ..files }))
    }

    /// Shows each file that is left out to `take`. Gives the number of files that are used, and the notices; `None` as for
    /// [`OpenDataset::files`].
    ///
    /// # Errors
    /// Those of [`OpenDataset::files`].
    pub fn each_left_out(&self, mut take: impl FnMut(LeftOut)) -> Result<Option<(u64, Vec<Notice>)>, PluginError> {
        if !self.plugin().description().operations.iter().any(|known| known == operation::ACCOUNT) {
            return Ok(None);
        }
        let mut checks = AccountChecks::default();
        let mut known = None;
        while let Some((first, count)) = checks.next_page() {
            let body = self.plugin().body(operation::ACCOUNT, &Records { first, count })?;
            let page: Option<Account> = ask(self.plugin(), self.handle(), operation::ACCOUNT, body.as_bytes())?;
            let Some(page) = page else { return Ok(None) };
            checks.check_page(&page).map_err(|what| self.plugin().violation(operation::ACCOUNT, &what))?;
            page.left_out.into_iter().for_each(&mut take);
            known = Some((page.n_used, page.notices));
        }
        Ok(known)
    }
}
