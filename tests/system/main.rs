//! Tests of the whole program, in one binary.

#![forbid(unsafe_code)]

mod comparison;
mod evaluation;
mod exchange;
mod finetuning;
mod import_circles;
mod model_folders;
mod outside;
mod page;
mod plan;
mod planted;
mod published_encoders;
mod published_readers;
mod ranks;
mod recipes;
mod report;
mod repository;
mod scaffold;
mod segmentation;
mod stages;
mod survival;
mod sweep;
mod untrusted_runs;
mod words;
