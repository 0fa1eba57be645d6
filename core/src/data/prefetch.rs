//! Worker threads that prepare batches ahead of the model, in order and bounded.
//!
//! Whichever thread is free takes the next item of the plan, as long as it is less than [`PREFETCH_FACTOR`] items a thread beyond what the
//! consumer has: so one item that takes long holds up no thread but its own. Prepared items lie on a queue, from which the
//! consumer takes them in the plan's order. So the order is the plan's whatever the threads do, and memory stays flat.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::dataset::RawBatch;
use crate::{DataError, Result};

/// Number of batches that are prepared ahead for each worker, those under preparation included.
const PREFETCH_FACTOR: usize = 3;

/// Prepares the items on `n_threads` threads and delivers them to `consume` in order, until `consume` fails. `prepare` gets buffers that
/// belong to its thread, with the content of an earlier item. `consume` also gets the time that it waited for the item.
///
/// # Errors
/// The first error of `prepare` (in order) or `consume`.
pub(super) fn prefetch<T: Send>(
    items: Range<usize>,
    n_threads: usize,
    prepare: impl Fn(usize, &mut RawBatch) -> Result<T> + Sync,
    mut consume: impl FnMut(usize, T, Duration) -> Result<()>,
) -> Result<()> {
    let n_threads = n_threads.clamp(1, items.len().max(1));
    let queue = PrefetchQueue {
        state: Mutex::new(State { next: items.start, consumed: items.start, end: items.end, ready: BTreeMap::new() }),
        changed: Condvar::new(),
        ahead: PREFETCH_FACTOR * n_threads,
    };
    std::thread::scope(|scope| {
        // However this ends, the threads stop.
        let _stop = StopWorkers(&queue);
        for _ in 0..n_threads {
            scope.spawn(|| {
                let mut buffers = RawBatch::default();
                while let Some(item) = queue.next_item() {
                    let mut slot = Slot { queue: &queue, item, loaded: None };
                    slot.loaded = Some(prepare(item, &mut buffers));
                }
            });
        }
        for item in items {
            let (loaded, waited) = queue.wait_for(item);
            consume(item, loaded?, waited)?;
        }
        Ok(())
    })
}

/// Queue of items between the worker threads and the consumer.
struct PrefetchQueue<T> {
    state: Mutex<State<T>>,
    /// Signals an item that was added or removed.
    changed: Condvar,
    /// Maximum number of items in preparation ahead of the consumer.
    ahead: usize,
}

struct State<T> {
    /// Number of the next item to prepare.
    next: usize,
    /// Number of the item that the consumer uses or waits for.
    consumed: usize,
    /// First item that is not prepared: the end of the items, or the item after an error.
    end: usize,
    ready: BTreeMap<usize, Result<T>>,
}

impl<T> PrefetchQueue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next item for a thread, as soon as the queue has room; none when no items remain.
    fn next_item(&self) -> Option<usize> {
        let must_wait = |state: &mut State<T>| state.next < state.end && state.next >= state.consumed + self.ahead;
        let mut state = self.changed.wait_while(self.lock(), must_wait).unwrap_or_else(PoisonError::into_inner);
        let item = state.next;
        state.next += 1;
        (item < state.end).then_some(item)
    }

    /// The item, which is the consumer's next, and the time that the consumer waited.
    fn wait_for(&self, item: usize) -> (Result<T>, Duration) {
        let mut state = self.lock();
        state.consumed = item;
        self.changed.notify_all();
        if let Some(loaded) = state.ready.remove(&item) {
            return (loaded, Duration::ZERO);
        }
        let begin = Instant::now();
        loop {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            if let Some(loaded) = state.ready.remove(&item) {
                return (loaded, begin.elapsed());
            }
        }
    }
}

/// Slot of an item under preparation; fills the queue with the item's result when dropped. After an error no further item is prepared.
struct Slot<'a, T> {
    queue: &'a PrefetchQueue<T>,
    item: usize,
    loaded: Option<Result<T>>,
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        let loaded = self.loaded.take();
        let loaded = loaded.unwrap_or_else(|| Err(DataError::LoaderPanicked.into()));
        let mut state = self.queue.lock();
        if loaded.is_err() {
            state.end = state.end.min(self.item);
        }
        state.ready.insert(self.item, loaded);
        self.queue.changed.notify_all();
    }
}

/// Stops the worker threads when dropped.
struct StopWorkers<'a, T>(&'a PrefetchQueue<T>);

impl<T> Drop for StopWorkers<'_, T> {
    fn drop(&mut self) {
        self.0.lock().end = 0;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn items_come_in_order_however_long_each_takes_and_few_are_held() {
        for n_threads in [1, 2, 5, 40] {
            let ahead = AtomicUsize::new(0);
            let mut next = 3;
            prefetch(
                3..31,
                n_threads,
                |item, _| {
                    std::thread::sleep(Duration::from_micros((item * 7919 % 5) as u64 * 100));
                    ahead.fetch_max(item, Ordering::Relaxed);
                    Ok(())
                },
                |item, _, _| {
                    assert_eq!(item, next);
                    next += 1;
                    let furthest = ahead.load(Ordering::Relaxed);
                    assert!(furthest <= item + PREFETCH_FACTOR * n_threads, "{furthest} while taking {item}");
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(next, 31);
        }
    }

    #[test]
    fn an_error_of_either_side_stops_all_threads() {
        let prepare = |item, _: &mut RawBatch| if item == 7 { Err(Error::Caller("seven".into())) } else { Ok(()) };
        let error = prefetch(0..1000, 3, prepare, |_, _, _| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "seven");
        let error = prefetch(0..1000, 3, |_, _| Ok(()), |_, _, _| Err(Error::Caller("enough".into()))).unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }

    #[test]
    fn what_the_consumer_waited_is_reported_and_nothing_else() {
        let pause = Duration::from_millis(10);
        let slow_items = |_, _: &mut RawBatch| {
            std::thread::sleep(pause);
            Ok(())
        };
        let mut waited = Duration::ZERO;
        let count = |_, _, of_item| {
            waited += of_item;
            Ok(())
        };
        prefetch(0..8, 1, slow_items, count).unwrap();
        assert!(waited >= 7 * pause, "{waited:?}");

        // The consumer takes its time for the first item, until all others are ready: its own time does not count.
        let n_ready = AtomicUsize::new(0);
        let prepare = |_, _: &mut RawBatch| {
            n_ready.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let (n_items, begin, own_time) = (PREFETCH_FACTOR, Instant::now(), Duration::from_millis(600));
        let mut waited = Duration::ZERO;
        let slow_consumer = |item, _, of_item| {
            if item > 0 {
                waited += of_item;
                return Ok(());
            }
            while n_ready.load(Ordering::Relaxed) < n_items && begin.elapsed() < Duration::from_secs(20) {
                std::thread::yield_now();
            }
            std::thread::sleep(own_time);
            Ok(())
        };
        prefetch(0..n_items, 1, prepare, slow_consumer).unwrap();
        assert!(waited < own_time / 2, "{waited:?}");
    }

    #[test]
    fn one_long_item_holds_up_no_other_thread() {
        // While one thread prepares item 0, the other prepares all further items that the queue has room for.
        let n_others = AtomicUsize::new(0);
        let prepare = |item, _: &mut RawBatch| {
            if item == 0 {
                let begin = Instant::now();
                while n_others.load(Ordering::Relaxed) < 2 * PREFETCH_FACTOR - 1
                    && begin.elapsed() < Duration::from_secs(20)
                {
                    std::thread::yield_now();
                }
            } else {
                n_others.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let consume = |_, _, _| {
            assert!(n_others.load(Ordering::Relaxed) >= 2 * PREFETCH_FACTOR - 1);
            Ok(())
        };
        prefetch(0..20, 2, prepare, consume).unwrap();
    }
}
