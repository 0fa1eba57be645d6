//! Files of volumes that are open at their voxels: all of a volume or some slices, from any format of arrays.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;
use medcoss_sdk::volume::Volume;

use crate::gzip_stream::{self, GzipStream};
use crate::orientation::replace_not_finite;
use crate::stored_volume::{MAX_VOXELS, StoredVolume};
use crate::stored_voxels::{explain, read_slices};
use crate::voxel_stream::VoxelStream;

/// A decoded volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The volume.
    pub volume: Volume,
    /// Number of voxels that were infinite or NaN; they became the value outside of the scan.
    pub n_replaced: usize,
}

/// Positions from which a compressed file can be decompressed, shared by all reads of its slices.
#[derive(Debug)]
pub struct GzipIndex {
    known: gzip_stream::GzipIndex,
    limit_bytes: usize,
}

impl GzipIndex {
    /// An empty index of at most `limit_bytes`: about 43 KiB for each access point, of which there is at least one.
    /// Access points are a MiB of content apart, or more where they would not fit.
    pub fn new(limit_bytes: usize) -> Self {
        Self { known: gzip_stream::GzipIndex::default(), limit_bytes }
    }
}

/// A file whose header was read and checked.
pub(crate) struct StoredFile<'a> {
    pub volume: StoredVolume,
    /// The file with the voxels.
    pub voxels: PathBuf,
    pub source: VoxelStream<'a>,
    /// Bytes of `source` before the first voxel.
    pub ahead: u64,
    /// Byte of the content at which the voxels begin, where the whole file is one gzipped content. Other compressed
    /// files are decompressed from the start for every read.
    pub gzip_offset: Option<u64>,
    /// The axes that are depth, rows and columns in stored order.
    pub stored_order: [usize; 3],
    /// The axes in the order of the file's own indices, by their number from the fastest on.
    pub index_order: [usize; 3],
    /// Value that infinite and NaN voxels get.
    pub outside: f32,
}

/// The index order of files whose first index is the fastest.
pub(crate) const FASTEST_FIRST: [usize; 3] = [0, 1, 2];

impl StoredFile<'_> {
    /// The file in stored order: its axes `(i, j, k)` become `[k, i, j]`, and its orientation is ignored.
    pub(crate) fn in_stored_order(self) -> Self {
        Self { volume: self.volume.in_order(self.stored_order), ..self }
    }

    /// The file with the value that infinite and NaN voxels get: such files have no values around the scan.
    pub(crate) fn with_outside(self, outside: f32) -> Self {
        Self { outside, ..self }
    }

    /// Whether some slices cost as much as all of them: the file is not stored slice by slice, or it is compressed and
    /// its slices are not contiguous, or it has no index. Other compressed files are read whole once, to fill their
    /// [`GzipIndex`].
    pub(crate) fn needs_whole_file(&self) -> bool {
        match self.volume.orientation.axis[0] {
            _ if self.source.is_compressed() && self.gzip_offset.is_none() => true,
            0 => true,
            1 => self.source.is_compressed(),
            _ => false,
        }
    }

    /// Reads the volume. `path` names it in errors.
    ///
    /// # Errors
    /// A volume above [`MAX_VOXELS`], damaged or missing voxels, a volume without a finite voxel.
    pub(crate) fn read(self, path: &Path) -> Result<Decoded, Error> {
        let n_voxels = self.volume.n_voxels();
        if n_voxels > MAX_VOXELS {
            let ([i, j, k], path) = (self.volume.file_size, path.display());
            return Err(Error::unsupported(format!(
                "{path} has {i}x{j}x{k} voxels; at most {MAX_VOXELS} are read at once"
            )));
        }
        let all = 0..self.volume.size[0];
        let decoded = self.slices(path, all)?;
        if decoded.n_replaced as u64 == n_voxels {
            return Err(Error::corrupt(format!("{} has no finite voxel", path.display())));
        }
        Ok(decoded)
    }

    /// Reads some slices of the volume, which has the size `size`. Of a gzipped file the first call reads everything
    /// and fills `gzip_index`, which belongs to this file alone; later calls decompress what they need.
    ///
    /// # Errors
    /// A volume of another size, slices that it does not have, damaged or missing voxels.
    pub(crate) fn read_slab(
        self,
        path: &Path,
        size: [usize; 3],
        slices: Range<usize>,
        gzip_index: &GzipIndex,
    ) -> Result<Decoded, Error> {
        let found = self.volume.size;
        if found != size || slices.is_empty() || slices.end > size[0] {
            return Err(Error::bad_request(format!(
                "{} has {found:?} slices, rows and columns; slices {slices:?} of {size:?} were asked for",
                path.display()
            )));
        }
        let n_bytes = self.volume.n_voxels() * self.volume.voxel_bytes() as u64;
        let Some(ahead) = self.gzip_offset.filter(|_| n_bytes >= 2 * gzip_stream::DISTANCE) else {
            return self.slices(path, slices);
        };
        let Self { volume, voxels, stored_order, index_order, outside, .. } = self;
        let read = |stream: &mut GzipStream| {
            let (voxels, source) = (voxels.clone(), VoxelStream::Indexed(stream));
            StoredFile { volume, voxels, source, ahead, gzip_offset: Some(ahead), stored_order, index_order, outside }
                .slices(path, slices)
        };
        gzip_index.known.stream(&voxels, gzip_index.limit_bytes, read).map_err(|error| explain(&voxels, &error))?
    }

    fn slices(mut self, path: &Path, slices: Range<usize>) -> Result<Decoded, Error> {
        self.source.skip(self.ahead).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::corrupt(format!("{} ends before its voxels", path.display())),
            _ => explain(&self.voxels, &error),
        })?;
        let n_slices = slices.len();
        let mut voxels = read_slices(&self.voxels, &self.volume, &mut self.source, slices)?;
        let n_replaced = replace_not_finite(&mut voxels, self.outside);
        let [_, rows, columns] = self.volume.size;
        let volume = Volume::new([n_slices, rows, columns], self.volume.spacing_mm, voxels)?;
        Ok(Decoded { volume, n_replaced })
    }
}
