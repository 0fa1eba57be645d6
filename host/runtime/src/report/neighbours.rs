//! Nearest neighbours: some samples, each with the samples of highest cosine similarity of features.

use maud::{Markup, html};
use medcoss_core::evaluation::nearest_by_cosine;

use super::buffers::exhibit;
use super::exhibit::THUMBNAIL;
use super::history::RunHistory;
use super::passes::StageFeatures;
use super::samples::StageSamples;
use super::section::{Section, gaps};
use crate::numbers::short;

/// Number of neighbours that are shown.
const N_NEAREST: usize = 5;

pub(crate) fn section(
    run: &RunHistory,
    samples: &[Result<StageSamples, String>],
    features: &[Result<StageFeatures, String>],
    n_queries: usize,
) -> Section {
    let mut missing = Vec::new();
    let mut parts = Vec::new();
    for (at, stage) in run.stages.iter().enumerate() {
        match (&samples[at], &features[at]) {
            (Ok(_), Ok(features)) if features.indices.len() < 2 => {
                missing.push((stage.label.as_str(), "too few samples to have neighbours".into()));
            }
            (Ok(samples), Ok(features)) => {
                let rows = queries(features.indices.len(), n_queries);
                parts.push(html! {
                    div.part { h4 { (stage.label) } div.rows { @for row in rows { (query(samples, features, row)) } } }
                });
            }
            (Err(reason), _) | (_, Err(reason)) => missing.push((stage.label.as_str(), reason.clone())),
        }
    }
    let lead = "On the left a sample, to the right of it the nearest of the samples on the map, by the cosine between features \
                of the latest model: the number is one minus the cosine, 0 for the same direction.";
    let gaps = gaps(missing.iter().map(|(stage, reason): &(&str, String)| (*stage, reason.as_str())));
    let body = (!parts.is_empty()).then(|| html! { @for part in &parts { (part) } });
    Section { id: "neighbours", title: "Nearest neighbours", lead, body, gaps }
}

/// Row numbers of the query samples, evenly spaced.
fn queries(n_rows: usize, n_queries: usize) -> impl Iterator<Item = usize> {
    let n_queries = n_queries.min(n_rows);
    (0..n_queries).map(move |nth| (2 * nth + 1) * n_rows / (2 * n_queries))
}

fn query(samples: &StageSamples, features: &StageFeatures, row: usize) -> Markup {
    let own = features.indices[row];
    let nearest = nearest_by_cosine(&features.values, features.width, row, N_NEAREST);
    html! {
        div.row {
            div.query {
                (exhibit(samples.exhibit(own, THUMBNAIL), &samples.caption(own)))
                @if let Some(label) = samples.label(own) { small { "label " (label) } }
            }
            div.exhibits {
                @for (row, cosine) in nearest {
                    @let index = features.indices[row];
                    @let caption = format!("{}, cosine {cosine:.6}", samples.caption(index));
                    figure {
                        (exhibit(samples.exhibit(index, THUMBNAIL), &caption))
                        figcaption { (short(1.0 - cosine)) @if let Some(label) = samples.label(index) { br; "label " (label) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_spread_and_never_beyond_the_last() {
        assert_eq!(queries(10, 3).collect::<Vec<_>>(), [1, 5, 8]);
        assert_eq!(queries(2, 5).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(queries(0, 3).count(), 0);
    }
}
