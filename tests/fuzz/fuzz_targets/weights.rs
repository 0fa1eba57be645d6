//! Checkpoints from elsewhere: PyTorch containers and safetensors. Whatever is read has finite values; whatever is not is refused with
//! the name of the file. Needs the feature `run-folder`, and with it Burn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_core::weights::{Import, KnownSizes};
use medcoss_fuzz::folder;

fuzz_target!(|content: &[u8]| {
    let path = folder().join("weights.pth");
    std::fs::write(&path, content).expect("room for an input");
    let known = KnownSizes {
        heads: Some(1),
        decoder_heads: Some(1),
        decoder_width: Some(8),
        decoder_layers: Some(1),
        ..KnownSizes::default()
    };
    match (Import { known, ..Import::default() }).read(&path) {
        Ok(imported) => imported
            .model
            .visit_parameters(&mut |parameter| {
                assert!(parameter.values()?.iter().all(|value| value.is_finite()), "{}", parameter.path);
                Ok(())
            })
            .expect("parameters can be read back"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
