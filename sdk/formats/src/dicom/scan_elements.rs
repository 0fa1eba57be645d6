//! Elements that tell scans apart, whatever their UIDs say.
//!
//! One scan is one patient, study, series, phase, echo and reconstruction. [`ELEMENTS`] lists the elements in the order
//! in which they are looked at, and when each of them counts ([`When`]). An element that is absent is a value of its
//! own, and two planes with equal values are not distinguished. Values of functional groups come before those of the whole
//! object, so that the frames of an enhanced object are distinguished like files. [`super::scan_separation`] applies the
//! list to planes; `sdk/formats/SCANS.md` shows it as a table and compares it with dcm2niix.

use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::attributes::{numbers, text, texts};
use super::functional_groups::functional_group;
use super::private_elements::{self, PrivateElement, SIEMENS_IMAGE_TYPE};

/// When a difference of an element makes two scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Always.
    Always,
    /// Always, unless some plane has a value of its own: then only where positions repeat.
    SharedByPlanes,
    /// Where each value is that of several planes, and the planes of two values lie between one another.
    RangesOverlap,
    /// Where positions repeat, and the element separates the planes into whole stacks. These elements often differ from
    /// slice to slice of one scan.
    PositionsRepeat,
}

/// How a value is read and compared.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// Numbers, equal within 1e-4 or one part in ten thousand.
    Numbers,
    /// Words that names of scans may show.
    Words,
    /// Text that names of scans do not show: it may be about the patient.
    Private,
    /// Patient ID and Patient's Name, in any spelling of the name.
    Patient,
    /// Values 1 to 4 of Image Type: original or derived, primary or secondary, and what the numbers are (`M`, `P`, `ADC`).
    Kind,
    /// Values of Image Type from the fifth on.
    OtherKinds,
    /// The component of complex numbers: where no public element states it, GE's private one.
    Component,
    /// A private element, as words.
    PrivateWords(PrivateElement),
    /// This one of the Dimension Index Values.
    Index(usize),
}

/// An element that tells scans apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    /// Its name in the names of scans.
    pub(super) word: &'static str,
    pub(super) when: When,
    value: Value,
    /// Functional group and tag of the value; the first that is stated counts.
    places: &'static [(Option<Tag>, Tag)],
}

const fn element(word: &'static str, when: When, value: Value, places: &'static [(Option<Tag>, Tag)]) -> Element {
    Element { word, when, value, places }
}

const FRAME: Option<Tag> = Some(tags::FRAME_CONTENT_SEQUENCE);
const INDICES: &[(Option<Tag>, Tag)] = &[(FRAME, tags::DIMENSION_INDEX_VALUES)];
const FRAME_TYPES: &[(Option<Tag>, Tag)] = &[
    (Some(tags::MR_IMAGE_FRAME_TYPE_SEQUENCE), tags::FRAME_TYPE),
    (Some(tags::CT_IMAGE_FRAME_TYPE_SEQUENCE), tags::FRAME_TYPE),
    (None, tags::IMAGE_TYPE),
];

use Value::{Component, Index, Kind, Numbers, OtherKinds, Patient, Private, PrivateWords, Words};
use When::{Always, PositionsRepeat, RangesOverlap, SharedByPlanes};

/// The elements, in the order in which they are looked at.
pub(super) const ELEMENTS: &[Element] = &[
    element("patient", Always, Patient, &[(None, tags::PATIENT_ID), (None, tags::PATIENT_NAME)]),
    element("study", Always, Private, &[(None, tags::STUDY_INSTANCE_UID)]),
    element("series_number", Always, Numbers, &[(None, tags::SERIES_NUMBER)]),
    element("modality", Always, Words, &[(None, tags::MODALITY)]),
    element("kind", Always, Kind, FRAME_TYPES),
    element(
        "component",
        Always,
        Component,
        &[(Some(tags::MR_IMAGE_FRAME_TYPE_SEQUENCE), tags::COMPLEX_IMAGE_COMPONENT)],
    ),
    element("kernel", Always, Words, &[(Some(tags::CT_RECONSTRUCTION_SEQUENCE), tags::CONVOLUTION_KERNEL)]),
    element(
        "echo_time",
        Always,
        Numbers,
        &[(Some(tags::MR_ECHO_SEQUENCE), tags::EFFECTIVE_ECHO_TIME), (None, tags::ECHO_TIME)],
    ),
    element("echo", Always, Numbers, &[(None, tags::ECHO_NUMBERS)]),
    element("stack", SharedByPlanes, Words, &[(FRAME, tags::STACK_ID)]),
    element(
        "phase",
        SharedByPlanes,
        Numbers,
        &[(FRAME, tags::TEMPORAL_POSITION_INDEX), (None, tags::TEMPORAL_POSITION_IDENTIFIER)],
    ),
    element("b", SharedByPlanes, Numbers, &[(Some(tags::MR_DIFFUSION_SEQUENCE), tags::DIFFUSION_B_VALUE)]),
    element("thickness", RangesOverlap, Numbers, &[(Some(tags::PIXEL_MEASURES_SEQUENCE), tags::SLICE_THICKNESS)]),
    element(
        "cardiac_percentage",
        PositionsRepeat,
        Numbers,
        &[(Some(tags::CARDIAC_SYNCHRONIZATION_SEQUENCE), tags::NOMINAL_PERCENTAGE_OF_CARDIAC_PHASE)],
    ),
    element(
        "trigger",
        PositionsRepeat,
        Numbers,
        &[
            (Some(tags::CARDIAC_SYNCHRONIZATION_SEQUENCE), tags::NOMINAL_CARDIAC_TRIGGER_DELAY_TIME),
            (None, tags::TRIGGER_TIME),
        ],
    ),
    element(
        "time_offset",
        PositionsRepeat,
        Numbers,
        &[(Some(tags::TEMPORAL_POSITION_SEQUENCE), tags::TEMPORAL_POSITION_TIME_OFFSET)],
    ),
    element(
        "acquisition",
        PositionsRepeat,
        Numbers,
        &[(FRAME, tags::FRAME_ACQUISITION_NUMBER), (None, tags::ACQUISITION_NUMBER)],
    ),
    element(
        "inversion_time",
        PositionsRepeat,
        Numbers,
        &[(Some(tags::MR_MODIFIER_SEQUENCE), tags::INVERSION_TIMES), (None, tags::INVERSION_TIME)],
    ),
    element("gradient", PositionsRepeat, Private, &[(None, tags::DIFFUSION_GRADIENT_ORIENTATION)]),
    element(
        "flip_angle",
        PositionsRepeat,
        Numbers,
        &[(Some(tags::MR_TIMING_AND_RELATED_PARAMETERS_SEQUENCE), tags::FLIP_ANGLE)],
    ),
    element(
        "repetition_time",
        PositionsRepeat,
        Numbers,
        &[(Some(tags::MR_TIMING_AND_RELATED_PARAMETERS_SEQUENCE), tags::REPETITION_TIME)],
    ),
    element("kvp", PositionsRepeat, Numbers, &[(Some(tags::CTX_RAY_DETAILS_SEQUENCE), tags::KVP)]),
    element("filter", PositionsRepeat, Words, &[(None, tags::FILTER_TYPE)]),
    element("other_kinds", PositionsRepeat, OtherKinds, FRAME_TYPES),
    element("siemens_kind", PositionsRepeat, PrivateWords(SIEMENS_IMAGE_TYPE), &[]),
    element("coil", PositionsRepeat, Private, &[(None, tags::RECEIVE_COIL_NAME)]),
    element("sequence", PositionsRepeat, Private, &[(None, tags::SEQUENCE_NAME)]),
    element("protocol", PositionsRepeat, Private, &[(None, tags::PROTOCOL_NAME)]),
    element("description", PositionsRepeat, Private, &[(None, tags::SERIES_DESCRIPTION)]),
    element("agent", PositionsRepeat, Private, &[(None, tags::CONTRAST_BOLUS_AGENT)]),
    element("frame_of_reference", PositionsRepeat, Private, &[(None, tags::FRAME_OF_REFERENCE_UID)]),
    element("index_1", PositionsRepeat, Index(0), INDICES),
    element("index_2", PositionsRepeat, Index(1), INDICES),
    element("index_3", PositionsRepeat, Index(2), INDICES),
    element("index_4", PositionsRepeat, Index(3), INDICES),
    element("index_5", PositionsRepeat, Index(4), INDICES),
    element("index_6", PositionsRepeat, Index(5), INDICES),
    element("series_time", PositionsRepeat, Private, &[(None, tags::SERIES_TIME)]),
    element(
        "acquisition_time",
        PositionsRepeat,
        Private,
        &[
            (FRAME, tags::FRAME_ACQUISITION_DATE_TIME),
            (None, tags::ACQUISITION_DATE_TIME),
            (None, tags::ACQUISITION_TIME),
        ],
    ),
    element("content_time", PositionsRepeat, Private, &[(None, tags::CONTENT_TIME)]),
];

/// Elements whose values grow from one time point to the next, by their words. They are compared by their order where
/// each slice has a value of its own.
pub(super) const IN_TIME: &[&str] = &["trigger", "acquisition_time", "content_time"];

/// The values of a plane, one for each of [`ELEMENTS`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Marks(Vec<Option<Box<str>>>);

impl Marks {
    /// The values of a frame.
    pub(crate) fn of(header: &InMemDicomObject, frame: usize) -> Arc<Self> {
        Arc::new(Self(ELEMENTS.iter().map(|element| element.value_of(header, frame)).collect()))
    }

    /// The value of the element with this index in [`ELEMENTS`]; `None` where it is absent.
    pub(super) fn get(&self, index: usize) -> Option<&str> {
        self.0[index].as_deref()
    }

    /// Whether two planes are of one patient and study that are stated.
    pub(super) fn is_of_study(&self, other: &Self) -> bool {
        let of_study = |marks: &Self| {
            let stated =
                ELEMENTS.iter().zip(&marks.0).filter(|(element, _)| ["patient", "study"].contains(&element.word));
            stated.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        let own = of_study(self);
        own == of_study(other) && own.iter().all(Option::is_some)
    }

    /// The values of the elements that always tell scans apart.
    pub(super) fn always(&self) -> Vec<Option<Box<str>>> {
        let values = ELEMENTS.iter().zip(&self.0).filter(|(element, _)| element.when == Always);
        values.map(|(_, value)| value.clone()).collect()
    }
}

impl Element {
    fn value_of(&self, header: &InMemDicomObject, frame: usize) -> Option<Box<str>> {
        let mut places = self.places.iter().map(|&(group, tag)| match group {
            Some(group) => (functional_group(header, frame, group), tag),
            None => (header, tag),
        });
        let words = |(object, tag)| texts(object, tag).join("\\").split_whitespace().collect::<Vec<_>>().join(" ");
        let kinds = |object, tag| Some(texts(object, tag)).filter(|values| !values.is_empty());
        let found = match self.value {
            Numbers => places.find_map(|(object, tag)| numbers(object, tag)).map(|found| shown(&found)),
            Words | Private => places.map(words).find(|found| !found.is_empty()),
            Component => places
                .map(words)
                .find(|found| !found.is_empty())
                .or_else(|| private_elements::ge_component(header).map(str::to_owned)),
            PrivateWords(element) => element.text(header),
            Patient => Some(patient(header)),
            Kind => {
                places.find_map(|(object, tag)| kinds(object, tag)).map(|found| found[..found.len().min(4)].join("\\"))
            }
            OtherKinds => {
                places.find_map(|(object, tag)| kinds(object, tag)).and_then(|found| Some(found.get(4..)?.join("\\")))
            }
            Index(at) => {
                places.find_map(|(object, tag)| numbers(object, tag)).and_then(|found| Some(shown(&[*found.get(at)?])))
            }
        };
        found.filter(|value| !value.is_empty()).map(String::into_boxed_str)
    }

    /// The value as it stands in the name of a scan; `None` where it is not shown.
    pub(super) fn shown<'a>(&self, value: &'a str) -> Option<&'a str> {
        let is_plain = |value: &str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte));
        match self.value {
            Private | Patient => None,
            _ => Some(value).filter(|value| value.len() <= MAX_SHOWN && is_plain(value)),
        }
    }
}

/// Longest value in the name of a scan.
const MAX_SHOWN: usize = 24;

/// Numbers as a text that is equal for numbers that differ by rounding.
fn shown(numbers: &[f64]) -> String {
    let rounded = |&number: &f64| {
        let rounded = (number * 1e4).round() / 1e4;
        // Without a negative zero.
        (if rounded.is_finite() { rounded } else { number } + 0.0).to_string()
    };
    numbers.iter().map(rounded).collect::<Vec<_>>().join("\\")
}

/// Patient ID and name. Some systems write the name of one patient in small letters, or with the marks of empty parts at
/// its end.
fn patient(header: &InMemDicomObject) -> String {
    let id = text(header, tags::PATIENT_ID).unwrap_or_default();
    let name = text(header, tags::PATIENT_NAME).unwrap_or_default();
    let alphabetic = name.split('=').next().unwrap_or_default();
    let parts = alphabetic.split('^').map(|part| part.trim().to_lowercase()).collect::<Vec<_>>();
    let name = parts.join("^");
    match (id.as_str(), name.trim_end_matches('^')) {
        ("", "") => String::new(),
        (id, name) => format!("{id}\\{name}"),
    }
}
