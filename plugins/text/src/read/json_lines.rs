//! JSON Lines: one object a line, one document each.

use medcoss_sdk::Error;
use serde_json::{Map, Value};

use super::{line_place, position_of};
use crate::{corpus::Corpus, options::Options};

/// Adds the text field of every object, with the label field where one is asked for. Blank lines are passed over.
///
/// # Errors
/// A line that is no object, fields that are not there, several fields and none asked for, a text that is no string.
pub fn read(content: &str, name: &str, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    for (line, text) in (1..).zip(content.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let place = format!("{name}, line {line}");
        let object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| Error::corrupt(format!("{place}: expected a JSON object")).caused_by(&error))?;
        let (names, values): (Vec<_>, Vec<_>) = object.iter().map(|(name, value)| (name.as_str(), value)).unzip();
        let field = |asked: Option<&str>, option: &str| {
            let at = position_of(asked, option, &names, &place)?;
            Ok::<&Value, Error>(values[at])
        };
        let label = match options.label_column.as_deref() {
            Some(asked) => label_of(field(Some(asked), "label_column")?),
            None => None,
        };
        match field(options.column.as_deref(), "column")? {
            Value::String(text) => corpus.add(line_place(line), label.as_deref(), text),
            other => return Err(Error::corrupt(format!("{place}: the text is {other}; expected a string"))),
        }
    }
    Ok(())
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

    fn corpus(content: &str) -> Result<Corpus, Error> {
        let mut corpus = Corpus::default();
        corpus.begin_file("t.jsonl", b"");
        let options = Options { column: Some("note".into()), label_column: Some("kind".into()), ..Options::default() };
        read(content, "t.jsonl", &options, &mut corpus).map(|()| corpus)
    }

    #[test]
    fn objects_are_documents_with_labels_of_any_kind() {
        let corpus = corpus(
            "{\"kind\":3,\"note\":\"a\\nb\"}\n\n{\"note\":\"c\",\"kind\":\"x \"}\n{\"note\":\"d\",\"kind\":null}\n",
        )
        .unwrap();
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["a\nb", "c", "d"]);
        assert_eq!(corpus.id(1), "t.jsonl#L0000003");
        let labels: Vec<_> = (0..3).map(|index| corpus.label(index)).collect();
        assert_eq!(labels, [Some("3".to_owned()), Some("x".to_owned()), None]);
    }

    #[test]
    fn odd_lines_are_named() {
        for (content, expected) in [
            ("{\"note\":\"a\",\"kind\":1}\n[1]", "t.jsonl, line 2: expected a JSON object"),
            ("{\"kind\":1,\"nite\":\"a\"}", "t.jsonl, line 1 has no column \"note\""),
            ("{\"kind\":1,\"note\":5}", "t.jsonl, line 1: the text is 5; expected a string"),
        ] {
            let error = corpus(content).unwrap_err();
            assert!(error.message().starts_with(expected), "{error}");
        }
    }
}
