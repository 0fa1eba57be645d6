//! NRRD files as volumes: header and voxels in one file (`.nrrd`), or a header (`.nhdr`) that names the file with the
//! voxels.
//!
//! Read are versions 1 to 5, raw and gzipped. Of axes that are not in space (`kinds`, `none` among `space directions`)
//! the first value is read, before or behind the three axes in space. Origins and measurement frames have no part in an
//! array.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use medcoss_sdk::Error;

use crate::detached_file;
use crate::file_axes::{ToRas, to_ras};
use crate::header_lines::{numbers, start_of};
use crate::nrrd_header::{NrrdHeader, words};
use crate::number_type::NumberType;
use crate::orientation::{Orientation, STORED_ORDER};
use crate::stored_file::{FASTEST_FIRST, StoredFile};
use crate::stored_volume::{Content, NO_ORIENTATION, Stated, StoredVolume, axes};
use crate::stored_voxels::explain;
use crate::voxel_stream::{Encoding, VoxelStream};

/// Supported file formats, for display.
pub const FILE_FORMATS: &str = "NRRD (.nrrd, .nhdr with its file; raw or gzipped)";

/// Largest number of axes in the standard.
const MAX_AXES: usize = 16;
/// Largest number of lines before the voxels.
const MAX_LINES: u64 = 1 << 16;

/// Opens a file at its voxels.
///
/// # Errors
/// A file that is missing or damaged; voxels in several files, in text, in colour or compressed by bzip2; axes in an
/// order that is not read; those of [`detached_file::beside`].
pub(crate) fn open(path: &Path) -> Result<StoredFile<'static>, Error> {
    let header = NrrdHeader::read(path)?;
    let shape = Shape::of(path, &header)?;
    let (file_size, n_volumes) = axes(path, &shape.sizes[shape.first_in_space..])?;
    let n_components =
        usize::try_from(shape.sizes[..shape.first_in_space].iter().fold(1_u64, |n, &more| n.saturating_mul(more)))
            .unwrap_or(usize::MAX);
    let number = number_type(path, header.required(path, "type")?)?;
    let encoding = encoding(path, header.required(path, "encoding")?)?;
    let big_endian = match header.get("endian").map(str::to_ascii_lowercase).as_deref() {
        Some("big") => true,
        Some("little") => false,
        _ if number.n_bytes() == 1 => false,
        other => {
            let path = path.display();
            return Err(Error::corrupt(format!("{path} has {other:?} as endian; little or big is expected")));
        }
    };
    let mut notes = Vec::new();
    let (orientation, to_ras_mm) = shape.orientation(path, &header, &mut notes)?;
    let mut stated = Stated {
        file_size,
        n_volumes,
        n_components,
        number,
        big_endian,
        scaling: None,
        orientation,
        to_ras_mm,
        offset: 0,
        notes,
    };
    let (voxels, start) = data_file(path, &header)?;
    let start = skipped(path, &header, &voxels, start, encoding, &stated)?;
    let failed = |error: std::io::Error| explain(&voxels, &error);
    // A plain file is opened at its start, so that messages state its whole length.
    let compressed = encoding != Encoding::Plain;
    let (source, bytes) = if compressed {
        VoxelStream::open_at(&voxels, start, encoding)
    } else {
        stated.offset = start;
        VoxelStream::open_at(&voxels, 0, encoding)
    }
    .map_err(failed)?;
    let ahead = stated.offset;
    let content = Content { bytes, compressed };
    let mut volume = StoredVolume::check(path, stated, content)?;
    volume.note_surplus(ahead, content);
    let gzip_offset = (compressed && start == 0).then_some(0);
    Ok(StoredFile {
        volume,
        voxels,
        source,
        ahead,
        gzip_offset,
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
    let (voxels, _) = data_file(path, &NrrdHeader::read(path)?)?;
    Ok((voxels != path).then_some(voxels))
}

/// The file with the voxels, and the byte at which its content begins.
fn data_file(path: &Path, header: &NrrdHeader) -> Result<(PathBuf, u64), Error> {
    let Some(name) = header.get("data file") else { return Ok((path.to_owned(), header.n_bytes)) };
    if name.starts_with("LIST") || name.contains('%') {
        let (path, name) = (path.display(), start_of(name));
        return Err(Error::unsupported(format!(
            "{path} has its voxels in many files ({name}); one file of voxels is read\n\
             hint: write the volume as one .nrrd"
        )));
    }
    Ok((detached_file::beside(path, name)?, 0))
}

/// The byte at which the voxels begin, or their compressed stream, behind lines and bytes that are skipped.
fn skipped(
    path: &Path,
    header: &NrrdHeader,
    voxels: &Path,
    start: u64,
    encoding: Encoding,
    stated: &Stated,
) -> Result<u64, Error> {
    let number = |name: &str| match header.get(name) {
        None => Ok(0),
        Some(text) => text.parse::<i64>().map_err(|_| {
            let (path, text) = (path.display(), start_of(text));
            Error::corrupt(format!("{path} states {name} as {text:?}; a whole number is expected"))
        }),
    };
    let (n_lines, n_bytes) = (number("line skip")?, number("byte skip")?);
    let n_lines = u64::try_from(n_lines).ok().filter(|&n| n <= MAX_LINES).ok_or_else(|| {
        Error::corrupt(format!("{} states a line skip of {n_lines}; it is 0 to {MAX_LINES}", path.display()))
    })?;
    let failed = |error: std::io::Error| explain(voxels, &error);
    match n_bytes {
        0.. => {}
        -1 if encoding == Encoding::Plain => {
            let bytes = voxels.metadata().map_err(failed)?.len();
            let each = (stated.number.n_bytes() as u64).saturating_mul(stated.n_components as u64);
            let [i, j, k] = stated.file_size.map(|n| n as u64);
            let needed = (i * j * k).saturating_mul(each).saturating_mul(stated.n_volumes);
            // Too few bytes are refused with the sizes.
            return Ok(bytes.saturating_sub(needed).max(start));
        }
        _ => {
            return Err(Error::corrupt(format!(
                "{} states a byte skip of {n_bytes}; it is 0 or more, or -1 for raw voxels at the end of their file",
                path.display()
            )));
        }
    }
    if n_bytes > 0 && encoding != Encoding::Plain {
        return Err(Error::unsupported(format!(
            "{} states a byte skip of {n_bytes} for compressed voxels, which programs count before or after \
             decompression\nhint: write the file again without it",
            path.display()
        )));
    }
    let mut start = start;
    if n_lines > 0 {
        let (mut content, _) = VoxelStream::open_at(voxels, start, Encoding::Plain).map_err(failed)?;
        if let VoxelStream::Plain(file) = &mut content {
            for _ in 0..n_lines {
                start += file.skip_until(b'\n').map_err(failed)? as u64;
            }
        }
    }
    Ok(start.saturating_add(n_bytes.unsigned_abs()))
}

/// The axes of a header.
struct Shape {
    sizes: Vec<u64>,
    /// Axis from which on three axes are in space. Those before it are within a voxel, those behind them count volumes.
    first_in_space: usize,
}

impl Shape {
    fn of(path: &Path, header: &NrrdHeader) -> Result<Self, Error> {
        let shown = path.display();
        let stated = header.required(path, "dimension")?;
        let n_axes = stated.parse().ok().filter(|n| (1..=MAX_AXES).contains(n)).ok_or_else(|| {
            Error::corrupt(format!("{shown} states {:?} axes; 1 to {MAX_AXES} are expected", start_of(stated)))
        })?;
        let sizes: Vec<u64> = numbers(path, "sizes", header.required(path, "sizes")?, n_axes)?;
        if sizes.contains(&0) {
            return Err(Error::corrupt(format!("{shown} states the sizes {sizes:?}; each is at least 1")));
        }
        let in_space = Self::in_space(path, header, n_axes)?;
        let first = in_space.iter().position(|&is| is).unwrap_or(n_axes);
        let n_in_space = in_space.iter().filter(|&&is| is).count();
        let is_contiguous = in_space[first..].iter().take(n_in_space).all(|&is| is);
        if !is_contiguous || n_in_space == 0 || n_in_space > 3 || n_in_space < 3 && first + n_in_space < n_axes {
            return Err(Error::unsupported(format!(
                "{shown} has {n_in_space} of {n_axes} axes in space, by its space directions or kinds; three that follow \
                 each other are read\nhint: write the volume with three axes"
            )));
        }
        Ok(Self { sizes, first_in_space: first })
    }

    /// Whether each axis is in space: by its direction, else by its kind, else the first three are.
    fn in_space(path: &Path, header: &NrrdHeader, n_axes: usize) -> Result<Vec<bool>, Error> {
        let shown = path.display();
        let kinds = header.get("kinds").map(words).unwrap_or_default();
        for kind in &kinds {
            let kind = kind.to_ascii_lowercase();
            if ["color", "complex", "quaternion", "matrix"].iter().any(|refused| kind.contains(refused)) {
                return Err(Error::unsupported(format!(
                    "{shown} has an axis of kind {}; voxels of one number are read",
                    start_of(&kind)
                )));
            }
        }
        let n_expected = |field: &str, n: usize| match n == n_axes {
            true => Ok(()),
            false => Err(Error::corrupt(format!("{shown} states {n} {field} of {n_axes} axes"))),
        };
        if let Some(directions) = header.get("space directions") {
            let directions = words(directions);
            n_expected("space directions", directions.len())?;
            return directions.iter().map(|word| Ok(direction(path, word)?.is_some())).collect();
        }
        if !kinds.is_empty() {
            n_expected("kinds", kinds.len())?;
            let in_space: Vec<bool> =
                kinds.iter().map(|kind| ["domain", "space"].iter().any(|is| kind.eq_ignore_ascii_case(is))).collect();
            // Kinds may be unknown ("???"). Then they say nothing.
            if in_space.contains(&true) {
                return Ok(in_space);
            }
        }
        Ok((0..n_axes).map(|axis| axis < 3).collect())
    }

    /// The orientation by `space` and `space directions`, else the file's axes with `spacings`.
    fn orientation(
        &self,
        path: &Path,
        header: &NrrdHeader,
        notes: &mut Vec<&'static str>,
    ) -> Result<(Orientation, Option<ToRas>), Error> {
        let (n_axes, first) = (self.sizes.len(), self.first_in_space);
        // Axes that the array lacks are one voxel long; their step is of no consequence.
        let of_axis = |all: &[f64], axis: usize| all.get(first + axis).copied().unwrap_or(1.0);
        if let Some(text) = header.get("space directions") {
            let mut steps = Vec::with_capacity(n_axes);
            for word in words(text) {
                steps.push(direction(path, word)?.unwrap_or_default());
            }
            let units = header.get("space units").map(words).unwrap_or_default();
            let unit_mm = units.first().map_or(1.0, |unit| unit_mm(unit));
            let step = |axis: usize| {
                let missing = [0, 1, 2].map(|part| f64::from(u8::from(part == axis)));
                steps.get(first + axis).copied().unwrap_or(missing).map(|part| part * unit_mm)
            };
            let steps = [0, 1, 2].map(step);
            let signs = header.get("space").and_then(to_right_anterior_superior);
            let turned = signs.map(|signs| steps.map(|step| [0, 1, 2].map(|part| step[part] * signs[part])));
            let usable = turned.and_then(|steps| Some((Orientation::nearest(steps)?, steps)));
            if let (Some((orientation, steps)), Some(signs)) = (usable, signs) {
                // Nothing but the grid needs the origin, so that one that makes no sense leaves the voxels readable.
                let origin = header.get("space origin").map_or(Some([0.0; 3]), vector);
                let to_ras_mm =
                    origin.map(|origin| to_ras(steps, [0, 1, 2].map(|part| origin[part] * unit_mm * signs[part])));
                return Ok((orientation, to_ras_mm));
            }
            notes.push(NO_ORIENTATION);
            let spacing = steps.map(|step| step.iter().map(|part| part * part).sum::<f64>().sqrt());
            return Ok((Orientation::unstated(spacing), None));
        }
        notes.push(NO_ORIENTATION);
        let spacings = match header.get("spacings") {
            Some(text) => numbers(path, "spacings", text, n_axes)?,
            // Absent: no spacing is plausible, which is noted.
            None => vec![0.0; n_axes],
        };
        let units = header.get("units").map(words).unwrap_or_default();
        let spacing = [0, 1, 2].map(|axis| {
            let unit_mm = units.get(first + axis).map_or(1.0, |unit| unit_mm(unit));
            of_axis(&spacings, axis).abs() * unit_mm
        });
        Ok((Orientation::unstated(spacing), None))
    }
}

/// The first three parts of a direction, `(x,y,z)`; `None` for an axis that is not in space.
fn direction(path: &Path, word: &str) -> Result<Option<[f64; 3]>, Error> {
    if word.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let Some([x, y, z]) = vector(word) else {
        let path = path.display();
        return Err(Error::corrupt(format!(
            "{path} states the space direction {:?}; (x,y,z) or none is expected",
            start_of(word)
        )));
    };
    // An axis of time has a direction in a space of four axes, and pynrrd writes NaN for none.
    let is_in_space = [x, y, z].iter().any(|&part| part != 0.0) && ![x, y, z].iter().all(|part| part.is_nan());
    Ok(is_in_space.then_some([x, y, z]))
}

/// The first three parts of `(x,y,z)`.
fn vector(word: &str) -> Option<[f64; 3]> {
    let inner = word.trim().strip_prefix('(')?.strip_suffix(')')?;
    let parts: Vec<f64> = inner.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    parts.first_chunk::<3>().filter(|_| parts.len() <= 4).copied()
}

/// Signs that turn directions of a space to right, anterior, superior. `None` for a space that says nothing of the body.
fn to_right_anterior_superior(space: &str) -> Option<[f64; 3]> {
    let space = space.to_ascii_lowercase();
    let space = space.strip_suffix("-time").unwrap_or(&space);
    Some(match space {
        "right-anterior-superior" | "ras" | "rast" => [1.0, 1.0, 1.0],
        "left-anterior-superior" | "las" | "last" => [-1.0, 1.0, 1.0],
        "left-posterior-superior" | "lps" | "lpst" => [-1.0, -1.0, 1.0],
        _ => return None,
    })
}

/// Length of a unit in millimetres. A unit that is not known is taken for millimetres, as an absent one.
fn unit_mm(unit: &str) -> f64 {
    match unit.trim_matches('"') {
        "m" => 1e3,
        "cm" => 10.0,
        "um" | "\u{b5}m" | "micron" | "microns" => 1e-3,
        _ => 1.0,
    }
}

fn encoding(path: &Path, name: &str) -> Result<Encoding, Error> {
    match name.to_ascii_lowercase().as_str() {
        "raw" => Ok(Encoding::Plain),
        "gz" | "gzip" => Ok(Encoding::Gzip),
        _ => {
            let (path, name) = (path.display(), start_of(name));
            Err(Error::unsupported(format!(
                "{path} has voxels of encoding {name:?}; raw and gzip are read\nhint: write the file again as one of them"
            )))
        }
    }
}

fn number_type(path: &Path, name: &str) -> Result<NumberType, Error> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "signed char" | "int8" | "int8_t" => NumberType::I8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => NumberType::U8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => NumberType::I16,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => NumberType::U16,
        "int" | "signed int" | "int32" | "int32_t" => NumberType::I32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => NumberType::U32,
        "longlong"
        | "long long"
        | "long long int"
        | "signed long long"
        | "signed long long int"
        | "int64"
        | "int64_t" => NumberType::I64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => NumberType::U64,
        "float" => NumberType::F32,
        "double" => NumberType::F64,
        _ => {
            let (path, name) = (path.display(), start_of(name));
            return Err(Error::unsupported(format!(
                "{path} has voxels of type {name:?}; integers and floating point numbers up to 64 bit are read"
            )));
        }
    })
}
