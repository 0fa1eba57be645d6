//! All files of a dataset that are left out, as a table in CSV.

use anyhow::Result;
use medcoss_plugin_host::OpenDataset;

use crate::csv_table::CsvTable;

/// A row for each file that is left out, with the reason; `None` where the plugin does not know.
///
/// # Errors
/// Errors that the plugin reports, answers that break the contract.
pub fn table_of_left_out_files(dataset: &OpenDataset) -> Result<Option<Vec<u8>>> {
    let mut table = CsvTable::new();
    let mut written = table.row(["file", "reason"]);
    let known = dataset.each_left_out(|left_out| {
        if written.is_ok() {
            written = table.row([left_out.file, left_out.reason]);
        }
    })?;
    written?;
    known.is_some().then(|| table.finish()).transpose()
}
