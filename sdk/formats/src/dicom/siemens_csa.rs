//! CSA header of Siemens scanners: a private element with the slices of a mosaic and how they lie.
//!
//! The format is not published; this follows what nibabel and dcm2niix read. Version 2 begins with `SV10`, version 1
//! with the number of tags. A tag has a name of 64 bytes, its number of values and items; an item has four numbers, of
//! which one is its length, and text that is padded to four bytes. All lengths are compared with the element.

/// Largest number of tags and of items of a tag; real headers have some hundred.
const MAX_TAGS: u32 = 1 << 12;

/// Creator of the element, in (0029,00xx).
pub(super) const CREATOR: &str = "SIEMENS CSA HEADER";
/// Number of the element in the block of its creator: CSA Image Header Info.
pub(super) const IMAGE_HEADER: u16 = 0x10;

/// The values of a tag, as texts; `None` where the header is damaged or lacks the tag.
pub(super) fn values(header: &[u8], wanted: &str) -> Option<Vec<String>> {
    let mut bytes = Bytes(header);
    let is_second = header.starts_with(b"SV10");
    if is_second {
        bytes.take(8)?;
    }
    let n_tags = bytes.number()?;
    bytes.take(4)?;
    for _ in 0..n_tags.min(MAX_TAGS) {
        let name = text(bytes.take(64)?);
        let n_values = bytes.number()?;
        // Representation in letters and as a number.
        bytes.take(8)?;
        let n_items = bytes.number()?;
        bytes.take(4)?;
        let mut values = Vec::new();
        for item in 0..n_items.min(MAX_TAGS) {
            let lengths = [bytes.number()?, bytes.number()?];
            bytes.take(8)?;
            let length = if is_second { lengths[1] } else { lengths[0].wrapping_sub(n_items_of_first(header)?) };
            if !is_second && length as usize > bytes.0.len() {
                // Version 1 ends its values so.
                break;
            }
            let value = bytes.take(length as usize)?;
            bytes.take((4 - length as usize % 4) % 4)?;
            if n_values == 0 || item < n_values {
                values.push(text(value));
            }
        }
        if name == wanted {
            return Some(values);
        }
    }
    None
}

/// The numbers of a tag; those that are no numbers are left out.
pub(super) fn numbers(header: &[u8], wanted: &str) -> Option<Vec<f64>> {
    let values = values(header, wanted)?;
    Some(
        values.iter().filter_map(|value| value.trim().parse().ok()).filter(|number: &f64| number.is_finite()).collect(),
    )
}

/// Number of items of the first tag, which version 1 adds to all lengths.
fn n_items_of_first(header: &[u8]) -> Option<u32> {
    let mut bytes = Bytes(header);
    // Two numbers, name, number of values, representation.
    bytes.take(8 + 64 + 4 + 8)?;
    bytes.number()
}

/// Text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Bytes that are not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of version 2 with these tags.
    fn header(tags: &[(&str, &[&str])]) -> Vec<u8> {
        let number = |n: usize| (n as u32).to_le_bytes();
        let mut bytes = [&b"SV10\x04\x03\x02\x01"[..], &number(tags.len()), &number(77)].concat();
        for (name, values) in tags {
            let mut padded = name.as_bytes().to_vec();
            padded.resize(64, 0);
            bytes.extend(padded);
            bytes.extend(
                [&number(values.len())[..], b"FD\0\0", &number(4), &number(values.len()), &number(77)].concat(),
            );
            for value in *values {
                bytes.extend([number(0), number(value.len()), number(77), number(0)].concat());
                bytes.extend(value.as_bytes());
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
        }
        bytes
    }

    #[test]
    fn values_are_found_by_name() {
        let bytes = header(&[("A", &["1"]), ("SliceNormalVector", &["0.0", "-0.5 ", "0.866"]), ("None", &[])]);
        assert_eq!(numbers(&bytes, "SliceNormalVector"), Some(vec![0.0, -0.5, 0.866]));
        assert_eq!(values(&bytes, "None"), Some(Vec::new()));
        assert_eq!(values(&bytes, "Other"), None);
        for cut in 0..bytes.len() {
            // A header that is cut off gives nothing wrong, and no panic.
            let found = numbers(&bytes[..cut], "SliceNormalVector");
            assert!(found.is_none() || found == Some(vec![0.0, -0.5, 0.866]), "{cut}: {found:?}");
        }
    }
}
