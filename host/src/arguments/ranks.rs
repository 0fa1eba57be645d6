//! Argument for ranks: processes that train together.

use anyhow::Result;
use clap::{Args, ValueEnum};
use medcoss_core::ranks::Ranks;

/// Argument for the ranks that train together.
#[derive(Debug, Clone, Args)]
pub(crate) struct RanksArgs {
    /// Share the training among the processes of an MPI job: mpirun -n 4 medcoss ... --ranks mpi
    #[arg(long = "ranks", value_name = "LIBRARY")]
    library: Option<Library>,
}

/// Library that connects the ranks.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Library {
    Mpi,
}

impl RanksArgs {
    /// The ranks, of which this process is one.
    ///
    /// # Errors
    /// MPI that cannot be used, a program without it.
    pub(crate) fn join(&self) -> Result<Ranks> {
        match self.library {
            None => Ok(Ranks::alone()),
            #[cfg(feature = "mpi")]
            Some(Library::Mpi) => Ok(Ranks::new(crate::mpi::MpiRank::join()?)),
            #[cfg(not(feature = "mpi"))]
            Some(Library::Mpi) => anyhow::bail!(
                "this program was built without MPI\nhint: build it with: cargo build --release --features mpi (needs mpicc and libclang)"
            ),
        }
    }
}
