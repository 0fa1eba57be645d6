//! Tests of the crate from outside, in one binary.

mod bench_boundary;
mod bench_load;
mod broken_libraries;
mod contract_versions;
mod installation;
mod kept_samples;
mod misbehaving_files;
mod misbehaviour;
mod outputs;
mod place;
mod plugin_check;
mod plugin_inspect;
mod plugin_list;
mod probe;
mod same_bytes;
mod synth;
mod terminal;
mod trust;
