//! A program that works on a run: it encodes a folder of images with the run's latest model, and trains one more stage
//! on them.
//!
//! ```sh
//! cargo run --release -p medcoss-runtime --example extend_run -- runs/first xray images
//! ```

use std::path::Path;

use anyhow::{Context, Result};
use medcoss_plugin_host::{Loading, PluginRegistry, Probe, Search, SearchEnvironment, serve_if_asked};
use medcoss_runtime::{
    EncodeOptions, EpochMetrics, ModalityData, NewStage, Observer, Resources, Run, RunObserver, Silent,
};

/// Prints a line for each epoch.
struct Lines;

impl RunObserver for Lines {}

impl Observer for Lines {
    fn epoch_finished(&mut self, metrics: &EpochMetrics) {
        println!("epoch {}: loss {:.4}", metrics.epoch, metrics.current_pretext().unwrap_or(f64::NAN));
    }
}

fn main() -> Result<()> {
    // Called first of all: this executable is also the child process that probes plugins.
    let probe = Probe::by_this_program(serve_if_asked(), None);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, modality, images] = arguments.as_slice() else { anyhow::bail!("usage: extend_run RUN MODALITY IMAGES") };

    let search = Search::new(&[], false, &SearchEnvironment::of_process())?;
    let registry = PluginRegistry::discover(&search, Vec::new(), Loading::Probed(probe.into()));
    let resources = Resources::new(&registry);
    let data = ModalityData::new(modality, [images]);

    let mut run = Run::open(Path::new(run)).context("the run to extend")?;
    let features = run.encode(&data, &EncodeOptions::default(), &resources, &Silent)?;
    println!("{} images as {} values each", features.ids.len(), features.width);

    let stage = run.add_stage(&NewStage::new(data).with("epochs=2"), &resources, &mut Lines)?;
    println!("stage {}: {} samples, {} of them in the buffer", stage.stage, stage.n_samples, stage.n_buffer);
    Ok(())
}
