//! Messages to a worker and back, over a socket: the length of a header in JSON and of the bytes behind it, both as little-endian `u32`, then
//! the two.

use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message that is read, in bytes: a page of records, an image.
const LONGEST: u32 = 1 << 30;

/// How often it is looked whether the other end's process still runs: one that it forked may hold the socket open.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// This end of the socket.
#[derive(Debug)]
pub(crate) struct Link {
    socket: BufReader<UnixStream>,
    time_limit: Duration,
}

impl Link {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket: BufReader::new(socket), time_limit: Duration::MAX }
    }

    /// Limits how long the other end may take for a part of a message.
    pub(crate) fn set_time_limit(&mut self, limit: Duration) -> io::Result<()> {
        self.time_limit = limit;
        self.socket.get_ref().set_read_timeout(Some(limit))?;
        self.socket.get_ref().set_write_timeout(Some(limit))
    }

    /// Gives descriptors to the other end, with one byte.
    pub(crate) fn send_descriptors(&self, descriptors: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("two descriptors do not fit into a message"));
        }
        sendmsg(self.socket.get_ref().as_fd(), &[io::IoSlice::new(b"\n")], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Sends a message. The end of the other side is an error, and no signal.
    pub(crate) fn send(&self, header: &impl Serialize, content: &[u8]) -> io::Result<()> {
        let header = serde_json::to_vec(header)?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| io::Error::other("the request is too long"));
        let mut message = length(&header)?.to_le_bytes().to_vec();
        message.extend(length(content)?.to_le_bytes());
        message.extend(header);
        message.extend(content);
        let mut rest = &message[..];
        while !rest.is_empty() {
            match send(self.socket.get_ref().as_fd(), rest, SendFlags::NOSIGNAL) {
                Ok(n) => rest = &rest[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for a message, as long as the other end's process runs.
    pub(crate) fn receive<H: DeserializeOwned>(&mut self, runs: impl FnMut() -> bool) -> io::Result<(H, Vec<u8>)> {
        self.wait(runs)?;
        let mut lengths = [0; 8];
        self.socket.read_exact(&mut lengths)?;
        let [header, content] = [0, 4].map(|at| {
            let bytes = std::array::from_fn(|offset| lengths[at + offset]);
            u32::from_le_bytes(bytes)
        });
        let header = serde_json::from_slice(&self.read(header)?)?;
        Ok((header, self.read(content)?))
    }

    fn wait(&self, mut runs: impl FnMut() -> bool) -> io::Result<()> {
        let begin = Instant::now();
        let limit = Timespec::try_from(self.time_limit).map_or(LOOK, |limit| limit.min(LOOK));
        while self.socket.buffer().is_empty() {
            let mut ready = [PollFd::new(self.socket.get_ref(), PollFlags::IN)];
            match poll(&mut ready, Some(&limit)) {
                Ok(0) if begin.elapsed() >= self.time_limit => return Err(io::ErrorKind::TimedOut.into()),
                Ok(0) if !runs() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self, length: u32) -> io::Result<Vec<u8>> {
        if length > LONGEST {
            return Err(io::Error::other(format!("a message of {length} bytes; at most {LONGEST} were expected")));
        }
        let mut bytes = Vec::new();
        let n = (&mut self.socket).take(length.into()).read_to_end(&mut bytes)?;
        if n < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}
