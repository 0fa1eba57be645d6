//! A fine-tuned model for people: its splits, the chosen epoch, its scores.

use medcoss_runtime::finetuning::{FinetuneForecast, FinetuneReport, TestScore};
use medcoss_runtime::numbers::duration;

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

/// What a fine-tuning would take.
pub(crate) fn forecast(forecast: &FinetuneForecast) -> String {
    let [n_train, n_validation, n_test] = forecast.n_samples;
    let time = match (forecast.samples_per_second, forecast.seconds) {
        (Some(pace), Some(seconds)) => format!("{pace:.1} training samples/s: about {} in all", duration(seconds)),
        _ => "a batch is all there is, too little to measure a pace".into(),
    };
    format!(
        "{n_train} training, {n_validation} validation and {n_test} test samples; {} epochs.\n{time}.\n",
        forecast.n_epochs
    )
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
