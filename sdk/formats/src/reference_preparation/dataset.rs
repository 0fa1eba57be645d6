//! Samples of a dataset that is prepared as the reference does: their list, and their voxels.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use medcoss_sdk::affine::Affine;
use medcoss_sdk::label_map::{LabelMap, check_fits};
use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Account, Error, FileGrid, Fingerprint, FoundFile, log};

use super::squeeze::Stored;
use super::{ReferenceSettings, ReferenceSteps, ct, is_affordable, mri};
use crate::sub_volume_labels::labels_of;
use crate::sub_volumes::notice_notes;
use crate::volume_cache::VolumeCache;
use crate::volume_source::{FoundVolumes, VolumeInfo, VolumeSource, find_volumes};

/// Samples as the reference makes them, in the order of files and slices. Many threads may use them at once.
#[derive(Debug)]
pub struct ReferenceVolumes {
    settings: ReferenceSettings,
    scans: Vec<Scan>,
    /// Scan and tile number of each sample.
    samples: Vec<(usize, usize)>,
    /// Prepared scans: at 1 mm (CT), with squeezed planes (MRI), or as they are in the file.
    cache: VolumeCache,
    pub(crate) account: Account,
}

/// Reason of scans that give no sample.
const TOO_SHORT: &str = "of a scan of 12 or fewer slices of 1 mm, which gives no sample";

#[derive(Debug)]
struct Scan {
    source: VolumeSource,
    /// Facts of the scan, or the error when it gives no sample. It then counts as one sample, which fails when it is
    /// loaded.
    info: Result<VolumeInfo, Error>,
    /// Ranges of slices in the prepared scan, one for each sample.
    tiles: Vec<Range<usize>>,
    /// Limits to which the tiles of an MRI scan are clipped.
    limits: OnceLock<Vec<[f32; 2]>>,
    /// Value of voxels that are infinite or NaN.
    outside: f32,
    replacement_reported: AtomicBool,
}

impl ReferenceVolumes {
    /// Lists the samples of the entries' volumes, from headers alone. CT scans too short for a tile are left out.
    ///
    /// # Errors
    /// Missing data, no volume that gives a sample.
    pub fn open(base: &Path, entries: &[PathBuf], settings: ReferenceSettings) -> Result<Self, Error> {
        let (mut scans, mut samples): (Vec<Scan>, _) = (Vec::new(), Vec::new());
        let (mut too_short, mut errors, mut n_voxels) = (Vec::new(), Vec::new(), 0);
        let FoundVolumes { sources, mut account } = find_volumes(base, entries, &settings.scans)?;
        for source in sources {
            let id = source.id().to_owned();
            let listed = source.stored_info().and_then(|info| Ok((settings.tiles(&source, &info)?, info)));
            let (info, tiles) = match listed {
                Ok((tiles, _)) if tiles.is_empty() => {
                    too_short.push(source);
                    continue;
                }
                Ok((tiles, info)) => {
                    n_voxels += settings.n_prepared_voxels(&info);
                    (Ok(info), tiles)
                }
                Err(error) => {
                    let error = if error.message().contains(&id) { error } else { error.in_context(&id) };
                    errors.push(error.clone());
                    (Err(error), vec![Range::default()])
                }
            };
            samples.extend((0..tiles.len()).map(|tile| (scans.len(), tile)));
            let (limits, replacement_reported) = (OnceLock::new(), AtomicBool::new(false));
            let outside = settings.scans.outside;
            scans.push(Scan { source, info, tiles, limits, outside, replacement_reported });
        }
        refuse_too_short(&too_short, scans.len())?;
        leave_out_too_short(&too_short, &scans, &mut account);
        let n_bad = errors.len();
        if let Some(first) = errors.into_iter().next() {
            if n_bad == scans.len() {
                return Err(first);
            }
            log::warn(&format!("{n_bad} of {} volumes give no sample; the first: {first}", scans.len()));
        }
        let infos: Vec<&VolumeInfo> = scans.iter().filter_map(|scan| scan.info.as_ref().ok()).collect();
        notice_notes(&infos, &mut account);
        // `cache_mb` is capped.
        if n_voxels > (settings.cache_mb as u64) << 18 && settings.steps != ReferenceSteps::Prepared {
            log::warn(&format!(
                "prepared scans take {} MiB, more than cache_mb, so that each sample prepares its scan again\n\
                 hint: raise cache_mb to this size",
                (n_voxels >> 18) + 1
            ));
        }
        let cache = VolumeCache::new(settings.cache_mb << 20);
        Ok(Self { settings, scans, samples, cache, account })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Id of a sample: that of the scan and, for a raw scan, the tile's first slice in the prepared scan:
    /// `ct/a.nii.gz#tile=0012`.
    pub fn id(&self, index: usize) -> String {
        let (scan, tile) = self.samples[index];
        let Scan { source, tiles, .. } = &self.scans[scan];
        match self.settings.steps {
            ReferenceSteps::Prepared => source.id().to_owned(),
            _ => format!("{}#tile={:04}", source.id(), tiles[tile].start),
        }
    }

    /// Id of a sample's scan.
    pub fn file_id(&self, index: usize) -> &str {
        self.scans[self.samples[index].0].source.id()
    }

    /// Index of the entry of the data that a sample's scan was found in.
    pub fn entry(&self, index: usize) -> u32 {
        self.scans[self.samples[index].0].source.entry()
    }

    /// Fingerprint of the dataset; changes when the files do.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        self.scans.iter().for_each(|scan| scan.source.add_to(&mut fingerprint));
        fingerprint
    }

    /// Voxels of a sample, `[depth, rows, columns]`: Hounsfield units for CT, standardised intensities for MRI, stored
    /// numbers for prepared files.
    ///
    /// # Errors
    /// A volume that cannot be read or gives no sample, or that changed since it was opened.
    pub fn read(&self, index: usize) -> Result<Vec<f32>, Error> {
        let (number, tile) = self.samples[index];
        let scan = &self.scans[number];
        let info = scan.info.as_ref().map_err(Error::clone)?;
        let (size, tiles) = (self.settings.size, &scan.tiles);
        let prepared = || self.cache.get(number, || scan.prepare(info, &self.settings));
        match self.settings.steps {
            ReferenceSteps::Prepared => Ok(scan.volume(info)?.into_voxels()),
            ReferenceSteps::Ct { .. } => Ok(ct::sample(&*prepared()?, tiles[tile].clone(), size)),
            ReferenceSteps::Mri { percentiles } => {
                let volume = prepared()?;
                let limits =
                    scan.limits.get_or_init(|| mri::limits(&volume, tiles, percentiles, stored(info, &volume)));
                Ok(mri::sample(&volume, tiles, limits, tile))
            }
        }
    }

    /// From the voxels of a sample to those of its file.
    ///
    /// # Errors
    /// A scan that gives no sample.
    pub fn place(&self, index: usize) -> Result<Affine<3>, Error> {
        let (number, tile) = self.samples[index];
        let Scan { info, tiles, .. } = &self.scans[number];
        let info = info.as_ref().map_err(Error::clone)?;
        let (size, tile) = (self.settings.size, tiles[tile].clone());
        let in_array = match self.settings.steps {
            ReferenceSteps::Ct { .. } => {
                ct::place(info.size, ct::millimetre_size(info.size, info.spacing_mm)?, tile, size)
            }
            ReferenceSteps::Mri { .. } => mri::place(info.size, tile, size),
            ReferenceSteps::Prepared => Affine::identity(),
        };
        Ok(in_array.then(&info.file_axes.affine()))
    }

    /// The grid of a sample's file; `None` where it gives no sample.
    pub fn grid(&self, index: usize) -> Option<FileGrid> {
        let info = self.scans[self.samples[index].0].info.as_ref().ok()?;
        Some(info.file_axes.grid())
    }

    /// Labels of a sample from the mask of its file, which has the same array. For prepared files only.
    ///
    /// # Errors
    /// A mask that cannot be read, has another size or has numbers that are not labels; a raw scan.
    pub fn label_map(&self, index: usize, mask: &FoundFile) -> Result<LabelMap, Error> {
        let scan = &self.scans[self.samples[index].0];
        let info = scan.info.as_ref().map_err(Error::clone)?;
        if self.settings.steps != ReferenceSteps::Prepared {
            return Err(Error::unsupported(format!(
                "mask {} is not read: preparation = \"reference\" has no masks\n\
                 hint: evaluate with preparation = \"sub-volumes\", or prepare scans and masks and set it to \"prepared\"",
                mask.id
            )));
        }
        let source = VolumeSource::of_file(mask, 0.0, self.settings.scans.hdf5.of_masks());
        let found = source.stored_info()?;
        check_fits(&mask.id, &found.size, scan.source.id(), &info.size)?;
        let labels = labels_of(&mask.id, &source.read_stored()?)?;
        LabelMap::new(&info.size, labels)?.with_spacing_mm(&info.spacing_mm.map(f64::from))
    }
}

impl ReferenceSettings {
    /// Ranges of slices of a scan's samples, in the prepared scan; empty for a CT scan that is too short.
    ///
    /// # Errors
    /// A scan that gives no sample for another reason.
    fn tiles(&self, source: &VolumeSource, info: &VolumeInfo) -> Result<Vec<Range<usize>>, Error> {
        let [depth, rows, columns] = self.size;
        let id = source.id();
        match self.steps {
            ReferenceSteps::Ct { .. } => {
                info.check_has_spacing("preparation = \"reference\"").map_err(|error| error.in_context(id))?;
                let [n_slices, n_i, n_j] = ct::millimetre_size(info.size, info.spacing_mm)?;
                if ct::without_border([n_i, n_j]).iter().any(Range::is_empty) {
                    return Err(Error::unsupported(format!(
                        "{id} has {n_i}x{n_j} voxels of 1 mm: none without the border"
                    )));
                }
                Ok(ct::tiles(n_slices))
            }
            ReferenceSteps::Mri { .. } => {
                let n_slices = info.size[0];
                if !is_affordable(self.n_prepared_voxels(info), info.n_voxels()) {
                    return Err(Error::unsupported(format!(
                        "{id} has {n_slices} slices, too many for a file of this size with planes of {rows}x{columns}"
                    )));
                }
                let too_few = || {
                    let kept = ct::inner(n_slices).len();
                    Error::unsupported(format!(
                        "{id} keeps {kept} of {n_slices} slices without its ends; {depth} are needed"
                    ))
                };
                mri::tiles(n_slices, depth).ok_or_else(too_few)
            }
            ReferenceSteps::Prepared => {
                if matches!(source, VolumeSource::Dicom(_)) {
                    return Err(Error::unsupported(format!(
                        "{id} is a DICOM series; preparation = \"prepared\" reads NIfTI files that the reference's scripts wrote\n\
                         hint: set preparation to \"reference\" for raw scans"
                    )));
                }
                let [k, i, j] = info.size;
                if info.size != self.size {
                    return Err(Error::unsupported(format!(
                        "{id} has {k} slices of {i}x{j} voxels, as they lie in the file; a prepared file has the size of a \
                         sample, {depth} of {rows}x{columns}\nhint: set size, or preparation to \"reference\" for raw scans"
                    )));
                }
                Ok(std::iter::once(0..depth).collect())
            }
        }
    }

    /// Number of voxels of a scan after its preparation.
    fn n_prepared_voxels(&self, info: &VolumeInfo) -> u64 {
        let size = match self.steps {
            ReferenceSteps::Ct { .. } => ct::millimetre_size(info.size, info.spacing_mm).unwrap_or(info.size),
            ReferenceSteps::Mri { .. } => [info.size[0], self.size[1], self.size[2]],
            ReferenceSteps::Prepared => info.size,
        };
        size.iter().map(|&n| n as u64).product()
    }
}

impl Scan {
    /// Prepares the whole scan, up to cutting it into tiles.
    fn prepare(&self, info: &VolumeInfo, settings: &ReferenceSettings) -> Result<Volume, Error> {
        let volume = self.volume(info)?;
        match settings.steps {
            ReferenceSteps::Ct { hu_range } => ct::to_millimetres(volume, hu_range),
            ReferenceSteps::Mri { .. } => {
                let [_, rows, columns] = settings.size;
                let voxels = mri::with_squeezed_planes(&volume, [rows, columns], stored(info, &volume));
                Volume::new([volume.size()[0], rows, columns], volume.spacing_mm(), voxels)
            }
            ReferenceSteps::Prepared => Ok(volume),
        }
        .map_err(|error| error.in_context(self.source.id()))
    }

    /// The array of the file, in stored order.
    fn volume(&self, info: &VolumeInfo) -> Result<Volume, Error> {
        let id = self.source.id();
        self.source.check_unchanged()?;
        let decoded = self.source.read_stored()?;
        if (info.size, info.spacing_mm) != (decoded.volume.size(), decoded.volume.spacing_mm()) {
            return Err(Error::corrupt(format!("{id} has changed since the data were opened")));
        }
        if decoded.n_replaced > 0 && !self.replacement_reported.swap(true, Ordering::Relaxed) {
            let (n, all) = (decoded.n_replaced, decoded.volume.voxels().len());
            let outside = self.outside;
            log::warn(&format!("{id}: {n} of {all} voxels are infinite or NaN; they become {outside}"));
        }
        Ok(decoded.volume)
    }
}

/// Whether a scan is stored in whole numbers: by the type in the file, or else by the voxels.
fn stored(info: &VolumeInfo, volume: &Volume) -> Stored {
    let is_whole = || volume.voxels().iter().all(|voxel| voxel.fract() == 0.0);
    if info.is_integer.unwrap_or_else(is_whole) { Stored::Whole } else { Stored::Real }
}

/// Leaves out the files of scans that give no tile, unless they hold another scan that does.
fn leave_out_too_short(too_short: &[VolumeSource], scans: &[Scan], account: &mut Account) {
    let used: BTreeSet<&str> = scans.iter().flat_map(|scan| scan.source.file_ids()).collect();
    let unused: BTreeSet<&str> = too_short.iter().flat_map(VolumeSource::file_ids).collect();
    unused.difference(&used).for_each(|file| account.leave_out(*file, TOO_SHORT));
}

/// Refuses data without a scan that is long enough for a tile.
///
/// # Errors
/// All scans are too short.
fn refuse_too_short(too_short: &[VolumeSource], n_others: usize) -> Result<(), Error> {
    match too_short.first() {
        Some(first) if n_others == 0 => {
            let (n, first) = (too_short.len(), first.id());
            Err(Error::unsupported(format!(
                "all {n} scans have 12 or fewer slices of 1 mm, which give no sample; the first: {first}"
            )))
        }
        _ => Ok(()),
    }
}
