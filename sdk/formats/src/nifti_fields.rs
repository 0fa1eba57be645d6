//! Fields of NIfTI-1 and NIfTI-2 headers in one form, as they are stored.
//!
//! Recognises the version, the byte order and whether the voxels are in a separate file. The `nifti` crate parses
//! version 1; it does not know version 2, whose numbers are wider and in another order. [`crate::nifti_header`] checks
//! the values.

use std::path::Path;

use medcoss_sdk::Error;
use nifti::{Endianness, NiftiHeader};

/// Length in bytes of a header of version 1, and the smallest length of a file.
pub(crate) const BYTES_1: usize = 348;
/// Length in bytes of a header of version 2.
pub(crate) const BYTES_2: usize = 540;
/// End of the magic number of version 2: line ends that a transfer as text would change.
const LINE_ENDS: &[u8] = b"\r\n\x1a\n";

/// Fields of a NIfTI header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields {
    /// Length of the header in bytes.
    pub n_bytes: usize,
    /// Whether the voxels are in a separate `.img` file.
    pub separate: bool,
    pub big_endian: bool,
    /// Number of axes, then their sizes.
    pub dim: [i64; 8],
    pub datatype: i16,
    pub intent: i32,
    /// Handedness of the qform, then the length of a step along each axis.
    pub pixdim: [f64; 8],
    /// `vox_offset`: first byte of the voxels in their file.
    pub offset: f64,
    /// `scl_slope` and `scl_inter`.
    pub scaling: [f64; 2],
    pub qform_code: i32,
    pub sform_code: i32,
    /// `quatern_b`, `quatern_c` and `quatern_d` of the qform.
    pub quaternion: [f64; 3],
    /// `qoffset_x`, `qoffset_y` and `qoffset_z` of the qform.
    pub quaternion_offset: [f64; 3],
    /// Rows of the sform.
    pub sform: [[f64; 4]; 3],
    pub units: u8,
}

/// The length in bytes of the NIfTI header that begins with these four bytes; `None` for other files.
pub(crate) fn header_bytes(first: [u8; 4]) -> Option<usize> {
    let stated = [i32::from_le_bytes(first), i32::from_be_bytes(first)];
    [BYTES_1, BYTES_2].into_iter().find(|&n_bytes| stated.contains(&(n_bytes as i32)))
}

impl Fields {
    /// Parses a header, whose length [`header_bytes`] found.
    ///
    /// # Errors
    /// Analyze 7.5, another format, a header that was damaged by a transfer as text.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() == BYTES_2 { Self::version_2(path, bytes) } else { Self::version_1(path, bytes) }
    }

    fn version_1(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let shown = path.display();
        let separate = match bytes.get(344..BYTES_1) {
            Some(b"n+1\0") => false,
            Some(b"ni1\0") => true,
            other => {
                let magic = other.unwrap_or_default().escape_ascii();
                // In Analyze 7.5 these bytes belong to applications.
                if crate::nifti_pair::is_header_name(path) {
                    return Err(Error::unsupported(format!(
                        "{shown} is an Analyze 7.5 header, which does not say where left and right are; NIfTI is read\n\
                         hint: convert it to NIfTI with a tool that knows where it comes from"
                    )));
                }
                return Err(Error::corrupt(format!("{shown} has \"{magic}\" where a NIfTI-1 file has \"n+1\"")));
            }
        };
        let parsed = NiftiHeader::from_reader(bytes)
            .map_err(|error| Error::corrupt(format!("{shown} has a damaged NIfTI header")).caused_by(&error))?;
        // The crate takes the byte order from the number of dimensions; the length of the header must agree with it.
        if parsed.sizeof_hdr != BYTES_1 as i32 {
            let found = parsed.dim[0];
            return Err(Error::corrupt(format!("{shown} states {found} dimensions; a NIfTI file has 1 to 7")));
        }
        let rows = [parsed.srow_x, parsed.srow_y, parsed.srow_z];
        Ok(Self {
            n_bytes: BYTES_1,
            separate,
            big_endian: parsed.endianness == Endianness::Big,
            dim: parsed.dim.map(i64::from),
            datatype: parsed.datatype,
            intent: parsed.intent_code.into(),
            pixdim: parsed.pixdim.map(f64::from),
            offset: parsed.vox_offset.into(),
            scaling: [parsed.scl_slope, parsed.scl_inter].map(f64::from),
            qform_code: parsed.qform_code.into(),
            sform_code: parsed.sform_code.into(),
            quaternion: [parsed.quatern_b, parsed.quatern_c, parsed.quatern_d].map(f64::from),
            quaternion_offset: [parsed.quatern_x, parsed.quatern_y, parsed.quatern_z].map(f64::from),
            sform: rows.map(|row| row.map(f64::from)),
            units: parsed.xyzt_units,
        })
    }

    fn version_2(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let magic = &bytes[4..12];
        let separate = match &magic[..4] {
            b"n+2\0" => false,
            b"ni2\0" => true,
            _ => {
                let (path, magic) = (path.display(), magic.escape_ascii());
                return Err(Error::corrupt(format!("{path} has \"{magic}\" where a NIfTI-2 file has \"n+2\"")));
            }
        };
        if &magic[4..] != LINE_ENDS {
            let (path, magic) = (path.display(), magic.escape_ascii());
            return Err(Error::corrupt(format!(
                "{path} has \"{magic}\" where a NIfTI-2 file has line ends of both kinds\n\
                 hint: it was probably transferred as text; transfer it again, as a binary file"
            )));
        }
        let big_endian = bytes[..4] == (BYTES_2 as i32).to_be_bytes();
        let at = Numbers { bytes, big_endian };
        let row = |start: usize| [0, 1, 2, 3].map(|column| at.f64(start + 8 * column));
        Ok(Self {
            n_bytes: BYTES_2,
            separate,
            big_endian,
            dim: [0, 1, 2, 3, 4, 5, 6, 7].map(|axis| i64::from_le_bytes(at.number(16 + 8 * axis))),
            datatype: i16::from_le_bytes(at.number(12)),
            intent: i32::from_le_bytes(at.number(504)),
            pixdim: [0, 1, 2, 3, 4, 5, 6, 7].map(|axis| at.f64(104 + 8 * axis)),
            offset: i64::from_le_bytes(at.number(168)) as f64,
            scaling: [at.f64(176), at.f64(184)],
            qform_code: i32::from_le_bytes(at.number(344)),
            sform_code: i32::from_le_bytes(at.number(348)),
            quaternion: [at.f64(352), at.f64(360), at.f64(368)],
            quaternion_offset: [at.f64(376), at.f64(384), at.f64(392)],
            sform: [row(400), row(432), row(464)],
            // A wider field than in version 1, with the same bits.
            units: i32::from_le_bytes(at.number(500)) as u8,
        })
    }
}

/// Numbers of a header of version 2, by byte offset.
struct Numbers<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Numbers<'_> {
    /// The bytes of a number, the lowest first. `start` is a constant of the layout.
    fn number<const N: usize>(&self, start: usize) -> [u8; N] {
        let mut number = std::array::from_fn(|byte| self.bytes[start + byte]);
        if self.big_endian {
            number.reverse();
        }
        number
    }

    fn f64(&self, start: usize) -> f64 {
        f64::from_le_bytes(self.number(start))
    }
}
