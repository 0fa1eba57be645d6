//! The generator of one sample.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Generator of a sample. Counter-based: a sample's draws depend on its seed alone, not on the thread, the order or the batch.
pub type SampleRng = ChaCha8Rng;

/// The generator that belongs to a sample's seed.
pub fn sample_rng(seed: u64) -> SampleRng {
    ChaCha8Rng::seed_from_u64(seed)
}
