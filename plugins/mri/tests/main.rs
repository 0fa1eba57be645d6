//! Tests of the crate from outside, in one binary.

#![forbid(unsafe_code)]

mod affines;
mod plugin;
