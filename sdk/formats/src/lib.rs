//! Readers for medical image files, as arrays.

#[cfg(feature = "image")]
pub mod image_file;
#[cfg(feature = "slide")]
pub mod slide;
#[cfg(feature = "tiff")]
pub mod tiff_file;
