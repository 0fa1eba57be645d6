//! Fields of NRRD headers, versions 1 to 5, as they are stored.

use std::collections::HashMap;
use std::path::Path;

use medcoss_sdk::Error;

use crate::header_lines::HeaderLines;

/// Fields that are looked at, and their other spelling.
const FIELDS: [(&str, &str); 16] = [
    ("dimension", ""),
    ("type", ""),
    ("encoding", ""),
    ("endian", ""),
    ("sizes", ""),
    ("data file", "datafile"),
    ("line skip", "lineskip"),
    ("byte skip", "byteskip"),
    ("space", ""),
    ("space dimension", ""),
    ("space directions", ""),
    ("space origin", ""),
    ("space units", ""),
    ("spacings", ""),
    ("kinds", ""),
    ("units", ""),
];

/// A header.
pub(crate) struct NrrdHeader {
    fields: HashMap<&'static str, String>,
    /// Length in bytes up to the voxels, if they follow.
    pub(crate) n_bytes: u64,
}

impl NrrdHeader {
    /// Reads the lines `field: value` up to an empty line or the end of the file. Comments and pairs of `key:=value` are
    /// left out.
    ///
    /// # Errors
    /// A file that cannot be read, another magic number, a field that is stated twice.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let mut lines = HeaderLines::open(path)?;
        let magic = lines.next()?.unwrap_or_default();
        if !matches!(magic.as_str(), "NRRD0001" | "NRRD0002" | "NRRD0003" | "NRRD0004" | "NRRD0005") {
            let (path, magic) = (path.display(), magic.chars().take(8).collect::<String>());
            return Err(Error::corrupt(format!(
                "{path} begins with {magic:?}, where an NRRD file has NRRD0001 to NRRD0005"
            )));
        }
        let (mut fields, mut n_lines) = (HashMap::new(), 1);
        while let Some(line) = lines.next()?.filter(|line| !line.is_empty()) {
            n_lines += 1;
            if line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                let path = path.display();
                return Err(Error::corrupt(format!(
                    "{path} has an NRRD header whose line {n_lines} is no \"field: value\", and an empty line ends it"
                )));
            };
            if value.starts_with('=') {
                continue;
            }
            let name = name.trim().to_ascii_lowercase();
            let known = FIELDS.iter().find(|(field, other)| *field == name || *other == name);
            if let Some((field, _)) = known
                && fields.insert(*field, value.trim().to_owned()).is_some()
            {
                return Err(Error::corrupt(format!("{} states {field} twice", path.display())));
            }
        }
        Ok(Self { fields, n_bytes: lines.n_bytes() })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, path: &Path, name: &str) -> Result<&str, Error> {
        let missing = || Error::corrupt(format!("{} has an NRRD header without the field {name}", path.display()));
        self.get(name).ok_or_else(missing)
    }
}

/// The words of a field, of which one in quotes or brackets may contain spaces: `"mm" "mm"`, `(1, 0, 0) none`.
pub(crate) fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            '(' => rest.find(')').map_or(rest.len(), |end| end + 1),
            _ => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_in_quotes_and_brackets() {
        assert_eq!(words(r#" "mm" "a b" um "#), [r#""mm""#, r#""a b""#, "um"]);
        assert_eq!(words("(1, 0,0) none (0,2,0)(0,0,3)"), ["(1, 0,0)", "none", "(0,2,0)", "(0,0,3)"]);
        assert_eq!(words("(1,2 3"), ["(1,2 3"]);
        assert_eq!(words("  "), [""; 0]);
    }
}
