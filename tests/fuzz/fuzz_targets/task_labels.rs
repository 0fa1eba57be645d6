//! Labels of a task. The input is a tasks file and a table of labels, with a zero byte between them. An evaluation
//! reads both before it needs a model, which does not exist here. Needs the feature `run-folder`, and with it Burn.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use medcoss_core::ranks::Ranks;
use medcoss_core::run::RunLayout;
use medcoss_fuzz::run::{document, layout, parts, stage, state};
use medcoss_fuzz::{first_input, folder, put};
use medcoss_plugin_host::{Loading, PluginRegistry, Search};
use medcoss_runtime::evaluation::{After, Options, TasksFile, evaluate};
use medcoss_runtime::{Run, Silent};
use medcoss_text as _;

const TABLE: &str = "key,finding,age,patient,part\nreports.csv#1,a,1,p,train\nreports.csv#2,b,2,p,test\nreports.csv#3,a,3,q,train\n\
                     reports.csv#4,b,4.5,q,test\nreports.csv#5,a,5,r,train\nreports.csv#6,b,6,r,test\nreports.csv#7,a,7,s,train\n\
                     reports.csv#8,b,8e0,s,test\n";

fn first() {
    let labels = [
        ("values", "label = \"finding\", group = \"patient\" }\nsplit = { test = 0.5 }\nmissing = \"skip\""),
        ("column", "label = \"finding\" }\nsplit = { column = \"part\" }\nmissing = \"skip\""),
        ("bins", "label = \"age\", bins = [2.5, 5] }\nmissing = \"skip\""),
        (
            "quantiles",
            "label = \"age\", quantiles = 2, id_pattern = \"([0-9]+)$\" }\nmax_samples = 6\nmissing = \"skip\"",
        ),
    ];
    for (name, labels) in labels {
        let tasks = format!(
            "[[task]]\nname = \"t\"\nmodality = \"text\"\ndata = \"reports.csv\"\nprotocol = \"knn\"\nlabels = {{ table = \"labels.csv\", key = \"key\", {labels}\n"
        );
        let table = if name == "quantiles" { TABLE.replace("reports.csv#", "") } else { TABLE.into() };
        first_input("task_labels", name, format!("{tasks}\0{table}").as_bytes());
    }
}

fn run() -> (Run, PluginRegistry) {
    let run = layout();
    let path = stage(&run).file(RunLayout::STATE).path();
    std::fs::write(path, document(&state())).expect("room for a state");
    let search = Search { folders: Vec::new(), builtin: true };
    let registry = PluginRegistry::discover(&search, medcoss_abi::builtins(), Loading::Unprobed);
    (Run::open(&folder().join("run")).expect("a good run"), registry)
}

fuzz_target!(init: first(), |content: &[u8]| {
    thread_local! {
        static RUN: OnceLock<(Run, PluginRegistry)> = const { OnceLock::new() };
    }
    let [tasks, table] = parts(content);
    put("tasks.toml", tasks);
    put("labels.csv", table);
    let Ok(tasks) = TasksFile::read(&folder().join("tasks.toml"), &[]) else { return };
    let options =
        Options { after: After::Last, seeds: vec![0], base: folder(), device: "cpu", max_invalid_fraction: None, ranks: &Ranks::alone() };
    RUN.with(|opened| {
        let (run, registry) = opened.get_or_init(run);
        let error = evaluate(run, &tasks, &options, registry, &Silent).expect_err("a model that is not there");
        let message = format!("{error:#}");
        assert!(message.len() < 16384, "a message of {} bytes", message.len());
    });
});
