//! What the volumes among data are like, for the surveys of the plugins for volumes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use medcoss_sdk::serde_json::json;
use medcoss_sdk::survey::nothing_found;
use medcoss_sdk::{Error, Fact, SuitedOption, Survey};

use crate::hdf5_survey;
use crate::volume_look::{AIR, Look, look};
use crate::volume_source::{FoundVolumes, ScanRules, VolumeInfo, VolumeSource, find_volumes};

/// Headers that are looked at, evenly spaced.
const MAX_HEADERS: usize = 200;
/// Volumes of which a slice is looked at.
const MAX_SLICES: usize = 6;
/// Folders of which each is looked at by itself; more are patients rather than kinds of files.
const MAX_FOLDERS: usize = 8;
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
        Err(error) => return Ok(nothing_found(&error)),
    };
    let proposed = if rules.hdf5.dataset.is_none() { hdf5_survey::proposed(&sources) } else { None };
    if let Some(hdf5) = proposed {
        let options = hdf5_survey::options(&hdf5);
        let mut survey = survey(base, data, &ScanRules { hdf5, ..rules.clone() })?;
        survey.options.extend(options);
        return Ok(survey);
    }
    let is_dicom = |source: &&VolumeSource| matches!(source, VolumeSource::Dicom(_));
    let n_dicom = sources.iter().filter(is_dicom).count();
    let arrays: Vec<&VolumeSource> = sources.iter().filter(|source| !is_dicom(source)).collect();
    let Looked { scans, masks, n_masks, leave_out } = Looked::at(base, data, &arrays);
    let wants_air = rules.missing_rescale.is_some();
    let n_air = scans.iter().filter(|has_air| **has_air).count();
    let share_of_air = n_air as f64 / scans.len().max(1) as f64;
    let sure = match wants_air {
        _ if scans.is_empty() => 0.0,
        true => SURE_OF_CT * share_of_air,
        false => SURE_OF_MRI * (1.0 - share_of_air),
    };
    // Folders of masks are better left out; masks among scans make data less of this modality.
    let share_of_scans = scans.len() as f64 / (scans.len() + masks).max(1) as f64;
    let n_arrays = arrays.len() - n_masks;
    let n = (n_dicom + n_arrays).max(1) as f64;
    let kept = account.n_used() as f64 / (account.n_used() + account.left_out().len() as u64).max(1) as f64;
    let fit = kept * (n_dicom as f64 + n_arrays as f64 * sure * share_of_scans) / n;
    let mut why = Vec::new();
    if n_dicom > 0 {
        why.push(format!("{n_dicom} scans are DICOM of modality {}", rules.modality));
    }
    if !scans.is_empty() {
        why.push(format!(
            "{n_air} of {} other volumes that were looked at have values below {AIR}, as air in CT",
            scans.len()
        ));
    }
    if masks > 0 {
        let all = scans.len() + masks;
        why.push(format!(
            "{masks} of {all} volumes that were looked at are segmentation masks: whole numbers, alike in large parts"
        ));
    }
    for folder in &leave_out {
        why.push(format!("{} holds segmentation masks alone", folder.display()));
    }
    let is_left_out = |source: &VolumeSource| leave_out.contains(&folder_of(base, data, source));
    let described: Vec<&VolumeSource> =
        sources.iter().filter(|source| is_dicom(source) || !is_left_out(source)).collect();
    let infos: Vec<VolumeInfo> =
        evenly(&described, MAX_HEADERS).into_iter().filter_map(|source| source.info().ok()).collect();
    let mut survey = Survey { fit: fit.clamp(0.0, 1.0), why: why.join("; "), leave_out, ..Survey::default() };
    if survey.why.is_empty() {
        survey.why = "no volume could be looked at".into();
    }
    describe(&mut survey, n_dicom + n_arrays, &infos);
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

/// What was seen of some volumes that are not DICOM.
#[derive(Default)]
struct Looked {
    /// Whether each scan that was looked at holds air.
    scans: Vec<bool>,
    /// Number of masks that were looked at beside them.
    masks: usize,
    /// Number of volumes in folders of masks alone, which do not count as scans.
    n_masks: usize,
    /// These folders, relative to the base.
    leave_out: Vec<PathBuf>,
}

impl Looked {
    /// Looks at some of the volumes. In few folders some of each are looked at, so that one with masks alone is known.
    fn at(base: &Path, data: &[PathBuf], arrays: &[&VolumeSource]) -> Self {
        let mut folders: BTreeMap<PathBuf, Vec<&VolumeSource>> = BTreeMap::new();
        for &source in arrays {
            folders.entry(folder_of(base, data, source)).or_default().push(source);
        }
        let mut looked = Self::default();
        if !(2..=MAX_FOLDERS).contains(&folders.len()) {
            looked.add(evenly(arrays, MAX_SLICES).into_iter().filter_map(|source| look(source)));
            return looked;
        }
        let seen: Vec<(PathBuf, usize, Vec<Look>)> = folders
            .into_iter()
            .map(|(folder, sources)| {
                let looks = evenly(&sources, MAX_SLICES / 2).into_iter().filter_map(|source| look(source)).collect();
                (folder, sources.len(), looks)
            })
            .collect();
        let is_of_masks = |looks: &[Look]| !looks.is_empty() && looks.iter().all(|look| *look == Look::Mask);
        let has_scans = seen.iter().any(|(.., looks)| looks.iter().any(|look| *look != Look::Mask));
        for (folder, n, looks) in seen {
            if has_scans && is_of_masks(&looks) {
                looked.n_masks += n;
                looked.leave_out.push(folder);
            } else {
                looked.add(looks);
            }
        }
        looked
    }

    fn add(&mut self, looks: impl IntoIterator<Item = Look>) {
        for look in looks {
            match look {
                Look::Mask => self.masks += 1,
                Look::Scan { has_air } => self.scans.push(has_air),
            }
        }
    }
}

/// The folder of a volume: the one in its entry of the data that holds it, or the entry.
fn folder_of(base: &Path, data: &[PathBuf], source: &VolumeSource) -> PathBuf {
    let entry = data.get(source.entry() as usize).cloned().unwrap_or_default();
    let below = source.path().and_then(|path| path.strip_prefix(base.join(&entry)).ok());
    let mut parts = below.into_iter().flat_map(Path::components);
    match (parts.next(), parts.next()) {
        (Some(folder), Some(_)) => entry.join(folder),
        _ => entry,
    }
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
    use crate::nifti_write::{NiftiFile, NumberType, Placement};

    fn folder(air: f64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let stored_values: Vec<f64> =
            (0..40 * 30 * 20).map(|at| if at % 3 == 0 { air } else { (at % 80) as f64 }).collect();
        let file = NiftiFile {
            size: &[40, 30, 20],
            stored_values: &stored_values,
            datatype: NumberType::I16,
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

    /// Writes a volume of 40 x 30 x 20 voxels below a folder.
    fn put(folder: &Path, name: &str, value: impl Fn(usize) -> f64) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let stored_values: Vec<f64> = (0..40 * 30 * 20).map(value).collect();
        let file = NiftiFile {
            size: &[40, 30, 20],
            stored_values: &stored_values,
            datatype: NumberType::U8,
            placement: Placement::Unstated([1.0; 3]),
            scaling: [1.0, 0.0],
            big_endian: false,
        };
        file.write(&path).unwrap();
    }

    /// Organs of 104 classes in stripes of ten voxels, and a head without a skull: half of it background, no two neighbours alike.
    fn organs(at: usize) -> f64 {
        (at / 10 % 105) as f64
    }

    fn head(at: usize) -> f64 {
        if at % 40 < 20 { 0.0 } else { (at * 37 % 251) as f64 }
    }

    #[test]
    fn masks_are_no_scans_and_their_folder_beside_scans_is_to_be_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3 {
            put(folder.path(), &format!("mri/imagesTr/a{number}.nii"), head);
            put(folder.path(), &format!("mri/labelsTr/deep/a{number}.nii"), organs);
        }
        put(folder.path(), "mri/labelsTr/empty.nii", |_| 0.0);
        let found = |data: &str| survey(folder.path(), &[data.into()], &ScanRules::MR).unwrap();
        let both = found("mri");
        assert!((both.fit - SURE_OF_MRI).abs() < 1e-9 && both.leave_out == [PathBuf::from("mri/labelsTr")], "{both:?}");
        assert_eq!(both.facts[0].value, "3", "scans");
        assert!(both.why.contains("mri/labelsTr holds segmentation masks alone"), "{}", both.why);
        let images = found("mri/imagesTr");
        assert!((images.fit - SURE_OF_MRI).abs() < 1e-9 && images.leave_out.is_empty(), "{images:?}");
        let labels = found("mri/labelsTr");
        assert_eq!((labels.fit, labels.leave_out), (0.0, vec![]), "{}", labels.why);
        assert!(labels.why.starts_with("4 of 4 volumes that were looked at are segmentation masks"), "{}", labels.why);
        // Beside each other in one folder they are half of the data.
        put(folder.path(), "flat/a.nii", head);
        put(folder.path(), "flat/a_seg.nii", organs);
        assert!((found("flat").fit - SURE_OF_MRI / 2.0).abs() < 1e-9);
    }

    #[test]
    fn of_several_datasets_the_one_that_is_no_mask_is_proposed() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = hdf5_pure::FileBuilder::new();
        let image: Vec<f32> = (0..40 * 30 * 20).map(|at| (at * 37 % 251) as f32 / 7.0).collect();
        // Slices are the last axis: labels are alike along the first.
        let label: Vec<u8> = (0..40 * 30 * 20).map(|at| (at / 20 / 30 / 10) as u8).collect();
        builder.create_dataset("image").with_f32_data(&image).with_shape(&[40, 30, 20]);
        builder.create_dataset("label").with_u8_data(&label).with_shape(&[40, 30, 20]);
        std::fs::write(folder.path().join("mri_norm2.h5"), builder.finish().unwrap()).unwrap();
        let found = survey(folder.path(), &[".".into()], &ScanRules::MR).unwrap();
        let options: Vec<_> = found.options.iter().map(|option| (option.name.as_str(), &option.value)).collect();
        let expected =
            [("size", &json!([16, 16, 32])), ("dataset", &json!("image")), ("mask_dataset", &json!("label"))];
        assert_eq!((found.fit, options), (SURE_OF_MRI, expected.to_vec()), "{}", found.why);
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
