//! Ranks that are processes of MPI: one for each device, started by `mpirun` or `srun`.

use anyhow::{Result, bail};
use medcoss_core::ranks::Communicator;
use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives};
use mpi::{Count, initialize_with_threading};

/// This process among all of the job. MPI ends with the value.
pub(crate) struct MpiRank {
    world: SimpleCommunicator,
    _universe: Universe,
}

impl MpiRank {
    /// Joins the job that this process was started in; without one, a job of one rank.
    ///
    /// # Errors
    /// MPI that cannot be used, or is in use.
    pub(crate) fn join() -> Result<Self> {
        // Other threads read data and compute; this one alone talks.
        let Some((universe, threading)) = initialize_with_threading(Threading::Funneled) else {
            bail!("MPI is in use by this process already");
        };
        if threading < Threading::Funneled {
            bail!("this MPI library is not made for programs with threads ({threading:?})");
        }
        Ok(Self { world: universe.world(), _universe: universe })
    }
}

/// Numbers of bytes as MPI counts them, and where each block begins.
fn blocks(sizes: &[usize]) -> medcoss_core::Result<(Vec<Count>, Vec<Count>)> {
    let too_large = |_| medcoss_core::Error::Communication("a message has more than 2 GiB".into());
    let (mut counts, mut begins, mut at) = (Vec::new(), Vec::new(), 0);
    for size in sizes {
        counts.push(Count::try_from(*size).map_err(too_large)?);
        begins.push(Count::try_from(at).map_err(too_large)?);
        at += size;
    }
    Count::try_from(at).map_err(too_large)?;
    Ok((counts, begins))
}

/// A buffer for so many bytes. It has one more: the address of an empty slice may be 1, which Open MPI takes for MPI_IN_PLACE.
fn buffer(sizes: &[usize]) -> Vec<u8> {
    vec![0; sizes.iter().sum::<usize>() + 1]
}

/// The bytes themselves, or others in place of none, for the same reason.
fn never_empty(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { &[0] } else { bytes }
}

impl Communicator for MpiRank {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn n_ranks(&self) -> usize {
        self.world.size() as usize
    }

    fn all_gather(&self, own: &[u8], sizes: &[usize]) -> medcoss_core::Result<Vec<u8>> {
        let mut all = buffer(sizes);
        let (counts, begins) = blocks(sizes)?;
        // Zero bytes are sent as a slice of none at an address of its own.
        let own = &never_empty(own)[..own.len()];
        self.world.all_gather_varcount_into(own, &mut PartitionMut::new(&mut all[..], counts, begins));
        all.pop();
        Ok(all)
    }

    fn all_to_all(&self, own: &[u8], sent: &[usize], received: &[usize]) -> medcoss_core::Result<Vec<u8>> {
        let mut all = buffer(received);
        let ((sent, sent_begins), (counts, begins)) = (blocks(sent)?, blocks(received)?);
        let own = Partition::new(never_empty(own), sent, sent_begins);
        self.world.all_to_all_varcount_into(&own, &mut PartitionMut::new(&mut all[..], counts, begins));
        all.pop();
        Ok(all)
    }
}
