//! Tests of the crate from outside, in one binary.

mod contract;
mod contract_versions;
mod replaced;
