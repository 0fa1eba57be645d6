//! Transfer syntaxes: how the elements and the pixels of a DICOM file are encoded, and which of them are read.

use dicom_dictionary_std::uids;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex, TransferSyntaxRegistry};

use super::elements::Encoding;

/// Compression of the pixel data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As numbers, all frames in one piece.
    Native,
    /// As numbers, each frame deflated.
    Deflated,
    /// Run lengths of bytes.
    Rle,
    /// JPEG with discrete cosines or lossless.
    Jpeg,
    /// JPEG-LS, lossless or nearly.
    JpegLs,
    /// JPEG 2000.
    Jpeg2000,
}

/// A transfer syntax that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Encoding of the data elements.
    pub(crate) encoding: Encoding,
    /// Whether everything behind the file's own elements is deflated.
    pub(crate) deflated: bool,
    /// Compression of the pixel data.
    pub(crate) coding: Coding,
}

const LITTLE: Encoding = Encoding { explicit: true, big_endian: false };

impl Syntax {
    /// A syntax by its identifier. `Err` has its name, or its identifier where it is unknown.
    pub(crate) fn of(uid: &str) -> Result<Self, String> {
        let compressed = |coding| Ok(Self { encoding: LITTLE, deflated: false, coding });
        let native = |encoding| Ok(Self { encoding, deflated: false, coding: Coding::Native });
        match uid {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => native(Encoding { explicit: false, big_endian: false }),
            uids::EXPLICIT_VR_LITTLE_ENDIAN | uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN => {
                native(LITTLE)
            }
            EXPLICIT_BIG_ENDIAN => native(Encoding { explicit: true, big_endian: true }),
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => {
                Ok(Self { encoding: LITTLE, deflated: true, coding: Coding::Native })
            }
            uids::DEFLATED_IMAGE_FRAME_COMPRESSION => compressed(Coding::Deflated),
            uids::RLE_LOSSLESS => compressed(Coding::Rle),
            uids::JPEG_BASELINE8_BIT
            | uids::JPEG_EXTENDED12_BIT
            | uids::JPEG_LOSSLESS
            | uids::JPEG_LOSSLESS_SV1
            | FULL_PROGRESSION => compressed(Coding::Jpeg),
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => compressed(Coding::JpegLs),
            uids::JPEG2000_LOSSLESS | uids::JPEG2000 => compressed(Coding::Jpeg2000),
            other => Err(name(other)),
        }
    }
}

/// Explicit VR Big Endian: retired, but files exist.
pub(crate) const EXPLICIT_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const FULL_PROGRESSION: &str = "1.2.840.10008.1.2.4.55";

fn name(uid: &str) -> String {
    let known = TransferSyntaxRegistry.get(uid);
    known.map_or_else(|| format!("transfer syntax {uid}"), |syntax| format!("{} ({uid})", syntax.name()))
}
