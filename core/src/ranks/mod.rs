//! Data-parallel training: ranks that hold the same model and share the batches of every update.
//!
//! A rank is a process with a device of its own, or a thread in tests. All ranks run the same program, so that each has the whole model, optimiser
//! and plan. They differ in three things: which batches they learn (an aligned block of each update's), whose features they compute, and that the
//! root, rank 0, alone writes files. The number of ranks changes no byte of a run: gradients are summed along one tree whose shape depends on the
//! number of batches alone (`sum_tree`), and losses are added in the order of batches.
//!
//! Every exchange begins with a message of each rank to all others, which also carries a failure. So a rank that fails ends the others at their next
//! exchange, and none waits for ever.

mod communicator;
mod gradient_sum;
mod group;
mod sum_tree;
mod threads;

pub use communicator::{Alone, Communicator};
pub(crate) use gradient_sum::{GradientSum, NodeParameters};
pub use group::Ranks;
pub use threads::ThreadRank;
