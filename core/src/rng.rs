//! Random generators with a key for the purpose of each draw: the run's one seed decides everything, a resumed run draws the numbers of the
//! uninterrupted one, and a new draw in one place changes none elsewhere.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// Random generator of all draws.
pub(crate) type Rng = ChaCha8Rng;

/// Random generator for a purpose, at a place in the run such as `[stage, epoch, step]`.
pub(crate) fn keyed(seed: u64, purpose: &str, place: &[u64]) -> Rng {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    digest.update(purpose.as_bytes());
    for number in place {
        digest.update(number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(digest.finalize().into())
}

/// Seed for a purpose at a place in the run, for work that draws from several generators of its own.
pub(crate) fn derived(seed: u64, purpose: &str, place: &[u64]) -> u64 {
    keyed(seed, purpose, place).random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_depends_on_every_part_of_its_key() {
        let first = |mut g: Rng| g.random::<u64>();
        let reference = first(keyed(7, "mixup", &[1, 2]));
        assert_eq!(reference, first(keyed(7, "mixup", &[1, 2])));
        for other in [keyed(8, "mixup", &[1, 2]), keyed(7, "depth", &[1, 2]), keyed(7, "mixup", &[2, 1])] {
            assert_ne!(reference, first(other));
        }
    }
}
