//! Functional groups of multi-frame objects: attributes of one frame, shared by all frames, or of the whole object.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::attributes::items;

/// The functional group `group` of `frame`: the per-frame group, else the shared group, else the
/// object itself, as in single-frame and older objects.
pub(crate) fn functional_group(header: &InMemDicomObject, frame: usize, group: Tag) -> &InMemDicomObject {
    let own = items(header, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(frame);
    let shared = items(header, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    let groups = own.into_iter().chain(shared);
    groups.filter_map(|groups| items(groups, group).first()).next().unwrap_or(header)
}
