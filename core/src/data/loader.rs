//! Worker threads that prepare batches ahead of the model, in order and bounded.
//!
//! Worker `w` of `n` prepares every `n`th item into a channel of its own that holds [`AHEAD`] of them; the consumer takes
//! from the channels in turn. So the order is the plan's whatever the threads do, and memory stays flat.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};

use super::{BadSample, Prepared};
use crate::Result;

/// Batches that each worker prepares ahead.
const AHEAD: usize = 2;

/// A prepared batch, or none when all of its samples were bad.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub batch: Option<Prepared>,
    /// Samples that could not be read, with their index in the source.
    pub bad: Vec<(u64, BadSample)>,
}

/// Prepares the items on `n_threads` threads and hands them to `consume` in order, until it says no.
///
/// # Errors
/// The first error of `prepare` (in order) or `consume`.
pub(crate) fn load_in_order(
    items: Range<usize>,
    n_threads: usize,
    prepare: impl Fn(usize) -> Result<Loaded> + Sync,
    mut consume: impl FnMut(usize, Loaded) -> Result<()>,
) -> Result<()> {
    let n_threads = n_threads.clamp(1, items.len().max(1));
    let prepare = &prepare;
    std::thread::scope(|scope| {
        let channels: Vec<Receiver<Result<Loaded>>> = (0..n_threads)
            .map(|worker| {
                let (sender, receiver) = sync_channel(AHEAD);
                let own = items.clone().skip(worker).step_by(n_threads);
                scope.spawn(move || {
                    for item in own {
                        let loaded = prepare(item);
                        let failed = loaded.is_err();
                        // A closed channel means that the consumer has stopped.
                        if sender.send(loaded).is_err() || failed {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for (item, channel) in items.zip(channels.iter().cycle()) {
            match channel.recv() {
                Ok(loaded) => consume(item, loaded?)?,
                Err(_) => return Err(crate::Error::Source("a loader thread ended without a word".into())),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn loaded() -> Loaded {
        Loaded { batch: None, bad: Vec::new() }
    }

    #[test]
    fn items_come_in_order_however_long_each_takes_and_few_are_held() {
        for n_threads in [1, 2, 5, 40] {
            let ahead = AtomicUsize::new(0);
            let mut next = 3;
            load_in_order(
                3..31,
                n_threads,
                |item| {
                    std::thread::sleep(Duration::from_micros((item * 7919 % 5) as u64 * 100));
                    ahead.fetch_max(item, Ordering::Relaxed);
                    Ok(loaded())
                },
                |item, _| {
                    assert_eq!(item, next);
                    next += 1;
                    let furthest = ahead.load(Ordering::Relaxed);
                    assert!(furthest <= item + (AHEAD + 2) * n_threads, "{furthest} while taking {item}");
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(next, 31);
        }
    }

    #[test]
    fn an_error_of_either_side_stops_all_threads() {
        let prepare = |item| if item == 7 { Err(Error::Data("seven".into())) } else { Ok(loaded()) };
        let error = load_in_order(0..1000, 3, prepare, |_, _| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), "seven");
        let error = load_in_order(0..1000, 3, |_| Ok(loaded()), |_, _| Err(Error::Data("enough".into()))).unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }
}
