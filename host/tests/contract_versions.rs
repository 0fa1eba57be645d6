//! A plugin that was built against the frozen version 1 of the contract, in a run.

use std::fs;

use medcoss_test_support::sandbox::Sandbox;

#[test]
fn the_program_learns_a_stage_with_a_plugin_of_the_frozen_contract() {
    let sandbox = Sandbox::new();
    let folder = sandbox.folder("plugins");
    fs::copy(medcoss_test_support::libraries::contract_v1(), folder.join("old.so")).unwrap();
    let places = ["--no-builtin", "--plugin-dir", folder.to_str().unwrap()];
    let run = |arguments: &[&str]| {
        let answer = sandbox.run(arguments.iter().chain(&places));
        assert_eq!(answer.code, 0, "{answer:?}");
        answer
    };
    assert!(run(&["plugin", "list"]).out.contains("contract_v1  1.0.0    series  2 tokens of 3 values, 1 masked"));
    run(&["synth", "--modality", "contract_v1", "--samples", "20", "--out", "numbers"]);
    let config = "[model]\npreset = \"demo\"\n[training]\nepochs = 1\nwarmup_epochs = 0\nbatch_size = 4\n[[stage]]\n\
                  modality = \"contract_v1\"\ndata = \"numbers/numbers.txt\"\n";
    fs::write(sandbox.path("work/run.toml"), config).unwrap();
    run(&["pretrain", "run.toml", "--out", "run", "--quiet"]);
    assert!(sandbox.path("work/run/stages/01-contract_v1/state.json").is_file());
}
