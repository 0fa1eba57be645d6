//! Private elements that tell scans apart, of scanners that say there what the standard has a public element for.
//!
//! A block of private elements belongs to a creator, which an element at the head of its group names: `(gggg,00bb)` names the creator of
//! `(gggg,bbxx)`. Values are of an unknown representation in implicit files, and are read as bytes then.

use dicom_core::{PrimitiveValue, Tag};
use dicom_object::InMemDicomObject;

/// Blocks that are looked at for a creator; scanners use the first three.
const BLOCKS: std::ops::Range<u16> = 0x10..0x20;
/// Longest value in bytes.
const MAX_BYTES: u64 = 256;

/// An element by the creator of its block, its group and its number within the block.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrivateElement {
    creator: &'static str,
    group: u16,
    number: u16,
}

/// What the numbers of an image of GE are: 0 magnitude, 1 phase, 2 real, 3 imaginary part.
const GE_IMAGE_TYPE: PrivateElement = PrivateElement { creator: "GEMS_PARM_01", group: 0x0043, number: 0x2f };
/// Image Type of the XA scanners of Siemens, which do not write it into the public element of classic files.
pub(super) const SIEMENS_IMAGE_TYPE: PrivateElement =
    PrivateElement { creator: "SIEMENS MR SDI 02", group: 0x0021, number: 0x75 };

/// Whether an element outside of sequences, of `n_bytes`, is one of these, or may name the creator of one.
pub(super) fn is_kept(Tag(group, element): Tag, n_bytes: u64) -> bool {
    let of = |known: &PrivateElement| {
        known.group == group
            && (BLOCKS.contains(&element) || BLOCKS.contains(&(element >> 8)) && element & 0xff == known.number)
    };
    n_bytes <= MAX_BYTES && [GE_IMAGE_TYPE, SIEMENS_IMAGE_TYPE].iter().any(of)
}

/// The component of complex numbers that an image of GE shows, in the words of Complex Image Component (0008,9208).
pub(super) fn ge_component(header: &InMemDicomObject) -> Option<&'static str> {
    let number = match GE_IMAGE_TYPE.value(header)? {
        PrimitiveValue::U8(bytes) => i16::from_le_bytes(bytes.as_slice().try_into().ok()?),
        value => value.to_int().ok()?,
    };
    ["MAGNITUDE", "PHASE", "REAL", "IMAGINARY"].get(usize::try_from(number).ok()?).copied()
}

impl PrivateElement {
    fn value<'a>(&self, header: &'a InMemDicomObject) -> Option<&'a PrimitiveValue> {
        let value = |element| header.get(Tag(self.group, element))?.value().primitive();
        let block = BLOCKS.into_iter().find(|&block| value(block).is_some_and(|value| text(value) == self.creator))?;
        value(block << 8 | self.number)
    }

    /// The value as a text, without padding; `None` where it is absent.
    pub(super) fn text(&self, header: &InMemDicomObject) -> Option<String> {
        self.value(header).map(text)
    }
}

fn text(value: &PrimitiveValue) -> String {
    let text = match value {
        PrimitiveValue::U8(bytes) => String::from_utf8_lossy(bytes),
        value => value.to_str(),
    };
    text.trim_matches(['\0', ' ']).to_owned()
}
