//! The layout of PubMed-RCT: a line `###id`, then a line `LABEL<TAB>sentence` for each sentence; blank lines between
//! abstracts.

use std::collections::BTreeMap;

use medcoss_sdk::Error;

use super::ids::is_id;
use super::quoting::shown;
use crate::{corpus::Corpus, options::Unit};

/// True when the first line with anything on it is `###id` and the second one `LABEL<TAB>...`. Both are asked for,
/// since a plain text may well begin with a heading.
pub fn recognises(content: &str) -> bool {
    let mut lines = content.lines().filter(|line| !line.trim().is_empty());
    let heads = lines.next().and_then(id_of).is_some();
    let labels = lines.next().and_then(|line| line.split_once('\t'));
    heads && labels.is_some_and(|(label, _)| is_word(label))
}

/// Adds abstracts or sentences. Ids are `#id`, and `#id/1` on for its sentences. A line that is neither head nor labelled
/// sentence makes a document that cannot be read: itself where sentences are samples, or else its abstract. So does a
/// head whose id there was already.
pub fn read(content: &str, name: &str, unit: Unit, corpus: &mut Corpus) {
    let mut lines_of_ids = BTreeMap::new();
    let mut current = Abstract::default();
    for (line, text) in (1u64..).zip(content.lines()) {
        if let Some(id) = id_of(text) {
            current.add_to(corpus, unit);
            current = Abstract { id, ..Abstract::default() };
            let wrong = match lines_of_ids.insert(id, line) {
                Some(earlier) => format!("abstract {id} was on line {earlier} already; expected each id once"),
                None if !is_id(id) => format!("{} is too long or odd for an id", shown(id)),
                None => continue,
            };
            current.place = Some(odd_place(line));
            current.odd.push((line, Error::corrupt(format!("{name}, line {line}: {wrong}"))));
        } else if !text.trim().is_empty() {
            match text.split_once('\t').filter(|(label, _)| is_word(label)) {
                Some(sentence) => current.sentences.push(sentence),
                None => {
                    let found = shown(text);
                    let wrong = format!("{name}, line {line}: found {found}; expected ###id or LABEL<TAB>sentence");
                    current.odd.push((line, Error::corrupt(wrong)));
                }
            }
        }
    }
    current.add_to(corpus, unit);
}

#[derive(Default)]
struct Abstract<'a> {
    id: &'a str,
    /// Its place where the id cannot be used.
    place: Option<String>,
    /// Label and text.
    sentences: Vec<(&'a str, &'a str)>,
    /// Lines that are none of these, and why.
    odd: Vec<(u64, Error)>,
}

impl Abstract<'_> {
    fn add_to(self, corpus: &mut Corpus, unit: Unit) {
        let Self { id, place, sentences, odd } = self;
        match (unit, place) {
            // Before the first head.
            _ if id.is_empty() => {}
            // Without an id of its own, no sentence has one either.
            (_, Some(place)) => {
                odd.into_iter().take(1).for_each(|(_, error)| corpus.add_unreadable(place.clone(), error))
            }
            (Unit::Document, None) => match odd.into_iter().next() {
                Some((_, error)) => corpus.add_unreadable(format!("#{id}"), error),
                None => {
                    let texts: Vec<_> = sentences.iter().map(|(_, text)| *text).collect();
                    corpus.add(format!("#{id}"), None, &texts.join(" "));
                }
            },
            (Unit::Sentence, None) => {
                for (number, (label, text)) in (1..).zip(&sentences) {
                    corpus.add(format!("#{id}/{number}"), Some(label), text);
                }
                for (line, error) in odd {
                    corpus.add_unreadable(odd_place(line), error);
                }
            }
        }
    }
}

/// An id is a word, so this is none.
fn odd_place(line: u64) -> String {
    format!("#line {line:07}")
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

    fn corpus(content: &str, unit: Unit) -> Corpus {
        let mut corpus = Corpus::default();
        corpus.begin_file("s.txt", 0, b"");
        read(content, "s.txt", unit, &mut corpus);
        corpus
    }

    #[test]
    fn the_layout_is_distinguished_from_plain_text() {
        assert!(recognises(TWO));
        assert!(!recognises("### Heading\nLABEL\ttext"));
        assert!(!recognises("###7\nplain text"));
        assert!(!recognises("###7\ntwo words\ttext"));
        assert!(!recognises("clear lungs\n###7"));
        assert!(!recognises(""));
    }

    #[test]
    fn abstracts_are_their_sentences_joined() {
        let corpus = corpus(TWO, Unit::Document);
        assert_eq!((corpus.id(0).as_str(), corpus.text(0).unwrap()), ("s.txt#101", "To test A . B was 3\t4 ."));
        assert_eq!((corpus.id(1).as_str(), corpus.text(1).unwrap(), corpus.label(1)), ("s.txt#7", "C .", None));
        assert_eq!(corpus.len(), 2);
    }

    #[test]
    fn sentences_have_numbers_and_labels() {
        let corpus = corpus(TWO, Unit::Sentence);
        let all: Vec<_> = (0..corpus.len()).map(|i| (corpus.id(i), corpus.label(i).unwrap())).collect();
        let expected = [("s.txt#101/1", "OBJECTIVE"), ("s.txt#101/2", "RESULTS"), ("s.txt#7/1", "METHODS")];
        assert_eq!(all, expected.map(|(id, label)| (id.to_owned(), label.to_owned())));
        assert_eq!(corpus.text(1).unwrap(), "B was 3\t4 .");
    }

    #[test]
    fn an_abstract_without_sentences_is_counted_as_empty() {
        let corpus = corpus("###1\n###2\nA\tb", Unit::Document);
        assert_eq!((corpus.len(), corpus.n_empty()), (1, 1));
    }

    #[test]
    fn an_odd_line_costs_its_abstract_or_only_itself() {
        let content = "###1\nA\tb\nno tab here\nA\tc\n###2\nA\td";
        let found = |unit| {
            let corpus = corpus(content, unit);
            (0..corpus.len()).map(|index| (corpus.id(index), corpus.text(index).is_ok())).collect::<Vec<_>>()
        };
        assert_eq!(found(Unit::Document), [("s.txt#1".into(), false), ("s.txt#2".into(), true)]);
        let sentences = [("s.txt#1/1", true), ("s.txt#1/2", true), ("s.txt#line 0000003", false), ("s.txt#2/1", true)];
        assert_eq!(found(Unit::Sentence), sentences.map(|(id, readable)| (id.to_owned(), readable)));
        let corpus = corpus(content, Unit::Document);
        let expected = "s.txt, line 3: found \"no tab here\"; expected ###id or LABEL<TAB>sentence";
        assert_eq!(corpus.unreadable().next().unwrap().message(), expected);
    }

    #[test]
    fn ids_that_come_twice_or_cannot_be_ids_are_unreadable_documents() {
        for unit in [Unit::Document, Unit::Sentence] {
            let corpus = corpus("###1\nA\tb\n\n###1\nA\tc\nodd\n###../../x\nA\td\n###2\nA\te", unit);
            assert_eq!(corpus.texts().collect::<Vec<_>>(), ["b", "e"]);
            let found: Vec<_> = corpus.unreadable().map(Error::message).collect();
            let expected = [
                "s.txt, line 4: abstract 1 was on line 1 already; expected each id once",
                "s.txt, line 7: \"../../x\" is too long or odd for an id",
            ];
            assert_eq!(found, expected);
            assert_eq!(corpus.id(1), "s.txt#line 0000004");
        }
    }
}
