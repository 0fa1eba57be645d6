//! What the volumes among data are like, for the surveys of the plugins for volumes.

use std::path::{Path, PathBuf};

use medcoss_sdk::serde_json::json;
use medcoss_sdk::{Error, Fact, SuitedOption, Survey};

use crate::volume_source::{FoundVolumes, GzipIndex, ScanRules, VolumeInfo, VolumeSource, find_volumes};

/// Headers that are looked at, evenly spaced.
const MAX_HEADERS: usize = 200;
/// Volumes of which a slice is looked at.
const MAX_SLICES: usize = 6;
/// Volumes above this number of voxels are not decompressed for a survey.
const MAX_VOXELS: u64 = 1 << 26;
/// A number below this is air in Hounsfield units; no MRI scan has it.
const AIR: f32 = -300.0;
/// How sure a volume without DICOM can be: of CT by its air, of MRI by the lack of it.
const SURE_OF_CT: f64 = 0.9;
const SURE_OF_MRI: f64 = 0.6;
/// Sides of a patch and of the largest sample that is proposed.
const PATCH: usize = 16;
const LARGEST: usize = 192;
const DEPTH: usize = 16;

/// Looks at the volumes of data. DICOM files say what they are; of others the air in a slice tells CT from MRI.
///
/// # Errors
/// None for data without volumes: they have the fit 0.
pub fn survey(base: &Path, data: &[PathBuf], rules: &ScanRules) -> Result<Survey, Error> {
    let FoundVolumes { sources, account } = match find_volumes(base, data, rules) {
        Ok(found) => found,
        Err(error) => {
            let why = error.message().lines().next().unwrap_or("no volume was found").to_owned();
            return Ok(Survey { why, ..Survey::default() });
        }
    };
    let is_dicom = |source: &&VolumeSource| matches!(source, VolumeSource::Dicom(_));
    let n_dicom = sources.iter().filter(is_dicom).count();
    let arrays: Vec<&VolumeSource> = sources.iter().filter(|source| !is_dicom(source)).collect();
    let looked_at = evenly(&arrays, MAX_SLICES);
    let air: Vec<bool> = looked_at.iter().filter_map(|source| has_air(source)).collect();
    let share_of_air = air.iter().filter(|air| **air).count() as f64 / air.len().max(1) as f64;
    let wants_air = rules.missing_rescale.is_some();
    let sure = match wants_air {
        _ if air.is_empty() => 0.0,
        true => SURE_OF_CT * share_of_air,
        false => SURE_OF_MRI * (1.0 - share_of_air),
    };
    let n = sources.len() as f64;
    let kept = account.n_used() as f64 / (account.n_used() + account.left_out().len() as u64).max(1) as f64;
    let fit = kept * (n_dicom as f64 + arrays.len() as f64 * sure) / n;
    let mut why = Vec::new();
    if n_dicom > 0 {
        why.push(format!("{n_dicom} scans are DICOM of modality {}", rules.modality));
    }
    if !air.is_empty() {
        let n_air = air.iter().filter(|air| **air).count();
        why.push(format!(
            "{n_air} of {} other volumes that were looked at have values below {AIR}, as air in CT",
            air.len()
        ));
    }
    let infos: Vec<VolumeInfo> =
        evenly(&sources, MAX_HEADERS).into_iter().filter_map(|source| source.info().ok()).collect();
    let mut survey = Survey { fit: fit.clamp(0.0, 1.0), why: why.join("; "), ..Survey::default() };
    if survey.why.is_empty() {
        survey.why = "no volume could be looked at".into();
    }
    describe(&mut survey, sources.len(), &infos);
    Ok(survey)
}

/// Facts and options from headers.
fn describe(survey: &mut Survey, n_scans: usize, infos: &[VolumeInfo]) {
    survey.facts.push(Fact { name: "scans".into(), value: n_scans.to_string() });
    if infos.is_empty() {
        return;
    }
    let n = infos.len();
    let size = [0, 1, 2].map(|axis| median(infos.iter().map(|info| info.size[axis] as f64)) as usize);
    let spacing = [0, 1, 2].map(|axis| median(infos.iter().map(|info| f64::from(info.spacing_mm[axis]))));
    let [depth, rows, columns] = size;
    survey
        .facts
        .push(Fact { name: "voxels".into(), value: format!("{depth} x {rows} x {columns}, median of {n} scans") });
    let [z, y, x] = spacing;
    survey
        .facts
        .push(Fact { name: "spacing in mm".into(), value: format!("{z:.2} x {y:.2} x {x:.2}, median of {n} scans") });
    let patches = |side: usize, most: usize| (side / PATCH * PATCH).clamp(PATCH, most);
    let suited = [DEPTH, patches(rows, LARGEST), patches(columns, LARGEST)];
    if suited != [DEPTH, LARGEST, LARGEST] {
        survey.options.push(SuitedOption {
            name: "size".into(),
            value: json!(suited),
            reason: format!("the median scan has slices of {rows} x {columns} voxels; multiples of {PATCH}"),
        });
    }
}

/// Whether a slice in the middle holds air; `None` of a volume that cannot be read, or is too large for a look.
fn has_air(source: &VolumeSource) -> Option<bool> {
    let info = source.info().ok().filter(|info| info.n_voxels() <= MAX_VOXELS)?;
    let middle = info.size[0] / 2;
    let slab = source.read_slab(info.size, middle..middle + 1, &GzipIndex::new(1 << 20)).ok()?;
    // What is not finite has become the value outside, which is air in CT.
    (slab.n_replaced < slab.volume.voxels().len()).then_some(())?;
    let n_air = slab.volume.voxels().iter().filter(|voxel| **voxel < AIR).count();
    Some(n_air > slab.n_replaced)
}

/// So many of the items at most, evenly spaced.
fn evenly<T>(items: &[T], most: usize) -> Vec<&T> {
    let n = items.len().min(most);
    (0..n).map(|at| &items[at * items.len() / n]).collect()
}

/// The middle of some numbers; 0 without any.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nifti_write::{Datatype, NiftiFile, Placement};

    fn folder(air: f64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let stored_values: Vec<f64> =
            (0..40 * 30 * 20).map(|at| if at % 3 == 0 { air } else { (at % 80) as f64 }).collect();
        let file = NiftiFile {
            size: &[40, 30, 20],
            stored_values: &stored_values,
            datatype: Datatype::I16,
            placement: Placement::Unstated([0.7, 0.7, 1.5]),
            scaling: [1.0, 0.0],
            big_endian: false,
        };
        file.write(&folder.path().join("a.nii")).unwrap();
        folder
    }

    #[test]
    fn air_tells_ct_from_mri() {
        let fit = |air, rules: &ScanRules| survey(folder(air).path(), &[".".into()], rules).unwrap().fit;
        assert_eq!((fit(-1000.0, &ScanRules::CT), fit(-1000.0, &ScanRules::MR)), (SURE_OF_CT, 0.0));
        assert_eq!((fit(0.0, &ScanRules::CT), fit(0.0, &ScanRules::MR)), (0.0, SURE_OF_MRI));
    }

    #[test]
    fn sizes_and_spacings_are_facts_and_the_size_of_samples_suits_them() {
        let folder = folder(-1000.0);
        std::fs::write(folder.path().join("notes.docx"), "x").unwrap();
        let found = survey(folder.path(), &[".".into()], &ScanRules::CT).unwrap();
        assert_eq!(found.fit, SURE_OF_CT / 2.0, "half of the files are no scans");
        let values: Vec<_> = found.facts.iter().map(|fact| fact.value.as_str()).collect();
        assert_eq!(values, ["1", "20 x 30 x 40, median of 1 scans", "1.50 x 0.70 x 0.70, median of 1 scans"]);
        assert_eq!((found.options[0].name.as_str(), &found.options[0].value), ("size", &json!([16, 16, 32])));
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(survey(empty.path(), &[".".into()], &ScanRules::CT).unwrap().fit, 0.0);
    }
}
