//! The tables at the end of a run.

use medcoss_runtime::run_summary::Summary;

use super::Table;

/// Earlier modalities that each have a place of their own in the table.
const N_APART: usize = 4;

/// The distillation losses of a stage: each, or of many the mean and the largest.
fn distillation(losses: &[(String, f64)]) -> String {
    if losses.len() <= N_APART {
        return losses
            .iter()
            .map(|(name, loss)| format!("{name} {}", scientific(*loss)))
            .collect::<Vec<_>>()
            .join("  ");
    }
    let mean = losses.iter().map(|(_, loss)| loss).sum::<f64>() / losses.len() as f64;
    let largest = losses.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let largest = largest.map(|(name, loss)| format!("{name} {}", scientific(*loss))).unwrap_or_default();
    format!("mean of {} {}, most {largest}", losses.len(), scientific(mean))
}

/// The summary of a run as text: a table of stages, a table of plugins, one line for the whole run.
pub(crate) fn to_text(summary: &Summary) -> String {
    let mut stages =
        Table::new(&["stage", "modality", "family", "samples", "buffer", "pretext loss", "distillation loss", "time"]);
    for stage in &summary.stages {
        let loss = |loss: Option<f64>| loss.map_or("-".into(), |loss| format!("{loss:.4}"));
        let distilled = distillation(&stage.distillation_last);
        let samples = match stage.n_invalid {
            0 => stage.n_samples.to_string(),
            n_invalid => format!("{} ({n_invalid} invalid)", stage.n_samples),
        };
        stages.row([
            stage.stage.to_string(),
            stage.modality.clone(),
            stage.family.clone(),
            samples,
            stage.n_buffer.to_string(),
            match (stage.pretext_first, stage.pretext_last) {
                (None, None) => "joined".into(),
                (first, last) => format!("{} -> {}", loss(first), loss(last)),
            },
            if distilled.is_empty() { "-".into() } else { distilled },
            format!("{:.1} s", stage.seconds.max(0.0)),
        ]);
    }
    let mut plugins = Table::new(&["plugin", "version", "loaded from"]);
    for plugin in &summary.plugins {
        plugins.row([plugin.id.clone(), plugin.version.clone(), plugin.location.clone()]);
    }
    let waited = summary.stages.iter().filter_map(|stage| stage.waited_seconds).reduce(|all, more| all + more);
    let waited = waited.map(|seconds| format!("waited {seconds:.1} s for data, ")).unwrap_or_default();
    let memory = summary.peak_memory_bytes.map(|bytes| format!("peak memory {:.0} MiB, ", bytes as f64 / 1_048_576.0));
    let memory = memory.unwrap_or_default();
    format!("{}\n{}\n{memory}{waited}run folder {}\n", stages.lines(), plugins.lines(), summary.run)
}

fn scientific(value: f64) -> String {
    if value >= 0.001 { format!("{value:.4}") } else { format!("{value:.1e}") }
}
