//! Headers of NumPy arrays: a dictionary in Python's notation with the type, the order and the shape.

use std::io::Read;

/// Magic number of an array.
pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Largest header in bytes; NumPy itself trusts no header above 10,000.
const MAX_BYTES: usize = 1 << 16;
/// Largest number of axes; NumPy has at most 64.
const MAX_AXES: usize = 64;

/// A header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArrayHeader {
    /// Byte order, kind and length of a number: `<f4`. `None` for structures.
    pub descr: Option<String>,
    /// Whether the first axis is the fastest.
    pub fortran_order: bool,
    pub shape: Vec<u64>,
    /// Bytes before the numbers.
    pub n_bytes: u64,
}

impl ArrayHeader {
    /// Reads a header from the start of an array.
    ///
    /// # Errors
    /// The reader's, and `InvalidData` that says what is wrong.
    pub(crate) fn read(source: &mut impl Read) -> std::io::Result<Self> {
        let damaged = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
        let mut head = [0; 8];
        source.read_exact(&mut head)?;
        let [magic @ .., major, _] = head;
        if magic != *MAGIC {
            return Err(damaged("it does not begin as a NumPy array"));
        }
        let (n_head, n_bytes) = match major {
            1 => {
                let mut length = [0; 2];
                source.read_exact(&mut length)?;
                (10, u16::from_le_bytes(length).into())
            }
            2 | 3 => {
                let mut length = [0; 4];
                source.read_exact(&mut length)?;
                (12, u32::from_le_bytes(length) as usize)
            }
            _ => return Err(damaged("its version is not 1 to 3")),
        };
        if n_bytes > MAX_BYTES {
            return Err(damaged("its header is longer than 64 KiB"));
        }
        let mut text = vec![0; n_bytes];
        source.read_exact(&mut text)?;
        let text = std::str::from_utf8(&text).map_err(|_| damaged("its header is no text"))?;
        let parsed =
            Dictionary { rest: text }.parse().ok_or_else(|| damaged("its header is no dictionary of an array"))?;
        Ok(Self { n_bytes: (n_head + n_bytes) as u64, ..parsed })
    }
}

/// The text of a header that is being parsed.
struct Dictionary<'a> {
    rest: &'a str,
}

impl<'a> Dictionary<'a> {
    fn parse(mut self) -> Option<ArrayHeader> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.found('}') {
            let key = self.quoted()?;
            self.expect(':')?;
            let is_new = match key {
                "descr" => descr.replace(self.description()?).is_none(),
                "fortran_order" => fortran_order.replace(self.truth()?).is_none(),
                "shape" => shape.replace(self.tuple()?).is_none(),
                _ => false,
            };
            if !is_new {
                return None;
            }
            if !self.found(',') {
                self.expect('}')?;
                break;
            }
        }
        Some(ArrayHeader { descr: descr?, fortran_order: fortran_order?, shape: shape?, n_bytes: 0 })
    }

    /// Whether the next character is this one, which is then passed.
    fn found(&mut self, character: char) -> bool {
        let rest = self.rest.trim_start();
        let passed = rest.strip_prefix(character);
        self.rest = passed.unwrap_or(rest);
        passed.is_some()
    }

    fn expect(&mut self, character: char) -> Option<()> {
        self.found(character).then_some(())
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let quote = if self.found('\'') { '\'' } else { self.expect('"').map(|()| '"')? };
        let (text, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    /// A type; the list of the fields of a structure is passed.
    fn description(&mut self) -> Option<Option<String>> {
        if !self.found('[') {
            return self.quoted().map(|text| Some(text.to_owned()));
        }
        let (mut depth, mut in_quotes) = (1, false);
        for (at, character) in self.rest.char_indices() {
            match character {
                '\'' => in_quotes = !in_quotes,
                '[' if !in_quotes => depth += 1,
                ']' if !in_quotes => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = &self.rest[at + 1..];
                return Some(None);
            }
        }
        None
    }

    fn truth(&mut self) -> Option<bool> {
        let rest = self.rest.trim_start();
        [("True", true), ("False", false)].into_iter().find_map(|(word, truth)| {
            self.rest = rest.strip_prefix(word)?;
            Some(truth)
        })
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        let mut numbers = Vec::new();
        self.expect('(')?;
        while !self.found(')') {
            let rest = self.rest.trim_start();
            let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            numbers.push(rest[..end].parse().ok()?);
            // Python 2 wrote long numbers with an L.
            self.rest = rest[end..].strip_prefix('L').unwrap_or(&rest[end..]);
            if numbers.len() > MAX_AXES {
                return None;
            }
            if !self.found(',') {
                self.expect(')')?;
                break;
            }
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(version: u8, dictionary: &str) -> Vec<u8> {
        let length = dictionary.len() as u32;
        let length = if version == 1 { length.to_le_bytes()[..2].to_vec() } else { length.to_le_bytes().to_vec() };
        [MAGIC.as_slice(), &[version, 0], &length, dictionary.as_bytes()].concat()
    }

    fn read(dictionary: &str) -> Option<(Option<String>, bool, Vec<u64>)> {
        let header = ArrayHeader::read(&mut array(1, dictionary).as_slice()).ok()?;
        Some((header.descr, header.fortran_order, header.shape))
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        let dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5), }   \n";
        for (version, n_head) in [(1, 10), (2, 12), (3, 12)] {
            let header = ArrayHeader::read(&mut array(version, dictionary).as_slice()).unwrap();
            let n_bytes = n_head + dictionary.len() as u64;
            let expected =
                ArrayHeader { descr: Some("<f4".into()), fortran_order: false, shape: vec![3, 4, 5], n_bytes };
            assert_eq!(header, expected);
        }
        assert!(ArrayHeader::read(&mut array(4, dictionary).as_slice()).is_err());
    }

    #[test]
    fn dictionaries_are_read_as_python_reads_them() {
        let plain = |shape: &[u64]| Some((Some("|u1".to_owned()), true, shape.to_vec()));
        assert_eq!(read(r#"{"shape":(7,),"fortran_order":True,"descr":"|u1"}"#), plain(&[7]));
        assert_eq!(read("{'descr': '|u1', 'fortran_order': True, 'shape': ()}"), plain(&[]));
        assert_eq!(read("{'descr': '|u1', 'fortran_order': True, 'shape': (2L, 3L)}"), plain(&[2, 3]));
        let fields = "{'descr': [('a]', '<f4', (2,)), ('b', [('c', '|u1')])], 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(read(fields), Some((None, false, vec![2])));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for wrong in [
            "",
            "{}",
            "{'descr': '|u1', 'shape': (2,)}",
            "{'descr': '|u1', 'fortran_order': True, 'shape': (-2,)}",
            "{'descr': '|u1', 'fortran_order': True, 'shape': (2 3)}",
            "{'descr': '|u1', 'fortran_order': 1, 'shape': (2,)}",
            "{'descr': '|u1', 'fortran_order': True, 'shape': (99999999999999999999,)}",
            "{'descr': '|u1', 'descr': '|u1', 'fortran_order': True, 'shape': (2,)}",
            "{'descr': '|u1', 'fortran_order': True, 'shape': (2,), 'more': 1}",
            "{'descr': [[[[",
            "{'descr",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
