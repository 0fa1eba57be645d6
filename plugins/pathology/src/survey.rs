//! Whether data are tissue: slides by their kind, tiles by their colour.

use std::path::{Path, PathBuf};

use medcoss_formats::image_survey::{ImageSurvey, Sureness};
use medcoss_sdk::survey::nothing_found;
use medcoss_sdk::{Error, Fact, FoundFile, Survey};

use crate::options::Options;
use crate::tiles;

/// Photographs are in colour as well.
const SURENESS: Sureness = Sureness { of_grey: 0.05, of_colour: 0.7 };

/// Looks at data.
///
/// # Errors
/// None for data without images: they have the fit 0.
pub(crate) fn survey(base: &Path, data: &[PathBuf]) -> Result<Survey, Error> {
    let found = match tiles::find(base, data) {
        Ok(found) => found,
        Err(error) => return Ok(nothing_found(&error)),
    };
    let min_side = Options::default().slide_min_side;
    let images: Vec<&FoundFile> = found.files.iter().filter(|file| !tiles::is_slide(file, min_side)).collect();
    let looked = ImageSurvey::of(&images);
    let n_slides = found.files.len() - images.len();
    let looked_at =
        format!("{} of {} image files that were looked at are in colour", looked.n_colourful, looked.n_images);
    let mut survey = looked.survey(&found, (n_slides, "slides"), SURENESS, &looked_at);
    survey.facts.push(Fact { name: "slides".into(), value: n_slides.to_string() });
    survey.facts.push(Fact { name: "tiles".into(), value: images.len().to_string() });
    looked.add_size("tiles", &mut survey);
    if n_slides == 0 {
        looked.propose_size("tiles", &mut survey);
    }
    Ok(survey)
}
