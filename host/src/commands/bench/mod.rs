//! `medcoss bench`: the cost of parts of the program on this machine. Each measurement is a file with its arguments,
//! its report and `run`; shared code is here.

#[cfg(feature = "builtin")]
mod boundary;
mod kmeans;
mod load;
mod step;

use clap::Subcommand;

use crate::failure::Failure;

/// Number of repetitions before the measurement, which warm up the system's file cache and the allocator.
const N_WARM_UP: usize = 3;

/// Measure the speed of parts of the program on this machine
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    #[cfg(feature = "builtin")]
    Boundary(boundary::Boundary),
    Load(load::Load),
    Step(step::Step),
    #[command(name = "kmeans")]
    KMeans(kmeans::KMeans),
}

impl Bench {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "builtin")]
            Self::Boundary(boundary) => boundary.run(),
            Self::Load(load) => load.run(),
            Self::Step(step) => step.run(),
            Self::KMeans(kmeans) => kmeans.run(),
        }
    }
}

/// The median of an odd number of values, the upper one of the two middle values of an even number. There is at least
/// one value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Note that the compiler's optimisations are off, as a part of a sentence.
fn built() -> &'static str {
    if cfg!(debug_assertions) { "; this build is not fully optimised" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_value_in_the_middle() {
        assert_eq!(median(vec![7.0, 1.0, 90.0, 2.0, 3.0]), 3.0);
    }
}
