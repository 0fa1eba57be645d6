//! Which DICOM files are radiographs: by their modality, or by their SOP class where the modality leaves it open.
//!
//! A secondary capture is taken where its modality is one of radiography: digitised film comes so, and so do radiographs that
//! were written anew. It is left out where it states that it is a screen save, a drawing or a scanned document.

use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use medcoss_sdk::Inclusion;

use super::attributes::text;
use super::object::Object;
use super::{Candidate, candidate, of_modality};

/// Modality (0008,0060) of projection radiography: computed, digital, film, mammography, in and around the mouth, fluoroscopy,
/// angiography. The last three are retired names of the two before them.
const MODALITIES: [&str; 11] = ["CR", "DX", "RG", "MG", "IO", "PX", "RF", "XA", "DS", "DF", "CF"];
/// Conversion Type (0008,0064) of captures that show no radiograph: drawing, scanned document, synthetic image.
const NO_RADIOGRAPHS: [&str; 3] = ["DRW", "SD", "SYN"];
/// SOP classes of radiographs.
const SOP_CLASSES: [&str; 12] = [
    uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_INTRA_ORAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_INTRA_ORAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
    uids::ENHANCED_XA_IMAGE_STORAGE,
    uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE,
    uids::ENHANCED_XRF_IMAGE_STORAGE,
    // X-Ray Angiographic Bi-Plane, which is retired and has no name in the dictionary.
    "1.2.840.10008.5.1.4.1.1.12.3",
];
const SECONDARY_CAPTURES: [&str; 5] = [
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
];

/// Whether a dataset of radiographs uses a file of a folder. A file whose header cannot be read is used, so that reading it reports
/// why.
pub fn inclusion(path: &Path, lower_case_name: &str) -> Inclusion {
    match candidate(path, lower_case_name) {
        Candidate::Image => match Object::peek(path, tags::CONVERSION_TYPE) {
            Ok(header) => of_header(&header),
            Err(_) => Inclusion::Included,
        },
        other => other.inclusion(),
    }
}

fn of_header(header: &InMemDicomObject) -> Inclusion {
    let modality = text(header, tags::MODALITY).map(|modality| modality.to_uppercase());
    let sop_class = text(header, tags::SOP_CLASS_UID).unwrap_or_default();
    match modality.as_deref() {
        Some(modality) if MODALITIES.contains(&modality) => {
            if SECONDARY_CAPTURES.contains(&sop_class.as_str()) && shows_no_radiograph(header) {
                return Inclusion::Excluded("DICOM of a screen save, a drawing or a scanned document".into());
            }
            Inclusion::Included
        }
        None | Some("OT") if SOP_CLASSES.contains(&sop_class.as_str()) => Inclusion::Included,
        Some(other) => of_modality(other),
        None => Inclusion::Excluded("DICOM that states neither a modality nor a SOP class of radiography".into()),
    }
}

/// Whether a secondary capture states that it is something else than a radiograph.
fn shows_no_radiograph(header: &InMemDicomObject) -> bool {
    let conversion = text(header, tags::CONVERSION_TYPE);
    let kinds = header.get(tags::IMAGE_TYPE).and_then(|element| element.to_multi_str().ok());
    conversion.is_some_and(|kind| NO_RADIOGRAPHS.contains(&kind.as_str()))
        || kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.to_uppercase().contains("SCREEN")))
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, VR};

    use super::*;

    fn reason(modality: &str, sop_class: &str, more: &[(dicom_core::Tag, &str)]) -> Option<String> {
        let mut header = InMemDicomObject::new_empty();
        header.put(DataElement::new(tags::MODALITY, VR::CS, modality));
        header.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, sop_class));
        more.iter().for_each(|&(tag, value)| drop(header.put(DataElement::new(tag, VR::CS, value))));
        match of_header(&header) {
            Inclusion::Included => None,
            Inclusion::Excluded(reason) => Some(reason.into_owned()),
            Inclusion::AnotherKind => panic!("it is DICOM"),
        }
    }

    #[test]
    fn radiographs_are_known_by_modality_and_without_one_by_sop_class() {
        let (scan, capture) = (uids::CT_IMAGE_STORAGE, uids::SECONDARY_CAPTURE_IMAGE_STORAGE);
        for modality in MODALITIES {
            assert_eq!(reason(modality, uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION, &[]), None, "{modality}");
        }
        for modality in ["CT", "MR", "US", "NM", "PT", "SM", "RTIMAGE"] {
            assert_eq!(reason(modality, scan, &[]), Some(format!("DICOM of modality {modality}")));
        }
        for modality in ["OT", ""] {
            assert_eq!(reason(modality, uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE, &[]), None);
            assert_eq!(reason(modality, "1.2.840.10008.5.1.4.1.1.12.3", &[]), None);
        }
        assert_eq!(reason("OT", capture, &[]).unwrap(), "DICOM of modality OT");
        assert!(reason("", capture, &[]).unwrap().contains("neither a modality nor a SOP class"));
        assert!(reason("", scan, &[]).is_some());
    }

    #[test]
    fn digitised_film_is_a_secondary_capture_and_a_screen_save_is_left_out() {
        let capture = |more: &[_]| reason("CR", uids::SECONDARY_CAPTURE_IMAGE_STORAGE, more);
        // Film, and radiographs that a workstation wrote anew.
        for conversion in ["DF", "DI", "SI", "WSD", "DV"] {
            assert_eq!(capture(&[(tags::CONVERSION_TYPE, conversion)]), None, "{conversion}");
        }
        assert_eq!(capture(&[(tags::IMAGE_TYPE, "DERIVED\\SECONDARY")]), None);
        let left_out = "DICOM of a screen save, a drawing or a scanned document";
        for (tag, value) in [
            (tags::CONVERSION_TYPE, "SD"),
            (tags::CONVERSION_TYPE, "DRW"),
            (tags::IMAGE_TYPE, "DERIVED\\SECONDARY\\SCREEN SAVE"),
            (tags::IMAGE_TYPE, "DERIVED\\SECONDARY\\OTHER\\Screenshot"),
        ] {
            assert_eq!(capture(&[(tag, value)]).as_deref(), Some(left_out), "{value}");
        }
    }
}
