//! The tables of a run's estimate.

use medcoss_runtime::disk::human_bytes;
use medcoss_runtime::numbers::duration;
use medcoss_runtime::plan::{CPU, Forecast, Memory};

use super::{Table, data_account};

/// An estimate as tables for people, after what the stages' data leave out.
pub(crate) fn to_text(forecast: &Forecast) -> String {
    let accounts: String = forecast
        .stages
        .iter()
        .filter_map(|stage| Some((stage, stage.files.as_ref().filter(|files| data_account::says_more(files))?)))
        .map(|(stage, files)| {
            data_account::to_text(&format!("stage {} {}", stage.stage, stage.modality), stage.n_samples, files) + "\n"
        })
        .collect();
    let mut stages = Table::new(&[
        "stage",
        "modality",
        "samples",
        "epochs",
        "batches an epoch",
        "a batch",
        "samples/s",
        "training",
        "other",
        "buffer",
    ]);
    for stage in &forecast.stages {
        // The stage's own losses come first.
        let (own, others): (Vec<_>, Vec<_>) = stage.batches.iter().partition(|(label, _)| **label == stage.own);
        let batches: Vec<String> = own.into_iter().chain(others).map(|(label, n)| format!("{n} {label}")).collect();
        let own = stage.samples_per_second.map(|rate| stage.batch_size.min(stage.n_samples) as f64 / rate);
        stages.row([
            stage.stage.to_string(),
            stage.modality.clone(),
            stage.n_samples.to_string(),
            stage.epochs.to_string(),
            if batches.is_empty() { "-".into() } else { batches.join(" + ") },
            own.map_or("-".into(), |seconds| format!("{seconds:.3} s")),
            stage.samples_per_second.map_or("-".into(), |rate| format!("{rate:.1}")),
            duration(stage.training_seconds),
            duration(stage.other_seconds),
            if stage.n_kept == 0 { "-".into() } else { format!("{}, {}", stage.n_kept, human_bytes(stage.kept_bytes)) },
        ]);
    }
    let mut whole = Table::bare();
    let mut line = |name: &str, value: String| whole.row([name.to_string(), value]);
    line("time", format!("{} for {} batches", duration(forecast.seconds), forecast.n_steps));
    line("parameters", format!("{:.2} million", forecast.n_parameters as f64 / 1e6));
    let Memory { weights, gradients, optimiser, teacher, features, program, activations, peak } = &forecast.memory;
    let peak = peak.map_or("not known".into(), human_bytes);
    let part = |bytes: u64, name: &str| (bytes > 0).then(|| (format!("  {name}"), human_bytes(bytes)));
    let model =
        [(*weights, "weights"), (*gradients, "gradients"), (*optimiser, "optimiser"), (*teacher, "previous model")];
    let of_model = model.map(|(bytes, name)| part(bytes, name));
    let of_program = part(program.unwrap_or_default(), "program, data opened");
    let of_features = part(*features, "features of a stage, in their place");
    let rows: Vec<Option<(String, String)>> = if forecast.device == CPU {
        let of_batches = part(activations.unwrap_or_default(), "activations, batches, decoded files");
        [Some(("memory".into(), peak)), of_program]
            .into_iter()
            .chain(of_model)
            .chain([of_batches, of_features])
            .collect()
    } else {
        let there = human_bytes(model.iter().map(|(bytes, _)| bytes).sum());
        let there = format!("{there} and what activations take, which is not measured there");
        let of_device = Some((format!("memory of {}", forecast.device), there));
        let of_host = [Some(("memory of the host".into(), peak)), of_program, of_features, of_device];
        of_host.into_iter().chain(of_model).collect()
    };
    rows.into_iter().flatten().for_each(|(name, value)| line(&name, value));
    line(
        "disk",
        format!("{}, up to {} while it runs", human_bytes(forecast.disk_bytes), human_bytes(forecast.peak_disk_bytes)),
    );
    let waited = forecast.stages.iter().filter(|stage| stage.waited > 0.1);
    let waited: String = waited
        .map(|stage| {
            let share = 100.0 * stage.waited;
            format!("{} waits for its data {share:.0} % of the time: data.num_workers may help.\n", stage.modality)
        })
        .collect();
    let built = if forecast.optimised { "" } else { "; this build is not fully optimised" };
    format!(
        "{accounts}On {}, from a trial of every stage{built}.\n\n{}\n{}{waited}",
        forecast.device,
        stages.lines(),
        whole.lines()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_runtime::config::RunConfig;

    fn page(device: &str) -> String {
        let text = r#"
            model = { preset = "demo" }
            training = { epochs = 1, batch_size = 1 }
            stage = [{ modality = "a", data = "a" }, { modality = "b", data = "b" }]
        "#;
        let config: RunConfig = toml::from_str(text).unwrap();
        let memory = Memory::new(&config, device, 1 << 20, 1 << 18, [Some(100 << 20), Some(164 << 20)]);
        to_text(&Forecast::new(device, 1 << 20, Vec::new(), memory))
    }

    #[test]
    fn memory_is_the_hosts_or_is_listed_apart() {
        let here = page("cpu");
        // 1 Mi parameters of 4 bytes, five of their size; the rest of 64 MiB are activations.
        let words = here.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in ["memory 164 MiB", "activations, batches, decoded files 44.0 MiB"] {
            assert!(words.contains(line), "{here}");
        }
        let there = page("cuda");
        assert!(there.contains("memory of the host") && there.contains("memory of cuda"), "{there}");
        assert!(there.contains("20.0 MiB and what activations take, which is not measured there"), "{there}");
        assert!(!there.contains("decoded files"), "{there}");
    }
}
