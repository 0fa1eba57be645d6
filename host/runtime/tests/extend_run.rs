//! Another program opens a run, encodes images and adds a stage: the example `extend_run`, as a process.

use std::fs;
use std::process::Command;

use medcoss_abi::message::Synthesise;
use medcoss_plugin_host::{Loading, PluginRegistry, Search, SearchEnvironment};
use medcoss_runtime::config::RunConfig;
use medcoss_runtime::stage_plugin::plugins_of;
use medcoss_runtime::training::Training;
use medcoss_runtime::{Run, Silent};
use medcoss_test_support::{program, sandbox};

const CONFIGURATION: &str = "\
[model]
preset = \"demo\"

[training]
epochs = 1
warmup_epochs = 0
batch_size = 8
";

#[test]
fn another_program_encodes_images_and_adds_a_stage() {
    let place = tempfile::tempdir_in(program::temporary_folder()).unwrap();
    let (images, out) = (place.path().join("images"), place.path().join("run"));
    fs::create_dir(&images).unwrap();
    let search = Search::new(&[sandbox::build_folder()], false, &SearchEnvironment::default()).unwrap();
    let registry = PluginRegistry::discover(&search, Vec::new(), Loading::Unprobed);
    let plugin = registry.load("xray").unwrap();
    let made = plugin.synthesise(&Synthesise { folder: images, n_samples: 24, seed: 1 }).unwrap();
    // Labels lie in a file beside the images, and are not learned from.
    let mut options: toml::Table = serde_json::from_value(made.options).unwrap();
    options.remove("labels");
    let stage = toml::Table::from_iter([
        ("modality".into(), "xray".into()),
        ("data".into(), "images".into()),
        ("options".into(), options.into()),
    ]);
    let stages = toml::to_string(&toml::Table::from_iter([("stage".into(), vec![stage].into())])).unwrap();
    let file = place.path().join("run.toml");
    fs::write(&file, format!("{CONFIGURATION}\n{stages}")).unwrap();

    let config = RunConfig::read(&file, &[]).unwrap();
    let plugins = plugins_of(&config, &registry, None).unwrap();
    let base = place.path().to_path_buf();
    Training::new(config, [base, out.clone()], false, "cpu", plugins).unwrap().run(&mut Silent).unwrap();

    let mut example = Command::new(program::profile_folder().join("examples/extend_run"));
    example.current_dir(place.path()).env("MEDCOSS_PLUGIN_PATH", sandbox::build_folder());
    let output = example.args(["run", "xray", "images"]).output().unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{errors}");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("24 images as "), "{printed}");
    assert!(lines[1].starts_with("epoch 1: loss ") && lines[2].starts_with("epoch 2: loss "), "{printed}");
    assert!(lines[3].starts_with("stage 2: 24 samples, "), "{printed}");
    let run = Run::open(&out).unwrap();
    assert_eq!(run.states.iter().map(|state| state.stage).collect::<Vec<_>>(), [1, 2]);
}
