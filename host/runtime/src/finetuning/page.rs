//! The page of a fine-tuned model: curves by epoch, scores, and of classes how probabilities and truth go together.

use maud::{Markup, html};
use medcoss_core::evaluation::{
    CalibrationBins, ReliabilityCurve, average_precision, binary_auc, precision_recall_curve, roc_curve,
};
use medcoss_core::finetuning::EpochReport;

use super::finetune_report::FinetuneReport;
use super::test_scores::{ClassPredictions, TestScore};
use crate::report::chart::{LineChart, Series};
use crate::report::page;

/// Most classes with curves of their own.
const MOST_CLASSES: usize = 16;

impl ClassPredictions<'_> {
    /// What to say where a score is no better than what a guess gives: the interval of the accuracy has the share of the most frequent class in it, or that
    /// of the AUC one half.
    pub(super) fn near_chance(&self, scores: &[TestScore]) -> Option<String> {
        let near = |metric: &str, chance: f64, what: &str| {
            let score = scores.iter().find(|score| score.metric == metric)?;
            (score.low <= chance).then(|| {
                format!(
                    "{metric} {:.3} [{:.3}, {:.3}] is not clearly above {chance:.3}, {what}",
                    score.value, score.low, score.high
                )
            })
        };
        let majority = || {
            let n = |class: usize| self.labels.iter().filter(|label| **label == class).count();
            let most = (0..self.classes.len()).map(n).max()?;
            near("accuracy", most as f64 / self.labels.len() as f64, "which the most frequent class gives")
        };
        let by_majority = if self.labels.is_empty() { None } else { majority() };
        by_majority.or_else(|| near("auc", 0.5, "which chance gives"))
    }
}

/// The page, one file without scripts and without samples.
pub(super) fn draw(report: &FinetuneReport, predictions: Option<&ClassPredictions<'_>>) -> String {
    let n = |split: &str| report.n_samples.get(split).copied().unwrap_or_default();
    let body = html! {
        dl.tiles {
            div { dt { "target" } dd { (report.target) } }
            div { dt { "training samples" } dd { (n("train")) } }
            div { dt { "validation samples" } dd { (n("validation")) } }
            div { dt { "test samples" } dd { (n("test")) } }
            div { dt { "kept epoch" } dd { (report.epoch) " of " (report.epochs.len()) } }
        }
        h2 { "Scores on the test split" }
        (scores(&report.scores))
        h2 { "By epoch" }
        div.charts {
            (by_epoch("Loss", "loss", &[("training", &|epoch| Some(epoch.loss)), ("validation", &|epoch| epoch.validation_loss)], report))
            (by_epoch(&format!("Chosen by {}", report.criterion), "metric", &[("validation", &|epoch| epoch.metric)], report))
            (by_epoch("Gradient norm", "norm", &[("training", &|epoch| Some(epoch.gradient_norm))], report))
        }
        @if let Some(predictions) = predictions {
            h2 { "Probabilities and truth" }
            @if predictions.classes.len() > MOST_CLASSES {
                p.gap { "Curves are drawn of the first " (MOST_CLASSES) " of " (predictions.classes.len()) " classes." }
            }
            div.charts {
                (receiver_operating(predictions))
                (precision_recall(predictions))
                (reliability(predictions))
            }
            @if !predictions.labels.is_empty() { (confusion(predictions)) }
        }
    };
    page::alone(&format!("Model for {}", report.task), &body)
}

fn scores(scores: &[TestScore]) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "metric" } th.number { "value" } th.number { "95 % interval over groups" } th.number { "samples" } } }
            tbody {
                @for score in scores {
                    tr {
                        td { (score.metric.replace('_', " ")) }
                        td.number { (format!("{:.3}", score.value)) }
                        td.number { (format!("{:.3} to {:.3}", score.low, score.high)) }
                        td.number { (score.n) }
                    }
                }
            }
        } }
    }
}

type OfEpoch<'a> = (&'a str, &'a dyn Fn(&EpochReport) -> Option<f64>);

fn by_epoch(title: &str, y: &str, lines: &[OfEpoch<'_>], report: &FinetuneReport) -> Markup {
    let series = |(colour, (name, value)): (usize, &OfEpoch<'_>)| Series {
        name: (*name).into(),
        colour,
        points: report.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, value(epoch)?))).collect(),
    };
    let series: Vec<Series> = lines.iter().enumerate().map(series).filter(|series| !series.points.is_empty()).collect();
    html! {
        @if !series.is_empty() {
            (LineChart { title, x: "epoch", y, may_be_logarithmic: false, bands: Vec::new(), series }.draw())
        }
    }
}

/// A chart with a line for each class for which it is defined, each with its area in the legend.
fn by_class(
    predictions: &ClassPredictions<'_>,
    [title, x, y]: [&str; 3],
    of: impl Fn(&[bool], &[f64]) -> Option<(f64, Vec<(f64, f64)>)>,
) -> Markup {
    let line = |class: usize| {
        let (is, scores) = &predictions.by_class[class];
        let (area, points) = of(is, scores)?;
        Some(Series { name: format!("{}, {area:.3}", predictions.classes[class]), colour: class, points })
    };
    let series: Vec<Series> = (0..predictions.classes.len().min(MOST_CLASSES)).filter_map(line).collect();
    html! {
        @if !series.is_empty() {
            (LineChart { title, x, y, may_be_logarithmic: false, bands: Vec::new(), series }.draw())
        }
    }
}

fn receiver_operating(predictions: &ClassPredictions<'_>) -> Markup {
    let axes = ["ROC curves, with their areas", "false positive rate", "true positive rate"];
    by_class(predictions, axes, |is, scores| {
        let curve = roc_curve(is, scores).ok()?;
        let points = curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
        Some((binary_auc(is, scores).ok()?, points))
    })
}

fn precision_recall(predictions: &ClassPredictions<'_>) -> Markup {
    let axes = ["Precision and recall, with the average precision", "recall", "precision"];
    by_class(predictions, axes, |is, scores| {
        let curve = precision_recall_curve(is, scores).ok()?;
        let points = curve.iter().map(|point| (point.recall, point.precision)).collect();
        Some((average_precision(is, scores).ok()?, points))
    })
}

fn reliability(predictions: &ClassPredictions<'_>) -> Markup {
    let axes = ["Calibration, with the expected error", "probability", "fraction that came true"];
    by_class(predictions, axes, |is, scores| {
        let curve = ReliabilityCurve::new(scores, is, CalibrationBins::EqualMass(10)).ok()?;
        let points = curve.bins.iter().map(|bin| (bin.confidence, bin.frequency)).collect();
        Some((curve.expected_error(), points))
    })
}

fn confusion(predictions: &ClassPredictions<'_>) -> Markup {
    let n_classes = predictions.classes.len();
    let mut counts = vec![0usize; n_classes * n_classes];
    for (label, predicted) in predictions.labels.iter().zip(&predictions.predicted) {
        counts[label * n_classes + predicted] += 1;
    }
    html! {
        h3 { "Confusion" }
        p.lead { "Test samples by their class (rows) and the most likely class (columns)." }
        div.wide { table.heat {
            thead { tr { th {} @for name in predictions.classes { th { (name) } } } }
            tbody {
                @for (row, name) in predictions.classes.iter().enumerate() {
                    @let own = &counts[row * n_classes..][..n_classes];
                    @let all = own.iter().sum::<usize>().max(1);
                    tr {
                        th { (name) }
                        @for (column, n) in own.iter().enumerate() {
                            @let share = 100.0 * *n as f64 / all as f64;
                            td.own[row == column] style=(format!("--good: {:.0}%", 0.7 * share)) { b { (n) } br; small { (format!("{share:.0} %")) } }
                        }
                    }
                }
            }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(classes: &[String]) -> ClassPredictions<'_> {
        let by_class = vec![
            (vec![true, false, false, true], vec![0.9, 0.2, 0.6, 0.7]),
            (vec![false, true, true, false], vec![0.1, 0.8, 0.4, 0.3]),
        ];
        ClassPredictions { classes, by_class, labels: vec![0, 1, 1, 0], predicted: vec![0, 1, 0, 0] }
    }

    #[test]
    fn a_page_shows_curves_and_confusion_without_samples() {
        let classes = ["normal".to_string(), "<b>ill".to_string()];
        let report = FinetuneReport {
            task: "chest".into(),
            target: "classes",
            classes: classes.to_vec(),
            n_samples: [("test".to_string(), 4)].into(),
            n_learned: 10,
            epoch: 1,
            criterion: "validation accuracy".into(),
            epochs: Vec::new(),
            scores: Vec::new(),
        };
        let page = draw(&report, Some(&predictions(&classes)));
        for text in ["ROC curves", "average precision", "Calibration", "Confusion", "normal, 1.000", "&lt;b&gt;ill"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("<b>ill") && !page.contains("<script"));
    }

    #[test]
    fn a_score_that_a_guess_gives_is_noticed() {
        let classes = ["a".to_string(), "b".to_string()];
        let score = |metric: &str, low: f64| TestScore { metric: metric.into(), value: 0.7, low, high: 0.9, n: 4 };
        let found = |low, auc| predictions(&classes).near_chance(&[score("accuracy", low), score("auc", auc)]);
        assert_eq!(found(0.6, 0.6), None);
        assert!(
            found(0.5, 0.6)
                .unwrap()
                .contains("accuracy 0.700 [0.500, 0.900] is not clearly above 0.500, which the most")
        );
        assert!(found(0.6, 0.4).unwrap().contains("auc 0.700"));
    }
}
