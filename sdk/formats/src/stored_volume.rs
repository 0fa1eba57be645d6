//! Volumes as their files state them: sizes, type of the numbers, orientation, and the place of the voxels.
//!
//! A reader of a format fills a [`Stated`] from its header. [`StoredVolume::check`] compares it with limits and with
//! the length of the file, before memory is claimed. [`crate::stored_voxels`] reads the voxels.

use std::path::Path;

use medcoss_sdk::Error;

use crate::file_axes::{FileAxes, ToRas};
use crate::number_type::NumberType;
use crate::orientation::Orientation;

/// Largest volume in voxels that is read at once: 4 GiB as `f32`.
pub const MAX_VOXELS: u64 = 1 << 30;
/// Largest side in voxels: all that NIfTI-1 can state, and far beyond any scan.
const MAX_SIDE: u64 = u16::MAX as u64;
/// Largest row in bytes. Only voxels of many numbers have longer ones.
const MAX_ROW_BYTES: usize = 1 << 26;
/// Largest ratio of Deflate: 258 bytes in two bits.
const MAX_DEFLATE_RATIO: u64 = 1032;
/// Largest offset of the voxels in compressed content. The bytes before them are decompressed and not used; extensions
/// have some KiB.
const MAX_COMPRESSED_OFFSET: u64 = 1 << 28;
/// Plausible distances between voxels in millimetres.
const PLAUSIBLE_MM: std::ops::RangeInclusive<f64> = 1e-3..=1e2;

/// Note on a file of several volumes.
const SEVERAL_VOLUMES: &str = "are the first of several volumes in a file; the others are not used";
/// Note on a file that does not state the directions of its axes.
pub(crate) const NO_ORIENTATION: &str =
    "do not state their orientation; their axes are taken for right, anterior, superior";
/// Note on a file that goes on behind its voxels.
const SURPLUS: &str = "are in files with more bytes than the header accounts for; those at the end are not read";
/// Note on a spacing that is absent or not plausible.
const NO_SPACING: &str = "do not state a plausible voxel spacing; 1 mm is assumed";

/// What a header states of a volume.
#[derive(Debug, Clone)]
pub(crate) struct Stated {
    /// Sizes of the three axes in space, the fastest first.
    pub file_size: [usize; 3],
    /// Volumes one behind the other, of which the first is read.
    pub n_volumes: u64,
    /// Numbers of a voxel one behind the other, of which the first is read.
    pub n_components: usize,
    pub number: NumberType,
    pub big_endian: bool,
    /// `[slope, intercept]`, where they change a value.
    pub scaling: Option<[f64; 2]>,
    /// With the spacing in millimetres.
    pub orientation: Orientation,
    /// Where the axes lie, where it is stated: by index along the file's axes, the fastest first.
    pub to_ras_mm: Option<ToRas>,
    /// Byte of the content at which the voxels begin.
    pub offset: u64,
    pub notes: Vec<&'static str>,
}

/// A volume in a file, checked.
#[derive(Debug, Clone)]
pub struct StoredVolume {
    /// `[depth, rows, columns]` of the volume.
    pub size: [usize; 3],
    /// Distance between neighbouring voxels in the same order, in millimetres.
    pub spacing_mm: [f32; 3],
    /// Notes for the user, each the end of a sentence that begins with "scans".
    pub notes: Vec<&'static str>,
    pub(crate) file_size: [usize; 3],
    pub(crate) n_volumes: u64,
    pub(crate) n_components: usize,
    pub(crate) number: NumberType,
    pub(crate) big_endian: bool,
    pub(crate) scaling: Option<[f64; 2]>,
    pub(crate) orientation: Orientation,
    to_ras_mm: Option<ToRas>,
    states_spacing: bool,
}

/// The content that holds the voxels: a file, or the part of it from some byte on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    /// Length on disk.
    pub bytes: u64,
    pub compressed: bool,
}

impl StoredVolume {
    /// Checks what a header states against the content with the voxels.
    ///
    /// # Errors
    /// Content too small for its volume, a row above 64 MiB.
    pub(crate) fn check(path: &Path, stated: Stated, content: Content) -> Result<Self, Error> {
        check_bytes(path, &stated, content)?;
        let Stated {
            file_size,
            n_volumes,
            n_components,
            number,
            big_endian,
            scaling,
            orientation,
            to_ras_mm,
            mut notes,
            ..
        } = stated;
        if n_volumes > 1 || n_components > 1 {
            notes.insert(0, SEVERAL_VOLUMES);
        }
        let mut spacing_mm = orientation.spacing;
        let states_spacing = spacing_mm.iter().all(|mm| PLAUSIBLE_MM.contains(mm));
        if !states_spacing {
            notes.push(NO_SPACING);
            spacing_mm = [1.0; 3];
        }
        Ok(Self {
            size: orientation.size(file_size),
            spacing_mm: spacing_mm.map(|mm| mm as f32),
            notes,
            file_size,
            n_volumes,
            n_components,
            number,
            big_endian,
            scaling,
            orientation: Orientation { spacing: spacing_mm, ..orientation },
            to_ras_mm,
            states_spacing,
        })
    }

    /// The axes of the file in its own index order; `index_order` names them by their number from the fastest on.
    pub(crate) fn file_axes(&self, index_order: [usize; 3]) -> FileAxes {
        let Orientation { axis, flipped, spacing } = self.orientation;
        let mut of_file_axis = [1.0; 3];
        axis.into_iter().zip(spacing).for_each(|(axis, mm)| of_file_axis[axis] = mm);
        let axes = FileAxes {
            size: self.file_size,
            axis,
            flipped,
            to_ras_mm: self.to_ras_mm,
            spacing_mm: self.states_spacing.then_some(of_file_axis),
        };
        axes.reordered(index_order)
    }

    /// Notes bytes behind the voxels, which begin at `offset` of an uncompressed content: a sign of wrong sizes or types.
    /// For formats that have nothing there.
    pub(crate) fn note_surplus(&mut self, offset: u64, content: Content) {
        let volume_bytes = self.n_voxels().saturating_mul(self.voxel_bytes() as u64);
        let end = volume_bytes.saturating_mul(self.n_volumes).saturating_add(offset);
        if !content.compressed && content.bytes > end {
            self.notes.push(SURPLUS);
        }
    }

    /// The volume of a file that states no spacing, for which the reader put one in.
    #[cfg(feature = "volume")]
    pub(crate) fn without_stated_spacing(self) -> Self {
        Self { states_spacing: false, ..self }
    }

    /// The volume in stored order: its file's axes `order` become depth, rows and columns, see
    /// [`Orientation::in_order`].
    pub(crate) fn in_order(mut self, order: [usize; 3]) -> Self {
        self.orientation = self.orientation.in_order(order);
        self.spacing_mm = self.orientation.spacing.map(|mm| mm as f32);
        self.size = self.orientation.size(self.file_size);
        self.notes.retain(|note| *note != NO_ORIENTATION);
        self
    }

    /// Whether voxels are integers: an integer type without scaling.
    pub(crate) fn is_integer(&self) -> bool {
        self.scaling.is_none() && self.number.is_integer()
    }

    /// Number of voxels in the volume.
    pub(crate) fn n_voxels(&self) -> u64 {
        // Each side is below 2^16.
        self.file_size.iter().map(|&n| n as u64).product()
    }

    /// Length in bytes from one voxel of the file to the next.
    pub(crate) fn voxel_bytes(&self) -> usize {
        self.number.n_bytes() * self.n_components
    }
}

/// The three axes in space and the number of volumes of an array, whose sizes are at least 1, the fastest axis first.
/// An array of fewer axes has one row or slice.
///
/// # Errors
/// A side above 65535.
pub(crate) fn axes(path: &Path, sizes: &[u64]) -> Result<([usize; 3], u64), Error> {
    let side = |axis: usize| sizes.get(axis).copied().unwrap_or(1);
    let space = [side(0), side(1), side(2)];
    if let Some(found) = space.into_iter().find(|&n| n > MAX_SIDE) {
        let path = path.display();
        return Err(Error::unsupported(format!("{path} has a side of {found} voxels; at most {MAX_SIDE} are read")));
    }
    let n_volumes = sizes.iter().skip(3).fold(1, |n: u64, &more| n.saturating_mul(more));
    Ok((space.map(|n| n as usize), n_volumes))
}

/// Checks that the content can hold the volume.
fn check_bytes(path: &Path, stated: &Stated, content: Content) -> Result<(), Error> {
    let Stated { file_size, n_components, number, offset, .. } = *stated;
    let [i, j, k] = file_size;
    let voxel_bytes = (number.n_bytes() as u64).saturating_mul(n_components as u64);
    // Each side is below 2^16.
    let n_voxels = file_size.iter().map(|&n| n as u64).product::<u64>();
    let needed = n_voxels.saturating_mul(voxel_bytes).saturating_add(offset);
    let (found, ratio) = (content.bytes, if content.compressed { MAX_DEFLATE_RATIO } else { 1 });
    if content.compressed && offset > MAX_COMPRESSED_OFFSET {
        let (path, most) = (path.display(), MAX_COMPRESSED_OFFSET >> 20);
        return Err(Error::unsupported(format!(
            "{path} has {} MiB before its voxels; of a compressed file at most {most} MiB are skipped",
            offset >> 20
        )));
    }
    if needed > found.saturating_mul(ratio) {
        let path = path.display();
        let voxels = if n_components == 1 { String::new() } else { format!(" of {n_components} numbers") };
        return Err(Error::corrupt(format!(
            "{path} has {found} bytes, too few for {i}x{j}x{k} voxels{voxels} of type {number:?} from byte {offset} on"
        )));
    }
    if (i as u64).saturating_mul(voxel_bytes) > MAX_ROW_BYTES as u64 {
        let (path, most) = (path.display(), MAX_ROW_BYTES >> 20);
        return Err(Error::unsupported(format!(
            "{path} has {n_components} numbers in each voxel; rows of up to {most} MiB are read"
        )));
    }
    Ok(())
}
