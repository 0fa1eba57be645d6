//! The buffer of each stage: samples by cluster, and the nearest samples of the largest clusters.

use std::collections::BTreeMap;

use maud::{Markup, html};
use medcoss_core::buffer::BufferEntry;
use medcoss_core::data::Dataset;

use super::chart::Bars;
use super::exhibit::{Exhibit, THUMBNAIL};
use super::history::{RunHistory, StageHistory};
use super::samples::StageSamples;
use super::section::{Section, gaps};
use crate::numbers::{count, percent, short};

/// Largest number of clusters with a bar; the largest clusters come first.
const MOST_BARS: usize = 80;
/// Number of samples that are shown for a cluster.
const N_NEAREST: usize = 4;

/// One cluster of a buffer, its samples sorted by distance.
struct Cluster<'a> {
    number: usize,
    samples: Vec<&'a BufferEntry>,
}

pub(crate) fn section(run: &RunHistory, samples: &[Result<StageSamples, String>], n_shown: usize) -> Section {
    let mut missing = Vec::new();
    let mut parts = Vec::new();
    for (at, stage) in run.stages.iter().enumerate() {
        match &stage.buffer {
            None => {}
            Some(Err(error)) => missing.push((stage.label.as_str(), error.clone())),
            Some(Ok(entries)) if entries.is_empty() => {
                missing.push((stage.label.as_str(), "its buffer is empty".into()))
            }
            Some(Ok(entries)) => {
                let clusters = by_cluster(entries);
                let shown = samples[at].as_ref().map(|samples| nearest(samples, &clusters, n_shown));
                if let Err(reason) = &shown {
                    missing.push((stage.label.as_str(), format!("its samples cannot be shown: {reason}")));
                }
                parts.push(html! {
                    div.part {
                        h4 { (stage.label) }
                        (figures(stage, entries, &clusters))
                        div.buffer {
                            (bars(at, &clusters))
                            @if let Ok(shown) = shown { (shown) }
                        }
                    }
                });
            }
        }
    }
    if parts.is_empty() && missing.is_empty() {
        missing.push(("buffers", "a stage chooses its buffer at its end, and none is finished".into()));
    }
    let lead = "At the end of a stage its features are clustered, and of every cluster the samples nearest to its centre are \
                kept in the buffer. Hatched: backfilled from other clusters, because small clusters left places free.";
    let gaps = gaps(missing.iter().map(|(stage, reason)| (*stage, reason.as_str())));
    let body = (!parts.is_empty()).then(|| html! { @for part in &parts { (part) } });
    Section { id: "buffers", title: "Rehearsal buffers", lead, body, gaps }
}

/// The clusters, the largest first; of equal sizes the lower number first.
fn by_cluster(entries: &[BufferEntry]) -> Vec<Cluster<'_>> {
    let mut found: BTreeMap<usize, Vec<&BufferEntry>> = BTreeMap::new();
    for entry in entries {
        found.entry(entry.cluster).or_default().push(entry);
    }
    let mut clusters: Vec<Cluster<'_>> = found
        .into_iter()
        .map(|(number, mut samples)| {
            samples.sort_by(|a, b| a.distance.total_cmp(&b.distance).then_with(|| a.id.cmp(&b.id)));
            Cluster { number, samples }
        })
        .collect();
    clusters.sort_by(|a, b| b.samples.len().cmp(&a.samples.len()).then(a.number.cmp(&b.number)));
    clusters
}

fn figures(stage: &StageHistory, entries: &[BufferEntry], clusters: &[Cluster<'_>]) -> Markup {
    let n_samples = stage.state.as_ref().map_or(0, |state| state.n_samples);
    let filled = entries.iter().filter(|entry| entry.backfilled).count();
    let mut distances: Vec<f64> = entries.iter().map(|entry| entry.distance).collect();
    distances.sort_by(f64::total_cmp);
    let at = |share: f64| short(distances[((distances.len() - 1) as f64 * share).round() as usize]);
    html! {
        p {
            b { (count(entries.len())) } " of " (count(n_samples)) " samples kept in " b { (count(clusters.len())) } " clusters; "
            (percent(filled as f64 / entries.len() as f64)) " filled up; distance to the centre " (at(0.0)) " to " (at(1.0))
            ", median " (at(0.5)) "; "
            @if stage.materialised { "the samples lie in the run." } @else { "kept by reference to the data." }
        }
    }
}

fn bars(at: usize, clusters: &[Cluster<'_>]) -> Markup {
    let bar = |cluster: &Cluster<'_>| {
        let filled = cluster.samples.iter().filter(|entry| entry.backfilled).count();
        let own = cluster.samples.len() - filled;
        let mean = cluster.samples.iter().map(|entry| entry.distance).sum::<f64>() / cluster.samples.len() as f64;
        let caption =
            format!("cluster {}: {own} nearest, {filled} backfilled; mean distance {}", cluster.number, short(mean));
        (own as f64, filled as f64, caption)
    };
    let title = match clusters.len() {
        n if n > MOST_BARS => format!("Samples kept by cluster: the {MOST_BARS} largest of {n}"),
        _ => "Samples kept by cluster".into(),
    };
    Bars {
        title: &title,
        x: "clusters, the largest first",
        y: "samples",
        parts: [(at, "nearest to the centre"), (at, "backfilled")],
        bars: clusters.iter().take(MOST_BARS).map(bar).collect(),
    }
    .draw()
}

/// The samples nearest to the centres of the largest clusters.
fn nearest(samples: &StageSamples, clusters: &[Cluster<'_>], n_shown: usize) -> Markup {
    let ids = samples.source.ids();
    let shown = |entry: &BufferEntry| -> Result<Exhibit, String> {
        let index = ids.iter().position(|id| *id == entry.id).ok_or("no longer among the data")?;
        samples.exhibit(index as u64, THUMBNAIL)
    };
    html! {
        div.rows {
            @for cluster in clusters.iter().take(n_shown) {
                div.row {
                    h5 { "cluster " (cluster.number) small { (cluster.samples.len()) " samples" } }
                    div.exhibits {
                        @for entry in cluster.samples.iter().take(N_NEAREST) {
                            (exhibit(shown(entry), &format!("{}, distance {}", entry.id, short(entry.distance))))
                        }
                    }
                }
            }
        }
    }
}

/// A sample, or the reason why it cannot be shown.
pub(crate) fn exhibit(shown: Result<Exhibit, String>, caption: &str) -> Markup {
    html! {
        @match shown {
            Ok(exhibit) => (exhibit.draw(caption)),
            Err(reason) => span.unseen title=(format!("{caption}: {reason}")) { "not shown" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_cluster_comes_first_and_in_it_the_nearest_sample() {
        let entry = |id: &str, cluster, distance| BufferEntry { id: id.into(), cluster, distance, backfilled: false };
        let entries = [entry("a", 0, 0.5), entry("b", 2, 0.9), entry("c", 2, 0.1), entry("d", 1, 0.2)];
        let clusters = by_cluster(&entries);
        assert_eq!(clusters.iter().map(|cluster| cluster.number).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(clusters[0].samples[0].id, "c");
    }
}
