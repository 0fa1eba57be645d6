//! Size of a clip: number of frames, width and height, and the limit of a frame's pixels.

/// Most pixels of a frame.
pub(crate) const MAX_PIXELS: usize = 1 << 24;

/// Size of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClipInfo {
    pub n_frames: usize,
    pub width: usize,
    pub height: usize,
}
