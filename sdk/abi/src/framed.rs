//! Bytes behind a header in JSON: how answers and requests carry numbers beside what is said of them.
//!
//! Eight bytes: the length of the header as a little-endian `u64`. The header in JSON. Then the bytes, whose meaning and number follow
//! from the header. Used by [`crate::operation::LABEL_MAPS`] and [`crate::operation::RENDER`].

use serde::{Serialize, de::DeserializeOwned};

/// The header and its length; the bytes are appended to it.
///
/// # Errors
/// A header that cannot be written as JSON.
pub fn begin(header: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(header)?;
    let mut frame = (json.len() as u64).to_le_bytes().to_vec();
    frame.extend(json);
    Ok(frame)
}

/// Takes a frame apart: the header and the bytes behind it.
///
/// # Errors
/// A frame that ends too early, a header that is not one.
pub fn split<H: DeserializeOwned>(frame: &[u8]) -> Result<(H, &[u8]), String> {
    let all = frame.len();
    let (length, rest) =
        frame.split_first_chunk().ok_or_else(|| format!("it has {all} bytes, too few for a length"))?;
    let length = u64::from_le_bytes(*length);
    let json = usize::try_from(length).ok().and_then(|length| rest.get(..length));
    let json = json.ok_or_else(|| format!("it has {all} bytes and states a header of {length}"))?;
    let header = serde_json::from_slice(json).map_err(|error| format!("its header: {error}"))?;
    Ok((header, &rest[json.len()..]))
}
