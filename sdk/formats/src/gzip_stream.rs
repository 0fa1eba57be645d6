//! Gzipped files as streams that can begin in the middle.
//!
//! Deflated data can be decompressed only with the data before them. The first read of a file through a [`GzipStream`] records an
//! index of [`AccessPoint`]s: the state of the decompressor, and the last 32 KiB of content. Later streams start from the access
//! point before the wanted byte, as the `zran` example of zlib does. The index is in memory, limited in size for each file, and is
//! never written to disk.
//!
//! The checksum of a file is at its end. So the stream that records the index is read to its end before the index is used. A file
//! that has changed since is noticed by the code that opens it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Crc;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_HAS_MORE_INPUT};

/// Bytes that the decompressor may refer back to.
const WINDOW: usize = 1 << 15;
/// Bytes of content held at a time: a power of two, which the decompressor requires.
const RING: usize = 1 << 17;
/// Bytes of compressed data held at a time.
const BUFFER_BYTES: usize = 1 << 16;
/// Smallest distance of two access points, in bytes of content.
pub(crate) const DISTANCE: u64 = 1 << 20;
/// Memory of an access point, in bytes.
const ACCESS_POINT_BYTES: usize = WINDOW + size_of::<DecompressorOxide>() + size_of::<AccessPoint>();

/// A position from which decompression can start.
#[derive(Clone)]
struct AccessPoint {
    /// Position in the content of the next byte.
    at: u64,
    /// Position in the file of the next byte.
    file_at: u64,
    decompressor: Box<DecompressorOxide>,
    /// The last bytes of content before it.
    window: Box<[u8]>,
}

/// The access points of a file, shared by all of its readers; known once the file was read to its end.
#[derive(Default)]
pub(crate) struct GzipIndex {
    known: Mutex<Option<Arc<[AccessPoint]>>>,
}

impl std::fmt::Debug for GzipIndex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GzipIndex").finish_non_exhaustive()
    }
}

impl GzipIndex {
    /// Passes a stream of a file to `read`. The first stream records access points within `limit_bytes` of memory, and
    /// `read` must read it to its end. Other threads wait meanwhile, since reading the whole file as well would cost
    /// more.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub(crate) fn stream<T>(
        &self,
        path: &Path,
        limit_bytes: usize,
        read: impl FnOnce(&mut GzipStream) -> T,
    ) -> io::Result<T> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(points) = &*known {
            let points = Arc::clone(points);
            drop(known);
            return Ok(read(&mut GzipStream::open(path, points, None)?));
        }
        let recording =
            Recording { distance: DISTANCE, most: (limit_bytes / ACCESS_POINT_BYTES).max(1), points: Vec::new() };
        let mut stream = GzipStream::open(path, Arc::new([]), Some(recording))?;
        let outcome = read(&mut stream);
        if let (Phase::End, Some(recording)) = (stream.phase, stream.recording) {
            *known = Some(recording.points.into());
        }
        Ok(outcome)
    }
}

/// Access points that are being recorded.
struct Recording {
    /// Bytes of content between two access points.
    distance: u64,
    /// Largest number of access points.
    most: usize,
    points: Vec<AccessPoint>,
}

impl Recording {
    /// Drops every second access point and doubles the distance of later ones.
    fn make_room(&mut self) {
        if self.points.len() < self.most {
            return;
        }
        let mut number = 0;
        self.points.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        self.distance *= 2;
    }
}

/// Next part of the file.
enum Phase {
    /// The header of a member; true if a member came before.
    Header(bool),
    /// Compressed data.
    Body(Box<DecompressorOxide>),
    /// The end of the file.
    End,
}

/// The content of a gzipped file, of one or several members.
pub(crate) struct GzipStream {
    file: BufReader<File>,
    file_at: u64,
    phase: Phase,
    /// Content, by its position modulo [`RING`].
    ring: Box<[u8]>,
    /// Bytes of content that were decompressed.
    produced: u64,
    /// Bytes of content that the caller has read.
    consumed: u64,
    /// Checksum of the member, if it was read from its beginning.
    crc: Option<Crc>,
    points: Arc<[AccessPoint]>,
    recording: Option<Recording>,
}

impl GzipStream {
    fn open(path: &Path, points: Arc<[AccessPoint]>, recording: Option<Recording>) -> io::Result<Self> {
        Ok(Self {
            file: BufReader::with_capacity(BUFFER_BYTES, File::open(path)?),
            file_at: 0,
            phase: Phase::Header(false),
            ring: vec![0; RING].into(),
            produced: 0,
            consumed: 0,
            crc: None,
            points,
            recording,
        })
    }

    /// Whether access points are being recorded, so that the stream must be read to its end.
    pub(crate) fn is_first(&self) -> bool {
        self.recording.is_some()
    }

    /// Skips bytes of content, from an access point on if one is on the way.
    pub(crate) fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        let target = self.consumed.saturating_add(n_bytes);
        let points = Arc::clone(&self.points);
        let nearest = points.partition_point(|point| point.at <= target);
        if let Some(point) = nearest.checked_sub(1).map(|at| &points[at]).filter(|point| point.at > self.produced) {
            self.go_to(point)?;
        }
        loop {
            self.consumed = target.min(self.produced);
            if self.consumed == target {
                return Ok(());
            }
            if !self.decompress_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn go_to(&mut self, point: &AccessPoint) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(point.file_at))?;
        (self.file_at, self.produced, self.consumed) = (point.file_at, point.at, point.at);
        self.phase = Phase::Body(point.decompressor.clone());
        self.crc = None;
        let start = point.at - point.window.len() as u64;
        for (at, &byte) in (start..).zip(&point.window) {
            self.ring[at as usize % RING] = byte;
        }
        Ok(())
    }

    /// Decompresses the next bytes. The caller must have read all bytes before them. False at the end.
    fn decompress_more(&mut self) -> io::Result<bool> {
        loop {
            match &mut self.phase {
                Phase::End => return Ok(false),
                Phase::Header(has_content) => {
                    if *has_content && self.file.fill_buf()?.is_empty() {
                        self.phase = Phase::End;
                        return Ok(false);
                    }
                    self.read_header()?;
                    self.phase = Phase::Body(Box::default());
                    self.crc = Some(Crc::new());
                }
                Phase::Body(decompressor) => {
                    let input = self.file.fill_buf()?;
                    let is_last = input.is_empty();
                    let flags = if is_last { 0 } else { TINFL_FLAG_HAS_MORE_INPUT };
                    let from = self.produced as usize % RING;
                    let (status, n_read, n_decompressed) = decompress(decompressor, input, &mut self.ring, from, flags);
                    self.file.consume(n_read);
                    self.file_at += n_read as u64;
                    self.produced += n_decompressed as u64;
                    if let Some(crc) = &mut self.crc {
                        crc.update(&self.ring[from..from + n_decompressed]);
                    }
                    match status {
                        TINFLStatus::Done => {
                            self.read_trailer()?;
                            self.phase = Phase::Header(true);
                        }
                        TINFLStatus::HasMoreOutput => self.record_access_point(),
                        TINFLStatus::NeedsMoreInput if !is_last => {}
                        TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                        _ => return Err(damaged("its compressed data make no sense")),
                    }
                    if n_decompressed > 0 {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Records an access point if one is due.
    fn record_access_point(&mut self) {
        let (Some(recording), Phase::Body(decompressor)) = (&mut self.recording, &self.phase) else { return };
        let latest = recording.points.last().map_or(0, |point| point.at);
        if self.produced < latest + recording.distance {
            return;
        }
        recording.make_room();
        let latest = recording.points.last().map_or(0, |point| point.at);
        if self.produced < latest + recording.distance {
            return;
        }
        let window = (self.produced - WINDOW as u64..self.produced).map(|at| self.ring[at as usize % RING]).collect();
        let (at, file_at) = (self.produced, self.file_at);
        recording.points.push(AccessPoint { at, file_at, decompressor: decompressor.clone(), window });
    }

    /// Reads past the header of a member (RFC 1952).
    fn read_header(&mut self) -> io::Result<()> {
        let [a, b, method, flags, ..] = self.bytes::<10>()?;
        if [a, b, method] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
            return Err(damaged("it has an invalid gzip header"));
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes(self.bytes()?);
            for _ in 0..length {
                self.bytes::<1>()?;
            }
        }
        // A name and a comment, each of which ends with 0.
        for flag in [8, 16] {
            while flags & flag != 0 && self.bytes()? != [0] {}
        }
        if flags & 2 != 0 {
            self.bytes::<2>()?;
        }
        Ok(())
    }

    /// Reads the trailer of a member. Compares its checksum if the whole member was read.
    fn read_trailer(&mut self) -> io::Result<()> {
        let (expected, length) = (u32::from_le_bytes(self.bytes()?), u32::from_le_bytes(self.bytes()?));
        match &self.crc {
            Some(crc) if (crc.sum(), crc.amount()) != (expected, length) => Err(damaged("its checksum does not fit")),
            _ => Ok(()),
        }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.file_at += N as u64;
        Ok(bytes)
    }

    /// Range in the ring of content that was decompressed and not yet read, up to the end of the ring.
    fn ready(&self) -> Range<usize> {
        let from = self.consumed as usize % RING;
        from..(from + (self.produced - self.consumed) as usize).min(RING)
    }
}

impl Read for GzipStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.consumed == self.produced && !buffer.is_empty() && !self.decompress_more()? {
            return Ok(0);
        }
        let ready = self.ready();
        let n = ready.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.ring[ready][..n]);
        self.consumed += n as u64;
        Ok(n)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;

    use super::*;

    /// Content that compresses to stored, fixed and dynamic blocks, with near and far matches.
    fn content(kinds: &[(u8, usize)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut state = 1_u32;
        for &(kind, n) in kinds {
            for at in 0..n {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.push(match kind {
                    0 => (state >> 24) as u8,
                    1 => 0,
                    2 => ((at / 3) % 251) as u8,
                    _ => 100 + ((state >> 24) % 9) as u8 + ((at / 500) % 40) as u8,
                });
            }
        }
        bytes
    }

    /// A file whose members hold the pieces of the content between `cuts`, with headers of several kinds.
    fn write(folder: &Path, content: &[u8], cuts: &[usize], level: u32) -> PathBuf {
        let mut file = Vec::new();
        let mut start = 0;
        for (number, end) in cuts.iter().copied().chain([content.len()]).enumerate() {
            let builder = match number % 3 {
                0 => GzBuilder::new(),
                1 => GzBuilder::new().filename("scan.nii").comment("made for a test"),
                _ => GzBuilder::new().extra(vec![7; 300]).mtime(5),
            };
            let mut encoder = builder.write(&mut file, Compression::new(level));
            encoder.write_all(&content[start..end.max(start)]).unwrap();
            encoder.finish().unwrap();
            start = end.max(start);
        }
        let path = folder.join("content.gz");
        std::fs::write(&path, file).unwrap();
        path
    }

    fn piece(points: &GzipIndex, path: &Path, limit_bytes: usize, from: u64, n: usize) -> io::Result<Vec<u8>> {
        points.stream(path, limit_bytes, |stream| {
            let mut bytes = vec![0; n];
            stream.skip(from)?;
            stream.read_exact(&mut bytes)?;
            if stream.is_first() {
                io::copy(stream, &mut io::sink())?;
            }
            Ok(bytes)
        })?
    }

    fn n_known(points: &GzipIndex) -> Option<usize> {
        points.known.lock().unwrap().as_ref().map(|known| known.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_piece_in_any_order_is_that_of_the_content(
            kinds in prop::collection::vec((0_u8..4, 1_usize..1_500_000), 1..5),
            cuts in prop::collection::vec(0.0..1.0, 0..4),
            level in 0_u32..=9,
            limit in prop::sample::select(vec![0, 3 * ACCESS_POINT_BYTES, 1 << 30]),
            pieces in prop::collection::vec((0.0..1.0, 0.0..0.2), 1..12),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let content = content(&kinds);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut: &f64| (cut * content.len() as f64) as usize).collect();
            cuts.sort_unstable();
            let path = write(folder.path(), &content, &cuts, level);
            let points = GzipIndex::default();
            for (from, part) in pieces {
                let from = (from * content.len() as f64) as usize;
                let n = ((part * content.len() as f64) as usize).min(content.len() - from);
                let found = piece(&points, &path, limit, from as u64, n).unwrap();
                prop_assert!(found == content[from..from + n], "{n} bytes from {from} of {}", content.len());
            }
            let n_points = n_known(&points).unwrap();
            prop_assert!(n_points <= (limit / ACCESS_POINT_BYTES).max(1) && n_points <= content.len() >> 20);
        }
    }

    #[test]
    fn access_points_are_a_distance_apart_that_grows_where_there_is_little_memory() {
        let folder = tempfile::tempdir().unwrap();
        let content = content(&[(3, 9 << 20)]);
        let path = write(folder.path(), &content, &[], 6);
        for (limit, expected) in
            [(1 << 30, vec![1, 2, 3, 4, 5, 6, 7, 8]), (4 * ACCESS_POINT_BYTES, vec![2, 4, 6, 8]), (0, vec![8])]
        {
            let points = GzipIndex::default();
            piece(&points, &path, limit, 5, 10).unwrap();
            let known = points.known.lock().unwrap().clone().unwrap();
            assert_eq!(known.iter().map(|point| point.at >> 20).collect::<Vec<_>>(), expected, "{limit}");
        }
    }

    #[test]
    fn threads_read_one_file_through_once() {
        let folder = tempfile::tempdir().unwrap();
        let content = content(&[(3, 2_000_000), (2, 2_000_000)]);
        let path = write(folder.path(), &content, &[1_700_000], 1);
        let (points, content, path) = (&GzipIndex::default(), &content, &path);
        std::thread::scope(|scope| {
            for thread in 0..6_usize {
                scope.spawn(move || {
                    for turn in 0..6 {
                        let from = (thread * 7 + turn * 5) % 11 * 350_000;
                        let found = piece(points, path, 1 << 30, from as u64, 40_000).unwrap();
                        assert!(found == content[from..from + 40_000], "{from}");
                    }
                });
            }
        });
    }

    #[test]
    fn a_file_that_is_cut_off_or_damaged_is_an_error_and_leaves_no_index() {
        let folder = tempfile::tempdir().unwrap();
        let content = content(&[(3, 1_600_000), (0, 900_000)]);
        let path = write(folder.path(), &content, &[], 6);
        let valid = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let points = GzipIndex::default();
            let outcome = piece(&points, &path, 1 << 30, 100, 50);
            assert!(outcome.is_ok() || n_known(&points).is_none());
            outcome.map_err(|error| error.kind())
        };
        for n in [0, 5, 11, 1000, valid.len() / 2, valid.len() - 9, valid.len() - 8, valid.len() - 1] {
            assert_eq!(read(&valid[..n]), Err(io::ErrorKind::UnexpectedEof), "{n} bytes");
        }
        // Damage is found after the requested piece, in the checksum and in the length.
        for at in (2000..valid.len() - 8).step_by(valid.len() / 40).chain(valid.len() - 8..valid.len()) {
            let mut damaged = valid.clone();
            damaged[at] ^= 0x10;
            let kind = read(&damaged).unwrap_err();
            assert!([io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof].contains(&kind), "byte {at}: {kind}");
        }
        assert_eq!(read(&[&valid[..], b"more"].concat()), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(&[&valid[..], b"more than a header"].concat()), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(&valid), Ok(content[100..150].to_vec()));
    }

    #[test]
    fn skipping_past_the_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let content = content(&[(2, 3_000_000)]);
        let path = write(folder.path(), &content, &[], 6);
        let points = GzipIndex::default();
        for _ in 0..2 {
            let error = piece(&points, &path, 1 << 30, 3_000_001, 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            piece(&points, &path, 1 << 30, 2_999_999, 1).unwrap();
        }
    }
}
