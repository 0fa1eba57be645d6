//! Invalid samples of a dataset: their record and their limit.

use std::collections::BTreeMap;

use super::dataset::{Dataset, SampleReport};
use super::loader_options::LoaderOptions;
use crate::{DataError, Result};

/// Invalid samples: the reason, by sample id.
pub type InvalidSamples = BTreeMap<String, String>;

/// Adds the invalid samples of a batch to the known ones, each once; `on_new` gets id and reason of each new one.
///
/// # Errors
/// More of the dataset's samples than `options` allow.
pub(crate) fn record_invalid_samples(
    known: &mut InvalidSamples,
    dataset: &dyn Dataset,
    invalid: &[(u64, SampleReport)],
    options: LoaderOptions,
    on_new: &mut dyn FnMut(&str, &str),
) -> Result<()> {
    for (index, sample) in invalid {
        let id = &dataset.ids()[*index as usize];
        if known.contains_key(id) {
            continue;
        }
        on_new(id, &sample.message);
        known.insert(id.clone(), sample.message.clone());
        let n_samples = dataset.ids().len();
        let n_invalid = dataset.ids().iter().filter(|id| known.contains_key(*id)).count();
        if !options.allows(n_invalid, n_samples) {
            let modality = dataset.modality().into();
            return Err(
                DataError::TooManyInvalid { modality, n_invalid, n_samples, latest: sample.message.clone() }.into()
            );
        }
    }
    Ok(())
}
