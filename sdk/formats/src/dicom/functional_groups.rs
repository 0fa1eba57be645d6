//! Where a multi-frame object says something of a frame: with the frame, with all frames, or for the whole object.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::attributes::items;

/// The data set that speaks of `frame` in the functional group `group`: the frame's own, else the shared one, else the
/// object itself, as in objects of the older kind.
pub(crate) fn functional_group(header: &InMemDicomObject, frame: usize, group: Tag) -> &InMemDicomObject {
    let own = items(header, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).get(frame);
    let shared = items(header, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
    let groups = own.into_iter().chain(shared);
    groups.filter_map(|groups| items(groups, group).first()).next().unwrap_or(header)
}
