//! Sub-volumes along the depth of scans: their list, and their voxels at the size of a sample.
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
use std::sync::atomic::{AtomicBool, Ordering};

use medcoss_sdk::affine::Affine;
use medcoss_sdk::volume::{Sampling, SubVolume, Volume};
use medcoss_sdk::{Account, Error, FileGrid, Fingerprint, code, log};

use crate::dicom::stack;
use crate::nifti::MAX_VOXELS;
use crate::volume_cache::VolumeCache;
use crate::volume_source::{Decoded, FoundVolumes, GzipIndex, ScanRules, VolumeInfo, VolumeSource, find_volumes};

/// Largest number of slices of a volume after resampling; a spacing that makes more is a mistake in the file or the
/// settings.
const MAX_SLICES: usize = 1 << 16;
/// Range of the target spacing in millimetres.
const SPACING_MM: std::ops::RangeInclusive<f32> = 0.05..=100.0;
/// Largest memory for decoded volumes, in MiB.
const MAX_CACHE_MB: usize = 1 << 20;
/// Largest number of voxels that are read at once of a volume that is not held as a whole: 128 MiB.
pub(crate) const SLAB_VOXELS: usize = 1 << 25;
/// Note on a large volume of which some slices cost as much as all.
const SLOW_SLICES: &str = "is larger than cache_mb and not stored slice by slice, so that every sample reads all of it; raise \
                           cache_mb, or store it with axial slices";
/// Smallest memory in bytes for the indices of compressed files, where volumes are not cached; a larger `cache_mb` is
/// used instead.
const MIN_INDEX_BYTES: usize = 64 << 20;

/// Settings of the sub-volumes of scans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubVolumeSettings {
    /// `[depth, rows, columns]` of a sub-volume in voxels.
    pub size: [usize; 3],
    /// Slices from one sub-volume to the next; `None` means the depth. The last sub-volume ends with the scan.
    pub stride: Option<usize>,
    /// Spacing `[depth, rows, columns]` in millimetres to which scans are resampled first; rows and columns are then
    /// cropped or padded about the centre. `None` keeps the slices and stretches rows and columns to the size.
    pub spacing_mm: Option<[f32; 3]>,
    /// Fraction of the slices to leave out at either end, where enough remain for one sub-volume.
    pub drop_ends_ratio: f64,
    /// Memory for decoded volumes, in MiB. Where they do not fit, it is for the indices of compressed files, and at
    /// least 64.
    pub cache_mb: usize,
    /// Which DICOM files are scans of the modality, and what is outside of a scan.
    pub scans: ScanRules,
}

impl SubVolumeSettings {
    /// Checks the ranges, but for `size`, which [`medcoss_sdk::volume_transform::VolumeTransform::check`] does.
    ///
    /// # Errors
    /// The first setting that is out of range, by its name in the options.
    pub fn check(&self) -> Result<(), Error> {
        if self.stride == Some(0) {
            return Err(Error::bad_request("stride is 0; it must be at least 1"));
        }
        if let Some(spacing) = self.spacing_mm.filter(|spacing| !spacing.iter().all(|mm| SPACING_MM.contains(mm))) {
            let (least, most) = SPACING_MM.into_inner();
            return Err(Error::bad_request(format!(
                "spacing_mm is {spacing:?}; depth, rows and columns must be from {least} to {most}"
            )));
        }
        if !(0.0..0.5).contains(&self.drop_ends_ratio) {
            let found = self.drop_ends_ratio;
            return Err(Error::bad_request(format!("drop_ends_ratio is {found}; it must be at least 0 and below 0.5")));
        }
        if self.cache_mb > MAX_CACHE_MB {
            let found = self.cache_mb;
            return Err(Error::bad_request(format!("cache_mb is {found}; it must be at most {MAX_CACHE_MB}")));
        }
        Ok(())
    }

    /// Whether a volume is too large to be held as a whole.
    fn is_large(&self, n_voxels: u64) -> bool {
        !self.fits(n_voxels) || n_voxels > MAX_VOXELS
    }

    /// Whether so many voxels fit into `cache_mb`.
    fn fits(&self, n_voxels: u64) -> bool {
        // `cache_mb` is limited, so that the shift does not overflow.
        n_voxels <= (self.cache_mb as u64) << 18
    }

    /// First slice of each sub-volume of a scan.
    fn windows(&self, info: &VolumeInfo) -> Result<Vec<usize>, Error> {
        let n_slices = self.n_slices(info)?;
        let depth = self.size[0];
        let dropped = (n_slices as f64 * self.drop_ends_ratio) as usize;
        let (start, end) = if n_slices - 2 * dropped >= depth { (dropped, n_slices - dropped) } else { (0, n_slices) };
        if end - start <= depth {
            return Ok(vec![start]);
        }
        let last = end - depth;
        let mut windows: Vec<usize> = (start..=last).step_by(self.stride.unwrap_or(depth)).collect();
        if windows.last() != Some(&last) {
            windows.push(last);
        }
        Ok(windows)
    }

    /// Number of slices of a scan after resampling.
    fn n_slices(&self, info: &VolumeInfo) -> Result<usize, Error> {
        let Some([target, ..]) = self.spacing_mm else { return Ok(info.size[0]) };
        info.check_has_spacing("spacing_mm")?;
        let found = info.spacing_mm[0];
        let n = (info.size[0] as f64 * f64::from(found) / f64::from(target)).round() as usize;
        if n > MAX_SLICES {
            let slices = info.size[0];
            return Err(Error::unsupported(format!(
                "{slices} slices of {found} mm become {n} of {target} mm; at most {MAX_SLICES} are cut"
            )));
        }
        Ok(n.max(1))
    }

    /// Reports the scans that are padded or cropped to the size of a sample.
    fn report(&self, scans: &[&VolumeInfo], account: &mut Account) {
        let [depth, rows, columns] = self.size;
        let count = |is: &dyn Fn(&VolumeInfo) -> bool| scans.iter().filter(|info| is(info)).count();
        let all = scans.len();
        let is_short = |info: &VolumeInfo| self.n_slices(info).is_ok_and(|n| n < depth);
        let sliced = format!("scans have fewer slices than size[0] ({depth}) and are padded");
        account.notice(count(&is_short), all, sliced);
        // Without a spacing, planes are stretched and keep all that they have.
        let Some([_, down, across]) = self.spacing_mm else { return };
        let plane = |info: &VolumeInfo| {
            let side = |axis: usize, target: f32| {
                (info.size[axis] as f64 * f64::from(info.spacing_mm[axis]) / f64::from(target)).round() as usize
            };
            [side(1, down), side(2, across)]
        };
        let wide = format!(
            "scans have more than size[1] x size[2] ({rows} x {columns}) rows or columns at spacing_mm and lose the rest"
        );
        account.notice(count(&|info| plane(info)[0] > rows || plane(info)[1] > columns), all, wide);
        let small = format!(
            "scans have fewer than size[1] x size[2] ({rows} x {columns}) rows or columns at spacing_mm and are padded"
        );
        account.notice(count(&|info| plane(info)[0] < rows || plane(info)[1] < columns), all, small);
    }

    /// Sampling positions of the sub-volume that begins with slice `first`. A scan without enough slices is centred.
    pub(crate) fn samplings(&self, info: &VolumeInfo, first: usize) -> Result<[Sampling; 3], Error> {
        let [depth, rows, columns] = self.size;
        let [n_depth, n_rows, n_columns] = info.size;
        let n_slices = self.n_slices(info)?;
        let start = if n_slices < depth { -(((depth - n_slices) / 2) as isize) } else { first as isize };
        let Some(target) = self.spacing_mm else {
            let slices = Sampling::voxels(start, depth);
            return Ok([slices, Sampling::stretched(n_rows, rows), Sampling::stretched(n_columns, columns)]);
        };
        let [z, y, x] = [0, 1, 2].map(|axis| f64::from(target[axis]) / f64::from(info.spacing_mm[axis]));
        let slices = Sampling::centred(n_depth, n_slices, z).window(start, depth);
        Ok([slices, Sampling::centred(n_rows, rows, y), Sampling::centred(n_columns, columns, x)])
    }
}

/// Sub-volumes of a dataset, in the order of files and slices. Many threads may use them at once.
#[derive(Debug)]
pub struct SubVolumes {
    pub(crate) settings: SubVolumeSettings,
    pub(crate) scans: Vec<Scan>,
    /// Scan and first slice of each sub-volume.
    pub(crate) windows: Vec<(usize, usize)>,
    /// Whether all volumes fit into the cache.
    cache_holds_all: bool,
    cache: VolumeCache,
    pub(crate) account: Account,
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
                let found = settings.windows(&info).map_err(|error| error.in_context(source.id()))?;
                n_voxels += info.n_voxels();
                if settings.is_large(info.n_voxels()) && !has_cheap_slices {
                    info.notes.push(SLOW_SLICES);
                }
                Ok((info, found))
            });
            let info = match listed {
                Ok((info, found)) => {
                    windows.extend(found.into_iter().map(|first| (index, first)));
                    Ok(info)
                }
                Err(error) => {
                    windows.push((index, 0));
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
            });
        }
        let n_bad = errors.len();
        if let Some(first) = errors.into_iter().next() {
            if n_bad == scans.len() {
                return Err(first);
            }
            log::warn(&format!("{n_bad} of {} volumes cannot be read; the first: {first}", scans.len()));
        }
        tell_notes(scans.iter().filter_map(|scan| Some((scan.source.id(), scan.info.as_ref().ok()?))));
        let infos: Vec<&VolumeInfo> = scans.iter().filter_map(|scan| scan.info.as_ref().ok()).collect();
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
    /// `ct/torso/torso.nii.gz#z=0016`.
    pub fn id(&self, index: usize) -> String {
        let (scan, first) = self.windows[index];
        format!("{}#z={first:04}", self.scans[scan].source.id())
    }

    /// Index of the entry of the data that a sub-volume's scan was found in.
    pub fn entry(&self, index: usize) -> u32 {
        self.scans[self.windows[index].0].source.entry()
    }

    /// Fingerprint of the dataset; changes when the files do.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        for scan in &self.scans {
            scan.source.add_to(&mut fingerprint);
        }
        fingerprint
    }

    /// Reads and resamples a sub-volume. It is padded later, so that padding has no part in its statistics.
    ///
    /// # Errors
    /// A volume that cannot be read, or that changed since it was opened.
    pub fn read(&self, index: usize) -> Result<SubVolume, Error> {
        let (index, first) = self.windows[index];
        let scan = &self.scans[index];
        let info = scan.info.as_ref().map_err(Error::clone)?;
        let samplings = self.settings.samplings(info, first)?;
        let is_large = self.settings.is_large(info.n_voxels());
        if is_large || !self.cache_holds_all && scan.has_cheap_slices {
            let [_, rows, columns] = info.size;
            let most = SLAB_VOXELS / (rows * columns);
            return SubVolume::from_slabs(info.size, samplings, most, |slices| scan.slab(info, slices));
        }
        let volume = self.cache.get(index, || scan.read(info))?;
        volume.resampled(samplings).map_err(|error| error.in_context(scan.source.id()))
    }
}

impl SubVolumes {
    /// From the voxels of a sub-volume to those of its file.
    ///
    /// # Errors
    /// A volume whose header cannot be read.
    pub fn place(&self, index: usize) -> Result<Affine<3>, Error> {
        let (scan, first) = self.windows[index];
        let info = self.scans[scan].info.as_ref().map_err(Error::clone)?;
        Ok(Affine::of_samplings(self.settings.samplings(info, first)?).then(&info.file_axes.affine()))
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

/// Warns once for each kind of note, however many volumes have it.
pub(crate) fn tell_notes<'a>(volumes: impl Iterator<Item = (&'a str, &'a VolumeInfo)>) {
    let mut noted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, info) in volumes {
        // The account counts the files that are not used.
        for note in info.notes.iter().filter(|note| **note != stack::SEVERAL) {
            noted.entry(note).or_default().push(id);
        }
    }
    for (note, ids) in noted {
        match ids.as_slice() {
            [one] => log::warn(&format!("{one} {note}")),
            [one, others @ ..] => log::warn(&format!("{one} {note}; the same with {} more", others.len())),
            [] => {}
        }
    }
}
