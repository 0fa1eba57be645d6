//! Integration tests of the crate, in one binary. Each reader is tested with its feature.

#![forbid(unsafe_code)]

#[cfg(feature = "volume")]
mod crops;
#[cfg(all(feature = "image", feature = "slide", feature = "volume"))]
mod deidentify;
#[cfg(feature = "dicom")]
mod dicom_conformance;
#[cfg(feature = "dicom")]
mod dicom_file;
#[cfg(feature = "volume")]
mod dicom_frames_of_scans;
#[cfg(feature = "volume")]
mod dicom_scans;
#[cfg(feature = "volume")]
mod dicom_series;
#[cfg(feature = "slide")]
mod dicom_slide;
#[cfg(feature = "volume")]
mod file_axes;
#[cfg(feature = "image")]
mod image_file;
#[cfg(feature = "image")]
mod label_image;
#[cfg(all(feature = "image", feature = "slide", feature = "volume"))]
mod memory;
#[cfg(feature = "nifti")]
mod nifti;
#[cfg(feature = "volume")]
mod reference_preparation;
#[cfg(all(feature = "image", feature = "slide"))]
mod slide;
#[cfg(feature = "volume")]
mod sub_volume_labels;
#[cfg(feature = "volume")]
mod sub_volumes;
#[cfg(all(feature = "image", feature = "nifti", feature = "slide"))]
mod sweep;
#[cfg(all(feature = "image", feature = "slide"))]
mod tiff_file;
#[cfg(all(feature = "image", feature = "slide"))]
mod tiff_kinds;
#[cfg(all(feature = "image", feature = "nifti", feature = "slide"))]
mod values;
#[cfg(feature = "volume")]
mod volume_formats;
