//! Token families: which geometries may share the parameters of one, and the families of this project.

use medcoss_abi::message::{Axis, Continuous, Discrete, Geometry};

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

/// Whether two modalities may share a family: one of the model, and one that joins. Their grids may differ.
///
/// # Errors
/// What differs, in one sentence, with a remedy.
pub fn check_compatible(family: &str, [first, second]: [(&str, &Geometry); 2]) -> Result<(), String> {
    let differ = |what: String| Err(format!("{what}\nhint: set both alike, or give one of them a family of its own"));
    let sentence = |of_second: String, of_first: String| {
        format!(
            "modality {} has {of_second}, but family {family} of this model has {of_first}, those of {}",
            second.0, first.0
        )
    };
    let both = sentence(tokens(second.1), tokens(first.1));
    match (first.1, second.1) {
        (Geometry::Continuous(one), Geometry::Continuous(other)) => {
            let patches_differ = !one.patch.is_empty() && !other.patch.is_empty() && one.patch != other.patch;
            if one.d_token != other.d_token || patches_differ {
                return differ(both);
            }
            let axes = |own: &Continuous| match own.axes.is_empty() {
                true => format!("a grid of {} axes", own.grid.len()),
                false => {
                    let names: Vec<&str> = own.axes.iter().map(|axis: &Axis| axis.name.as_str()).collect();
                    format!("the axes {}", names.join(", "))
                }
            };
            let names_differ = !one.axes.is_empty()
                && !other.axes.is_empty()
                && one.axes.iter().zip(&other.axes).any(|(one, other)| one.name != other.name);
            if one.grid.len() != other.grid.len() || names_differ {
                return differ(sentence(axes(other), axes(one)));
            }
            let target =
                |own: &Continuous| format!("targets of {} values", own.targets.d_target.unwrap_or(own.d_token));
            if one.targets.d_target.unwrap_or(one.d_token) != other.targets.d_target.unwrap_or(other.d_token) {
                return differ(sentence(target(other), target(one)));
            }
            Ok(())
        }
        (Geometry::Discrete(one), Geometry::Discrete(other)) => {
            let digest = |own: &Discrete| own.vocabulary_digest.clone();
            match (digest(one), digest(other)) {
                (Some(one), Some(other)) if one != other => {
                    differ(sentence("another vocabulary".into(), "its own".into()))
                }
                _ => Ok(()),
            }
        }
        _ => differ(both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::message::Targets;

    fn grid(grid: &[usize], patch: &[usize], d_token: usize) -> Continuous {
        Continuous { grid: grid.to_vec(), d_token, n_masked: 1, patch: patch.to_vec(), ..Continuous::default() }
    }

    fn words(digest: &str) -> Geometry {
        let vocabulary_digest = (!digest.is_empty()).then(|| digest.into());
        Geometry::Discrete(Discrete { length: 9, vocabulary: 30, mask_id: 1, vocabulary_digest, ..Discrete::default() })
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
        assert!(check_standard("tone", "volume", &words("")).is_err());
        assert_eq!(check_standard("tone", "text", &words("")), Ok(()));
        assert_eq!(check_standard("tone", "series", &Geometry::Continuous(grid(&[9], &[], 8))), Ok(()));
    }

    #[test]
    fn ten_pairs_of_geometries_and_the_sentence_for_each() {
        let cube = || grid(&[1, 4, 4], &[16, 16, 16], 4096);
        let named = |names: [&str; 3]| Continuous { axes: names.map(Axis::named).into(), ..cube() };
        let target = |d_target| Continuous { targets: Targets { d_target, normalise: true }, ..cube() };
        let pairs = [
            (cube(), grid(&[2, 9, 1], &[16, 16, 16], 4096), None),
            (cube(), grid(&[2, 9, 1], &[], 4096), None),
            (
                cube(),
                grid(&[1, 4, 4], &[4, 32, 32], 4096),
                Some(
                    "patches of 4 x 32 x 32 in 1 channel, but family volume of this model has patches of 16 x 16 x 16 in 1 channel",
                ),
            ),
            (cube(), grid(&[1, 4, 4], &[4, 16, 16], 1024), Some("patches of 4 x 16 x 16 in 1 channel, but")),
            (
                cube(),
                grid(&[4, 4], &[], 4096),
                Some("a grid of 2 axes, but family volume of this model has a grid of 3 axes"),
            ),
            (named(["depth", "row", "column"]), cube(), None),
            (
                named(["depth", "row", "column"]),
                named(["frame", "row", "column"]),
                Some("the axes frame, row, column, but family volume of this model has the axes depth, row, column"),
            ),
            (cube(), target(Some(4096)), None),
            (
                cube(),
                target(Some(9)),
                Some("targets of 9 values, but family volume of this model has targets of 4096 values"),
            ),
        ];
        for (one, other, expected) in pairs {
            let (one, other) = (Geometry::Continuous(one), Geometry::Continuous(other));
            let checked = check_compatible("volume", [("ct", &one), ("pet", &other)]);
            match expected {
                None => assert_eq!(checked, Ok(())),
                Some(expected) => {
                    let message = checked.unwrap_err();
                    assert!(message.starts_with(&format!("modality pet has {expected}")), "{message}");
                    assert!(message.contains("those of ct\nhint: set both alike"), "{message}");
                }
            }
        }
        let mixed = check_compatible("volume", [("ct", &Geometry::Continuous(cube())), ("text", &words(""))]);
        assert!(mixed.unwrap_err().starts_with("modality text has 30 ids of a vocabulary, but"));
        let text = |one, other| check_compatible("text", [("reports", &words(one)), ("notes", &words(other))]);
        assert_eq!([text("", "00ff00ff"), text("00ff00ff", "00ff00ff")], [Ok(()), Ok(())]);
        assert!(
            text("00ff00ff", "11ff00ff")
                .unwrap_err()
                .starts_with("modality notes has another vocabulary, but family text")
        );
    }
}
