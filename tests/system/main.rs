//! Tests of the whole system, in one binary.

mod comparison;
mod evaluation;
mod exchange;
mod outside;
mod page;
mod plan;
mod report;
mod repository;
mod scaffold;
mod segmentation;
mod stages;
mod survival;
mod sweep;
