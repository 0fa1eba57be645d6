//! The ranks of a training, and what they exchange.

use std::cell::Cell;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::communicator::{Alone, Communicator};
use crate::{Error, Result, SettingError};

/// Largest number of values in a round of [`Ranks::to_root`], over all ranks: 1 GiB.
const MOST_VALUES: usize = 1 << 28;

/// The ranks of a training, as one of them sees them.
pub struct Ranks {
    pub(super) communicator: Box<dyn Communicator>,
    /// Whether the ranks have stopped to talk: after a failure, or after an end that all of them know of.
    over: Cell<bool>,
}

/// What a rank tells the others at an exchange.
#[derive(Serialize, Deserialize)]
enum Message<T> {
    Here(T),
    Failed(String),
}

impl Ranks {
    /// Ranks that talk by a communicator.
    pub fn new(communicator: impl Communicator + 'static) -> Self {
        Self { communicator: Box::new(communicator), over: Cell::new(false) }
    }

    /// A single rank, the root.
    pub fn alone() -> Self {
        Self::new(Alone)
    }

    /// Number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.communicator.rank()
    }

    /// Number of ranks.
    pub fn n_ranks(&self) -> usize {
        self.communicator.n_ranks()
    }

    /// Whether this rank writes the files.
    pub fn is_root(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there is no other rank.
    pub fn is_alone(&self) -> bool {
        self.n_ranks() == 1
    }

    /// Block of `n` items in a row that this rank takes: blocks of all ranks are in the order of ranks and differ by one item at most.
    pub(crate) fn block(&self, n: usize) -> std::ops::Range<usize> {
        let bound = |rank: usize| n * rank / self.n_ranks();
        bound(self.rank())..bound(self.rank() + 1)
    }

    /// Checks that the batches of an update can be divided among the ranks: the number of ranks divides `accumulation`.
    ///
    /// # Errors
    /// A number of ranks that does not, with those that do.
    pub fn check_accumulation(&self, accumulation: usize) -> Result<()> {
        if accumulation.is_multiple_of(self.n_ranks()) {
            return Ok(());
        }
        let divisors: Vec<String> =
            (1..=accumulation).filter(|n| accumulation.is_multiple_of(*n)).map(|n| n.to_string()).collect();
        let expected = format!(
            "a divisor of training.gradient_accumulation = {accumulation}, the batches of an update: {}",
            divisors.join(", ")
        );
        Err(SettingError::out_of_range("the number of ranks", self.n_ranks(), expected).into())
    }

    /// The values of all ranks, in the order of ranks.
    ///
    /// # Errors
    /// A rank that failed before it came here, a connection that broke.
    pub fn gather<T: Serialize + DeserializeOwned>(&self, own: T) -> Result<Vec<T>> {
        if self.is_alone() {
            return Ok(vec![own]);
        }
        let messages = self.exchange(&Message::Here(own))?;
        let mut values = Vec::with_capacity(messages.len());
        for (rank, message) in messages.into_iter().enumerate() {
            match message {
                Message::Here(value) => values.push(value),
                Message::Failed(message) => {
                    self.over.set(true);
                    return Err(Error::Rank { rank, message });
                }
            }
        }
        Ok(values)
    }

    /// The values of all ranks, one after another in the order of ranks, on the root; nothing on the others.
    pub(crate) fn to_root(&self, own: Vec<f32>) -> Result<Vec<f32>> {
        if self.is_alone() {
            return Ok(own);
        }
        // In rounds, so that no message is larger than libraries can count.
        let most = MOST_VALUES / self.n_ranks();
        let all = self.gather(own.len())?;
        let mut found: Vec<Vec<f32>> = vec![Vec::new(); self.n_ranks()];
        for round in 0..all.iter().max().copied().unwrap_or_default().div_ceil(most) {
            let part = |n: usize| (round * most).min(n)..((round + 1) * most).min(n);
            let bytes = |n: usize| part(n).len() * size_of::<f32>();
            let mut sent = vec![0; self.n_ranks()];
            sent[0] = bytes(own.len());
            let received: Vec<usize> = all.iter().map(|n| if self.is_root() { bytes(*n) } else { 0 }).collect();
            let own = bytemuck::cast_slice(&own[part(own.len())]);
            let values = self.communicator.all_to_all(own, &sent, &received)?;
            let mut rest = values.as_slice();
            for (found, size) in found.iter_mut().zip(received) {
                let (values, others) = rest.split_at(size);
                found.extend(bytemuck::pod_collect_to_vec::<u8, f32>(values));
                rest = others;
            }
        }
        Ok(found.concat())
    }

    /// The values of the root, on all ranks. Those of the others are left out.
    pub(crate) fn values_of_root(&self, own: Vec<f32>) -> Result<Vec<f32>> {
        if self.is_alone() {
            return Ok(own);
        }
        let n = self.gather(own.len())?[0];
        let own = if self.is_root() { own.as_slice() } else { &[] };
        let mut found = Vec::with_capacity(n);
        for begin in (0..n).step_by(MOST_VALUES) {
            let part = begin..(begin + MOST_VALUES).min(n);
            let mut sizes = vec![0; self.n_ranks()];
            sizes[0] = part.len() * size_of::<f32>();
            let values =
                self.communicator.all_gather(bytemuck::cast_slice(own.get(part).unwrap_or_default()), &sizes)?;
            found.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&values));
        }
        Ok(found)
    }

    /// The value of the root, on all ranks. Other ranks give none.
    ///
    /// # Errors
    /// Those of [`Ranks::gather`], and a root that gave none.
    pub fn from_root<T: Serialize + DeserializeOwned>(&self, own: Option<T>) -> Result<T> {
        let first = self.gather(own)?.into_iter().next().flatten();
        first.ok_or_else(|| Error::Communication("the root rank gave no value".into()))
    }

    /// Waits until all ranks are here.
    ///
    /// # Errors
    /// Those of [`Ranks::gather`].
    pub fn wait(&self) -> Result<()> {
        self.gather(()).map(drop)
    }

    /// Waits until all ranks are here; `own` is the outcome of this rank's work before.
    ///
    /// # Errors
    /// The error of this rank's work; otherwise those of [`Ranks::gather`].
    pub(crate) fn agree(&self, own: Result<()>) -> Result<()> {
        if let Err(error) = own {
            self.fail(&error);
            return Err(error);
        }
        self.wait()
    }

    /// Checks that all ranks have the same value of something.
    ///
    /// # Errors
    /// A rank whose value differs from the root's; those of [`Ranks::gather`].
    pub fn check_equal(&self, what: &'static str, own: &str) -> Result<()> {
        let values = self.gather(own.to_string())?;
        match values.iter().position(|value| *value != values[0]) {
            Some(rank) => {
                self.over.set(true);
                let [found, expected] = [rank, 0].map(|rank| values[rank].clone());
                Err(Error::RanksDiffer { what, rank, found, expected })
            }
            None => Ok(()),
        }
    }

    /// Tells the other ranks that this one failed, unless they know or the ranks have ended together.
    pub fn fail(&self, error: &impl std::fmt::Display) {
        if !self.is_alone() && !self.over.replace(true) {
            // A connection that broke has ended them already.
            let _ = self.exchange::<()>(&Message::Failed(error.to_string()));
        }
    }

    /// Ends the exchanges: all ranks have reached the same end, such as a stop that was asked for.
    pub(crate) fn end_together(&self) {
        self.over.set(true);
    }

    fn exchange<T: Serialize + DeserializeOwned>(&self, own: &Message<T>) -> Result<Vec<Message<T>>> {
        let text = serde_json::to_vec(own).map_err(Error::communication)?;
        let size = u64::try_from(text.len()).map_err(Error::communication)?;
        let n = self.n_ranks();
        let sizes = self.communicator.all_gather(&size.to_le_bytes(), &vec![size_of::<u64>(); n])?;
        let (sizes, _) = sizes.as_chunks();
        let sizes: Vec<usize> = sizes.iter().map(|size| u64::from_le_bytes(*size) as usize).collect();
        let texts = self.communicator.all_gather(&text, &sizes)?;
        let mut rest = texts.as_slice();
        let mut messages = Vec::with_capacity(n);
        for size in sizes {
            let (text, others) = rest.split_at_checked(size).ok_or_else(|| Error::communication("a message is cut"))?;
            messages.push(serde_json::from_slice(text).map_err(Error::communication)?);
            rest = others;
        }
        Ok(messages)
    }
}

impl std::fmt::Debug for Ranks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.n_ranks())
    }
}
