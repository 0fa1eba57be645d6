//! Whether data are radiographs: by the modality that DICOM files state, and by the lack of colour of image files.

use std::path::{Path, PathBuf};

use medcoss_formats::image_survey::ImageSurvey;
use medcoss_sdk::serde_json::json;
use medcoss_sdk::{Error, Fact, Found, FoundFile, SuitedOption, Survey};

use crate::reader;

/// How sure grey image files can be: slices of scans are grey as well.
const SURE_OF_GREY: f64 = 0.6;
/// The same in colour.
const SURE_OF_COLOUR: f64 = 0.05;
/// Side of a patch, and of samples by default.
const PATCH: usize = 16;
const SIDE: usize = 224;

/// Looks at data.
///
/// # Errors
/// None for data without images: they have the fit 0.
pub(crate) fn survey(base: &Path, data: &[PathBuf]) -> Result<Survey, Error> {
    let Found { files, account } = match reader::find(base, data, Some(16)) {
        Ok(found) => found,
        Err(error) => {
            let why = error.message().lines().next().unwrap_or("no image was found").to_owned();
            return Ok(Survey { why, ..Survey::default() });
        }
    };
    let (images, dicoms): (Vec<&FoundFile>, Vec<&FoundFile>) =
        files.iter().partition(|file| reader::is_image_file(&file.path));
    let looked = ImageSurvey::of(&images);
    let colourful = looked.colourful_share();
    let of_images =
        if looked.n_images == 0 { 0.0 } else { SURE_OF_GREY * (1.0 - colourful) + SURE_OF_COLOUR * colourful };
    let kept = files.len() as f64 / (files.len() + account.left_out().len()).max(1) as f64;
    let fit = kept * (dicoms.len() as f64 + images.len() as f64 * of_images) / files.len().max(1) as f64;
    let mut why = Vec::new();
    if !dicoms.is_empty() {
        why.push(format!("{} files are DICOM of radiography", dicoms.len()));
    }
    if looked.n_images > 0 {
        let n_grey = looked.n_images - looked.n_colourful;
        why.push(format!("{n_grey} of {} image files that were looked at are grey", looked.n_images));
    }
    let why = if why.is_empty() { "no image could be looked at".into() } else { why.join("; ") };
    let mut survey = Survey { fit: fit.clamp(0.0, 1.0), why, ..Survey::default() };
    survey.facts.push(Fact { name: "files".into(), value: files.len().to_string() });
    let [rows, columns] = looked.size;
    if looked.n_images > 0 {
        let value = format!("{rows} x {columns}, median of {} images", looked.n_images);
        survey.facts.push(Fact { name: "pixels".into(), value });
        let side = rows.min(columns) / PATCH * PATCH;
        if (PATCH..SIDE).contains(&side) {
            let reason = format!("images of {rows} x {columns} would be enlarged by the default, {SIDE}");
            survey.options.push(SuitedOption { name: "size".into(), value: json!(side), reason });
        }
    }
    Ok(survey)
}
