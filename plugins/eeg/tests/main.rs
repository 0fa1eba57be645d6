//! The plugin as the host uses it.

mod recordings;
mod samples;
mod saved;
mod windows;
mod wrong_input;

#[test]
fn the_plugin_keeps_the_contract() {
    medcoss_conformance::assert_conforms("eeg");
}
