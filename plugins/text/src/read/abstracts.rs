//! The layout of PubMed-RCT: a line `###id`, then a line `LABEL<TAB>sentence` for each sentence; blank lines between
//! abstracts.

use std::collections::BTreeMap;

use medcoss_sdk::Error;

use crate::{corpus::Corpus, options::Unit};

/// True when the first line with anything on it is `###id` and the second one `LABEL<TAB>...`. Both are asked for,
/// since a plain text may well begin with a heading.
pub fn recognises(content: &str) -> bool {
    let mut lines = content.lines().filter(|line| !line.trim().is_empty());
    let heads = lines.next().and_then(id_of).is_some();
    let labels = lines.next().and_then(|line| line.split_once('\t'));
    heads && labels.is_some_and(|(label, _)| is_word(label))
}

/// Adds abstracts or sentences. Ids are `#id`, and `#id/1` on for its sentences.
///
/// # Errors
/// A line that is neither head nor labelled sentence; an id that occurs twice.
pub fn read(content: &str, name: &str, unit: Unit, corpus: &mut Corpus) -> Result<(), Error> {
    let mut lines_of_ids = BTreeMap::new();
    let mut current: Option<Abstract> = None;
    for (line, text) in (1usize..).zip(content.lines()) {
        if let Some(id) = id_of(text) {
            if let Some(earlier) = lines_of_ids.insert(id, line) {
                return Err(Error::corrupt(format!(
                    "{name}, line {line}: abstract {id} was on line {earlier} already; expected each id once"
                )));
            }
            if let Some(done) = current.replace(Abstract { id, sentences: Vec::new() }) {
                done.add_to(corpus, unit);
            }
        } else if !text.trim().is_empty() {
            let sentence = text.split_once('\t').filter(|(label, _)| is_word(label));
            let (Some(sentence), Some(current)) = (sentence, current.as_mut()) else {
                return Err(Error::corrupt(format!(
                    "{name}, line {line}: found {:?}; expected ###id or LABEL<TAB>sentence",
                    text.chars().take(40).collect::<String>()
                )));
            };
            current.sentences.push(sentence);
        }
    }
    if let Some(done) = current {
        done.add_to(corpus, unit);
    }
    Ok(())
}

struct Abstract<'a> {
    id: &'a str,
    /// Label and text.
    sentences: Vec<(&'a str, &'a str)>,
}

impl Abstract<'_> {
    fn add_to(self, corpus: &mut Corpus, unit: Unit) {
        match unit {
            Unit::Document => {
                let texts: Vec<_> = self.sentences.iter().map(|(_, text)| *text).collect();
                corpus.add(format!("#{}", self.id), None, &texts.join(" "));
            }
            Unit::Sentence => {
                for (number, (label, text)) in (1..).zip(&self.sentences) {
                    corpus.add(format!("#{}/{number}", self.id), Some(label), text);
                }
            }
        }
    }
}

fn id_of(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix("###").filter(|id| is_word(id))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\n###101\nOBJECTIVE\tTo test A .\nRESULTS\tB was 3\t4 .\r\n\n###7\nMETHODS\tC .\n";

    fn corpus(content: &str, unit: Unit) -> Result<Corpus, Error> {
        let mut corpus = Corpus::default();
        corpus.begin_file("s.txt", b"");
        read(content, "s.txt", unit, &mut corpus).map(|()| corpus)
    }

    #[test]
    fn the_layout_is_told_from_plain_text() {
        assert!(recognises(TWO));
        assert!(!recognises("### Heading\nLABEL\ttext"));
        assert!(!recognises("###7\nplain text"));
        assert!(!recognises("###7\ntwo words\ttext"));
        assert!(!recognises("clear lungs\n###7"));
        assert!(!recognises(""));
    }

    #[test]
    fn abstracts_are_their_sentences_joined() {
        let corpus = corpus(TWO, Unit::Document).unwrap();
        assert_eq!((corpus.id(0).as_str(), corpus.text(0)), ("s.txt#101", "To test A . B was 3\t4 ."));
        assert_eq!((corpus.id(1).as_str(), corpus.text(1), corpus.label(1)), ("s.txt#7", "C .", None));
        assert_eq!(corpus.len(), 2);
    }

    #[test]
    fn sentences_have_numbers_and_labels() {
        let corpus = corpus(TWO, Unit::Sentence).unwrap();
        let all: Vec<_> = (0..corpus.len()).map(|i| (corpus.id(i), corpus.label(i).unwrap())).collect();
        let expected = [("s.txt#101/1", "OBJECTIVE"), ("s.txt#101/2", "RESULTS"), ("s.txt#7/1", "METHODS")];
        assert_eq!(all, expected.map(|(id, label)| (id.to_owned(), label.to_owned())));
        assert_eq!(corpus.text(1), "B was 3\t4 .");
    }

    #[test]
    fn an_abstract_without_sentences_is_counted_as_empty() {
        let corpus = corpus("###1\n###2\nA\tb", Unit::Document).unwrap();
        assert_eq!((corpus.len(), corpus.n_empty()), (1, 1));
    }

    #[test]
    fn odd_lines_and_repeated_ids_are_named() {
        let error = corpus("###1\nA\tb\nno tab here", Unit::Sentence).unwrap_err();
        assert_eq!(error.message(), "s.txt, line 3: found \"no tab here\"; expected ###id or LABEL<TAB>sentence");
        let error = corpus("###1\nA\tb\n\n###1\nA\tc", Unit::Document).unwrap_err();
        assert!(error.message().starts_with("s.txt, line 4: abstract 1 was on line 1"), "{error}");
    }
}
