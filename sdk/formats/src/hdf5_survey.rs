//! Which datasets of HDF5 files hold the scans and the masks, where the files have several: those that a look at one file tells apart.

use medcoss_sdk::SuitedOption;
use medcoss_sdk::serde_json::json;

use crate::hdf5_choice::Hdf5Rules;
use crate::volume_look::{Look, look};
use crate::volume_source::VolumeSource;

/// The datasets of the first file with several: the only one that is no mask, and the only one that is; `None` where it is not the only one.
pub(crate) fn proposed(sources: &[VolumeSource]) -> Option<Hdf5Rules> {
    let several = |source: &VolumeSource| match source {
        VolumeSource::File { file, outside } => {
            Some((file.header().clone(), file.datasets(), *outside)).filter(|(_, names, _)| names.len() > 1)
        }
        _ => None,
    };
    let (file, names, outside) = sources.iter().find_map(several)?;
    let (mut scans, mut masks) = (Vec::new(), Vec::new());
    for name in names {
        let rules = Hdf5Rules { dataset: Some(name.clone()), ..Hdf5Rules::ONLY_DATASET };
        match look(&VolumeSource::of_file(&file, outside, rules.of_scans()))? {
            Look::Mask => masks.push(name),
            Look::Scan { .. } => scans.push(name),
        }
    }
    let [scan] = scans.as_slice() else { return None };
    let mask_dataset = masks.first().filter(|_| masks.len() == 1).cloned();
    Some(Hdf5Rules { dataset: Some(scan.clone()), mask_dataset, ..Hdf5Rules::ONLY_DATASET })
}

/// The options that name them.
pub(crate) fn options(rules: &Hdf5Rules) -> Vec<SuitedOption> {
    let option = |name: &str, dataset: &Option<String>, what: &str| {
        let dataset = dataset.as_ref()?;
        let reason = format!("of the datasets of the first HDF5 file this is the only one that looks like {what}");
        Some(SuitedOption { name: name.into(), value: json!(dataset), reason })
    };
    let scan = option("dataset", &rules.dataset, "a scan");
    scan.into_iter().chain(option("mask_dataset", &rules.mask_dataset, "a segmentation mask")).collect()
}
