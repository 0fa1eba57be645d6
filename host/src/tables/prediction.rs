//! A prediction for people: what was written, and what could not be read.

use std::path::Path;

use medcoss_runtime::prediction::PredictReport;

use super::Table;

/// Rows of masks that are shown.
const SHOWN: usize = 20;

/// The report as text.
pub(crate) fn to_text(report: &PredictReport, out: &Path) -> String {
    let mut text = format!("Predicted {} samples of {} files.\n", report.n_samples, report.n_files);
    for table in &report.tables {
        text.push_str(&format!("Wrote {}\n", out.join(table).display()));
    }
    if !report.masks.is_empty() {
        text.push_str(&format!("Wrote {} masks below {}\n\n", report.masks.len(), out.join("masks").display()));
        let mut table = Table::new(&["mask", "voxels"]);
        for (mask, classes) in report.masks.iter().take(SHOWN) {
            let classes: Vec<String> = classes.iter().map(|(class, n)| format!("{class} {n}")).collect();
            table.row([mask.clone(), classes.join(", ")]);
        }
        text.push_str(&table.lines());
        if report.masks.len() > SHOWN {
            text.push_str(&format!("and {} more\n", report.masks.len() - SHOWN));
        }
    }
    if !report.uncovered.is_empty() {
        let n: u64 = report.uncovered.values().sum();
        text.push_str(&format!(
            "\n{n} voxels of {} files lie in no sample and are background; --set options of the plugin that cut less cover them.\n",
            report.uncovered.len()
        ));
    }
    for (id, reason) in &report.invalid {
        text.push_str(&format!("Skipped {id}: {}\n", reason.lines().next().unwrap_or_default()));
    }
    text
}
