//! DICOM series: the files of a scan, found among others and read as one volume.
//!
//! Slices belong to one volume when they are of one scan: `sdk/formats/SCANS.md` says what tells scans apart. Files are
//! read one after another, so that only the volume is held in memory. `find_series` groups files, and `stack` orders
//! planes.

use std::ops::Range;

use medcoss_sdk::volume::Volume;
use medcoss_sdk::{Error, Fingerprint, FoundFile};

use super::series_files::Opened;
use super::stack::Stack;
use crate::file_axes::FileAxes;
#[cfg(feature = "volume")]
use crate::orientation::Orientation;
use crate::orientation::{place, replace_not_finite};

/// Largest volume in voxels: 4 GiB as `f32`.
pub const MAX_VOXELS: usize = 1 << 30;

/// A scan of one or more files.
#[derive(Debug, Clone)]
pub struct Series {
    pub(super) id: String,
    /// All files, including those that are not used because another file has their position.
    pub(super) files: Vec<FoundFile>,
    pub(super) stack: Result<Stack, Error>,
    /// Value of voxels outside of the scan.
    pub(super) outside: f32,
}

/// Size, spacing and notes of a series, without its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesInfo {
    /// `[depth, rows, columns]`.
    pub size: [usize; 3],
    /// Distance between neighbouring voxels in the same order, in millimetres.
    pub spacing_mm: [f32; 3],
    /// Notes for the user, each the end of a sentence that begins with "scans".
    pub notes: Vec<&'static str>,
    /// The axes of the series as an array `[slice, row, column]`.
    pub file_axes: FileAxes,
}

impl Series {
    /// Id of the series: the file's id, or the folder of several files and the end of the Series Instance UID; and what
    /// tells it apart from others of the same file or UID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All files, including those that are not used because another file has their position.
    pub fn files(&self) -> &[FoundFile] {
        &self.files
    }

    /// Ids of the files that the volume is read from. All files where it cannot be read.
    pub(crate) fn used_files(&self) -> Vec<&str> {
        let all = || self.files.iter().map(|file| file.id.as_str()).collect();
        self.stack.as_ref().map_or_else(
            |_| all(),
            |stack| stack.planes.iter().map(|plane| self.files[plane.file].id.as_str()).collect(),
        )
    }

    /// Index of the entry of the data that its first file was found in.
    pub fn entry(&self) -> u32 {
        self.files[0].entry
    }

    /// Adds the identity of the files to a fingerprint.
    pub fn add_to(&self, fingerprint: &mut Fingerprint) {
        for file in &self.files {
            fingerprint.add_file(file);
        }
    }

    /// Checks that the files have not changed since they were found.
    ///
    /// # Errors
    /// A file that is gone, or that was written since.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(FoundFile::check_unchanged)
    }

    /// Size, spacing and notes of the series, from headers alone.
    ///
    /// # Errors
    /// A file that could not be read.
    pub fn info(&self) -> Result<SeriesInfo, Error> {
        let stack = self.stack.as_ref().map_err(Clone::clone)?;
        let size = stack.orientation.size(stack.file_size);
        Ok(SeriesInfo { size, spacing_mm: stack.spacing_mm, notes: stack.notes.clone(), file_axes: stack.file_axes() })
    }

    /// Reads the volume, in the units of the modality: Hounsfield units for CT. Also returns how many voxels were
    /// infinite or NaN; they became the value outside of the scan.
    ///
    /// # Errors
    /// Those of [`Series::info`], damaged pixels, files that have changed.
    pub fn read(&self) -> Result<(Volume, usize), Error> {
        let [depth, ..] = self.info()?.size;
        self.read_slab(0..depth)
    }

    /// Reads some slices of the volume, as [`Series::read`] does. Where slices are the planes of the files, only these
    /// files are read.
    ///
    /// # Errors
    /// Those of [`Series::read`], an empty range, slices that the volume does not have.
    pub fn read_slab(&self, slices: Range<usize>) -> Result<(Volume, usize), Error> {
        let stack = self.stack.as_ref().map_err(Clone::clone)?;
        let [columns, rows, _] = stack.file_size;
        let [depth, high, wide] = stack.orientation.size(stack.file_size);
        if slices.is_empty() || slices.end > depth {
            return Err(Error::bad_request(format!("{} has {depth} slices; {slices:?} are not among them", self.id)));
        }
        let n_voxels = slices.len() * high * wide;
        let mut voxels = Vec::new();
        voxels.try_reserve_exact(n_voxels).map_err(|error| {
            Error::unsupported(format!("{} needs {} MiB of memory", self.id, n_voxels >> 18)).caused_by(&error)
        })?;
        voxels.resize(n_voxels, 0.0_f32);

        let (first, [along_i, along_j, along_k]) = stack.orientation.strides(stack.file_size);
        // Positions in the whole volume; the slab is a contiguous part of it.
        let slab = slices.start * high * wide..slices.end * high * wide;
        let mut opened: Option<(usize, Opened)> = None;
        for (k, &source) in stack.planes.iter().enumerate() {
            let file = source.file;
            let corner = first.wrapping_add_signed(k as isize * along_k);
            if !self.needs_whole_file() && !slab.contains(&corner) {
                continue;
            }
            let mut current = match opened.take() {
                Some((number, current)) if number == file => current,
                _ => Opened::open(&self.files[file])?,
            };
            let values = current.plane(&self.files[file], [rows, columns], source, self.outside)?;
            for (j, row) in values.chunks_exact(columns).enumerate() {
                let start = corner.wrapping_add_signed(j as isize * along_j);
                if !self.needs_whole_file() {
                    place(&mut voxels, start - slab.start, along_i, row.iter().copied());
                    continue;
                }
                for (i, &value) in row.iter().enumerate() {
                    let at = start.wrapping_add_signed(i as isize * along_i);
                    if slab.contains(&at) {
                        voxels[at - slab.start] = value;
                    }
                }
            }
            opened = Some((file, current));
        }
        let n_replaced = replace_not_finite(&mut voxels, self.outside);
        let volume = Volume::new([slices.len(), high, wide], stack.spacing_mm, voxels)?;
        Ok((volume, n_replaced))
    }

    /// The series in stored order, whatever the directions: planes become depth, the columns of an image become rows,
    /// and its rows columns, as in a NIfTI file that is read in stored order.
    #[cfg(feature = "volume")]
    pub(crate) fn in_stored_order(&self) -> Self {
        let mut stored = self.clone();
        if let Ok(stack) = &mut stored.stack {
            let spacing = stack.spacing_mm.map(f64::from);
            stack.orientation = Orientation { spacing, ..stack.orientation }.in_stored_order();
            stack.spacing_mm = stack.orientation.spacing.map(|mm| mm as f32);
        }
        stored
    }

    /// Whether some slices cost as much as all of them, because slices are not the planes of the files.
    pub fn needs_whole_file(&self) -> bool {
        self.stack.as_ref().is_ok_and(|stack| stack.orientation.axis[0] != 2)
    }
}
