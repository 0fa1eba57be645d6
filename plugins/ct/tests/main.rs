//! Tests of the crate from outside, in one binary.

#![forbid(unsafe_code)]

mod affines;
mod memory;
mod plugin;
mod reference;
mod scans;
