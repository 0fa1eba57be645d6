//! Checks of what plugins answer in JSON: descriptions, digests, file names. Those of samples are in [`crate::records`].

use std::path::{Component, Path, PathBuf};

use medcoss_abi::message::{Description, Synthesised};

/// Longest id of a sample in bytes, and longest other text of a record.
pub const MAX_ID_BYTES: usize = 1024;
/// Largest answer in bytes that is parsed.
pub const LARGEST_ANSWER: usize = 1 << 30;

/// Whether a text is `[a-z][a-z0-9_]*`, as ids of plugins and names of token families are.
pub fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Checks the size of an answer, before it is parsed.
///
/// # Errors
/// What was found and what was expected.
pub fn check_size(bytes: usize) -> Result<(), String> {
    match bytes {
        0..=LARGEST_ANSWER => Ok(()),
        _ => Err(format!("its answer has {bytes} bytes; it must have at most {LARGEST_ANSWER}")),
    }
}

/// Checks a description, against the id that its symbol carries. Its geometry is checked by itself, see [`crate::Shape`].
///
/// # Errors
/// What was found and what was expected.
pub fn check_description(description: &Description, id: &str) -> Result<(), String> {
    let Description { id: own, version, family, options, .. } = description;
    if own != id {
        return Err(format!("the plugin calls itself {own:?}, but its symbol ends in {id}"));
    }
    if version.is_empty() || !version.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("the version is {version:?}; it must be one word, such as 1.0.0"));
    }
    if !is_identifier(family) {
        return Err(format!(
            "the token family is {family:?}; it must be a lower-case letter, then lower-case letters, digits or _"
        ));
    }
    if !options.is_object() {
        return Err("the options' schema is not a JSON object".into());
    }
    Ok(())
}

/// Checks a fingerprint: 8 to 128 hexadecimal digits.
///
/// # Errors
/// What was found and what was expected.
pub fn check_fingerprint(fingerprint: &str) -> Result<(), String> {
    if (8..=128).contains(&fingerprint.len()) && fingerprint.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(format!("the fingerprint is {fingerprint:?}; it must be 8 to 128 hexadecimal digits"))
}

/// Checks the files that `save-assets` says it wrote: plain names of files in the folder.
///
/// # Errors
/// What was found and what was expected.
pub fn check_assets(folder: &Path, names: &[String]) -> Result<(), String> {
    for name in names {
        if !is_file_name(name) {
            return Err(format!("{name:?} is not the plain name of a file"));
        }
        if !folder.join(name).is_file() {
            return Err(format!("it says that it wrote {name}, but there is no such file in {}", folder.display()));
        }
    }
    Ok(())
}

/// Checks the answer of `synthesise` or `keep`: entries in the folder, options in an object.
///
/// # Errors
/// What was found and what was expected.
pub fn check_synthesised(folder: &Path, made: &Synthesised) -> Result<(), String> {
    if made.data.is_empty() {
        return Err("it names no data".into());
    }
    if !made.options.is_object() && !made.options.is_null() {
        return Err(format!("its options are {}, not an object", made.options));
    }
    let missing = |entry: &&PathBuf| !stays_below(entry) || !folder.join(entry).exists();
    match made.data.iter().find(missing) {
        Some(entry) => Err(format!("it names {entry:?}, which is not in {}", folder.display())),
        None => Ok(()),
    }
}

/// Whether a name is that of a file in a folder: without separators, and neither `.` nor `..`.
pub fn is_file_name(name: &str) -> bool {
    Path::new(name).components().eq([Component::Normal(name.as_ref())])
}

/// Whether a path stays below the folder that it is joined to.
pub fn stays_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::message::Geometry;
    use serde_json::json;

    fn description() -> Description {
        Description {
            id: "gait".into(),
            version: "1.2.3".into(),
            summary: "electrocardiograms".into(),
            family: "series".into(),
            geometry: Geometry::grid(vec![5], 3, 2),
            reads: vec!["EDF".into()],
            options: json!({}),
            renders: None,
            operations: vec![],
            debug_build: false,
        }
    }

    fn strings(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| id.to_string()).collect()
    }

    #[test]
    fn identifiers_are_lower_case_words() {
        assert!(["gait", "ct_2", "x"].into_iter().all(is_identifier));
        assert!(!["", "2d", "_x", "Xray", "x-ray", "\u{e4}"].into_iter().any(is_identifier));
    }

    #[test]
    fn descriptions_that_contradict_their_symbol_or_lack_a_part_are_refused() {
        assert_eq!(check_description(&description(), "gait"), Ok(()));
        let message = check_description(&description(), "eeg").unwrap_err();
        assert_eq!(message, "the plugin calls itself \"gait\", but its symbol ends in eeg");
        for break_it in [
            |d: &mut Description| d.version = String::new(),
            |d: &mut Description| d.version = "1.0 beta".into(),
            |d: &mut Description| d.family = String::new(),
            |d: &mut Description| d.family = "../image".into(),
            |d: &mut Description| d.options = json!([]),
        ] {
            let mut broken = description();
            break_it(&mut broken);
            assert!(check_description(&broken, "gait").is_err(), "{broken:?}");
        }
    }

    #[test]
    fn digests_are_hexadecimal() {
        assert_eq!(check_fingerprint("0123456789abcdef"), Ok(()));
        assert!(
            ["", "0123", "0123456789abcdeg", &"a".repeat(129)].into_iter().all(|bad| check_fingerprint(bad).is_err())
        );
    }

    #[test]
    fn written_files_are_looked_for_and_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vocabulary.txt"), "a").unwrap();
        assert_eq!(check_assets(folder.path(), &strings(&["vocabulary.txt"])), Ok(()));
        for bad in ["merges.txt", "../vocabulary.txt", "./vocabulary.txt", "", "/etc/passwd"] {
            assert!(check_assets(folder.path(), &strings(&[bad])).is_err(), "{bad:?}");
        }
        let made = |data: &[&str], options| Synthesised { data: data.iter().map(PathBuf::from).collect(), options };
        assert_eq!(check_synthesised(folder.path(), &made(&["."], json!({ "size": 64 }))), Ok(()));
        for bad in [made(&[], json!({})), made(&["gone"], json!({})), made(&[".."], json!({})), made(&["."], json!([]))]
        {
            assert!(check_synthesised(folder.path(), &bad).is_err(), "{bad:?}");
        }
    }
}
