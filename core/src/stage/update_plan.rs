//! Division of a stage's batches into updates, and of each update's batches among the ranks.

use std::ops::Range;

/// Batches of every update, and the block of them that each rank learns.
///
/// An update has `accumulation` batches; the last of an epoch may have fewer. Rank r of n takes the batches from `accumulation * r / n` on within
/// each update, so that the blocks do not depend on how many batches the update has. A rank counts its batches in *slots*, of which every update
/// has equally many; the slots behind the end of an epoch are empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct UpdatePlan {
    /// Number of batches in an epoch.
    pub n_steps: usize,
    /// Number of batches in an update.
    pub accumulation: usize,
    pub rank: usize,
    /// Number of ranks, which divides `accumulation`.
    pub n_ranks: usize,
}

/// A slot of a rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub epoch: usize,
    /// Number of the batch through all epochs; none in an empty slot.
    pub item: Option<usize>,
    /// Number of the batch within the update.
    pub leaf: usize,
    /// Batches of the update, numbered within the epoch.
    pub update: Range<usize>,
    /// Whether the slot is the first of an epoch, the last of an update.
    pub begins_epoch: bool,
    pub ends_update: bool,
}

impl UpdatePlan {
    /// Number of slots in an update.
    fn per_update(&self) -> usize {
        self.accumulation / self.n_ranks
    }

    /// Number of slots in an epoch.
    fn per_epoch(&self) -> usize {
        self.n_steps.div_ceil(self.accumulation) * self.per_update()
    }

    /// The slots after `epochs` epochs and `steps` batches of the next one, up to the end of `all` epochs.
    pub fn slots(&self, epochs: usize, steps: usize, all: usize) -> Range<usize> {
        let updates = steps.min(self.n_steps).div_ceil(self.accumulation);
        epochs * self.per_epoch() + updates * self.per_update()..all * self.per_epoch()
    }

    /// A slot by its number.
    pub fn slot(&self, number: usize) -> Slot {
        let (epoch, in_epoch) = (number / self.per_epoch(), number % self.per_epoch());
        let (update, in_update) = (in_epoch / self.per_update(), in_epoch % self.per_update());
        let leaf = self.rank * self.per_update() + in_update;
        let first = update * self.accumulation;
        let step = first + leaf;
        Slot {
            epoch,
            item: (step < self.n_steps).then_some(epoch * self.n_steps + step),
            leaf,
            update: first..(first + self.accumulation).min(self.n_steps),
            begins_epoch: in_epoch == 0,
            ends_update: in_update + 1 == self.per_update(),
        }
    }
}

impl Slot {
    /// Whether the update is the last of its epoch.
    pub fn is_last_update(&self, n_steps: usize) -> bool {
        self.update.end == n_steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_every_update_and_forget_no_batch() {
        for (n_steps, accumulation) in [(10, 4), (8, 4), (3, 6), (13, 12), (5, 1)] {
            for n_ranks in (1..=accumulation).filter(|n| accumulation % n == 0) {
                let plan = |rank| UpdatePlan { n_steps, accumulation, rank, n_ranks };
                let mut items = Vec::new();
                for rank in 0..n_ranks {
                    let plan = plan(rank);
                    let slots: Vec<Slot> = plan.slots(0, 0, 2).map(|number| plan.slot(number)).collect();
                    // Every rank comes to every update, also with empty slots.
                    let updates: Vec<_> =
                        slots.iter().filter(|slot| slot.ends_update).map(|slot| &slot.update).collect();
                    assert_eq!(updates.len(), 2 * n_steps.div_ceil(accumulation));
                    assert!(updates.last().unwrap().end == n_steps);
                    items.extend(slots.iter().filter_map(|slot| slot.item));
                    for slot in &slots {
                        let step = slot.item.map(|item| item % n_steps);
                        assert!(step.is_none_or(|step| slot.update.contains(&step) && slot.leaf == step - slot.update.start));
                    }
                }
                items.sort_unstable();
                assert_eq!(items, (0..2 * n_steps).collect::<Vec<_>>(), "{n_steps} {accumulation} {n_ranks}");
            }
        }
    }

    #[test]
    fn a_checkpoint_between_updates_goes_on_with_the_next() {
        let plan = UpdatePlan { n_steps: 10, accumulation: 4, rank: 1, n_ranks: 2 };
        let next = |epochs, steps| plan.slot(plan.slots(epochs, steps, 9).start);
        assert_eq!((next(2, 4).item, next(2, 4).update), (Some(26), 4..8));
        assert_eq!((next(2, 8).item, next(2, 8).update, next(2, 8).begins_epoch), (None, 8..10, false));
        assert_eq!((next(2, 10).epoch, next(2, 10).begins_epoch), (3, true));
    }
}
