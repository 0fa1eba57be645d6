//! Tests of the crate from outside, in one binary.

#![forbid(unsafe_code)]

mod account;
mod affines;
mod memory;
#[cfg(feature = "openslide")]
mod openslide;
mod plugin;
