//! Remedies for errors of the core, in terms of this program's options and settings. The core reports finding and
//! expectation.

use std::io::ErrorKind;

use medcoss_core::weights::PUBLISHED_FAMILIES;
use medcoss_core::{DataError, DeviceError, Error, EvaluationError, ModelError, RunError, SettingError, WeightsError};

/// The remedy for an error, without `hint: `; `None` where the message needs no remedy.
pub(crate) fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Setting(error) => of_setting(error),
        Error::Data(error) => of_data(error),
        Error::Model(error) => of_model(error),
        Error::Device(error) => of_device(error),
        Error::Weights(error) => of_weights(error),
        Error::Evaluation(error) => of_evaluation(error),
        Error::Run(error) => of_run(error),
        Error::NotFinite { .. } => Some("lower the learning rate or lengthen the warm-up".into()),
        Error::File { reason, .. } => of_file(reason.kind()),
        Error::RanksDiffer { what: "parameters", .. } => {
            Some("start the ranks on processors of one kind, from one build; `medcoss resume` continues from the checkpoint before".into())
        }
        Error::RanksDiffer { .. } => Some("give all ranks the same plugins, data and program".into()),
        Error::Communication(_) => Some("`medcoss resume` continues the run".into()),
        Error::Rank { .. }
        | Error::Dataset(_) | Error::DatasetFault(_) | Error::Caller(_) | Error::Damaged { .. } | Error::Interrupted { .. } => None,
    }
}

fn of_setting(error: &SettingError) -> Option<String> {
    match error {
        SettingError::StoreWithoutBuffer { .. } => {
            Some("leave out buffer.store, or set strategy.name to \"medcoss\" or \"replay\"".into())
        }
        SettingError::NoClassToken { .. } => Some("pool by the mean, or not at all".into()),
        SettingError::PositionGrid { .. } => {
            Some("give as many sides as the samples' grid has axes, named ones unchanged, or one number".into())
        }
        SettingError::NoSuchFamily { .. } => {
            Some(format!("the published families are {}", PUBLISHED_FAMILIES.join(", ")))
        }
        SettingError::OutOfRange { .. }
        | SettingError::Positions { .. }
        | SettingError::Tokens { .. }
        | SettingError::Metric { .. } => None,
    }
}

fn of_data(error: &DataError) -> Option<String> {
    match error {
        DataError::TooManyInvalid { .. } => Some("repair or remove them, or raise data.max_invalid_fraction".into()),
        DataError::MissingBufferSample { .. } => {
            Some("restore the files of the stage, or give the data root with --data-root".into())
        }
        DataError::CannotMaterialise { .. } => Some("set buffer.store = \"reference\"".into()),
        DataError::NothingToDraw { .. } => Some("give some samples a weight above 0".into()),
        DataError::NothingLearned { .. } => Some("`medcoss data check` lists what is left out, and why".into()),
        DataError::NoSamples { .. }
        | DataError::TargetsAreNoTokens { .. }
        | DataError::Invalid { .. }
        | DataError::NoLongerValid { .. }
        | DataError::NotFinite { .. }
        | DataError::LoaderPanicked
        | DataError::NoFeatures
        | DataError::Clustering { .. } => None,
    }
}

fn of_model(error: &ModelError) -> Option<String> {
    match error {
        ModelError::Tokens { .. } => Some(
            "modalities of one family share the size of tokens, patches and targets; set both alike (option patch_size), or give one a family of its own; \
             import weights without a family with --without"
                .into(),
        ),
        ModelError::TooManyTokens { family, .. } => {
            Some(format!("choose a smaller size, or start a new run with a larger model.positions.{family}"))
        }
        ModelError::Position { family, .. } => Some(format!(
            "choose options with the positions of the first modality, reserve a larger grid in a new run with model.positions.{family} = [...], or take the \
             first entries of the table with model.position_resampling = \"none\""
        )),
        ModelError::UnknownFamily { .. }
        | ModelError::FamilyAxes { .. }
        | ModelError::NotEarlier { .. }
        | ModelError::TooManyFamilies { .. }
        | ModelError::FamilyTwice { .. }
        | ModelError::FamilyName { .. }
        | ModelError::FamilySize { .. }
        | ModelError::TooManyParameters { .. } => None,
    }
}

fn of_device(error: &DeviceError) -> Option<String> {
    match error {
        DeviceError::UnknownName { .. } => {
            Some("use --device cpu, cuda, rocm or wgpu, or with an index cuda:N, rocm:N or wgpu:N".into())
        }
        DeviceError::NotFound { .. } => Some("use --device cpu".into()),
        DeviceError::NotInBuild { kind, .. } => Some(format!("build with --features {kind}, or use --device cpu")),
        DeviceError::Precision { .. } => Some("use --set training.precision=float32".into()),
        DeviceError::ReadBack { .. } | DeviceError::Benchmark { .. } => None,
    }
}

fn of_weights(error: &WeightsError) -> Option<String> {
    match error {
        WeightsError::Checkpoint { .. } => {
            Some("a copy or download that was cut short looks like this; try it again".into())
        }
        WeightsError::NotMedcoss { .. } => Some(
            "give a checkpoint with the published key names (a state dict, bare or under the entry `model`), or a vision transformer of timm, \
             facebookresearch/mae, facebookresearch/dinov2 or transformers"
                .into(),
        ),
        WeightsError::NotRepresentable { .. } => Some(
            "begin with a plain vision transformer: one of timm, a masked autoencoder, DINOv2, or ViT, ViTMAE or Dinov2 of transformers; \
             text has no such weights and is learned in a stage of its own"
                .into(),
        ),
        WeightsError::SeveralEncoders { .. } => Some("save the state dict of one of them in a file of its own".into()),
        WeightsError::NoConfiguration { .. } => {
            Some("name the folder that `save_pretrained` wrote in place of the file in it".into())
        }
        WeightsError::NoTensor { others, .. } if others.is_empty() => None,
        WeightsError::NoTensor { others, .. } => Some(format!("the file has {}", others.join(", "))),
        WeightsError::UnknownSize { what, .. } => Some(format!(
            "importing takes it from --{} or a file with --config, a run that begins with weights from model.{}",
            what.replace(' ', "-"),
            what.replace(' ', "_")
        )),
        WeightsError::SizeConflict { name, .. } => Some(format!("leave {name} out, or name the right file")),
        WeightsError::NotPublishable { .. } | WeightsError::VariantNotPublishable { .. } => {
            Some("export with --layout medcoss-rs".into())
        }
        WeightsError::NotInTimm { .. } => Some("--layout huggingface gives the same features".into()),
        WeightsError::NoPadding { .. } => Some("leave the attention mask out".into()),
        WeightsError::UnknownFile { found, .. } if found.contains("divided") => {
            Some("write them into one file: model.save_pretrained(folder, max_shard_size=\"100GB\")".into())
        }
        WeightsError::UnknownFile { .. }
        | WeightsError::Configuration { .. }
        | WeightsError::NotATensor { .. }
        | WeightsError::Tensor { .. }
        | WeightsError::Metadata { .. } => None,
    }
}

fn of_evaluation(error: &EvaluationError) -> Option<String> {
    match error {
        EvaluationError::RareClass { .. } => {
            Some("give more samples of it, a larger share for the test, or leave the class out".into())
        }
        EvaluationError::LinearProbe { .. } => Some("raise l2".into()),
        EvaluationError::NotFinite { .. } => Some("lower learning_rate".into()),
        EvaluationError::Neighbours { n_train, .. } => {
            Some(format!("set k = {}, or give more samples", (n_train / 2).max(1)))
        }
        EvaluationError::TooManyLabels { .. } => {
            Some("set classes = \"foreground\" to take them for one class, or name the labels: classes = [1, 2]".into())
        }
        EvaluationError::EmptySplit { .. }
        | EvaluationError::NoLabelMaps { .. }
        | EvaluationError::MissingClass { .. }
        | EvaluationError::Undefined { .. }
        | EvaluationError::Array { .. }
        | EvaluationError::Uncovered { .. }
        | EvaluationError::Masks { .. }
        | EvaluationError::Features { .. }
        | EvaluationError::Scores { .. } => None,
    }
}

fn of_run(error: &RunError) -> Option<String> {
    Some(match error {
        RunError::Locked { .. } => "wait for it, or stop it; two writers would spoil the run".into(),
        RunError::CheckpointMismatch { .. } => "resume with the same configuration and data, or start a new run".into(),
        RunError::NoValidCheckpoint { stage, .. } => format!(
            "copy the run from a backup, or remove its folder {stage} to train the stage again from its beginning"
        ),
        RunError::NotAFile { .. } | RunError::BadName { .. } | RunError::TooLarge { .. } => {
            "medcoss writes no such entry: if the run came from elsewhere, do not trust it; if it is yours, put the file itself in this place"
                .into()
        }
        RunError::BadModality { .. } => "name the modality as `medcoss plugin list` does".into(),
    })
}

/// The remedy for a file system that accepts no more data.
fn of_file(kind: ErrorKind) -> Option<String> {
    let remedy = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => "make room on its file system",
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => "make the folder writable for this user",
        _ => return None,
    };
    Some(format!("{remedy} and resume the run; nothing that was complete is lost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_name_the_options_of_this_program() {
        let of = |error: Error| hint(&error).unwrap();
        assert!(of(DeviceError::NotFound { kind: "cuda", index: 1, n_devices: 0 }.into()).contains("--device"));
        let missing = DataError::MissingBufferSample { id: "a".into(), modality: "ct".into() };
        assert!(of(missing.into()).contains("--data-root"));
        let size = WeightsError::UnknownSize { path: "a.pth".into(), what: "decoder heads".into() };
        let size = of(size.into());
        assert!(size.contains("--decoder-heads") && size.contains("model.decoder_heads"), "{size}");
        assert!(of(EvaluationError::TooManyLabels { limit: 16 }.into()).contains("classes = \"foreground\""));
    }
}
