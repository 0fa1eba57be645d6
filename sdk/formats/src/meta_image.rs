//! MetaImage files as volumes: header and voxels in one file (`.mha`), or a header (`.mhd`) that names the file with the
//! voxels.
//!
//! The header is what ITK's MetaIO writes, and its defaults are those that ITK takes. Directions are those of DICOM and
//! ITK: left, posterior, superior. AnatomicalOrientation is not looked at, as in ITK: its letters name where an axis
//! begins for some programs and where it ends for others. Positions (Offset, CenterOfRotation) have no part in an array.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;

use crate::detached_file;
use crate::file_axes::{ToRas, to_ras};
use crate::header_lines::{HeaderLines, numbers, start_of};
use crate::number_type::NumberType;
use crate::orientation::{Orientation, STORED_ORDER};
use crate::stored_file::{FASTEST_FIRST, StoredFile};
use crate::stored_volume::{Content, Stated, StoredVolume, axes};
use crate::stored_voxels::explain;
use crate::voxel_stream::{Encoding, VoxelStream};

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "MetaImage (.mha, .mhd with .raw or .zraw)";

/// Largest number of axes.
const MAX_AXES: usize = 10;
/// Fields that are looked at.
const FIELDS: [&str; 21] = [
    "ObjectType",
    "NDims",
    "DimSize",
    "ElementType",
    "ElementNumberOfChannels",
    "ElementSpacing",
    "ElementSize",
    "DistanceUnits",
    "Offset",
    "Position",
    "Origin",
    "TransformMatrix",
    "Orientation",
    "Rotation",
    "BinaryData",
    "BinaryDataByteOrderMSB",
    "ElementByteOrderMSB",
    "CompressedData",
    "HeaderSize",
    "ElementToIntensityFunctionSlope",
    "ElementToIntensityFunctionOffset",
];
/// The last field of a header.
const DATA_FILE: &str = "ElementDataFile";
/// Note on a file without directions of its axes.
pub(crate) const NO_ORIENTATION: &str =
    "have no usable matrix of their orientation; their axes are taken for left, posterior, superior, as in ITK";

/// A header as it is stored.
struct Header {
    fields: HashMap<String, String>,
    n_bytes: u64,
}

/// Opens a file at its voxels.
///
/// # Errors
/// A file that is missing, damaged or no image; voxels in several files, in text, of several channels or of an
/// unsupported type; those of [`detached_file::beside`].
pub(crate) fn open(path: &Path) -> Result<StoredFile<'static>, Error> {
    let header = Header::read(path)?;
    let n_axes = header.n_axes(path)?;
    let sizes: Vec<u64> = numbers(path, "DimSize", header.required(path, "DimSize")?, n_axes)?;
    if sizes.contains(&0) {
        return Err(Error::corrupt(format!("{} states the sizes {sizes:?}; each is at least 1", path.display())));
    }
    let (file_size, n_volumes) = axes(path, &sizes)?;
    header.check_plain(path)?;
    let number = number_type(path, header.required(path, "ElementType")?)?;
    let mut notes = Vec::new();
    let (orientation, to_ras_mm) = header.orientation(path, n_axes, &mut notes)?;
    let stated = Stated {
        file_size,
        n_volumes,
        n_components: 1,
        number,
        big_endian: header.flag(&["BinaryDataByteOrderMSB", "ElementByteOrderMSB"]),
        scaling: None,
        orientation,
        to_ras_mm,
        offset: 0,
        notes,
    };
    let (voxels, offset) = header.voxels(path, &stated)?;
    let compressed = header.flag(&["CompressedData"]);
    let failed = |error: std::io::Error| explain(&voxels, &error);
    // A plain file is opened at its start, so that messages state its whole length.
    let (source, bytes, stated) = if compressed {
        let (source, bytes) = VoxelStream::open_at(&voxels, offset, Encoding::Deflated).map_err(failed)?;
        (source, bytes, stated)
    } else {
        let (source, bytes) = VoxelStream::open_at(&voxels, 0, Encoding::Plain).map_err(failed)?;
        (source, bytes, Stated { offset, ..stated })
    };
    let ahead = stated.offset;
    let content = Content { bytes, compressed };
    let mut volume = StoredVolume::check(path, stated, content)?;
    volume.note_surplus(ahead, content);
    Ok(StoredFile {
        volume,
        voxels,
        source,
        ahead,
        gzip_offset: None,
        stored_order: STORED_ORDER,
        index_order: FASTEST_FIRST,
        outside: 0.0,
    })
}

/// The file with the voxels that a header names; `None` if they are in the header's own file.
///
/// # Errors
/// Those of [`open`], as far as the header alone is concerned.
pub(crate) fn detached(path: &Path) -> Result<Option<PathBuf>, Error> {
    let (voxels, _) = Header::read(path)?.data_file(path)?;
    Ok((voxels != path).then_some(voxels))
}

impl Header {
    /// Reads the lines `Key = value` (or `Key: value`) up to ElementDataFile, behind which voxels begin.
    fn read(path: &Path) -> Result<Self, Error> {
        let mut lines = HeaderLines::open(path)?;
        let mut fields = HashMap::new();
        let mut is_header = false;
        while let Some(line) = lines.next()? {
            if line.is_empty() {
                continue;
            }
            let Some((key, value)) = line.split_once(['=', ':']) else {
                // A comment, or the first bytes of another kind of file.
                if is_header {
                    continue;
                }
                break;
            };
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            let is_last = key == DATA_FILE;
            let is_known = is_last || FIELDS.contains(&&*key);
            is_header |= is_known;
            if is_known && fields.insert(key.clone(), value).is_some() {
                return Err(Error::corrupt(format!("{} states {key} twice", path.display())));
            }
            if is_last {
                return Ok(Self { fields, n_bytes: lines.n_bytes() });
            }
        }
        let path = path.display();
        Err(Error::corrupt(format!("{path} is no MetaImage header: it ends without the field ElementDataFile")))
    }

    fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.fields.get(*name)).map(String::as_str)
    }

    fn required(&self, path: &Path, name: &str) -> Result<&str, Error> {
        let missing = || Error::corrupt(format!("{} has a MetaImage header without the field {name}", path.display()));
        self.get(&[name]).ok_or_else(missing)
    }

    /// Whether one of the fields is true; MetaIO looks at the first letter.
    fn flag(&self, names: &[&str]) -> bool {
        self.get(names).is_some_and(|value| value.starts_with(['T', 't', '1']))
    }

    fn n_axes(&self, path: &Path) -> Result<usize, Error> {
        let stated = self.required(path, "NDims")?;
        stated.parse().ok().filter(|n| (1..=MAX_AXES).contains(n)).ok_or_else(|| {
            let (path, stated) = (path.display(), start_of(stated));
            Error::corrupt(format!("{path} states {stated:?} axes; 1 to {MAX_AXES} are read"))
        })
    }

    /// Refuses what is not an array of plain numbers.
    fn check_plain(&self, path: &Path) -> Result<(), Error> {
        let refused = |what: String| Err(Error::unsupported(format!("{} {what}", path.display())));
        match self.get(&["ObjectType"]) {
            None | Some("Image") => {}
            Some(kind) => return refused(format!("holds an object of type {:?}; images are read", start_of(kind))),
        }
        if self.get(&["BinaryData"]).is_some() && !self.flag(&["BinaryData"]) {
            return refused("has its voxels in text (BinaryData = False); binary numbers are read".into());
        }
        match self.get(&["ElementNumberOfChannels"]) {
            None | Some("1") => {}
            Some(n) => {
                let n = start_of(n);
                return refused(format!(
                    "has {n} channels in each voxel (colours or vectors); volumes of one number a voxel are read"
                ));
            }
        }
        for (name, neutral) in [("ElementToIntensityFunctionSlope", 1.0), ("ElementToIntensityFunctionOffset", 0.0)] {
            if let Some(text) = self.get(&[name])
                && text.parse() != Ok(neutral)
            {
                let text = start_of(text);
                return refused(format!(
                    "states {name} = {text}, which programs apply or not\n\
                     hint: write the file again with its values as they are meant, without this field"
                ));
            }
        }
        Ok(())
    }

    /// Directions by spacing, both from ITK's frame of left, posterior, superior.
    fn orientation(
        &self,
        path: &Path,
        n_axes: usize,
        notes: &mut Vec<&'static str>,
    ) -> Result<(Orientation, Option<ToRas>), Error> {
        let spacing = match self.get(&["ElementSpacing", "ElementSize"]) {
            Some(text) => numbers(path, "ElementSpacing", text, n_axes)?,
            // Absent: no spacing is plausible, which is noted.
            None => vec![0.0; n_axes],
        };
        let unit_mm = match self.get(&["DistanceUnits"]) {
            Some("um") => 1e-3,
            Some("cm") => 10.0,
            _ => 1.0,
        };
        let spacing = [0, 1, 2].map(|axis| spacing.get(axis).map_or(1.0, |step: &f64| step * unit_mm));
        let matrix = match self.get(&["TransformMatrix", "Orientation", "Rotation"]) {
            Some(text) => Some(numbers::<f64>(path, "TransformMatrix", text, n_axes * n_axes)?),
            None => None,
        };
        let unit = |axis: usize| [0, 1, 2].map(|part| f64::from(u8::from(part == axis)));
        let direction = |axis: usize| match &matrix {
            // The numbers of an axis stand one behind the other. An image of two axes lies in an axial plane.
            Some(matrix) if axis < n_axes => {
                [0, 1, 2].map(|part| if part < n_axes { matrix[axis * n_axes + part] } else { 0.0 })
            }
            _ => unit(axis),
        };
        // Left and posterior are against right and anterior. A negative spacing turns its axis.
        let step = |axis: usize| {
            let [left, posterior, superior] = direction(axis).map(|part| part * 1_f64.copysign(spacing[axis]));
            [-left, -posterior, superior]
        };
        let usable = Orientation::nearest([0, 1, 2].map(step));
        // Nothing but the grid needs the origin, so that one that makes no sense leaves the voxels readable.
        let origin = match self.get(&["Offset", "Position", "Origin"]) {
            Some(text) => numbers::<f64>(path, "Offset", text, n_axes).ok(),
            None => Some(vec![0.0; n_axes]),
        };
        let mut to_ras_mm = None;
        if matrix.is_none() || usable.is_none() {
            notes.push(NO_ORIENTATION);
        } else if let Some(origin) = origin {
            let [left, posterior, superior] = [0, 1, 2].map(|part| origin.get(part).map_or(0.0, |part| part * unit_mm));
            let steps = [0, 1, 2].map(|axis| step(axis).map(|part| part * spacing[axis].abs()));
            to_ras_mm = Some(to_ras(steps, [-left, -posterior, superior]));
        }
        // Depth, rows and columns run to superior, posterior and left.
        let directed = usable.unwrap_or(Orientation { axis: [2, 1, 0], flipped: [false; 3], spacing: [1.0; 3] });
        Ok((Orientation { spacing: directed.axis.map(|axis| spacing[axis].abs()), ..directed }, to_ras_mm))
    }

    /// The file with the voxels, and whether it is the header's own.
    fn data_file(&self, path: &Path) -> Result<(PathBuf, bool), Error> {
        let name = self.required(path, DATA_FILE)?;
        if name.eq_ignore_ascii_case("LOCAL") {
            return Ok((path.to_owned(), true));
        }
        if name.starts_with("LIST") || name.contains('%') {
            let (path, name) = (path.display(), start_of(name));
            return Err(Error::unsupported(format!(
                "{path} has its voxels in many files ({name}); one file of voxels is read\n\
                 hint: write the volume as one .mha"
            )));
        }
        Ok((detached_file::beside(path, name)?, false))
    }

    /// The file with the voxels, and the byte at which they begin.
    fn voxels(&self, path: &Path, stated: &Stated) -> Result<(PathBuf, u64), Error> {
        let (voxels, is_local) = self.data_file(path)?;
        let text = self.get(&["HeaderSize"]).unwrap_or("0");
        let compressed = self.flag(&["CompressedData"]);
        let refused = || {
            let (path, text) = (path.display(), start_of(text));
            Error::corrupt(format!(
                "{path} states a HeaderSize of {text:?}; it is the number of bytes before the voxels, behind the header, or \
                 -1 for uncompressed voxels at the end of their file"
            ))
        };
        let least = if is_local { self.n_bytes } else { 0 };
        let offset = match text.parse::<i64>().map_err(|_| refused())? {
            // Also MetaIO counts from the start of the file; 0 is "no header".
            0 => least,
            -1 if !compressed => {
                let failed = |error: std::io::Error| explain(&voxels, &error);
                let bytes = voxels.metadata().map_err(failed)?.len();
                let [i, j, k] = stated.file_size.map(|n| n as u64);
                let needed = (i * j * k * stated.number.n_bytes() as u64).saturating_mul(stated.n_volumes);
                // Too few bytes are refused with the sizes.
                bytes.saturating_sub(needed).max(least)
            }
            n => u64::try_from(n).ok().filter(|&n| n >= least).ok_or_else(refused)?,
        };
        Ok((voxels, offset))
    }
}

fn number_type(path: &Path, name: &str) -> Result<NumberType, Error> {
    Ok(match name {
        "MET_UCHAR" => NumberType::U8,
        "MET_CHAR" => NumberType::I8,
        "MET_USHORT" => NumberType::U16,
        "MET_SHORT" => NumberType::I16,
        // 32 bit in MetaIO on every system.
        "MET_UINT" | "MET_ULONG" => NumberType::U32,
        "MET_INT" | "MET_LONG" => NumberType::I32,
        "MET_ULONG_LONG" => NumberType::U64,
        "MET_LONG_LONG" => NumberType::I64,
        "MET_FLOAT" => NumberType::F32,
        "MET_DOUBLE" => NumberType::F64,
        _ => {
            let (path, name) = (path.display(), start_of(name));
            return Err(Error::unsupported(format!(
                "{path} has voxels of type {name:?}; MET_UCHAR to MET_LONG_LONG, MET_FLOAT and MET_DOUBLE are read"
            )));
        }
    })
}
