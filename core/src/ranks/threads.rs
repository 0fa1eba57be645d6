//! Ranks that are threads of one process, for tests and for libraries that train on several devices of one machine.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::communicator::Communicator;
use crate::{Error, Result};

/// A rank that is a thread. Each pair of ranks has a channel in both directions, so that messages arrive in their order.
#[derive(Debug)]
pub struct ThreadRank {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

impl ThreadRank {
    /// Connected ranks, one for each thread.
    pub fn connect(n_ranks: usize) -> Vec<Self> {
        let mut ranks: Vec<Self> = (0..n_ranks).map(|rank| Self { rank, to: Vec::new(), from: Vec::new() }).collect();
        for sender in 0..n_ranks {
            for receiver in 0..n_ranks {
                let (to, from) = channel();
                ranks[sender].to.push(to);
                ranks[receiver].from.push(from);
            }
        }
        ranks
    }

    fn receive_all(&self) -> Result<Vec<u8>> {
        let mut received = Vec::new();
        for from in &self.from {
            received.extend(from.recv().map_err(|_| Error::communication("a rank is gone"))?);
        }
        Ok(received)
    }
}

impl Communicator for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn n_ranks(&self) -> usize {
        self.to.len()
    }

    fn all_gather(&self, own: &[u8], _: &[usize]) -> Result<Vec<u8>> {
        for to in &self.to {
            to.send(own.to_vec()).map_err(|_| Error::communication("a rank is gone"))?;
        }
        self.receive_all()
    }

    fn all_to_all(&self, own: &[u8], sent: &[usize], _: &[usize]) -> Result<Vec<u8>> {
        let mut rest = own;
        for (to, size) in self.to.iter().zip(sent) {
            let (part, others) = rest.split_at_checked(*size).ok_or_else(|| Error::communication("a part is cut"))?;
            to.send(part.to_vec()).map_err(|_| Error::communication("a rank is gone"))?;
            rest = others;
        }
        self.receive_all()
    }
}
