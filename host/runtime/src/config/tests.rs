//! Tests of the configuration.

use medcoss_core::model::Preset;

use super::*;

const MINIMAL: &str = r#"
    [model]
    preset = "vit-tiny"
    [training]
    epochs = 3
    batch_size = 4
    [[stage]]
    modality = "text"
    data = "reports"
    [[stage]]
    modality = "gait"
    data = ["a", "b"]
    epochs = 7
    options = { leads = 12 }
"#;

fn read(text: &str, settings: &[&str]) -> Result<RunConfig> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("run.toml");
    std::fs::write(&path, text)?;
    RunConfig::read(&path, &settings.iter().map(|s| s.to_string()).collect::<Vec<_>>())
}

#[test]
fn defaults_are_those_of_the_paper() {
    let config = read(MINIMAL, &[]).unwrap();
    assert_eq!((config.buffer.ratio, config.optimiser.weight_decay), (0.05, 0.05));
    assert_eq!(config.settings(&config.stages[1]).epochs, 7);
}

#[test]
fn settings_on_the_command_line_reach_sections_stages_and_options() {
    let settings = ["training.epochs=9", "stage.gait.batch_size=2", "stage.1.options.length=64", "model.preset=demo"];
    let config = read(MINIMAL, &settings).unwrap();
    assert_eq!(config.training.epochs, 9);
    assert_eq!(config.stages[1].batch_size, Some(2));
    assert_eq!(config.stages[0].options["length"].as_integer(), Some(64));
    assert_eq!(config.model.preset, Some(Preset::Demo));
    let error = read(MINIMAL, &["stage.gate.epochs=1"]).unwrap_err().to_string();
    assert!(error.contains("no stage gate"), "{error}");
}

#[test]
fn a_misspelt_setting_is_named_with_its_line_and_the_nearest_valid_name() {
    let error = read(&MINIMAL.replace("batch_size = 4", "bach_size = 4"), &[]).unwrap_err().to_string();
    assert!(error.contains("bach_size") && error.contains("did you mean batch_size?"), "{error}");
    assert!(error.contains("line 6"), "{error}");
    let error = read(&MINIMAL.replace("vit-tiny", "vit-tinny"), &[]).unwrap_err().to_string();
    assert!(error.contains("did you mean vit-tiny?"), "{error}");
}

#[test]
fn former_names_are_refused_in_files_settings_stages_and_variants() {
    let refused = |found: Result<RunConfig>, present: &str| {
        let error = found.unwrap_err().to_string();
        assert!(error.contains(present), "{error}");
    };
    refused(read(&format!("{MINIMAL}\n[rehearsal]\ncentre_ratio = 0.1"), &[]), "is now buffer.cluster_ratio");
    refused(read(MINIMAL, &["rehearsal.ewc_lambda=1"]), "rehearsal.ewc_lambda is now strategy.ewc.lambda");
    refused(read(MINIMAL, &["stage.text.accumulation=2"]), "is now stage.gradient_accumulation");
    let config = read(MINIMAL, &[]).unwrap();
    let variant = crate::comparison::Variant::named("no-mixup:rehearsal.mixup=false").unwrap();
    refused(variant.configuration(&config, 0), "is now strategy.medcoss.mixup");
    refused(read(MINIMAL, &["strategy=ewc"]), "hint: write strategy.name = \"ewc\"");
}

#[test]
fn ranges_and_absolute_paths_are_refused() {
    let error = format!("{:#}", read(MINIMAL, &["buffer.ratio=1.5"]).unwrap_err());
    assert!(error.contains("buffer.ratio is 1.5"), "{error}");
    let error = read(&MINIMAL.replace("reports", "/reports"), &[]).unwrap_err().to_string();
    assert!(error.contains("--data-root"), "{error}");
}

/// Values that no numeric setting may have, or that would overflow where counts are multiplied.
#[test]
fn every_numeric_setting_refuses_values_out_of_range_by_name() {
    const EVERY_COUNT: [&str; 4] = ["-1", "9223372036854775808", "1e18", "nan"];
    const HUGE: &str = "1000000000000000000";
    let counts = [
        ("training.epochs", &["0", HUGE, "1000001"][..]),
        ("training.warmup_epochs", &["3", "4", HUGE]),
        ("training.batch_size", &["0", HUGE, "1000000000000"]),
        ("training.gradient_accumulation", &["0", HUGE]),
        ("training.checkpoint_every", &["0"]),
        ("training.checkpoint_every_steps", &["0"]),
        ("training.loss_every_steps", &["0"]),
        ("data.num_workers", &["0", HUGE]),
        ("model.width", &["0", HUGE, "300000000"]),
        ("model.layers", &["0", HUGE, "100000"]),
        ("model.heads", &["0", "5", HUGE]),
        ("model.mlp_width", &["0", HUGE]),
        ("model.decoder_width", &["0", HUGE]),
        ("model.decoder_layers", &["0", HUGE]),
        ("model.decoder_heads", &["0", "3", HUGE]),
        ("model.positions.image", &["0", HUGE, "1000000000000"]),
        ("strategy.ewc.n_samples", &["0"]),
        ("stage.text.epochs", &["0", HUGE]),
        ("stage.text.warmup_epochs", &["3", HUGE]),
        ("stage.text.batch_size", &["0", HUGE]),
        ("stage.text.gradient_accumulation", &["0", HUGE]),
        ("seed", &[]),
    ];
    const EVERY_NUMBER: [&str; 4] = ["nan", "inf", "-inf", "-1"];
    let numbers = [
        ("optimiser.base_learning_rate", &["0", "1e300", "1e-300"][..]),
        ("optimiser.min_learning_rate", &["1e300"]),
        ("optimiser.weight_decay", &["1e300"]),
        ("optimiser.beta_1", &["1", "0.9999999999", "1e300"]),
        ("optimiser.beta_2", &["1", "0.9999999999", "1e300"]),
        ("optimiser.epsilon", &["0", "1e-300", "1e300"]),
        ("buffer.ratio", &["0", "1.5", "1e300"]),
        ("buffer.cluster_ratio", &["0", "1.5", "0.9", "1e300"]),
        ("data.max_invalid_fraction", &["1.5", "1e300"]),
        ("model.drop_path", &["1", "1e300"]),
        ("strategy.medcoss.distillation_weight", &["1e300"]),
        ("strategy.lwf.distillation_weight", &["1e300"]),
        ("strategy.cassle.distillation_weight", &["1e300"]),
        ("strategy.ewc.lambda", &["1e300"]),
        ("strategy.ewc.decay", &["1.5", "1e300"]),
        ("strategy.packnet.keep_ratio", &["0", "1", "1e300"]),
        ("strategy.packnet.retrain_ratio", &["1", "1e300"]),
    ];
    let rows = counts.iter().map(|(name, values)| (name, values, EVERY_COUNT));
    for (name, values, always) in rows.chain(numbers.iter().map(|(name, values)| (name, values, EVERY_NUMBER))) {
        for value in values.iter().chain(&always) {
            let error = format!("{:#}", read(MINIMAL, &[&format!("{name}={value}")]).unwrap_err());
            // Settings of a stage have the message of the run's setting, in the context of the stage. Heads are compared with their width, and a
            // large model is refused as a whole.
            let last = name.rsplit('.').next().unwrap_or(name);
            let of_model = ["parameters", "heads"].iter().any(|word| error.contains(word));
            let is_named = error.contains(last) || (name.starts_with("model.") && of_model);
            assert!(is_named, "{name} = {value}: {error}");
        }
    }
    for value in ["nan", "inf", "-inf"] {
        let error = format!("{:#}", read(MINIMAL, &[&format!("model.layer_scale={value}")]).unwrap_err());
        assert!(error.contains("model.layer_scale"), "{error}");
    }
}

#[test]
fn values_at_the_ends_of_ranges_are_accepted() {
    for setting in [
        "training.epochs=1000000",
        "training.batch_size=1048576",
        "training.checkpoint_every=1000000000000000000",
        "data.max_invalid_fraction=1",
        "buffer.ratio=1",
        "model.drop_path=0",
        "optimiser.min_learning_rate=0",
        "optimiser.beta_1=0",
        "model.positions.image=1048576",
        "seed=9223372036854775807",
    ] {
        read(MINIMAL, &[setting]).unwrap_or_else(|error| panic!("{setting}: {error:#}"));
    }
}

#[test]
fn a_recipe_sets_what_the_configuration_does_not() {
    let text = format!("recipe = \"reference\"\n{MINIMAL}");
    let config = read(&text, &["buffer.n_starts=3"]).unwrap();
    assert_eq!(config.recipe, Some(crate::recipe::Recipe::Reference));
    assert_eq!(config.text.attention, Some(TextAttention::Causal));
    assert_eq!((config.buffer.n_starts, config.buffer.backfill, config.training.drop_last), (3, false, true));
    assert!(config.strategy.medcoss.teacher_temporal_position);
    assert_eq!(read(MINIMAL, &["recipe=reference", "buffer.n_starts=3"]).unwrap(), config);
    // Below settings that all are stated it would have no effect.
    let late = read(MINIMAL, &[]).unwrap().with_settings(&["recipe=reference".into()]).unwrap_err().to_string();
    assert!(late.contains("recipe cannot be set here"), "{late}");
    // Without it nothing changes.
    assert!(read(MINIMAL, &[]).unwrap().buffer.backfill);
    let error = read(&format!("recipe = \"refrence\"\n{MINIMAL}"), &[]).unwrap_err().to_string();
    assert!(error.contains("did you mean reference?"), "{error}");
}

#[test]
fn the_papers_configuration_states_what_its_recipe_selects() {
    let text = include_str!("../../../configs/paper.toml");
    let stated: toml::Table = text.parse().unwrap();
    let mut alone = toml::Table::new();
    crate::recipe::Recipe::Reference.complete(&mut alone).unwrap();
    for (section, settings) in alone {
        for (name, value) in settings.as_table().unwrap() {
            let found = stated[&section].get(name);
            match value.as_table() {
                // A table of a strategy, which states more than the recipe selects.
                Some(table) => table.iter().for_each(|(inner, value)| {
                    assert_eq!(found.and_then(|found| found.get(inner)), Some(value), "{section}.{name}.{inner}");
                }),
                None => assert_eq!(found, Some(value), "{section}.{name}"),
            }
        }
    }
    let config = read(text, &[]).unwrap();
    assert_eq!(config.recipe, Some(crate::recipe::Recipe::Reference));
}
