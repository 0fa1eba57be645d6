//! What the chunks before the pixels of a PNG say about its samples, without decoding.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::Crc;

/// Bytes before the first chunk.
const SIGNATURE_BYTES: u64 = 8;
/// Largest number of chunks before the pixels that are looked at; files have a dozen.
const MAX_CHUNKS: usize = 1000;

/// Facts about the samples of a PNG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PngHead {
    /// Bits of a stored sample.
    pub bits: u32,
    /// Bits of a sample before it was stored (sBIT), the most of all colours.
    pub significant: Option<u32>,
}

impl PngHead {
    /// Reads the head of a file; `None` where there is none. Places the file anew. A file that ends early has the head that it has.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let mut head = None;
        match Self::find(file, &mut head) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(head),
        }
    }

    fn find(file: &mut (impl Read + Seek), head: &mut Option<Self>) -> io::Result<()> {
        let mut at = SIGNATURE_BYTES;
        for _ in 0..MAX_CHUNKS {
            file.seek(SeekFrom::Start(at))?;
            let mut start = [0; 12];
            file.read_exact(&mut start)?;
            let [a, b, c, d, kind @ .., first, second, third, _] = start;
            let n_bytes = u32::from_be_bytes([a, b, c, d]);
            match &kind {
                b"IHDR" => {
                    // Width and height, then the bits of a sample.
                    file.seek(SeekFrom::Start(at + 16))?;
                    let mut bits = [0];
                    file.read_exact(&mut bits)?;
                    *head = Some(Self { bits: u32::from(bits[0]), significant: None });
                }
                b"sBIT" => {
                    // One number for grey, and three for colours; a further one is that of transparency.
                    let n = if n_bytes >= 3 { 3 } else { 1 };
                    let most = [first, second, third][..n].iter().copied().max().map(u32::from);
                    if let Some(head) = head {
                        head.significant = most.filter(|bits| (1..=head.bits).contains(bits));
                    }
                }
                b"IDAT" | b"IEND" => break,
                _ => {}
            }
            at += 12 + u64::from(n_bytes);
        }
        Ok(())
    }
}

/// A PNG that says of its samples that they have so many bits: a reader that looks for the bits that numbers use (see
/// [`crate::bit_depth`]) takes these. `n_channels` are those without transparency.
pub fn with_significant_bits(png: &[u8], n_channels: usize, bits: u8) -> Vec<u8> {
    // The chunk must stand before any palette and pixels: behind the first one, IHDR, whose length is fixed.
    let (head, rest) = png.split_at(png.len().min(SIGNATURE_BYTES as usize + 25));
    let chunk = [b"sBIT".as_slice(), &vec![bits; n_channels]].concat();
    let mut checksum = Crc::new();
    checksum.update(&chunk);
    let length = (n_channels as u32).to_be_bytes();
    [head, &length, &chunk, &checksum.sum().to_be_bytes(), rest].concat()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn head(chunks: &[(&[u8; 4], &[u8])]) -> Option<PngHead> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in chunks {
            file.extend((content.len() as u32).to_be_bytes());
            file.extend([&kind[..], content, &[0; 4]].concat());
        }
        PngHead::read(&mut Cursor::new(file)).unwrap()
    }

    #[test]
    fn bits_are_those_of_the_header_and_of_the_chunk_of_significant_bits() {
        let header = [0, 0, 0, 5, 0, 0, 0, 3, 16, 0, 0, 0, 0];
        let deep = |significant| Some(PngHead { bits: 16, significant });
        assert_eq!(head(&[(b"IHDR", &header), (b"IDAT", b"pixels")]), deep(None));
        assert_eq!(head(&[(b"IHDR", &header), (b"gAMA", &[0; 4]), (b"sBIT", &[12]), (b"IDAT", b"")]), deep(Some(12)));
        assert_eq!(head(&[(b"IHDR", &header), (b"sBIT", &[10, 12, 11, 16]), (b"IDAT", b"")]), deep(Some(12)));
        assert_eq!(head(&[(b"IHDR", &header), (b"sBIT", &[8, 16]), (b"IDAT", b"")]), deep(Some(8)));
        assert_eq!(head(&[(b"IHDR", &header), (b"sBIT", &[17]), (b"IDAT", b"")]), deep(None));
        assert_eq!(head(&[(b"IHDR", &header), (b"IDAT", b"pixels"), (b"sBIT", &[12])]), deep(None));
        assert_eq!(head(&[]), None);
    }

    #[test]
    fn bits_that_are_written_are_read_and_the_pixels_stay() {
        let dark = image::ImageBuffer::<image::Rgb<u16>, _>::from_raw(2, 1, vec![9_u16, 8, 7, 6, 5, 4]).unwrap();
        let mut file = Cursor::new(Vec::new());
        dark.write_to(&mut file, image::ImageFormat::Png).unwrap();
        let bytes = with_significant_bits(file.get_ref(), 3, 16);
        assert_eq!(PngHead::read(&mut Cursor::new(&bytes)).unwrap(), Some(PngHead { bits: 16, significant: Some(16) }));
        // The decoder compares the checksums of chunks.
        assert_eq!(image::load_from_memory(&bytes).unwrap().into_rgb16(), dark);
    }
}
