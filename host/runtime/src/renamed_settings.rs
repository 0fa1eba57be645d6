//! Settings and options that were renamed in format 4 of run folders.
//!
//! A configuration with a former name is refused with the present one. The record of a run in an earlier format is migrated.

use anyhow::{Result, bail};

/// Former names of settings with the current names. Several current names belong to the strategies that the setting
/// applies to. `stage` stands for each stage.
pub const RENAMED_SETTINGS: [(&str, &[&str]); 22] = [
    ("rehearsal.strategy", &["strategy.name"]),
    ("rehearsal.sampler", &["buffer.selection"]),
    ("rehearsal.buffer_ratio", &["buffer.ratio"]),
    ("rehearsal.centre_ratio", &["buffer.cluster_ratio"]),
    ("rehearsal.fill_up", &["buffer.backfill"]),
    ("rehearsal.store", &["buffer.store"]),
    ("rehearsal.sampling", &["buffer.sampling"]),
    ("rehearsal.mixup", &["strategy.medcoss.mixup"]),
    (
        "rehearsal.distillation_target",
        &[
            "strategy.medcoss.distillation_target",
            "strategy.lwf.distillation_target",
            "strategy.cassle.distillation_target",
        ],
    ),
    (
        "rehearsal.distillation_weight",
        &[
            "strategy.medcoss.distillation_weight",
            "strategy.lwf.distillation_weight",
            "strategy.cassle.distillation_weight",
        ],
    ),
    (
        "rehearsal.distil_padding",
        &["strategy.medcoss.distil_padding", "strategy.lwf.distil_padding", "strategy.cassle.distil_padding"],
    ),
    ("rehearsal.teacher_depth", &["strategy.medcoss.teacher_drop_path"]),
    ("rehearsal.ewc_lambda", &["strategy.ewc.lambda"]),
    ("rehearsal.ewc_decay", &["strategy.ewc.decay"]),
    ("rehearsal.ewc_samples", &["strategy.ewc.n_samples"]),
    ("rehearsal.packnet_keep", &["strategy.packnet.keep_ratio"]),
    ("rehearsal.packnet_retrain", &["strategy.packnet.retrain_ratio"]),
    ("training.accumulation", &["training.gradient_accumulation"]),
    ("data.loader_threads", &["data.num_workers"]),
    ("data.max_bad_ratio", &["data.max_invalid_fraction"]),
    ("stage.accumulation", &["stage.gradient_accumulation"]),
    ("model.text_attention", &["text.attention"]),
];

/// Former names of options of the project's plugins with the current names, by modality. The plugins refuse the former
/// names themselves.
const RENAMED_OPTIONS: [(&str, &str, &str); 15] = [
    ("ct", "window", "hu_range"),
    ("ct", "mirror", "flip"),
    ("mri", "mirror", "flip"),
    ("text", "length", "max_length"),
    ("text", "column", "text_column"),
    ("text", "whole_word", "whole_word_masking"),
    ("pathology", "slide_tile", "tile_size"),
    ("pathology", "tissue_ratio", "min_tissue_ratio"),
    ("ecg", "rate_hz", "sampling_rate_hz"),
    ("ecg", "csv_rate_hz", "csv_sampling_rate_hz"),
    ("ecg", "patch", "patch_size"),
    ("ecg", "amplitude", "amplitude_scaling"),
    ("ecg", "wander", "baseline_wander"),
    ("video", "frames", "num_frames"),
    ("video", "every", "frame_stride"),
];

/// Former names of evaluation protocols with the current names.
const RENAMED_PROTOCOLS: [(&str, &str); 1] = [("cloze", "masked-lm")];

/// Refuses a tasks file with the former name of a protocol.
///
/// # Errors
/// The first former name, with the current one.
pub fn refuse_former_protocols(tasks_file: &toml::Table) -> Result<()> {
    for task in tasks_file.get("task").and_then(toml::Value::as_array).into_iter().flatten() {
        let text = |key: &str| task.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        if let Some((former, present)) = RENAMED_PROTOCOLS.iter().find(|(former, _)| *former == text("protocol")) {
            bail!(
                "task {}: protocol {former} is now {present}\nhint: write protocol = {present:?}",
                text("name").escape_debug()
            );
        }
    }
    Ok(())
}

/// Refuses a configuration with former names.
///
/// # Errors
/// The first former name, with the current one.
pub fn refuse_former_names(configuration: &toml::Table) -> Result<()> {
    let mut renamed = Vec::new();
    for (former, present) in RENAMED_SETTINGS {
        let (section, key) = former.split_once('.').unwrap_or_default();
        let holds = |table: &toml::Value| table.get(key).is_some();
        let is_used = match configuration.get(section) {
            Some(toml::Value::Array(stages)) => stages.iter().any(holds),
            Some(table) => holds(table),
            None => false,
        };
        if is_used {
            renamed.push(format!("{former} is now {}", present.join(" or ")));
        }
    }
    match renamed.len() {
        0 => {}
        1 => bail!("{}\nhint: rename it in the configuration", renamed[0]),
        _ => bail!("{}\nhint: rename them in the configuration", renamed.join("\n")),
    }
    if let Some(name) = configuration.get("strategy").and_then(toml::Value::as_str) {
        bail!("strategy is {name:?}, expected a section\nhint: write strategy.name = {name:?}");
    }
    match configuration.contains_key("rehearsal") {
        true => bail!("the section [rehearsal] is now [strategy] and [buffer]\nhint: remove it"),
        false => Ok(()),
    }
}

/// Brings the record of a run in format 3 to format 4. Settings of strategies that the run does not use had no effect and are dropped.
pub fn migrate_record(record: &mut toml::Table) {
    let former = |record: &toml::Table, key: &str| record.get("rehearsal")?.get(key)?.as_str().map(String::from);
    let strategy = former(record, "strategy").unwrap_or_else(|| "medcoss".into());
    for (former, present) in RENAMED_SETTINGS {
        let (section, key) = former.split_once('.').unwrap_or_default();
        match record.get_mut(section) {
            Some(toml::Value::Array(stages)) => {
                let new_key = present[0].trim_start_matches("stage.");
                for stage in stages.iter_mut().filter_map(toml::Value::as_table_mut) {
                    rename(stage, key, new_key);
                }
            }
            Some(toml::Value::Table(table)) => {
                let Some(value) = table.remove(key) else { continue };
                let is_used = |name: &&str| match name.strip_prefix("strategy.").and_then(|rest| rest.split_once('.')) {
                    Some((of, _)) => of == strategy,
                    None => true,
                };
                if let Some(present) = present.iter().copied().find(is_used) {
                    insert(record, present, value);
                }
            }
            _ => {}
        }
    }
    record.remove("rehearsal");
    for stage in record.get_mut("stage").and_then(toml::Value::as_array_mut).into_iter().flatten() {
        let modality = stage.get("modality").and_then(toml::Value::as_str).unwrap_or_default().to_string();
        let Some(options) = stage.get_mut("options").and_then(toml::Value::as_table_mut) else { continue };
        for (_, former, present) in RENAMED_OPTIONS.iter().filter(|(of, ..)| *of == modality) {
            rename(options, former, present);
        }
    }
}

fn rename(table: &mut toml::Table, former: &str, present: &str) {
    if let Some(value) = table.remove(former) {
        table.insert(present.into(), value);
    }
}

/// Sets a value under a dotted name, and creates the tables above it.
fn insert(table: &mut toml::Table, name: &str, value: toml::Value) {
    match name.split_once('.') {
        Some((section, rest)) => {
            let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
            if let Some(section) = section.as_table_mut() {
                insert(section, rest, value);
            }
        }
        None => {
            table.insert(name.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::TasksFile;

    #[test]
    fn every_former_name_is_refused_with_the_present_one() {
        for (former, present) in RENAMED_SETTINGS {
            let (section, key) = former.split_once('.').unwrap();
            let header = if section == "stage" { "[[stage]]".to_string() } else { format!("[{section}]") };
            let configuration: toml::Table = format!("{header}\n{key} = 1").parse().unwrap();
            let error = refuse_former_names(&configuration).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{former} is now {}", present[0])), "{error}");
            assert!(present.iter().all(|name| error.contains(name)), "{error}");
        }
        let error =
            refuse_former_names(&"[rehearsal]\nstore = 1\n[data]\nloader_threads = 2".parse().unwrap()).unwrap_err();
        let expected = "rehearsal.store is now buffer.store\ndata.loader_threads is now data.num_workers\nhint: rename them in the configuration";
        assert_eq!(error.to_string(), expected);
        assert!(refuse_former_names(&"[rehearsal]".parse().unwrap()).is_err());
        refuse_former_names(&"[buffer]\nratio = 0.1\n[[stage]]\nmodality = \"ct\"".parse().unwrap()).unwrap();
    }

    #[test]
    fn the_former_name_of_a_protocol_is_refused_with_the_present_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.toml");
        for (former, present) in RENAMED_PROTOCOLS {
            let read = |protocol: &str| {
                let task = "[[task]]\nname = \"a\"\nmodality = \"text\"\ndata = \"a\"\nprotocol";
                std::fs::write(&path, format!("{task} = {protocol:?}\n")).unwrap();
                TasksFile::read(&path, &[])
            };
            let error = format!("{:#}", read(former).map(|_| ()).unwrap_err());
            let expected = format!("task a: protocol {former} is now {present}\nhint: write protocol = {present:?}");
            assert!(error.contains(&expected), "{error}");
            assert_eq!(read(present).unwrap().tasks[0].protocol().name(), present);
        }
    }

    /// The record that a run of format 3 wrote.
    fn record_of_format_3(strategy: &str) -> toml::Table {
        format!(
            "format = 3\n[rehearsal]\nstrategy = \"{strategy}\"\nsampler = \"k-means\"\nbuffer_ratio = 0.2\ncentre_ratio = 0.1\n\
             mixup = false\ndistillation_target = \"tokens\"\ndistillation_weight = 2.0\newc_lambda = 3.0\newc_decay = 1.0\newc_samples = 5\n\
             packnet_keep = 0.25\npacknet_retrain = 0.5\nsampling = \"with-replacement\"\nstore = \"reference\"\nfill_up = true\n\
             distil_padding = false\nteacher_depth = true\n\
             [training]\nepochs = 3\nbatch_size = 4\naccumulation = 2\n[data]\nloader_threads = 7\nmax_bad_ratio = 0.5\n\
             [[stage]]\nmodality = \"ct\"\ndata = \"ct\"\naccumulation = 8\n[stage.options]\nwindow = [-100.0, 300.0]\nsize = 96\n\
             [[stage]]\nmodality = \"gait\"\ndata = \"gait\"\n[stage.options]\nwindow = 5\n"
        )
        .parse()
        .unwrap()
    }

    #[test]
    fn a_record_of_format_3_gets_the_present_names() {
        let of = |strategy: &str| {
            let mut record = record_of_format_3(strategy);
            migrate_record(&mut record);
            refuse_former_names(&record).unwrap();
            record
        };
        let expected = |strategy: &str| -> toml::Table {
            format!(
                "format = 3\n[strategy]\n{strategy}\n\
                 [buffer]\nselection = \"k-means\"\nratio = 0.2\ncluster_ratio = 0.1\nbackfill = true\nstore = \"reference\"\n\
                 sampling = \"with-replacement\"\n\
                 [training]\nepochs = 3\nbatch_size = 4\ngradient_accumulation = 2\n[data]\nnum_workers = 7\nmax_invalid_fraction = 0.5\n\
                 [[stage]]\nmodality = \"ct\"\ndata = \"ct\"\ngradient_accumulation = 8\n[stage.options]\nhu_range = [-100.0, 300.0]\nsize = 96\n\
                 [[stage]]\nmodality = \"gait\"\ndata = \"gait\"\n[stage.options]\nwindow = 5\n"
            )
            .parse()
            .unwrap()
        };
        let distillation = "distillation_target = \"tokens\"\ndistillation_weight = 2.0\ndistil_padding = false\n";
        let medcoss = format!("mixup = false\nteacher_drop_path = true\n{distillation}");
        assert_eq!(of("medcoss"), expected(&format!("name = \"medcoss\"\n[strategy.medcoss]\n{medcoss}")));
        assert_eq!(of("lwf"), expected(&format!("name = \"lwf\"\n[strategy.lwf]\n{distillation}")));
        assert_eq!(of("cassle"), expected(&format!("name = \"cassle\"\n[strategy.cassle]\n{distillation}")));
        assert_eq!(of("ewc"), expected("name = \"ewc\"\n[strategy.ewc]\nlambda = 3.0\ndecay = 1.0\nn_samples = 5"));
        assert_eq!(
            of("packnet"),
            expected("name = \"packnet\"\n[strategy.packnet]\nkeep_ratio = 0.25\nretrain_ratio = 0.5")
        );
        assert_eq!(of("replay"), expected("name = \"replay\""));
    }
}
