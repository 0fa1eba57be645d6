//! Readers of medical image files as arrays: images, slides, volumes and DICOM. Each family of formats is a feature.

#![forbid(unsafe_code)]

#[cfg(feature = "image")]
pub mod aspect_ratio;
#[cfg(feature = "image")]
pub mod bit_depth;
pub mod clip_transform;
#[cfg(feature = "volume")]
pub mod crop;
#[cfg(any(feature = "dicom", feature = "tiff"))]
mod decode_failure;
#[cfg(any(feature = "dicom", feature = "image"))]
pub mod deidentify;
#[cfg(feature = "volume")]
mod detached_file;
#[cfg(feature = "dicom")]
pub mod dicom;
#[cfg(feature = "volume")]
pub mod dicom_series_write;
#[cfg(any(feature = "dicom", feature = "nifti"))]
pub mod file_axes;
#[cfg(feature = "volume")]
pub mod foreground;
pub mod group_by;
#[cfg(feature = "nifti")]
mod gzip_stream;
#[cfg(feature = "volume")]
mod hdf5;
#[cfg(feature = "dicom")]
pub mod hdf5_choice;
#[cfg(feature = "volume")]
mod hdf5_datasets;
#[cfg(feature = "volume")]
mod hdf5_errors;
#[cfg(feature = "volume")]
mod hdf5_rows;
#[cfg(feature = "volume")]
mod hdf5_source;
#[cfg(feature = "volume")]
mod hdf5_survey;
#[cfg(feature = "volume")]
mod header_lines;
#[cfg(feature = "image")]
pub mod image_file;
pub mod image_series;
#[cfg(feature = "image")]
pub mod image_survey;
#[cfg(any(feature = "dicom", feature = "tiff"))]
mod jpeg2000_stream;
#[cfg(feature = "image")]
mod jpeg_file;
#[cfg(feature = "image")]
pub mod label_image;
#[cfg(feature = "volume")]
pub mod mask;
#[cfg(feature = "volume")]
mod meta_image;
#[cfg(feature = "volume")]
mod mgh;
#[cfg(feature = "nifti")]
pub mod nifti;
#[cfg(feature = "nifti")]
mod nifti_fields;
#[cfg(feature = "nifti")]
mod nifti_header;
#[cfg(feature = "nifti")]
mod nifti_pair;
#[cfg(feature = "nifti")]
pub mod nifti_write;
#[cfg(feature = "volume")]
mod nrrd;
#[cfg(feature = "volume")]
mod nrrd_header;
#[cfg(feature = "nifti")]
mod number_type;
#[cfg(feature = "volume")]
mod numpy;
#[cfg(feature = "volume")]
mod numpy_header;
#[cfg(feature = "openslide")]
mod openslide_slide;
#[cfg(any(feature = "dicom", feature = "nifti"))]
mod orientation;
#[cfg(any(feature = "dicom", feature = "tiff"))]
mod packbits;
#[cfg(feature = "image")]
mod png_head;
#[cfg(feature = "volume")]
pub mod reference_preparation;
#[cfg(feature = "slide")]
pub mod slide;
#[cfg(feature = "slide")]
mod slide_level;
#[cfg(feature = "slide")]
mod slide_resolution;
#[cfg(feature = "slide")]
mod slide_scn;
#[cfg(feature = "nifti")]
mod stored_file;
#[cfg(feature = "nifti")]
mod stored_volume;
#[cfg(feature = "nifti")]
mod stored_voxels;
#[cfg(feature = "volume")]
pub mod sub_volume_labels;
#[cfg(feature = "volume")]
pub mod sub_volumes;
#[cfg(feature = "tiff")]
mod tiff_chunk;
#[cfg(feature = "tiff")]
mod tiff_colour;
#[cfg(feature = "tiff")]
pub mod tiff_file;
#[cfg(feature = "tiff")]
mod tiff_jpeg;
#[cfg(feature = "tiff")]
mod tiff_orientation;
#[cfg(feature = "tiff")]
mod tiff_patch;
#[cfg(feature = "tiff")]
mod tiff_pixels;
#[cfg(feature = "slide")]
pub mod tiff_slide;
#[cfg(feature = "volume")]
mod volume_cache;
#[cfg(feature = "volume")]
mod volume_file;
#[cfg(feature = "volume")]
mod volume_look;
#[cfg(feature = "volume")]
pub mod volume_samples;
#[cfg(feature = "volume")]
pub mod volume_source;
#[cfg(feature = "volume")]
pub mod volume_survey;
#[cfg(feature = "nifti")]
mod voxel_stream;
