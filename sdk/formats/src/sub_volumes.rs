//! Sub-volumes of scans: their list, and their voxels at the size of a sample. `crop` says where they lie.
//!
//! Shared by the plugins for volumes. A plugin normalises the values of a [`SubVolume`], and
//! [`medcoss_sdk::volume_transform`] augments them and makes tokens. Opening reads headers only. Where all volumes fit
//! into a limit of memory, each is decoded once and cached, because one scan gives many samples. Where they do not,
//! only the slices of a sample are read; a compressed file is decompressed from the nearest access point, which was
//! recorded when the file was first read. A volume above the limit is never in memory as a whole. Samples are the same
//! either way.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use medcoss_sdk::affine::Affine;
use medcoss_sdk::volume::{Sampling, SubVolume, Volume};
use medcoss_sdk::{Account, Error, FileGrid, Fingerprint, SampleRng, View, code, log};

pub use crate::crop::SubVolumeSettings;
use crate::crop::{Crop, Start};
use crate::dicom::stack;
use crate::foreground;
use crate::volume_cache::VolumeCache;
use crate::volume_source::{Decoded, FoundVolumes, GzipIndex, VolumeInfo, VolumeSource, find_volumes};

/// Largest number of voxels that are read at once of a volume that is not held as a whole: 128 MiB.
pub(crate) const SLAB_VOXELS: usize = 1 << 25;
/// Note on a large volume of which some slices cost as much as all.
const SLOW_SLICES: &str = "are larger than cache_mb and not stored slice by slice, so that every sample reads all of them; raise \
                           cache_mb, or store them with axial slices";
/// Smallest memory in bytes for the indices of compressed files, where volumes are not cached; a larger `cache_mb` is
/// used instead.
const MIN_INDEX_BYTES: usize = 64 << 20;

/// Sub-volumes of a dataset, in the order of files and slices. Many threads may use them at once.
#[derive(Debug)]
pub struct SubVolumes {
    pub(crate) settings: SubVolumeSettings,
    pub(crate) scans: Vec<Scan>,
    /// Scan and first voxel of each sub-volume.
    pub(crate) windows: Vec<(usize, Start)>,
    /// Whether all volumes fit into the cache.
    cache_holds_all: bool,
    cache: VolumeCache,
    account: Account,
}

#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) source: VolumeSource,
    /// Facts from the header, or the error when it could not be read. The scan then counts as one sample, which fails
    /// when it is loaded: the host counts it like every invalid sample.
    pub(crate) info: Result<VolumeInfo, Error>,
    /// Whether some slices cost less than all of them.
    has_cheap_slices: bool,
    /// Index of its file, used if it is compressed.
    gzip_index: GzipIndex,
    /// Value of voxels that are infinite or NaN.
    outside: f32,
    replacement_reported: AtomicBool,
    /// Rows and columns with the foreground, once they were looked for.
    foreground: OnceLock<[Range<usize>; 2]>,
}

impl SubVolumes {
    /// Lists the sub-volumes of the entries' volumes.
    ///
    /// # Errors
    /// Settings out of range, missing data, no volume with a valid header.
    pub fn open(base: &Path, entries: &[PathBuf], settings: SubVolumeSettings) -> Result<Self, Error> {
        settings.check()?;
        let mut scans = Vec::new();
        let mut windows = Vec::new();
        let mut errors = Vec::new();
        let FoundVolumes { sources, mut account } = find_volumes(base, entries, &settings.scans)?;
        // `cache_mb` is limited, so that the shift does not overflow.
        let index_bytes = MIN_INDEX_BYTES.max(settings.cache_mb << 20) / sources.len().max(1);
        let mut n_voxels = 0;
        for (index, source) in sources.into_iter().enumerate() {
            let has_cheap_slices = !source.needs_whole_file();
            let listed = source.info().and_then(|mut info| {
                let found = settings.starts(&info).map_err(|error| error.in_context(source.id()))?;
                n_voxels += info.n_voxels();
                if settings.is_large(info.n_voxels()) && !has_cheap_slices {
                    info.notes.push(SLOW_SLICES);
                }
                Ok((info, found))
            });
            let info = match listed {
                Ok((info, found)) => {
                    windows.extend(found.into_iter().map(|start| (index, start)));
                    Ok(info)
                }
                Err(error) => {
                    windows.push((index, [0; 3]));
                    errors.push(error.clone());
                    Err(error)
                }
            };
            let gzip_index = GzipIndex::new(index_bytes);
            scans.push(Scan {
                source,
                info,
                has_cheap_slices,
                gzip_index,
                outside: settings.scans.outside,
                replacement_reported: AtomicBool::new(false),
                foreground: OnceLock::new(),
            });
        }
        let n_bad = errors.len();
        if let Some(first) = errors.into_iter().next() {
            if n_bad == scans.len() {
                return Err(first);
            }
            log::warn(&format!("{n_bad} of {} volumes cannot be read; the first: {first}", scans.len()));
        }
        let infos: Vec<&VolumeInfo> = scans.iter().filter_map(|scan| scan.info.as_ref().ok()).collect();
        notice_notes(&infos, &mut account);
        settings.report(&infos, &mut account);
        let (cache_holds_all, cache) = (settings.fits(n_voxels), VolumeCache::new(settings.cache_mb << 20));
        Ok(Self { settings, scans, windows, cache_holds_all, cache, account })
    }

    /// Number of sub-volumes.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are no sub-volumes.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Id of a sub-volume: that of the scan, and the first slice counted from the inferior end:
    /// `ct/torso/torso.nii.gz#z=0016`. With [`Crop::Grid`] also the first row and column, and with [`Crop::Whole`] that of
    /// the scan alone.
    pub fn id(&self, index: usize) -> String {
        let (scan, start) = self.windows[index];
        format!("{}{}", self.scans[scan].source.id(), self.settings.suffix(start))
    }

    /// Index of the entry of the data that a sub-volume's scan was found in.
    pub fn entry(&self, index: usize) -> u32 {
        self.scans[self.windows[index].0].source.entry()
    }

    /// Files that are used and left out, and what is not in the samples as it is in them.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Fingerprint of the dataset; changes when the files do.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for scan in &self.scans {
            scan.source.add_to(&mut fingerprint);
        }
        fingerprint
    }

    /// Reads and resamples the evaluation view of a sub-volume. It is padded later, so that padding has no part in its
    /// statistics.
    ///
    /// # Errors
    /// A volume that cannot be read, or that changed since it was opened.
    pub fn read(&self, index: usize) -> Result<SubVolume, Error> {
        self.resampled(index, self.samplings(index, None)?)
    }

    /// Reads a view of a sub-volume as [`SubVolumes::read`] does, and says where its voxels lie in the file. Random places
    /// are drawn from `rng`, others draw nothing.
    ///
    /// # Errors
    /// Those of [`SubVolumes::read`].
    pub fn read_view(&self, index: usize, view: View, rng: &mut SampleRng) -> Result<(SubVolume, Affine<3>), Error> {
        let samplings = self.samplings(index, (view == View::Training).then_some(rng))?;
        let info = self.scans[self.windows[index].0].info.as_ref().map_err(Error::clone)?;
        let place = Affine::of_samplings(samplings).then(&info.file_axes.affine());
        Ok((self.resampled(index, samplings)?, place))
    }

    /// Sampling positions of a sub-volume: of its training view where there is a generator.
    pub(crate) fn samplings(&self, index: usize, random: Option<&mut SampleRng>) -> Result<[Sampling; 3], Error> {
        let (number, start) = self.windows[index];
        let info = self.scans[number].info.as_ref().map_err(Error::clone)?;
        let settings = &self.settings;
        match (settings.crop, random) {
            (Crop::Random, Some(rng)) => settings.samplings(info, settings.random_start(info, rng)?, true, None),
            (Crop::Grid, _) => settings.samplings(info, start, true, None),
            (Crop::Foreground, _) => settings.samplings(info, start, false, Some(&self.foreground(number, info)?)),
            _ => settings.samplings(info, start, false, None),
        }
    }

    /// Rows and columns of a scan that hold its foreground.
    fn foreground(&self, number: usize, info: &VolumeInfo) -> Result<[Range<usize>; 2], Error> {
        let scan = &self.scans[number];
        if let Some(known) = scan.foreground.get() {
            return Ok(known.clone());
        }
        let [n_slices, rows, columns] = info.size;
        let (plane, sought) = ([rows, columns], self.settings.foreground);
        let found = if self.reads_slabs(scan, info) {
            foreground::find(n_slices, plane, sought, |slice| scan.slab(info, slice..slice + 1))?
        } else {
            let volume = self.cache.get(number, || scan.read(info))?;
            let slice = |at: usize| Ok(volume.voxels()[at * rows * columns..][..rows * columns].to_vec());
            foreground::find(n_slices, plane, sought, slice)?
        };
        Ok(scan.foreground.get_or_init(|| found).clone())
    }

    /// Whether only the slices of a sample are read, and not the whole scan.
    fn reads_slabs(&self, scan: &Scan, info: &VolumeInfo) -> bool {
        self.settings.is_large(info.n_voxels()) || !self.cache_holds_all && scan.has_cheap_slices
    }

    fn resampled(&self, index: usize, samplings: [Sampling; 3]) -> Result<SubVolume, Error> {
        let (index, _) = self.windows[index];
        let scan = &self.scans[index];
        let info = scan.info.as_ref().map_err(Error::clone)?;
        if self.reads_slabs(scan, info) {
            let [_, rows, columns] = info.size;
            let most = SLAB_VOXELS / (rows * columns);
            return SubVolume::from_slabs(info.size, samplings, most, |slices| scan.slab(info, slices));
        }
        let volume = self.cache.get(index, || scan.read(info))?;
        volume.resampled(samplings).map_err(|error| error.in_context(scan.source.id()))
    }

    /// The grid of a sub-volume's file; `None` where its header cannot be read.
    pub fn grid(&self, index: usize) -> Option<FileGrid> {
        let (scan, _) = self.windows[index];
        self.scans[scan].info.as_ref().ok().map(|info| info.file_axes.grid())
    }
}

impl Scan {
    fn read(&self, info: &VolumeInfo) -> Result<Volume, Error> {
        self.source.check_unchanged()?;
        self.checked(self.source.read()?, info, info.size)
    }

    /// Voxels of some slices of a volume.
    fn slab(&self, info: &VolumeInfo, slices: Range<usize>) -> Result<Vec<f32>, Error> {
        let [_, rows, columns] = info.size;
        let n_slices = slices.len();
        self.source.check_unchanged()?;
        let slab = self.source.read_slab(info.size, slices, &self.gzip_index).map_err(|error| match error.code() {
            code::BAD_REQUEST => self.changed(),
            _ => error,
        })?;
        Ok(self.checked(slab, info, [n_slices, rows, columns])?.into_voxels())
    }

    fn checked(&self, decoded: Decoded, info: &VolumeInfo, size: [usize; 3]) -> Result<Volume, Error> {
        let volume = decoded.volume;
        if (size, info.spacing_mm) != (volume.size(), volume.spacing_mm()) {
            return Err(self.changed());
        }
        if decoded.n_replaced > 0 && !self.replacement_reported.swap(true, Ordering::Relaxed) {
            let (id, n, all) = (self.source.id(), decoded.n_replaced, volume.voxels().len());
            let outside = self.outside;
            log::warn(&format!("{id}: {n} of {all} voxels are infinite or NaN; they become {outside}"));
        }
        Ok(volume)
    }

    fn changed(&self) -> Error {
        Error::corrupt(format!("{} has changed since the data were opened", self.source.id()))
    }
}

/// Notices for each kind of note, with the number of volumes that have it.
pub(crate) fn notice_notes(volumes: &[&VolumeInfo], account: &mut Account) {
    let mut noted: BTreeMap<&str, usize> = BTreeMap::new();
    // The account counts the files that are not used.
    for note in volumes.iter().flat_map(|info| &info.notes).filter(|note| **note != stack::SEVERAL) {
        *noted.entry(note).or_default() += 1;
    }
    for (note, n) in noted {
        account.notice(n, volumes.len(), format!("scans {note}"));
    }
}
