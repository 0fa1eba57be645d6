//! Writer of DICOM files, for synthetic samples and tests.
//!
//! Writes one grey frame, uncompressed and little-endian. The same content gives the same bytes.

use std::path::Path;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use medcoss_sdk::Error;

/// Modality (0008,0060) that a written file states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// Computed tomography.
    Ct,
    /// Magnetic resonance imaging.
    Mr,
    /// Computed radiography.
    Radiography,
}

/// Position and orientation of a slice in the patient, in millimetres to the patient's left, posterior and superior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Image Position (Patient) (0020,0032): centre of the first pixel in millimetres.
    pub position: [f64; 3],
    /// Unit vectors along which column and row indices increase.
    pub directions: [[f64; 3]; 2],
    /// Pixel Spacing (0028,0030): distance of rows, and of columns, in millimetres.
    pub spacing_mm: [f64; 2],
    /// Slice Thickness (0018,0050) in millimetres.
    pub thickness_mm: f64,
}

/// A DICOM file of one image, to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct DicomFile<'a> {
    /// Modality (0008,0060) of the image.
    pub modality: Modality,
    /// Series Instance UID.
    pub series: &'a str,
    /// Instance Number (0020,0013).
    pub number: usize,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Stored pixel values, row by row, within the range of `bits_stored`.
    pub stored: &'a [i32],
    /// Bits Stored (0028,0101), up to 16. Samples take 8 or 16 bits.
    pub bits_stored: u16,
    /// Whether stored values are signed: Pixel Representation (0028,0103).
    pub signed: bool,
    /// Whether low values are white (MONOCHROME1).
    pub inverted: bool,
    /// Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).
    pub rescale: Option<[f64; 2]>,
    /// `[centre, width]` of the VOI window.
    pub window: Option<[f64; 2]>,
    /// Place of the slice in the patient.
    pub place: Option<Place>,
}

impl DicomFile<'_> {
    /// Writes the file.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Error::unreadable(format!("{} cannot be written", path.display())).caused_by(error)
        };
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        let file = self.data_set().with_meta(meta).map_err(|error| failed(&error))?;
        file.write_to_file(path).map_err(|error| failed(&error))
    }

    /// The data set, for changes before it is written.
    pub fn data_set(&self) -> InMemDicomObject {
        let (sop_class, modality) = match self.modality {
            Modality::Ct => (uids::CT_IMAGE_STORAGE, "CT"),
            Modality::Mr => (uids::MR_IMAGE_STORAGE, "MR"),
            Modality::Radiography => (uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE, "CR"),
        };
        let [rows, columns] = self.size.map(|n| n as u16);
        let allocated: u16 = if self.bits_stored > 8 { 16 } else { 8 };
        let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
        let decimals = |tag: Tag, values: &[f64]| {
            let values: Vec<String> = values.iter().map(|value| decimal(*value)).collect();
            DataElement::new(tag, VR::DS, PrimitiveValue::from(values.join("\\")))
        };
        let mut elements = vec![
            text(tags::SOP_CLASS_UID, VR::UI, sop_class),
            text(tags::SOP_INSTANCE_UID, VR::UI, &format!("{}{:05}", self.series, self.number)),
            text(tags::MODALITY, VR::CS, modality),
            text(tags::SERIES_INSTANCE_UID, VR::UI, self.series),
            text(tags::INSTANCE_NUMBER, VR::IS, &self.number.to_string()),
            number(tags::SAMPLES_PER_PIXEL, 1),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, if self.inverted { "MONOCHROME1" } else { "MONOCHROME2" }),
            number(tags::ROWS, rows),
            number(tags::COLUMNS, columns),
            number(tags::BITS_ALLOCATED, allocated),
            number(tags::BITS_STORED, self.bits_stored),
            number(tags::HIGH_BIT, self.bits_stored - 1),
            number(tags::PIXEL_REPRESENTATION, u16::from(self.signed)),
            self.pixel_data(allocated),
        ];
        if let Some(Place { position, directions, spacing_mm, thickness_mm }) = self.place {
            elements.push(decimals(tags::IMAGE_POSITION_PATIENT, &position));
            elements.push(decimals(tags::IMAGE_ORIENTATION_PATIENT, directions.as_flattened()));
            elements.push(decimals(tags::PIXEL_SPACING, &spacing_mm));
            elements.push(decimals(tags::SLICE_THICKNESS, &[thickness_mm]));
        }
        if let Some([slope, intercept]) = self.rescale {
            elements.push(decimals(tags::RESCALE_SLOPE, &[slope]));
            elements.push(decimals(tags::RESCALE_INTERCEPT, &[intercept]));
        }
        if let Some([centre, width]) = self.window {
            elements.push(decimals(tags::WINDOW_CENTER, &[centre]));
            elements.push(decimals(tags::WINDOW_WIDTH, &[width]));
        }
        InMemDicomObject::from_element_iter(elements)
    }

    fn pixel_data(&self, allocated: u16) -> DataElement<InMemDicomObject> {
        let unused = 32 - u32::from(self.bits_stored);
        let bits = |value: i32| (value as u32) << unused >> unused;
        let bits = self.stored.iter().map(|&value| bits(value));
        let (vr, value) = if allocated == 8 {
            let mut bytes: Vec<u8> = bits.map(|bits| bits as u8).collect();
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            (VR::OB, PrimitiveValue::from(bytes))
        } else {
            (VR::OW, PrimitiveValue::U16(bits.map(|bits| bits as u16).collect()))
        };
        DataElement::new(tags::PIXEL_DATA, vr, value)
    }
}

/// A number as a decimal string (DS), in the sixteen letters that the standard allows.
fn decimal(value: f64) -> String {
    let exact = value.to_string();
    if exact.len() <= 16 { exact } else { format!("{value:.8}").chars().take(16).collect() }
}
