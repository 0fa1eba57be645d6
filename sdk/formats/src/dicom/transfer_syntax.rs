//! Transfer syntaxes: the encoding of a DICOM file's elements and pixels, and which of them are supported.

use dicom_dictionary_std::uids;
use dicom_transfer_syntax_registry::{TransferSyntaxIndex, TransferSyntaxRegistry};

use super::elements::Encoding;

/// Compression of the pixel data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Uncompressed, all frames in one piece.
    Native,
    /// Each frame deflated.
    Deflated,
    /// Run-length encoding.
    Rle,
    /// JPEG, DCT or lossless.
    Jpeg,
    /// JPEG-LS, lossless or near-lossless.
    JpegLs,
    /// JPEG 2000, also of high throughput.
    Jpeg2000,
}

/// A supported transfer syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    /// Encoding of the data elements.
    pub(crate) encoding: Encoding,
    /// Whether everything after the file meta information is deflated.
    pub(crate) deflated: bool,
    /// Compression of the pixel data.
    pub(crate) coding: Coding,
}

const LITTLE: Encoding = Encoding { explicit: true, big_endian: false };

impl Syntax {
    /// The syntax of a UID. `Err` has the syntax's name, or the UID where it is unknown.
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
            uids::JPEG2000_LOSSLESS
            | uids::JPEG2000
            | uids::HTJ2K_LOSSLESS
            | uids::HTJ2K_LOSSLESS_RPCL
            | uids::HTJ2K => compressed(Coding::Jpeg2000),
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
