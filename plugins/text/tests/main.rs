//! Tests of the crate from outside, in one binary.

mod plugin;
mod real_data;
