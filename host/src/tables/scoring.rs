//! Scores of predictions for people.

use medcoss_runtime::scoring::{MaskScores, Summary, TableScores};
use serde::Serialize;

use super::Table;

/// Scores of either kind.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Scored {
    /// Of masks.
    Masks(MaskScores),
    /// Of a table of probabilities.
    Table(TableScores),
}

/// Names of cases that are shown.
const SHOWN: usize = 5;

/// The scores as text.
pub(crate) fn to_text(scored: &Scored) -> String {
    let (scores, not_predicted, without_truth) = match scored {
        Scored::Masks(found) => (&found.scores, &found.not_predicted, &found.without_truth),
        Scored::Table(found) => (&found.scores, &found.not_predicted, &found.without_truth),
    };
    let mut text = summaries(scores);
    text.push_str("\nIn brackets: 95 % interval from resamples of the cases.\n");
    for (names, what) in [(not_predicted, "have no prediction"), (without_truth, "have no truth, and are not scored")] {
        if !names.is_empty() {
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
            text.push_str(&format!("{} cases {what}: {}{more}\n", names.len(), first.join(", ")));
        }
    }
    text
}

fn summaries(scores: &[Summary]) -> String {
    let mut table = Table::new(&["metric", "value", "interval", "cases", "undefined"]);
    for score in scores {
        let interval = format!("[{:.3}, {:.3}]", score.low, score.high);
        let (n, n_undefined) = (score.n.to_string(), score.n_undefined.to_string());
        table.row([score.metric.clone(), format!("{:.3}", score.value), interval, n, n_undefined]);
    }
    table.lines()
}
