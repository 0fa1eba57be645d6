//! Writer of DICOM files of several frames of 8 bits, for synthetic samples and tests: ultrasound clips and tomograms of the eye.

use std::path::Path;

use dicom_core::value::{DataSetSequence, PixelFragmentSequence};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use medcoss_sdk::Error;
use medcoss_sdk::image::Region;

/// Kind of a written file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Ultrasound multi-frame image: time from a frame to the next in milliseconds, and the part of the frames that shows tissue.
    Ultrasound {
        /// Frame Time (0018,1063).
        frame_time_ms: f64,
        /// The only item of the Sequence of Ultrasound Regions (0018,6011).
        region: Option<Region>,
    },
    /// Ophthalmic tomography: distances in millimetres of frames, rows and columns.
    Tomography {
        /// Slice Thickness (0018,0050) and Pixel Spacing (0028,0030).
        spacing_mm: [f64; 3],
    },
}

/// Frames of a written file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WrittenFrames<'a> {
    /// Pixels of each frame, row by row, channels last.
    Native(&'a [Vec<u8>]),
    /// A JPEG (baseline) for each frame.
    Jpeg(&'a [Vec<u8>]),
}

/// A DICOM file of several frames, to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiFrameFile<'a> {
    /// What the frames show.
    pub kind: Kind,
    /// Series Instance UID.
    pub series: &'a str,
    /// Rows and columns.
    pub size: [usize; 2],
    /// 1 (grey) or 3: RGB, and YCbCr in 4:2:2 where frames are JPEG.
    pub channels: usize,
    /// The frames.
    pub frames: WrittenFrames<'a>,
}

impl MultiFrameFile<'_> {
    /// Writes the file.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Error::unreadable(format!("{} cannot be written", path.display())).caused_by(error)
        };
        let syntax = match self.frames {
            WrittenFrames::Native(_) => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            WrittenFrames::Jpeg(_) => uids::JPEG_BASELINE8_BIT,
        };
        let file = self.data_set().with_meta(FileMetaTableBuilder::new().transfer_syntax(syntax));
        file.map_err(|error| failed(&error))?.write_to_file(path).map_err(|error| failed(&error))
    }

    /// The data set, for changes before it is written.
    pub fn data_set(&self) -> InMemDicomObject {
        let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let number = |tag: Tag, value: usize| DataElement::new(tag, VR::US, PrimitiveValue::from(value as u16));
        let [rows, columns] = self.size;
        let (n_frames, pixels) = match self.frames {
            WrittenFrames::Native(frames) => {
                let mut bytes = frames.concat();
                bytes.resize(bytes.len().next_multiple_of(2), 0);
                (frames.len(), DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(bytes)))
            }
            WrittenFrames::Jpeg(frames) => {
                let padded = |frame: &Vec<u8>| {
                    let mut frame = frame.clone();
                    frame.resize(frame.len().next_multiple_of(2), 0);
                    frame
                };
                let fragments = frames.iter().map(padded).collect::<Vec<_>>();
                let sequence = PixelFragmentSequence::new(Vec::new(), fragments);
                (frames.len(), DataElement::new(tags::PIXEL_DATA, VR::OB, sequence))
            }
        };
        let photometric = match (self.channels, self.frames) {
            (1, _) => "MONOCHROME2",
            (_, WrittenFrames::Native(_)) => "RGB",
            (_, WrittenFrames::Jpeg(_)) => "YBR_FULL_422",
        };
        let mut elements = vec![
            text(tags::SOP_INSTANCE_UID, VR::UI, &format!("{}.1", self.series)),
            text(tags::SERIES_INSTANCE_UID, VR::UI, self.series),
            text(tags::NUMBER_OF_FRAMES, VR::IS, &n_frames.to_string()),
            number(tags::SAMPLES_PER_PIXEL, self.channels),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric),
            number(tags::ROWS, rows),
            number(tags::COLUMNS, columns),
            number(tags::BITS_ALLOCATED, 8),
            number(tags::BITS_STORED, 8),
            number(tags::HIGH_BIT, 7),
            number(tags::PIXEL_REPRESENTATION, 0),
            pixels,
        ];
        if self.channels > 1 {
            elements.push(number(tags::PLANAR_CONFIGURATION, 0));
        }
        elements.extend(match self.kind {
            Kind::Ultrasound { frame_time_ms, region } => ultrasound(frame_time_ms, region),
            Kind::Tomography { spacing_mm: [step, rows, columns] } => vec![
                text(tags::SOP_CLASS_UID, VR::UI, uids::OPHTHALMIC_TOMOGRAPHY_IMAGE_STORAGE),
                text(tags::MODALITY, VR::CS, "OPT"),
                text(tags::SLICE_THICKNESS, VR::DS, &step.to_string()),
                text(tags::PIXEL_SPACING, VR::DS, &format!("{rows}\\{columns}")),
            ],
        });
        InMemDicomObject::from_element_iter(elements)
    }
}

fn ultrasound(frame_time_ms: f64, region: Option<Region>) -> Vec<DataElement<InMemDicomObject>> {
    let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let mut elements = vec![
        text(tags::SOP_CLASS_UID, VR::UI, uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE),
        text(tags::MODALITY, VR::CS, "US"),
        text(tags::FRAME_TIME, VR::DS, &frame_time_ms.to_string()),
    ];
    if let Some(Region { left, top, width, height }) = region {
        let place = |tag, value: usize| DataElement::new(tag, VR::UL, PrimitiveValue::from(value as u32));
        let item = InMemDicomObject::from_element_iter([
            DataElement::new(tags::REGION_SPATIAL_FORMAT, VR::US, PrimitiveValue::from(1_u16)),
            place(tags::REGION_LOCATION_MIN_X0, left),
            place(tags::REGION_LOCATION_MIN_Y0, top),
            place(tags::REGION_LOCATION_MAX_X1, left + width - 1),
            place(tags::REGION_LOCATION_MAX_Y1, top + height - 1),
        ]);
        let regions = DataSetSequence::from(vec![item]);
        elements.push(DataElement::new(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, VR::SQ, regions));
    }
    elements
}
