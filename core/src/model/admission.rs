//! Admission of datasets to a model: which token family takes them, and what makes two modalities of one family compatible.

use super::axis_kernel::Interpolation;
use super::config::{FamilyConfig, FamilyTokens, ModelConfig};
use super::position_map::PositionMap;
use crate::data::{Dataset, GridLayout, TargetSpec, TokenSpec};
use crate::{ModelError, Result, SettingError};

/// Configured size of a family's position table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableSize {
    /// Number of entries.
    Entries(usize),
    /// Grid that the entries belong to; room for samples that are larger than the first modality's.
    Grid(Vec<usize>),
}

/// Policy for samples whose grid is not that of the position table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionResampling {
    /// Each token takes the entries at its place, see [`PositionMap`]; a table from elsewhere is interpolated as its library does.
    #[default]
    Linear,
    /// Tokens of any grid take the first entries of the table, as in the reference.
    None,
}

/// A dataset that joins a model.
#[derive(Debug, Clone, Copy)]
struct Joining<'a> {
    family: &'a str,
    modality: &'a str,
    spec: TokenSpec,
    targets: TargetSpec,
    layout: Option<&'a GridLayout>,
}

impl ModelConfig {
    /// Admits a dataset: adds its family if new, otherwise checks that the dataset fits its family. Returns the family's position.
    ///
    /// `size` is the configured size of the family's position table; by default 1024 for continuous and 512 for discrete tokens, or the sample's
    /// own number of tokens if that is larger.
    ///
    /// # Errors
    /// Tokens of another kind, size or patch than the family's, or from a larger vocabulary; a grid whose positions the family does not have; sizes that
    /// no model can have.
    pub fn admit_dataset(
        &mut self,
        dataset: &dyn Dataset,
        size: Option<&TableSize>,
        resampling: PositionResampling,
    ) -> Result<usize> {
        let layout = dataset.layout().map(|layout| &**layout).filter(|_| resampling == PositionResampling::Linear);
        let (family, modality) = (dataset.family(), dataset.modality());
        let known = self.family(family).map(|at| self.families[at].interpolation).unwrap_or_default();
        if resampling == PositionResampling::None && known != Interpolation::Linear {
            let expected =
                format!("linear: positions of family {family} are imported, and their interpolation is {known}");
            return Err(SettingError::out_of_range("model.position_resampling", "none", expected).into());
        }
        self.join(&Joining { family, modality, spec: dataset.spec(), targets: dataset.targets(), layout }, size)
    }

    /// As [`ModelConfig::admit_dataset`], for samples of which only the sizes are known.
    ///
    /// # Errors
    /// As there.
    pub fn admit(
        &mut self,
        family: &str,
        modality: &str,
        spec: TokenSpec,
        n_positions: Option<usize>,
    ) -> Result<usize> {
        let size = n_positions.map(TableSize::Entries);
        let targets = TargetSpec::default();
        self.join(&Joining { family, modality, spec, targets, layout: None }, size.as_ref())
    }

    fn join(&mut self, joining: &Joining<'_>, size: Option<&TableSize>) -> Result<usize> {
        let (tokens, needed) = match joining.spec {
            TokenSpec::Continuous { n_tokens, d_token, .. } => (FamilyTokens::Continuous { d_token }, n_tokens),
            TokenSpec::Discrete { length, vocabulary } => (FamilyTokens::Discrete { vocabulary }, length),
        };
        let position = match self.family(joining.family) {
            Some(position) => position,
            None => {
                self.families.push(new_family(joining, tokens, needed, size)?);
                self.families.len() - 1
            }
        };
        let family = &mut self.families[position];
        check_size(family, size)?;
        check_tokens(family, joining, tokens)?;
        let reference = check_positions(family, joining, needed)?;
        if matches!(tokens, FamilyTokens::Continuous { .. }) {
            family.n_decoder_positions = family.n_decoder_positions.max(reference.unwrap_or(needed));
        }
        self.check()?;
        Ok(position)
    }
}

fn new_family(
    joining: &Joining<'_>,
    tokens: FamilyTokens,
    needed: usize,
    size: Option<&TableSize>,
) -> Result<FamilyConfig> {
    let usual = match tokens {
        FamilyTokens::Continuous { .. } => 1024,
        FamilyTokens::Discrete { .. } => 512,
    };
    let mut layout = joining.layout.cloned();
    let n_positions = match size {
        None => needed.max(usual),
        Some(TableSize::Entries(n)) => *n,
        Some(TableSize::Grid(grid)) => {
            let name = joining.family.to_owned();
            let Some(layout) = layout.as_mut().filter(|layout| layout.grid.len() == grid.len()) else {
                return Err(SettingError::PositionGrid { family: name, found: grid.clone() }.into());
            };
            let n = grid.iter().try_fold(1usize, |product, &side| product.checked_mul(side)).unwrap_or(usize::MAX);
            layout.grid.clone_from(grid);
            // Names belong to places that the sample has; a longer axis of names has no more names.
            let named =
                |(axis, &side): (&crate::data::GridAxis, &usize)| axis.places.is_empty() || axis.places.len() == side;
            if !layout.axes.iter().zip(grid).all(named) {
                return Err(SettingError::PositionGrid { family: name, found: grid.clone() }.into());
            }
            n
        }
    };
    Ok(FamilyConfig {
        name: joining.family.into(),
        n_positions,
        n_decoder_positions: 0,
        tokens,
        d_target: joining.targets.d_target,
        layout,
        interpolation: Interpolation::Linear,
    })
}

/// The table of a family that a model has already keeps its size.
fn check_size(family: &FamilyConfig, size: Option<&TableSize>) -> Result<()> {
    let (found, fits) = match size {
        None => return Ok(()),
        Some(TableSize::Entries(n)) => (*n, *n == family.n_positions),
        Some(TableSize::Grid(grid)) => {
            let n = grid.iter().fold(1usize, |product, &side| product.saturating_mul(side));
            (n, family.layout.as_ref().is_some_and(|layout| layout.grid == *grid))
        }
    };
    match fits {
        true => Ok(()),
        false => {
            Err(SettingError::Positions { family: family.name.clone(), found, expected: family.n_positions }.into())
        }
    }
}

/// Kind, size and patch of tokens, axes of the grid, and size of targets.
fn check_tokens(family: &FamilyConfig, joining: &Joining<'_>, tokens: FamilyTokens) -> Result<()> {
    let differ = |found: String, expected: String| {
        let (modality, family) = (joining.modality.to_owned(), family.name.clone());
        Err(ModelError::Tokens { modality, family, found, expected }.into())
    };
    let patch =
        |layout: Option<&GridLayout>| layout.map(|layout| layout.patch.clone()).filter(|patch| !patch.is_empty());
    let (own_patch, family_patch) = (patch(joining.layout), patch(family.layout.as_ref()));
    let fits = match (family.tokens, tokens) {
        // The rest of the table is not used: published weights have more rows than their vocabulary has tokens.
        (FamilyTokens::Discrete { vocabulary: rows }, FamilyTokens::Discrete { vocabulary }) => vocabulary <= rows,
        (has, needs) => has == needs,
    };
    if !fits || own_patch.as_ref().zip(family_patch.as_ref()).is_some_and(|(own, family)| own != family) {
        return differ(described(tokens, own_patch.as_deref()), described(family.tokens, family_patch.as_deref()));
    }
    if let (Some(own), Some(layout)) = (joining.layout, &family.layout) {
        let axes = |layout: &GridLayout| match layout.axes.is_empty() {
            true => format!("a grid of {} axes", layout.grid.len()),
            false => {
                let names: Vec<&str> = layout.axes.iter().map(|axis| axis.name.as_str()).collect();
                format!("the axes {}", names.join(", "))
            }
        };
        let names_differ = own.axes.iter().zip(&layout.axes).any(|(own, other)| own.name != other.name);
        if own.grid.len() != layout.grid.len() || names_differ {
            return differ(axes(own), axes(layout));
        }
    }
    match tokens {
        FamilyTokens::Continuous { d_token } => {
            let (own, other) = (joining.targets.d_target.unwrap_or(d_token), family.d_target.unwrap_or(d_token));
            match own == other {
                true => Ok(()),
                false => differ(format!("targets of {own} values"), format!("targets of {other} values")),
            }
        }
        FamilyTokens::Discrete { .. } => Ok(()),
    }
}

/// For people: `patches of 8 x 16 x 16 in 1 channel`, or the size where no patch is known.
fn described(tokens: FamilyTokens, patch: Option<&[usize]>) -> String {
    match (tokens, patch) {
        (FamilyTokens::Continuous { d_token }, Some(patch)) => {
            let sides: Vec<String> = patch.iter().map(usize::to_string).collect();
            let n_channels = d_token / patch.iter().product::<usize>().max(1);
            let channels = if n_channels == 1 { "1 channel".into() } else { format!("{n_channels} channels") };
            format!("patches of {} in {channels}", sides.join(" x "))
        }
        (tokens, _) => tokens.to_string(),
    }
}

/// Whether the family has positions for the samples. The number of tokens of the reference grid, where positions are resampled.
fn check_positions(family: &FamilyConfig, joining: &Joining<'_>, needed: usize) -> Result<Option<usize>> {
    let (modality, name) = (joining.modality.to_owned(), family.name.clone());
    let (reference, needed) = match (&family.layout, joining.layout) {
        (Some(reference), Some(own)) => {
            if let Err(what) = PositionMap::new(reference, own, family.interpolation) {
                return Err(ModelError::Position { modality, family: name, what }.into());
            }
            (Some(reference.n_tokens()), reference.n_tokens())
        }
        _ => (None, needed),
    };
    if needed > family.n_positions {
        let expected = family.n_positions;
        return Err(ModelError::TooManyTokens { modality, family: name, found: needed, expected }.into());
    }
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::super::{InitialValues, Preset, TextAttention, Variant};
    use super::*;
    use crate::data::GridAxis;

    fn config() -> ModelConfig {
        ModelConfig {
            dimensions: Preset::Demo.dimensions(),
            variant: Variant::default(),
            initial_values: InitialValues::default(),
            text_attention: TextAttention::default(),
            families: Vec::new(),
        }
    }

    #[test]
    fn a_family_is_added_once_and_guards_its_token_size_and_positions() {
        let mut config = config();
        let spec = |n_tokens, d_token| TokenSpec::Continuous { n_tokens, d_token, n_masked: 1 };
        assert_eq!(config.admit("image", "xray", spec(16, 768), Some(20)).unwrap(), 0);
        assert_eq!(config.admit("gait", "gait", spec(5000, 12), None).unwrap(), 1);
        assert_eq!(config.admit("image", "pathology", spec(20, 768), None).unwrap(), 0);
        assert_eq!(config.families[1].n_positions, 5000);
        assert_eq!(config.families[0].n_decoder_positions, 20);
        let size = config.admit("image", "other", spec(16, 300), None).unwrap_err().to_string();
        assert!(size.contains("300 values") && size.contains("768 values"), "{size}");
        // A table may have more rows than a vocabulary has tokens, but not fewer.
        let text = |vocabulary| TokenSpec::Discrete { length: 4, vocabulary };
        assert_eq!(config.admit("text", "text", text(50), None).unwrap(), 2);
        assert_eq!(config.admit("text", "text", text(49), None).unwrap(), 2);
        let vocabulary = config.admit("text", "text", text(51), None).unwrap_err().to_string();
        assert!(vocabulary.contains("vocabulary of 51") && vocabulary.contains("vocabulary of 50"), "{vocabulary}");
        let room = config.admit("image", "other", spec(21, 768), None).unwrap_err().to_string();
        assert!(room.contains("21 tokens") && room.contains("20 positions"), "{room}");
    }

    fn layout(grid: &[usize], patch: &[usize], names: &[&str]) -> GridLayout {
        let axes = names.iter().map(|name| GridAxis { name: name.to_string(), ..GridAxis::default() }).collect();
        GridLayout { grid: grid.to_vec(), patch: patch.to_vec(), axes }
    }

    fn joined(
        config: &mut ModelConfig,
        modality: &str,
        layout: &GridLayout,
        [d_token, d_target]: [usize; 2],
        size: Option<&TableSize>,
    ) -> std::result::Result<usize, String> {
        let spec = TokenSpec::Continuous { n_tokens: layout.n_tokens(), d_token, n_masked: 1 };
        let targets = TargetSpec { d_target: (d_target != d_token).then_some(d_target), normalise: true };
        config
            .join(&Joining { family: "volume", modality, spec, targets, layout: Some(layout) }, size)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn pairs_of_geometries_and_the_sentence_for_each() {
        let (axes, cube) = (["depth", "row", "column"], [16, 16, 16]);
        let family = "but family volume of this model has";
        for (own, d_token, d_target, expected) in [
            (layout(&[2, 9, 1], &cube, &axes), 4096, 4096, None),
            (layout(&[2, 9, 1], &[], &[]), 4096, 4096, None),
            (
                layout(&[1, 4, 4], &[4, 32, 32], &axes),
                4096,
                4096,
                Some(format!("patches of 4 x 32 x 32 in 1 channel, {family} patches of 16 x 16 x 16 in 1 channel")),
            ),
            (
                layout(&[1, 4, 4], &[4, 16, 16], &axes),
                1024,
                1024,
                Some(format!("patches of 4 x 16 x 16 in 1 channel, {family} patches of 16 x 16 x 16 in 1 channel")),
            ),
            (
                layout(&[9], &[], &[]),
                8,
                8,
                Some(format!("tokens of 8 values, {family} patches of 16 x 16 x 16 in 1 channel")),
            ),
            (
                layout(&[4, 4], &[], &[]),
                4096,
                4096,
                Some(format!("a grid of 2 axes, {family} the axes depth, row, column")),
            ),
            (
                layout(&[1, 4, 4], &cube, &["frame", "row", "column"]),
                4096,
                4096,
                Some(format!("the axes frame, row, column, {family} the axes depth, row, column")),
            ),
            (
                layout(&[1, 4, 4], &cube, &axes),
                4096,
                9,
                Some(format!("targets of 9 values, {family} targets of 4096 values")),
            ),
        ] {
            let mut config = self::config();
            joined(&mut config, "ct", &layout(&[1, 4, 4], &cube, &axes), [4096; 2], None).unwrap();
            let found = joined(&mut config, "pet", &own, [d_token, d_target], None);
            match expected {
                None => assert_eq!(found, Ok(0)),
                Some(expected) => assert_eq!(found.unwrap_err(), format!("modality pet has {expected}")),
            }
        }
    }

    #[test]
    fn the_table_belongs_to_the_first_grid_or_to_a_reserved_one() {
        let mut config = self::config();
        joined(&mut config, "ct", &layout(&[2, 3, 4], &[], &[]), [8; 2], None).unwrap();
        joined(&mut config, "mri", &layout(&[1, 2, 2], &[], &[]), [8; 2], None).unwrap();
        joined(&mut config, "pet", &layout(&[4, 40, 40], &[], &[]), [8; 2], None).unwrap();
        let family = &config.families[0];
        assert_eq!((family.layout.as_ref().unwrap().n_tokens(), family.n_decoder_positions), (24, 24));
        assert!(family.n_positions == 1024, "a stretched grid needs no more entries");

        let time = |n: usize| {
            let step = Some((0.5, "s".to_owned()));
            GridLayout {
                grid: vec![n],
                patch: vec![],
                axes: vec![GridAxis { name: "time".into(), step, places: vec![] }],
            }
        };
        let mut reserved = self::config();
        let room = TableSize::Grid(vec![40]);
        joined(&mut reserved, "gait", &time(30), [8; 2], Some(&room)).unwrap();
        joined(&mut reserved, "holter", &time(40), [8; 2], Some(&room)).unwrap();
        assert_eq!((reserved.families[0].n_positions, reserved.families[0].n_decoder_positions), (40, 40));
        let message = joined(&mut reserved, "long", &time(41), [8; 2], None).unwrap_err();
        assert!(message.contains("axis time is 20.5 s long, and the positions reach 20 s"), "{message}");
        let message = joined(&mut reserved, "gait", &time(30), [8; 2], Some(&TableSize::Grid(vec![50]))).unwrap_err();
        assert!(message.contains("50"), "{message}");
        assert!(joined(&mut self::config(), "gait", &time(30), [8; 2], Some(&TableSize::Grid(vec![2, 40]))).is_err());
    }
}
