//! Line numbers in files, and ids made of them.

/// Id of a document by its line, which follows the file's id. Lines are counted from 1 and padded, so that ids sort as the lines do.
pub fn line_id(line: u64) -> String {
    format!("#L{line:07}")
}

/// Numbers of lines, for places that are asked for in their order. A line ends with LF, CR LF or CR.
pub struct LineCounter<'a> {
    content: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    pub fn new(content: &'a str) -> Self {
        Self { content: content.as_bytes(), at: 0, line: 1 }
    }

    /// The line on which a byte is, from 1. Never less than the last answer.
    pub fn line_of(&mut self, byte: usize) -> u64 {
        let byte = byte.min(self.content.len());
        while self.at < byte {
            let next = self.content.get(self.at + 1);
            let ends = match self.content[self.at] {
                b'\n' => true,
                b'\r' => next != Some(&b'\n'),
                _ => false,
            };
            self.line += u64::from(ends);
            self.at += 1;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let content = "a\nb\r\nc\rd";
        let mut lines = LineCounter::new(content);
        let found: Vec<_> = "abcd".chars().map(|c| lines.line_of(content.find(c).unwrap())).collect();
        assert_eq!(found, [1, 2, 3, 4]);
        assert_eq!(lines.line_of(999), 4);
    }
}
