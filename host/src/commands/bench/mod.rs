//! `medcoss bench`: the cost of parts of the program on this machine. Each benchmark is a file with its arguments, its
//! report and `run`; `measurement` holds what they share.

#[cfg(feature = "builtin")]
mod boundary;
mod kmeans;
mod load;
mod measurement;
mod step;

use clap::Subcommand;

use crate::failure::Failure;

/// Measure what parts of the program cost on this machine
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
