//! Kinds of images that are no scan, although their modality is a scanner's: localisers, screen captures, pages with
//! doses and protocols, reformats. Image Type (0008,0008) and the SOP class tell; [`super::localisers`] has a rule for
//! localisers that only geometry tells.
//!
//! Values of Image Type are compared word by word: scanners join words with blanks, underscores and slashes, as in
//! `CT_SOM5 PROT`.

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::attributes::{text, texts};
use super::functional_groups::functional_group;
use super::object::Object;
use super::scan_rules::ScanRules;

/// Reason of localisers.
pub(super) const LOCALISER: &str = "a localiser (scout)";
const SCREEN: &str = "a screen capture";
const PAGE: &str = "a page with doses or the protocol";
const REFORMAT: &str = "a reformat or projection (derived); reformats = true takes them";

/// Words of Image Type.
const LOCALISER_WORDS: &[&str] = &["LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SCANOGRAM", "SURVIEW", "TOP"];
const SCREEN_WORDS: &[&str] = &["SCREEN", "SCREENSHOT", "SCREENSAVE", "SCREENCAPTURE", "CAPTURE"];
const PAGE_WORDS: &[&str] = &["DOSE", "DOSEREPORT", "DOSEINFO", "PROT", "PROTOCOL", "REPORT"];
const REFORMAT_WORDS: &[&str] = &[
    "MPR",
    "MPVR",
    "REFORMATTED",
    "REFORMAT",
    "MIP",
    "MINIP",
    "MAXIP",
    "PROJECTION",
    "CPR",
    "CURVED",
    "VRT",
    "SSD",
    "RENDERED",
    "RENDERING",
    "3DRENDERED",
];

const SECONDARY_CAPTURES: &[&str] = &[
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
];

/// Elements that say how an image lies in the body, with their functional groups.
const GEOMETRY: [(Tag, Tag); 3] = [
    (tags::PLANE_POSITION_SEQUENCE, tags::IMAGE_POSITION_PATIENT),
    (tags::PLANE_ORIENTATION_SEQUENCE, tags::IMAGE_ORIENTATION_PATIENT),
    (tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING),
];

/// Why a file is no scan, where its Image Type or SOP class say so.
pub(super) fn reason_to_leave_out(object: &Object, rules: &ScanRules) -> Option<&'static str> {
    let header = &object.header;
    let values = texts(header, tags::IMAGE_TYPE);
    let has = |words: &[&str]| values.iter().any(|value| words_of(value).any(|word| words.contains(&word.as_str())));
    if has(SCREEN_WORDS) {
        return Some(SCREEN);
    }
    // Converters and research tools write scans as secondary captures: those state how they lie in the body.
    let lies_in_body = GEOMETRY.iter().all(|&(group, tag)| text(functional_group(header, 0, group), tag).is_some());
    if SECONDARY_CAPTURES.contains(&object.sop_class.as_str()) && !lies_in_body {
        return Some(SCREEN);
    }
    if has(PAGE_WORDS) {
        return Some(PAGE);
    }
    if has(LOCALISER_WORDS) {
        return Some(LOCALISER);
    }
    let is_derived = values.first().is_some_and(|value| value == "DERIVED");
    (is_derived && !rules.reformats && has(REFORMAT_WORDS)).then_some(REFORMAT)
}

/// The words of a value of Image Type, in capitals.
fn words_of(value: &str) -> impl Iterator<Item = String> {
    let words = value.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_ascii_uppercase)
}
