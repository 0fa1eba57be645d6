//! DICOM elements that stay in a de-identified copy, and the values that they may have.
//!
//! An element that is not listed is left out, known or not, private or not. The reader needs these: size and type of
//! the pixels, their meaning (modality, lookup tables, windows), their position and order. Of the attributes that the
//! Basic Application Level Confidentiality Profile (PS3.15, table E.1-1) names, only UIDs are here; they are replaced.
//! Values are checked as well: numbers must be numbers, and words must be from a list, so that a name in the wrong
//! element does not stay.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Values that a kept element may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Numbers, binary or as text.
    Numbers,
    /// A table of binary numbers.
    Table,
    /// Words from a list; any other word is replaced by the last of the list.
    Words(&'static [&'static str]),
    /// A UID of the standard.
    StandardUid,
    /// A UID of this series, which is replaced.
    OwnUid,
    /// Items of a sequence, filtered by the same list.
    Items,
}

use Content::{Items, Numbers, OwnUid, StandardUid, Table, Words};

/// Largest value in bytes, other than of a table.
pub(super) const MAX_VALUE_BYTES: usize = 4096;

/// Kept elements in the order of their tags. Of the values of Image Type the reader needs those that are listed: a
/// mosaic is several slices, a label is no level of a slide.
pub(super) const KEPT: &[(Tag, Content)] = &[
    (
        tags::IMAGE_TYPE,
        Words(&[
            "ORIGINAL",
            "DERIVED",
            "PRIMARY",
            "SECONDARY",
            "AXIAL",
            "LOCALIZER",
            "MOSAIC",
            "VOLUME",
            "THUMBNAIL",
            "LABEL",
            "OVERVIEW",
            "NONE",
            "RESAMPLED",
            "",
            "OTHER",
        ]),
    ),
    (tags::SOP_CLASS_UID, StandardUid),
    (
        tags::MODALITY,
        Words(&[
            "CT", "MR", "CR", "DX", "MG", "RF", "XA", "US", "NM", "PT", "SM", "GM", "XC", "ES", "OP", "OPT", "IO",
            "PX", "RTIMAGE", "OT",
        ]),
    ),
    (tags::CINE_RATE, Numbers),
    (tags::SLICE_THICKNESS, Numbers),
    (tags::SPACING_BETWEEN_SLICES, Numbers),
    (tags::FRAME_TIME, Numbers),
    (tags::IMAGER_PIXEL_SPACING, Numbers),
    (tags::SEQUENCE_OF_ULTRASOUND_REGIONS, Items),
    (tags::REGION_SPATIAL_FORMAT, Numbers),
    (tags::REGION_LOCATION_MIN_X0, Numbers),
    (tags::REGION_LOCATION_MIN_Y0, Numbers),
    (tags::REGION_LOCATION_MAX_X1, Numbers),
    (tags::REGION_LOCATION_MAX_Y1, Numbers),
    (tags::SERIES_INSTANCE_UID, OwnUid),
    (tags::INSTANCE_NUMBER, Numbers),
    (tags::IMAGE_POSITION_PATIENT, Numbers),
    (tags::IMAGE_ORIENTATION_PATIENT, Numbers),
    (tags::SLICE_LOCATION, Numbers),
    (tags::PLANE_POSITION_SEQUENCE, Items),
    (tags::PLANE_ORIENTATION_SEQUENCE, Items),
    (tags::DIMENSION_ORGANIZATION_TYPE, Words(&["TILED_FULL", "TILED_SPARSE", "3D", "3D_TEMPORAL", "OTHER"])),
    (tags::SAMPLES_PER_PIXEL, Numbers),
    (
        tags::PHOTOMETRIC_INTERPRETATION,
        Words(&[
            "MONOCHROME1",
            "MONOCHROME2",
            "PALETTE COLOR",
            "RGB",
            "YBR_FULL",
            "YBR_FULL_422",
            "YBR_ICT",
            "YBR_RCT",
            "OTHER",
        ]),
    ),
    (tags::PLANAR_CONFIGURATION, Numbers),
    (tags::NUMBER_OF_FRAMES, Numbers),
    (tags::ROWS, Numbers),
    (tags::COLUMNS, Numbers),
    (tags::PIXEL_SPACING, Numbers),
    (tags::BITS_ALLOCATED, Numbers),
    (tags::BITS_STORED, Numbers),
    (tags::HIGH_BIT, Numbers),
    (tags::PIXEL_REPRESENTATION, Numbers),
    (tags::PIXEL_PADDING_VALUE, Numbers),
    (tags::PIXEL_PADDING_RANGE_LIMIT, Numbers),
    (tags::BURNED_IN_ANNOTATION, Words(&["YES", "NO", "OTHER"])),
    (tags::RECOGNIZABLE_VISUAL_FEATURES, Words(&["YES", "NO", "OTHER"])),
    (tags::WINDOW_CENTER, Numbers),
    (tags::WINDOW_WIDTH, Numbers),
    (tags::RESCALE_INTERCEPT, Numbers),
    (tags::RESCALE_SLOPE, Numbers),
    (tags::VOILUT_FUNCTION, Words(&["LINEAR", "LINEAR_EXACT", "SIGMOID", "OTHER"])),
    (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, Numbers),
    (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, Numbers),
    (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR, Numbers),
    (tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, Table),
    (tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA, Table),
    (tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA, Table),
    (tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA, Table),
    (tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA, Table),
    (tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA, Table),
    (tags::MODALITY_LUT_SEQUENCE, Items),
    (tags::LUT_DESCRIPTOR, Numbers),
    (tags::LUT_DATA, Table),
    (tags::VOILUT_SEQUENCE, Items),
    (tags::PIXEL_MEASURES_SEQUENCE, Items),
    (tags::FRAME_VOILUT_SEQUENCE, Items),
    (tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, Items),
    (tags::IMAGED_VOLUME_WIDTH, Numbers),
    (tags::IMAGED_VOLUME_HEIGHT, Numbers),
    (tags::TOTAL_PIXEL_MATRIX_COLUMNS, Numbers),
    (tags::TOTAL_PIXEL_MATRIX_ROWS, Numbers),
    (tags::PLANE_POSITION_SLIDE_SEQUENCE, Items),
    (tags::COLUMN_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX, Numbers),
    (tags::ROW_POSITION_IN_TOTAL_IMAGE_PIXEL_MATRIX, Numbers),
    (tags::PRESENTATION_LUT_SEQUENCE, Items),
    (tags::PRESENTATION_LUT_SHAPE, Words(&["IDENTITY", "INVERSE", "OTHER"])),
    (tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, Items),
    (tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, Items),
];

/// Values that an element may have; `None` for an element that is left out.
pub(super) fn content(tag: Tag) -> Option<Content> {
    KEPT.iter().find(|(kept, _)| *kept == tag).map(|&(_, content)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_in_the_documentation() {
        assert!(KEPT.is_sorted_by_key(|(tag, _)| *tag));
        let document = include_str!("../../../../PRIVACY.md");
        let section = document.split("### DICOM elements").nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows: Vec<&str> =
            section.unwrap_or_default().lines().filter(|line| line.starts_with("| ")).skip(1).collect();
        let expected: Vec<String> =
            KEPT.iter().map(|(Tag(group, element), _)| format!("| ({group:04x},{element:04x}) |")).collect();
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            assert!(row.contains(&expected), "{row} instead of {expected}");
        }
    }

    #[test]
    fn no_word_of_a_list_is_longer_than_a_code_string() {
        for (tag, content) in KEPT {
            if let Words(words) = content {
                assert!(words.iter().all(|word| word.len() <= 16), "{tag}");
            }
        }
    }
}
