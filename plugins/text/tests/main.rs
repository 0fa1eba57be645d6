//! Tests of the crate from outside, in one binary.

#![forbid(unsafe_code)]

mod account;
mod memory;
mod plugin;
mod real_data;
mod reference;
