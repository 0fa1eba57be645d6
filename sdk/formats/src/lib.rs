//! Readers for medical image files, as arrays.
