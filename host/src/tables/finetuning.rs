//! A fine-tuned model for people: its splits, the chosen epoch, its scores.

use medcoss_runtime::finetuning::{FinetuneReport, TestScore};

use super::Table;

/// The report as text.
pub(crate) fn to_text(report: &FinetuneReport) -> String {
    let n = |split: &str| report.n_samples.get(split).copied().unwrap_or_default();
    let classes = match report.classes.as_slice() {
        [] => String::new(),
        classes => format!(" of {}", classes.join(", ")),
    };
    let mut text = format!(
        "Task {}: {}{classes}; {} training, {} validation, {} test samples.\n{} parameters learned; epoch {} of {} is kept, chosen by {}.\n\n",
        report.task,
        report.target,
        n("train"),
        n("validation"),
        n("test"),
        report.n_learned,
        report.epoch,
        report.epochs.len(),
        report.criterion
    );
    text.push_str(&scores(&report.scores));
    text.push_str("\nIn brackets: 95 % interval from resamples of the test groups.\n");
    text
}

/// Scores with their intervals.
pub(crate) fn scores(scores: &[TestScore]) -> String {
    let mut table = Table::new(&["metric", "value", "interval", "samples"]);
    for score in scores {
        let interval = format!("[{:.3}, {:.3}]", score.low, score.high);
        table.row([score.metric.clone(), format!("{:.3}", score.value), interval, score.n.to_string()]);
    }
    table.lines()
}
