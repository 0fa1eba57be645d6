//! Errors of the library that reads HDF5, with the name of the file and what to do.

use std::path::Path;

use hdf5_pure::FormatError;
use medcoss_sdk::Error;

use crate::header_lines::start_of;

/// What to do with a form of HDF5 that is not read.
pub(crate) const OLDER_FORM: &str =
    "write it again in an older form: h5repack --low=0 --high=2 IN OUT, or h5py with libver=(\"earliest\", \"v110\")";

/// An error of the library, with the name of the file.
pub(crate) fn explained(path: &Path, error: &hdf5_pure::Error) -> Error {
    use FormatError::{
        InvalidChunkIndexType, InvalidLayoutVersion, UnsupportedExternalStorage, UnsupportedFilter,
        UnsupportedFilteredHeapObject, UnsupportedMessage, UnsupportedSohmReference, UnsupportedVirtualLayout,
    };
    let (path, found) = (path.display(), start_of(&error.to_string()));
    match error {
        hdf5_pure::Error::Format(
            InvalidChunkIndexType(_)
            | InvalidLayoutVersion(_)
            | UnsupportedExternalStorage
            | UnsupportedFilter(_)
            | UnsupportedFilteredHeapObject
            | UnsupportedMessage(_)
            | UnsupportedSohmReference
            | UnsupportedVirtualLayout,
        ) => Error::unsupported(format!(
            "{path} is HDF5 of a kind that is not read: {found}\n\
             hint: {OLDER_FORM}"
        )),
        _ => Error::corrupt(format!("{path} cannot be read as HDF5: {found}")),
    }
}
