//! The token families of this project, whose parameters every modality shares that takes their name.

use medcoss_abi::message::Geometry;

/// A family of this project: every modality that names it shares its parameters with the project's own.
struct StandardFamily {
    name: &'static str,
    /// Sides of a patch; none for ids.
    patch: &'static [usize],
    n_channels: usize,
}

const STANDARD: [StandardFamily; 3] = [
    StandardFamily { name: "image", patch: &[16, 16], n_channels: 3 },
    StandardFamily { name: "volume", patch: &[16, 16, 16], n_channels: 1 },
    StandardFamily { name: "text", patch: &[], n_channels: 0 },
];

/// Checks a modality's default geometry against the family of this project whose name it has, if it has one.
///
/// # Errors
/// What the modality has and what the family has, with a remedy.
pub fn check_standard(modality: &str, family: &str, geometry: &Geometry) -> Result<(), String> {
    let Some(standard) = STANDARD.iter().find(|standard| standard.name == family) else { return Ok(()) };
    let (expected, found) = (of_standard(standard), tokens(geometry));
    let fits = match geometry {
        Geometry::Continuous(own) => {
            let n_values = standard.patch.iter().product::<usize>() * standard.n_channels;
            let is_patch = own.patch.is_empty() || own.patch == standard.patch;
            !standard.patch.is_empty() && own.d_token == n_values && own.grid.len() == standard.patch.len() && is_patch
        }
        Geometry::Discrete(_) => standard.patch.is_empty(),
    };
    match fits {
        true => Ok(()),
        false => Err(format!(
            "modality {modality} has {found}, but family {family} has {expected}\n\
             hint: give the modality a family of its own, or {expected}"
        )),
    }
}

fn of_standard(standard: &StandardFamily) -> String {
    match standard.patch {
        [] => "ids of a vocabulary".into(),
        patch => patches(patch, standard.n_channels),
    }
}

/// The tokens of a geometry, for people.
pub fn tokens(geometry: &Geometry) -> String {
    match geometry {
        Geometry::Continuous(own) => match own.n_channels() {
            Some(n_channels) => patches(&own.patch, n_channels),
            None => format!("tokens of {} values", own.d_token),
        },
        Geometry::Discrete(own) => format!("{} ids of a vocabulary", own.vocabulary),
    }
}

fn patches(patch: &[usize], n_channels: usize) -> String {
    let sides: Vec<String> = patch.iter().map(usize::to_string).collect();
    let channels = if n_channels == 1 { "1 channel".into() } else { format!("{n_channels} channels") };
    format!("patches of {} in {channels}", sides.join(" x "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::message::Continuous;

    fn grid(grid: &[usize], patch: &[usize], d_token: usize) -> Continuous {
        Continuous { grid: grid.to_vec(), d_token, n_masked: 1, patch: patch.to_vec(), ..Continuous::default() }
    }

    fn words() -> Geometry {
        Geometry::sequence(9, 30, 0, 1)
    }

    #[test]
    fn a_modality_that_takes_the_name_of_a_standard_family_has_its_tokens() {
        let image = |geometry| check_standard("tone", "image", &Geometry::Continuous(geometry));
        assert_eq!(image(grid(&[4, 4], &[16, 16], 768)), Ok(()));
        assert_eq!(image(grid(&[2, 7], &[], 768)), Ok(()));
        assert_eq!(
            image(grid(&[9], &[], 8)).unwrap_err(),
            "modality tone has tokens of 8 values, but family image has patches of 16 x 16 in 3 channels\n\
             hint: give the modality a family of its own, or patches of 16 x 16 in 3 channels"
        );
        for bad in [grid(&[16], &[], 768), grid(&[4, 4], &[8, 32], 768), grid(&[4, 4, 4], &[], 768)] {
            assert!(image(bad).is_err());
        }
        assert!(check_standard("tone", "text", &Geometry::Continuous(grid(&[9], &[], 8))).is_err());
        assert!(check_standard("tone", "volume", &words()).is_err());
        assert_eq!(check_standard("tone", "text", &words()), Ok(()));
        assert_eq!(check_standard("tone", "series", &Geometry::Continuous(grid(&[9], &[], 8))), Ok(()));
    }
}
