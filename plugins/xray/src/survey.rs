//! Whether data are radiographs: by the modality that DICOM files state, and by the lack of colour of image files.

use std::path::{Path, PathBuf};

use medcoss_formats::image_survey::{ImageSurvey, Sureness};
use medcoss_sdk::survey::nothing_found;
use medcoss_sdk::{Error, Fact, FoundFile, Survey};

use crate::reader;

/// Slices of scans are grey as well.
const SURENESS: Sureness = Sureness { of_grey: 0.6, of_colour: 0.05 };
/// Bits to which images are read, if they have more.
const DEPTH: u32 = 16;

/// Looks at data.
///
/// # Errors
/// None for data without images: they have the fit 0.
pub(crate) fn survey(base: &Path, data: &[PathBuf]) -> Result<Survey, Error> {
    let found = match reader::find(base, data, Some(DEPTH)) {
        Ok(found) => found,
        Err(error) => return Ok(nothing_found(&error)),
    };
    let images: Vec<&FoundFile> = found.files.iter().filter(|file| reader::is_image_file(&file.path)).collect();
    let looked = ImageSurvey::of(&images);
    let n_dicom = found.files.len() - images.len();
    let n_grey = looked.n_images - looked.n_colourful;
    let looked_at = format!("{n_grey} of {} image files that were looked at are grey", looked.n_images);
    let mut survey = looked.survey(&found, (n_dicom, "DICOM of radiography"), SURENESS, &looked_at);
    survey.facts.push(Fact { name: "files".into(), value: found.files.len().to_string() });
    looked.add_size("images", &mut survey);
    looked.propose_size("images", &mut survey);
    Ok(survey)
}
