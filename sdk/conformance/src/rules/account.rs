//! The account of the data: every file is used or left out for a reason.

use std::fs;

use medcoss_abi::message::{Account, LeftOut, Open};
use medcoss_abi::operation;
use medcoss_caller::account::AccountChecks;

use crate::open_dataset::OpenDataset;
use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::{PluginUnderTest, needs};
use crate::rules::operations::not_known;

/// A file that no plugin reads.
const STRANGE: &str = "strange-notes.of-no-kind";

/// A folder of the plugin's own files, with and without a file that no plugin reads.
pub(super) fn account(under_test: &mut PluginUnderTest) -> RuleResult {
    if !under_test.knows(operation::ACCOUNT)? {
        return Err(not_known(operation::ACCOUNT));
    }
    under_test.synthetic()?;
    let seed = under_test.request.seed;
    let open = under_test.synthesise("account", seed).map_err(|_| needs("synthesise"))?;
    let folder = open.data.iter().map(|entry| open.base.join(entry)).find(|path| path.is_dir());
    let Some(folder) = folder else { return Err(Stop::Skip("the synthetic samples are opened file by file".into())) };
    let Some((before, _)) = asked(under_test, &open)? else {
        return Err(Stop::Skip("the plugin answers that it does not know".into()));
    };
    let failed = |error: std::io::Error| Stop::Skip(format!("no file could be added: {error}"));
    fs::write(folder.join(STRANGE), "notes").map_err(failed)?;
    let Some((after, left_out)) = asked(under_test, &open)? else {
        return Err(violation("the account is known, and then it is not", "answer always, or never"));
    };
    let named: Vec<_> = left_out.iter().filter(|LeftOut { file, .. }| file.ends_with(STRANGE)).collect();
    if named.len() != 1 || after.n_left_out != before.n_left_out + 1 || after.n_used != before.n_used {
        return Err(violation(
            format!(
                "with one file more, {STRANGE}, the account says {} used and {} left out, before {} and {}",
                after.n_used, after.n_left_out, before.n_used, before.n_left_out
            ),
            "count every file of the data as used or left out; `find_files` of the SDK does it",
        ));
    }
    passed(format!("{} files used, {} left out", before.n_used, before.n_left_out))
}

/// The first page of an account, and all files that are left out.
fn asked(under_test: &mut PluginUnderTest, open: &Open) -> Result<Option<(Account, Vec<LeftOut>)>, Stop> {
    let dataset = OpenDataset::new(under_test.plugin()?, open).map_err(|_| needs("read"))?;
    let (mut checks, mut all, mut start) = (AccountChecks::default(), Vec::new(), None);
    while let Some((first, count)) = checks.next_page() {
        let Some(page) = dataset.account_page(first, count)? else { return Ok(None) };
        let remedy = "name every file once, as the entry of the data and the path below it, with a short reason";
        checks.check_page(&page).map_err(|what| violation(what, remedy))?;
        all.extend(page.left_out.iter().cloned());
        start.get_or_insert(page);
    }
    Ok(start.map(|start| (start, all)))
}
