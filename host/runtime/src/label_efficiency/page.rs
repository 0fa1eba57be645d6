//! The page of a label-efficiency study: curves, and the table behind them.

use maud::html;

use super::LabelEfficiency;
use crate::report::chart::{LineChart, Series};
use crate::report::page;

/// The page, one file without scripts.
pub(super) fn draw(found: &LabelEfficiency) -> String {
    let metric = found.metric.replace('_', " ");
    let series = |(colour, model): (usize, &String)| Series {
        name: model.clone(),
        colour,
        points: found
            .points
            .iter()
            .filter(|point| point.model == *model)
            .map(|point| (100.0 * point.fraction, point.spread.mean))
            .collect(),
    };
    let seeds: Vec<String> = found.seeds.iter().map(ToString::to_string).collect();
    let body = html! {
        p { "Mean over seeds " (seeds.join(", ")) ". The fraction is that of the training split." }
        div.charts {
            (LineChart {
                title: &format!("{}: {metric} by labels", found.task),
                x: "training samples in %",
                y: &metric,
                may_be_logarithmic: false,
                bands: Vec::new(),
                series: found.models.iter().enumerate().map(series).collect(),
            }.draw())
        }
        table {
            thead { tr { th { "model" } th { "labels" } th { "samples" } th { (metric) } th { "difference to " (found.models.first().map_or("", String::as_str)) } th { "p" } } }
            tbody {
                @for point in &found.points {
                    @let difference = found.differences.iter().find(|d| d.model == point.model && d.fraction == point.fraction);
                    tr {
                        td { (point.model) }
                        td { (format!("{:.1} %", 100.0 * point.fraction)) }
                        td { (format!("{:.0}", point.n_train)) }
                        td {
                            (format!("{:.4}", point.spread.mean))
                            @if let Some(deviation) = point.spread.deviation { " ± " (format!("{deviation:.4}")) }
                        }
                        td { @if let Some(d) = difference { (format!("{:+.4} [{:+.4}, {:+.4}]", d.mean, d.interval[0], d.interval[1])) } }
                        td { @if let Some(d) = difference { (format!("{:.4}", d.p_value)) } }
                    }
                }
            }
        }
    };
    page::alone(&format!("Label efficiency: {}", found.task), &body)
}
