//! Readers for medical image files, as arrays.

#[cfg(feature = "dicom")]
pub mod dicom;
#[cfg(feature = "image")]
pub mod image_file;
#[cfg(feature = "nifti")]
pub mod nifti;
#[cfg(feature = "nifti")]
mod nifti_header;
#[cfg(feature = "nifti")]
pub mod nifti_write;
#[cfg(feature = "nifti")]
mod orientation;
#[cfg(feature = "slide")]
pub mod slide;
#[cfg(feature = "nifti")]
pub mod subvolumes;
#[cfg(feature = "tiff")]
pub mod tiff_file;
#[cfg(feature = "tiff")]
mod tiff_pixels;
#[cfg(feature = "nifti")]
mod volume_cache;
#[cfg(feature = "nifti")]
pub mod volume_source;
