//! A plugin written with the SDK, whose shim contains panics. It is valid unless it is asked to misbehave, see the
//! crate.

use std::path::Path;

use medcoss_misbehaving::act;
use medcoss_sdk::rand::RngExt;
use medcoss_sdk::serde_json::json;
use medcoss_sdk::{
    Dataset, Error, Fingerprint, Geometry, Modality, OpenRequest, Sample, SampleRecord, SampleRng, Synthesised, View,
    export_plugin, mask,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const N_SAMPLES: usize = 24;

struct Misbehaving;

export_plugin!(misbehaving_sdk, Misbehaving);

/// No options.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
struct Options {}

impl Modality for Misbehaving {
    const ID: &'static str = "misbehaving_sdk";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "whatever it is asked for";
    const FAMILY: &'static str = "series";
    const FILE_FORMATS: &'static [&'static str] = &[];

    type Options = Options;
    type Dataset = MadeUp;

    fn geometry(_: &Options) -> Result<Geometry, Error> {
        act("describe");
        Ok(Geometry::grid(vec![6], 4, 3))
    }

    fn open(_: OpenRequest<Options>) -> Result<MadeUp, Error> {
        act("open");
        Ok(MadeUp)
    }

    fn synthesise(_: &Path, _: usize, _: u64) -> Result<Synthesised, Error> {
        act("invoke");
        Ok(Synthesised { data: vec![".".into()], options: json!({}) })
    }
}

struct MadeUp;

impl Dataset for MadeUp {
    fn geometry(&self) -> Geometry {
        Geometry::grid(vec![6], 4, 3)
    }

    fn len(&self) -> usize {
        N_SAMPLES
    }

    fn record(&self, index: usize) -> SampleRecord {
        act("query");
        SampleRecord::new(format!("synthetic/{index:02}"))
    }

    fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(b"synthetic");
        fingerprint
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        act("fill");
        let (tokens, masked) = sample.continuous()?;
        let noise: f32 = rng.random();
        tokens.iter_mut().enumerate().for_each(|(at, value)| *value = (index + at) as f32 * 0.1 + noise);
        if view == View::Training {
            mask::random(rng, 3, masked);
        }
        Ok(())
    }
}

impl Drop for MadeUp {
    fn drop(&mut self) {
        act("close");
    }
}
