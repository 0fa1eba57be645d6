//! SOP classes: which DICOM objects hold no image for training.

use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;

/// Words in the names of SOP classes without an image, or with an image that is drawn or computed.
const WITHOUT_IMAGE: &[&str] = &[
    "Directory",
    "SR Storage",
    "Report",
    "Key Object",
    "Structure Set",
    "RT ",
    "Presentation State",
    "Waveform",
    "ECG",
    "Encapsulated",
    "Segmentation",
    "Registration",
    "Fiducials",
    "Raw Data",
    "Spectroscopy",
    "Measurements",
    "Protocol",
    "Hanging",
    "Color Palette",
    "Tractography",
    "Real World Value Mapping",
    "Content Assessment",
    "Procedure Log",
    "Annotations",
    "Parametric Map",
];

/// The name of a SOP class without an image for training. Unknown classes are taken for images.
pub(crate) fn without_image(uid: &str) -> Option<&'static str> {
    let name = name(uid)?;
    // A portal image is an X-ray image, although its class is one of radiotherapy.
    let is_image = name.starts_with("RT Image");
    (!is_image && WITHOUT_IMAGE.iter().any(|word| name.contains(word))).then_some(name)
}

fn name(uid: &str) -> Option<&'static str> {
    StandardSopClassDictionary.by_uid(uid).map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_reports_and_masks_hold_no_image_and_scans_do() {
        for uid in [
            "1.2.840.10008.1.3.10",
            "1.2.840.10008.5.1.4.1.1.481.5",
            "1.2.840.10008.5.1.4.1.1.481.3",
            "1.2.840.10008.5.1.4.1.1.481.2",
            "1.2.840.10008.5.1.4.1.1.88.11",
            "1.2.840.10008.5.1.4.1.1.66.4",
            "1.2.840.10008.5.1.4.1.1.104.1",
        ] {
            assert!(without_image(uid).is_some(), "{uid}");
        }
        for uid in [
            "1.2.840.10008.5.1.4.1.1.2",
            "1.2.840.10008.5.1.4.1.1.2.1",
            "1.2.840.10008.5.1.4.1.1.4",
            "1.2.840.10008.5.1.4.1.1.1.1",
            "1.2.840.10008.5.1.4.1.1.7",
            "1.2.840.10008.5.1.4.1.1.481.1",
            "1.2.840.10008.5.1.4.1.1.77.1.6",
            "1.2.3.4",
            "",
        ] {
            assert_eq!(without_image(uid), None, "{uid}");
        }
    }
}
