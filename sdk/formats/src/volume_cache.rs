//! Cache of decoded volumes for their other sub-volumes, limited in memory.
//!
//! The least recently used volume is evicted first. Threads that request the same volume at once wait for one decoding.
//! Results never depend on the contents of the cache.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use medcoss_sdk::Error;
use medcoss_sdk::volume::Volume;

type Slot = OnceLock<Result<Arc<Volume>, Error>>;

/// Decoded volumes of a dataset, by the index of their file.
#[derive(Debug)]
pub(crate) struct VolumeCache {
    limit_bytes: usize,
    /// The most recently used entry is last. A scan has megabytes, so that a list of some hundreds suffices.
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    file: usize,
    /// Memory of the volume in bytes; 0 while it is decoded.
    bytes: usize,
    slot: Arc<Slot>,
}

impl VolumeCache {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, entries: Mutex::default() }
    }

    /// The volume of a file, from the cache or decoded now.
    ///
    /// # Errors
    /// Those of `decode`. Errors are not cached: the next call tries again.
    pub(crate) fn get(
        &self,
        file: usize,
        decode: impl FnOnce() -> Result<Volume, Error>,
    ) -> Result<Arc<Volume>, Error> {
        let slot = self.slot(file);
        let outcome = slot.get_or_init(|| decode().map(Arc::new)).clone();
        let mut entries = self.entries();
        if let Some(at) = entries.iter().position(|entry| Arc::ptr_eq(&entry.slot, &slot)) {
            match &outcome {
                Ok(volume) => entries[at].bytes = size_of_val(volume.voxels()),
                Err(_) => drop(entries.remove(at)),
            }
        }
        let mut kept: usize = entries.iter().map(|entry| entry.bytes).sum();
        entries.retain(|entry| {
            let goes = kept > self.limit_bytes && entry.bytes > 0;
            kept -= if goes { entry.bytes } else { 0 };
            !goes
        });
        outcome
    }

    /// The slot of a file, moved to the end of the list.
    fn slot(&self, file: usize) -> Arc<Slot> {
        let mut entries = self.entries();
        let entry = match entries.iter().position(|entry| entry.file == file) {
            Some(at) => entries.remove(at),
            None => Entry { file, bytes: 0, slot: Arc::default() },
        };
        let slot = Arc::clone(&entry.slot);
        entries.push(entry);
        slot
    }

    /// The entries, also after a panic in another thread: the list is valid after every step.
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A volume of 40 bytes.
    fn volume(value: f32) -> Volume {
        Volume::new([1, 2, 5], [1.0; 3], vec![value; 10]).unwrap()
    }

    /// Whether the file had to be decoded.
    fn decodes(cache: &VolumeCache, file: usize) -> bool {
        let mut decoded = false;
        let got = cache.get(file, || {
            decoded = true;
            Ok(volume(file as f32))
        });
        assert_eq!(*got.unwrap(), volume(file as f32));
        decoded
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = VolumeCache::new(100);
        assert!(decodes(&cache, 1) && decodes(&cache, 2));
        assert!(!decodes(&cache, 1));
        assert!(decodes(&cache, 3), "the third does not fit beside both");
        assert!(!decodes(&cache, 1));
        assert!(decodes(&cache, 2));
        assert!(decodes(&cache, 3));
    }

    #[test]
    fn without_room_everything_is_decoded_again() {
        let cache = VolumeCache::new(0);
        assert!(decodes(&cache, 1) && decodes(&cache, 1));
        assert!(cache.entries().is_empty());
    }

    #[test]
    fn errors_are_returned_and_not_cached() {
        let cache = VolumeCache::new(100);
        let error = cache.get(7, || Err(Error::corrupt("broken"))).unwrap_err();
        assert_eq!(error.message(), "broken");
        assert!(decodes(&cache, 7));
    }

    #[test]
    fn threads_share_one_decoding() {
        let (cache, n_decoded) = (VolumeCache::new(100), AtomicUsize::new(0));
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    let got = cache.get(3, || {
                        n_decoded.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        Ok(volume(3.0))
                    });
                    assert_eq!(*got.unwrap(), volume(3.0));
                });
            }
        });
        assert_eq!(n_decoded.load(Ordering::Relaxed), 1);
    }
}
