//! Masks as files: NIfTI on the grid of the file that was segmented, PNG for images.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use medcoss_abi::message::FileGrid;
use medcoss_core::evaluation::SegmentationClasses;

/// Longest axis of a NIfTI-1 file.
const MAX_NIFTI: usize = i16::MAX as usize;
/// Extensions that a mask's name drops, longest first.
const DROPPED: [&str; 14] = [
    ".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", ".npy", ".npz", ".mgz", ".mgh", ".dcm", ".png", ".jpg",
    ".jpeg",
];

/// A mask of a file.
pub(super) struct Mask<'a> {
    /// The file's grid.
    pub grid: &'a FileGrid,
    /// Label of each voxel in the grid's index order, the last axis fastest.
    pub labels: &'a [u16],
}

/// Path of a mask below a folder, from the id of its file: folders stay, the extension is replaced. Parts that would leave the folder are replaced.
pub(super) fn path_of(id: &str, class: Option<&str>, extension: &str) -> PathBuf {
    let mut path: PathBuf = Path::new(id)
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(plain(&name.to_string_lossy())),
            Component::ParentDir => Some("_".into()),
            _ => None,
        })
        .collect();
    let name = path.file_name().map_or_else(|| "mask".into(), |name| name.to_string_lossy().into_owned());
    let lower = name.to_ascii_lowercase();
    let stem =
        DROPPED.iter().find(|ending| lower.ends_with(**ending)).map_or(name.len(), |ending| name.len() - ending.len());
    let class = class.map(|class| format!(".{}", plain(class))).unwrap_or_default();
    path.set_file_name(format!("{}{class}{extension}", &name[..stem]));
    path
}

/// A name without characters that a file name cannot have or that hide it.
fn plain(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c }).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

/// Label that stands for each class in a mask, where classes exclude each other: the first label of the class in the masks that were learned from.
pub(super) fn labels_of(classes: &SegmentationClasses) -> Vec<u16> {
    match classes {
        SegmentationClasses::Named(named) => {
            named.values().map(|labels| labels.first().copied().unwrap_or(1)).collect()
        }
        other => other.labels(),
    }
}

impl Mask<'_> {
    /// Writes the mask: NIfTI for three axes, PNG for two. The same mask gives the same bytes.
    ///
    /// # Errors
    /// A file that cannot be written, an axis that is too long for NIfTI.
    pub fn write(&self, path: &Path) -> Result<()> {
        match self.grid.shape.as_slice() {
            [depth, rows, columns] => self.write_nifti(path, [*depth, *rows, *columns]),
            [rows, columns] => self.write_png(path, *rows, *columns),
            other => bail!("a mask of {} axes has no file format", other.len()),
        }
    }

    fn write_nifti(&self, path: &Path, shape: [usize; 3]) -> Result<()> {
        if let Some(side) = shape.iter().find(|side| **side > MAX_NIFTI) {
            bail!("an axis of {side} voxels is too long for NIfTI-1, which has at most {MAX_NIFTI}");
        }
        let is_wide = self.labels.iter().any(|label| *label > 255);
        let write = || -> io::Result<()> {
            let mut out = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::fast());
            out.write_all(&self.header(shape, is_wide))?;
            // The first axis is the fastest in the file; labels come with the last axis fastest.
            let [ni, nj, nk] = shape;
            let mut line = Vec::with_capacity(2 * ni);
            for k in 0..nk {
                for j in 0..nj {
                    line.clear();
                    for i in 0..ni {
                        let label = self.labels[(i * nj + j) * nk + k];
                        line.extend_from_slice(&label.to_le_bytes()[..if is_wide { 2 } else { 1 }]);
                    }
                    out.write_all(&line)?;
                }
            }
            out.finish()?.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The header of a NIfTI-1 file: labels as whole numbers, and the affine of the file that was segmented as the sform.
    fn header(&self, shape: [usize; 3], is_wide: bool) -> Vec<u8> {
        let mut bytes = vec![0u8; 352];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &348i32.to_le_bytes());
        put(40, &3i16.to_le_bytes());
        for axis in 0..7 {
            let side = shape.get(axis).map_or(1, |side| *side as i16);
            put(42 + 2 * axis, &side.to_le_bytes());
        }
        let (code, bits): (i16, i16) = if is_wide { (512, 16) } else { (2, 8) };
        put(70, &code.to_le_bytes());
        put(72, &bits.to_le_bytes());
        let spacing = spacing_of(self.grid);
        put(76, &1f32.to_le_bytes());
        for (axis, spacing) in spacing.iter().enumerate() {
            put(80 + 4 * axis, &(*spacing as f32).to_le_bytes());
        }
        put(108, &352f32.to_le_bytes());
        put(112, &1f32.to_le_bytes());
        // Millimetres.
        put(123, &[2]);
        if let Some(affine) = &self.grid.to_ras_mm {
            put(254, &1i16.to_le_bytes());
            for (row, values) in affine.iter().enumerate() {
                for (column, value) in values.iter().enumerate() {
                    put(280 + 16 * row + 4 * column, &(*value as f32).to_le_bytes());
                }
            }
        }
        put(344, b"n+1\0");
        bytes
    }

    fn write_png(&self, path: &Path, rows: usize, columns: usize) -> Result<()> {
        let is_wide = self.labels.iter().any(|label| *label > 255);
        let bytes: Vec<u8> = match is_wide {
            true => self.labels.iter().flat_map(|label| label.to_be_bytes()).collect(),
            false => self.labels.iter().map(|label| *label as u8).collect(),
        };
        let write = || -> Result<()> {
            let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), columns as u32, rows as u32);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(if is_wide { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
            encoder.write_header()?.write_image_data(&bytes)?;
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Distance of neighbouring voxels along each axis, from the affine, or as stated, or 1.
fn spacing_of(grid: &FileGrid) -> Vec<f64> {
    match (&grid.to_ras_mm, &grid.spacing_mm) {
        (Some(affine), _) => {
            (0..3).map(|axis| affine.iter().map(|row| row[axis].powi(2)).sum::<f64>().sqrt()).collect()
        }
        (None, Some(spacing)) => spacing.clone(),
        (None, None) => vec![1.0; grid.shape.len()],
    }
}

/// Number of voxels of each class, by name, in the classes of voxels.
pub(super) fn counts(classes: &[u16], names: &[String]) -> BTreeMap<String, u64> {
    let mut found = vec![0u64; names.len()];
    for voxel in classes.iter().filter(|voxel| **voxel != 0) {
        found.iter_mut().enumerate().for_each(|(class, n)| *n += u64::from(voxel >> class & 1));
    }
    names.iter().cloned().zip(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_lie_below_their_folder_whatever_the_id_says() {
        for (id, expected) in [
            ("ct/a/scan.nii.gz", "ct/a/scan.nii.gz"),
            ("/etc/../x.NII", "etc/_/x.nii.gz"),
            ("../../up.mha", "_/_/up.nii.gz"),
            ("series/1.2.3", "series/1.2.3.nii.gz"),
            (".hidden.dcm", "_hidden.nii.gz"),
            ("", "mask.nii.gz"),
        ] {
            assert_eq!(path_of(id, None, ".nii.gz"), Path::new(expected), "{id}");
        }
        assert_eq!(path_of("a/b.png", Some("left/lung"), ".png"), Path::new("a/b.left_lung.png"));
    }
}
