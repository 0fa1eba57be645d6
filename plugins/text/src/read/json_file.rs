//! A file that is one JSON value: an object is one document, an array of objects one document each.

use medcoss_sdk::Error;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::json_lines::{self, Objects};
use super::line_numbers::LineCounter;
use crate::{corpus::Corpus, options::Options};

/// Adds the documents of a file. The id of an object alone is the file's; those of an array are numbered from 1. A file with an object a line
/// is read as JSON Lines. What comes after damage in an array is one document that cannot be read.
///
/// # Errors
/// A file that is neither; a label field that no object has.
pub fn read(content: &str, name: &str, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let start = after_blanks(content, 0);
    let mut objects = Objects::new(options);
    if content[start..].starts_with('[') {
        if let Err((place, error)) = add_elements(content, start + 1, name, &mut objects, corpus) {
            corpus.add_unreadable(place, error);
        }
        return objects.check_labels();
    }
    let first_line = content[start..].lines().next().unwrap_or_default();
    match value_at(content, start) {
        Ok(end) if content[end..].trim().is_empty() => objects.add(&content[start..end], String::new(), name, corpus),
        // An object a line, or the first of them damaged.
        Ok(_) => return json_lines::read(content, name, options, corpus),
        Err(_) if value_at(first_line, 0).is_ok() => return json_lines::read(content, name, options, corpus),
        Err(error) => {
            return Err(Error::corrupt(format!(
                "{name}: {error}; expected a JSON object, an array of them, or one a line"
            )));
        }
    }
    objects.check_labels()
}

/// Adds the elements of an array from behind its bracket on.
///
/// # Errors
/// Damage, with the id of the element that it is in.
fn add_elements(
    content: &str,
    start: usize,
    name: &str,
    objects: &mut Objects<'_>,
    corpus: &mut Corpus,
) -> Result<(), (String, Error)> {
    let (mut at, mut lines) = (after_blanks(content, start), LineCounter::new(content));
    let id = |number: u64| format!("#{number:07}");
    let mut is_open = !content[at..].starts_with(']');
    let mut number = 0;
    while is_open && !corpus.is_full() {
        number += 1;
        let line = lines.line_of(at);
        let damaged = |id: String, what: &str| {
            let message = format!("{name}, line {line}: element {number}: {what}; what follows is not read");
            (id, Error::corrupt(message))
        };
        let end = value_at(content, at).map_err(|what| damaged(id(number), &what))?;
        objects.add(&content[at..end], id(number), &format!("{name}, line {line}"), corpus);
        let next = after_blanks(content, end);
        is_open = match content[next..].chars().next() {
            Some(',') => true,
            Some(']') => false,
            // The element itself is there.
            Some(found) => {
                let what = format!("it is followed by {found:?}; expected a comma or the end of the array");
                return Err(damaged(id(number + 1), &what));
            }
            None => return Err((id(number + 1), Error::corrupt(format!("{name}: the array never ends")))),
        };
        at = if is_open { after_blanks(content, next + 1) } else { next };
    }
    // Where the corpus is full, the data are refused.
    match content.get(at + 1..).unwrap_or_default().trim() {
        "" => Ok(()),
        _ if is_open => Ok(()),
        _ => Err((id(number + 1), Error::corrupt(format!("{name}: there is text after the array, which is not read")))),
    }
}

/// Where the value ends that begins at a byte.
///
/// # Errors
/// What is wrong with it.
fn value_at(content: &str, start: usize) -> Result<usize, String> {
    let mut values = Deserializer::from_str(&content[start..]).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Ok(start + values.byte_offset()),
        // The line is counted from the value's own beginning.
        Some(Err(error)) => Err(error.to_string().split(" at line ").next().unwrap_or_default().to_owned()),
        None => Err("EOF while parsing a value".into()),
    }
}

/// The first byte from one on that is no white space of JSON.
fn after_blanks(content: &str, from: usize) -> usize {
    let rest = &content[from..];
    from + rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TextColumns;

    fn corpus(content: &str, column: &str) -> Result<Corpus, Error> {
        let mut corpus = Corpus::default();
        corpus.begin_file("t.json", 0, b"");
        let options = Options { text_column: Some(TextColumns::One(column.into())), ..Options::default() };
        read(content, "t.json", &options, &mut corpus).map(|()| corpus)
    }

    fn documents(content: &str) -> Vec<(String, Option<String>)> {
        let corpus = corpus(content, "note").unwrap();
        (0..corpus.len()).map(|index| (corpus.id(index), corpus.text(index).ok().map(String::from))).collect()
    }

    fn document(id: &str, text: &str) -> (String, Option<String>) {
        (id.to_owned(), Some(text.to_owned()))
    }

    #[test]
    fn an_object_is_a_document_and_an_array_has_several() {
        assert_eq!(documents("{\n \"note\": \"a\",\n \"id\": 1\n}\n"), [document("t.json", "a")]);
        let array = "[\n {\"note\": \"a]\"},{\"note\": \"b\", \"more\": [[{}], 1]} ,\n{\"note\": \"c\"}\n]\n";
        let expected =
            [document("t.json#0000001", "a]"), document("t.json#0000002", "b"), document("t.json#0000003", "c")];
        assert_eq!(documents(array), expected);
        assert_eq!(documents("[]"), []);
        let lines = "{\"note\": \"a\"}\n{\"note\": \"b\"}\n";
        assert_eq!(documents(lines), [document("t.json#L0000001", "a"), document("t.json#L0000002", "b")]);
    }

    #[test]
    fn elements_that_are_no_objects_and_damage_are_unreadable_documents() {
        for (content, n, reason) in [
            ("[{\"note\": \"a\"}, 5, \"b\"]", 3, "t.json, line 1, column"),
            ("[{\"note\": \"a\"},\n{\"note\": \"b\"", 2, "t.json, line 2: element 2: EOF while parsing an object"),
            ("[{\"note\": \"a\"} {\"note\": \"b\"}]", 2, "t.json, line 1: element 1: it is followed by '{'"),
            ("[{\"note\": \"a\"},]", 2, "t.json, line 1: element 2: expected value"),
            ("[{\"note\": \"a\"}", 2, "t.json: the array never ends"),
            ("[{\"note\": \"a\"}] x", 2, "t.json: there is text after the array"),
            ("[{\"note\": \"a\"}, {\"nite\": \"a\"}]", 2, "t.json, line 1 has no column \"note\""),
        ] {
            let corpus = corpus(content, "note").unwrap();
            assert_eq!(corpus.text(0).unwrap(), "a", "{content}");
            let found = corpus.unreadable().next().unwrap().message();
            assert!(found.starts_with(reason), "{found}");
            assert!(corpus.n_unreadable() < n, "{content}");
            let ids: std::collections::BTreeSet<_> = (0..corpus.len()).map(|index| corpus.id(index)).collect();
            assert_eq!(ids.len(), corpus.len(), "{content}");
        }
        let error = corpus("{\n\"note\": \"a\",\n", "note").unwrap_err();
        assert!(error.message().starts_with("t.json: EOF while parsing"), "{error}");
    }
}
