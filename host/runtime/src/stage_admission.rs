//! Whether the samples of a stage fit the model and the stages before it, and what is said where they fit in a way of their own.

use anyhow::{Result, bail};
use medcoss_core::data::{Dataset, TokenSpec};
use medcoss_core::model::{FamilyTokens, ModelConfig, PositionMap};

use crate::config::{PositionsSetting, RunConfig};

/// Adds the token family of a stage to the model, with the table of positions that the configuration gives it.
///
/// # Errors
/// A token family that the model cannot hold, or that differs from an earlier stage's.
pub(crate) fn admit(model: &mut ModelConfig, config: &RunConfig, source: &dyn Dataset) -> Result<()> {
    let size = config.model.positions.get(source.family());
    model.admit_dataset(source, size.map(PositionsSetting::table_size).as_ref(), config.model.position_resampling)?;
    Ok(())
}

/// Checks that the vocabulary of a stage is that of earlier stages of its token family, as far as the plugins say: the same id is the same token in
/// all of them.
pub(crate) fn check_vocabulary(source: &impl Dataset, earlier: &[impl Dataset]) -> Result<()> {
    let TokenSpec::Discrete { vocabulary, .. } = source.spec() else { return Ok(()) };
    for other in earlier.iter().filter(|other| other.family() == source.family()) {
        let TokenSpec::Discrete { vocabulary: before, .. } = other.spec() else { continue };
        let digests = source.vocabulary_digest().zip(other.vocabulary_digest());
        let found = if before != vocabulary {
            format!(
                "its vocabulary has {vocabulary} tokens, and that of the earlier stage {} has {before}",
                other.modality()
            )
        } else if digests.is_some_and(|(own, before)| own != before) {
            format!(
                "its vocabulary and that of the earlier stage {} have {vocabulary} tokens each, but not the same ones",
                other.modality()
            )
        } else {
            continue;
        };
        bail!("{found}; both are of token family {}\nhint: give both stages the same vocabulary", source.family());
    }
    Ok(())
}

/// What is worth a word about a stage that was admitted.
pub(crate) fn notices(model: &ModelConfig, source: &impl Dataset) -> impl Iterator<Item = String> {
    [unused_rows(model, source), other_positions(model, source)].into_iter().flatten()
}

/// A notice that a vocabulary is smaller than the model's table of tokens.
fn unused_rows(model: &ModelConfig, source: &impl Dataset) -> Option<String> {
    let TokenSpec::Discrete { vocabulary, .. } = source.spec() else { return None };
    match model.families[model.family(source.family())?].tokens {
        FamilyTokens::Discrete { vocabulary: rows } if rows > vocabulary => Some(format!(
            "its vocabulary has {vocabulary} tokens, which use the first {vocabulary} of the {rows} rows of the model's token table"
        )),
        _ => None,
    }
}

/// A word on samples whose positions are taken from those of another grid.
fn other_positions(model: &ModelConfig, source: &impl Dataset) -> Option<String> {
    let family = &model.families[model.family(source.family())?];
    let (reference, own) = (family.layout.as_ref()?, source.layout()?);
    PositionMap::new(reference, own, family.interpolation).ok()??;
    let sides = |grid: &[usize]| grid.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    Some(format!(
        "its grid of {} tokens takes positions at the same places of the model's {}; model.position_resampling = \"none\" \
         gives each token the position of its number",
        sides(&own.grid),
        sides(&reference.grid)
    ))
}
