//! JSON Lines: one object a line, one document each.

use medcoss_sdk::Error;
use serde_json::{Map, Value};

use super::columns::{no_column, position_of};
use super::line_numbers::line_id;
use super::row_filter::reason_to_leave_out;
use crate::{corpus::Corpus, options::Options};

/// Longest object in bytes. Its parser takes up to a hundred times as much.
const MAX_OBJECT_BYTES: usize = 1 << 22;

type Object = Map<String, Value>;

/// Adds the text fields of every object that is kept, joined by blanks, with the label field where one is asked for. Blank lines are skipped. A line
/// that gives no text is a document that cannot be read. Objects may lack the label.
///
/// # Errors
/// A label field that no object has.
pub fn read(content: &str, name: &str, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let mut objects = Objects::new(options);
    for (line, text) in (1..).zip(content.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        objects.add(text, line_id(line), &format!("{name}, line {line}"), corpus);
    }
    objects.check_labels()
}

/// Objects of a file that become documents.
pub(super) struct Objects<'a> {
    options: &'a Options,
    /// Why the first object without the label has none.
    first_unlabelled: Option<Error>,
    is_labelled: bool,
}

impl<'a> Objects<'a> {
    pub(super) fn new(options: &'a Options) -> Self {
        Self { options, first_unlabelled: None, is_labelled: false }
    }

    /// Adds an object, with `id` after the file's. Messages call where it is `place`.
    pub(super) fn add(&mut self, text: &str, id: String, place: &str, corpus: &mut Corpus) {
        let options = self.options;
        let object = match object(text, place) {
            Ok(object) => object,
            Err(error) => return corpus.add_unreadable(id, error),
        };
        let label = options.label_column.as_deref().and_then(|asked| {
            let found = field(&object, asked);
            self.is_labelled |= found.is_some();
            if found.is_none() && self.first_unlabelled.is_none() {
                self.first_unlabelled = Some(no_column(asked, "label_column", &names(&object), place));
            }
            found.and_then(label_of)
        });
        if let Some(reason) = reason_to_leave_out(&options.keep_rows, |asked| field(&object, asked).and_then(label_of))
        {
            return corpus.leave_out(&reason);
        }
        let text = match &options.text_column {
            Some(columns) => {
                let texts = columns.names().iter().map(|asked| text_of(&object, Some(asked), place));
                texts.collect::<Result<Vec<_>, _>>().map(|texts| texts.join(" "))
            }
            None => text_of(&object, None, place).map(String::from),
        };
        match text {
            Ok(text) => corpus.add(id, label.as_deref(), &text),
            Err(error) => corpus.add_unreadable(id, error),
        }
    }

    /// # Errors
    /// A label field that no object has.
    pub(super) fn check_labels(self) -> Result<(), Error> {
        self.first_unlabelled.filter(|_| !self.is_labelled).map_or(Ok(()), Err)
    }
}

fn object(text: &str, place: &str) -> Result<Object, Error> {
    if text.len() > MAX_OBJECT_BYTES {
        let (found, most) = (text.len(), MAX_OBJECT_BYTES >> 20);
        return Err(Error::unsupported(format!(
            "{place}: a JSON object of {found} bytes; at most {most} MiB are read"
        )));
    }
    serde_json::from_str(text).map_err(|error| {
        // The library says where in this one line; the column is enough.
        let said = error.to_string();
        let reason = said.split(" at line ").next().unwrap_or_default();
        Error::corrupt(format!("{place}, column {}: {reason}; expected a JSON object", error.column()))
    })
}

/// The text, empty for null.
fn text_of<'a>(object: &'a Object, asked: Option<&str>, place: &str) -> Result<&'a str, Error> {
    let value = match asked {
        Some(asked) => field(object, asked).ok_or_else(|| no_column(asked, "text_column", &names(object), place))?,
        None => {
            let at = position_of(None, "text_column", &names(object), place)?;
            object.values().nth(at).unwrap_or(&Value::Null)
        }
    };
    let found = match value {
        Value::String(text) => return Ok(text),
        Value::Null => return Ok(""),
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Err(Error::corrupt(format!("{place}: the text is {found}; expected a string")))
}

/// A field by its name or, where there is none of that name, by its path: `report.findings`.
fn field<'a>(object: &'a Object, asked: &str) -> Option<&'a Value> {
    object.get(asked).or_else(|| {
        let (first, rest) = asked.split_once('.')?;
        field(object.get(first)?.as_object()?, rest)
    })
}

fn names(object: &Object) -> Vec<&str> {
    object.keys().map(String::as_str).collect()
}

/// A string as it is, other values as JSON writes them; null and blanks are no label.
fn label_of(value: &Value) -> Option<String> {
    let label = match value {
        Value::Null => return None,
        Value::String(label) => label.trim().to_owned(),
        other => other.to_string(),
    };
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TextColumns;

    fn corpus_by(content: &str, column: &str, label_column: &str) -> Result<Corpus, Error> {
        let mut corpus = Corpus::default();
        corpus.begin_file("t.jsonl", 0, b"");
        let options = Options {
            text_column: Some(TextColumns::One(column.into())),
            label_column: Some(label_column.into()),
            ..Options::default()
        };
        read(content, "t.jsonl", &options, &mut corpus).map(|()| corpus)
    }

    fn corpus(content: &str) -> Corpus {
        corpus_by(content, "note", "kind").unwrap()
    }

    #[test]
    fn objects_are_documents_with_labels_of_any_kind() {
        let corpus = corpus(
            "{\"kind\":3,\"note\":\"a\\nb\"}\n\n{\"note\":\"c\",\"kind\":\"x \"}\r\n{\"note\":\"d\",\"kind\":null}\n\
             {\"note\":\"\\u00e9\"}\n{\"note\":null,\"kind\":1}",
        );
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["a\nb", "c", "d", "é"]);
        assert_eq!((corpus.id(1).as_str(), corpus.n_empty()), ("t.jsonl#L0000003", 1));
        let labels: Vec<_> = (0..4).map(|index| corpus.label(index)).collect();
        assert_eq!(labels, [Some("3".to_owned()), Some("x".to_owned()), None, None]);
    }

    #[test]
    fn fields_inside_of_objects_are_named_with_dots() {
        let content =
            "{\"report\":{\"text\":\"a\",\"meta\":{\"kind\":2}}}\n{\"report.text\":\"b\",\"report\":{\"text\":\"c\"}}";
        let corpus = corpus_by(content, "report.text", "report.meta.kind").unwrap();
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(corpus.label(0).as_deref(), Some("2"));
    }

    #[test]
    fn odd_lines_among_good_ones_are_unreadable_documents_with_reasons() {
        let deep = "[".repeat(9999);
        let corpus = corpus(&format!(
            "{{\"note\":\"a\",\"kind\":1}}\n[1]\n{{\"nite\":\"a\"}}\n{{\"note\":[5]}}\n{{\"note\":\"x\n{deep}\n{{}}{{}}\n"
        ));
        let found: Vec<_> = corpus.unreadable().map(|error| error.message().to_owned()).collect();
        for (found, expected) in found.iter().zip([
            "t.jsonl, line 2, column 0: invalid type: sequence, expected a map; expected a JSON object",
            "t.jsonl, line 3 has no column \"note\", which option text_column asks for; it has \"nite\"",
            "t.jsonl, line 4: the text is a list; expected a string",
            "t.jsonl, line 5, column 10: EOF while parsing a string; expected a JSON object",
            "t.jsonl, line 6, column",
            "t.jsonl, line 7, column 3: trailing characters; expected a JSON object",
        ]) {
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!((found.len(), corpus.len(), corpus.id(2).as_str()), (6, 7, "t.jsonl#L0000003"));
        assert_eq!(corpus.text(0).unwrap(), "a");
    }

    #[test]
    fn an_object_of_megabytes_is_an_unreadable_document() {
        let corpus =
            corpus(&format!("{{\"note\":\"a\",\"kind\":1}}\n{{\"note\":\"{}\"}}", "x".repeat(MAX_OBJECT_BYTES)));
        let reason = corpus.unreadable().next().unwrap().message();
        assert_eq!(reason, "t.jsonl, line 2: a JSON object of 4194315 bytes; at most 4 MiB are read");
    }

    #[test]
    fn a_label_field_that_no_object_has_is_refused() {
        let error = corpus_by("{\"note\":\"a\"}\n{\"note\":\"b\"}", "note", "kind").map(|_| ()).unwrap_err();
        let expected = "t.jsonl, line 1 has no column \"kind\", which option label_column asks for; it has \"note\"";
        assert_eq!(error.message(), expected);
    }
}
