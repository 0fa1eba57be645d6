//! MedQuAD: questions with answers in XML: below the root, at any depth, pairs of a question with its type and
//! an answer. A pair is a document, whose label is the type of the question.
//!
//! Of 657 files of MedQuAD, 652 have the root `Document`, one `DiseaseFile`, and four write everything
//! differently: `doc`, `pair`, `question`, `answer`. Capitals are therefore of no concern. Entities beyond the five of XML
//! itself are refused and never expanded, whatever a document type declares.

use std::collections::HashMap;

use medcoss_sdk::{Error, text_encoding};
use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event},
};

use super::{ids::is_id, line_numbers::LineCounter, quoting::shown};
use crate::corpus::Corpus;

const ROOTS: [&str; 3] = ["Document", "DiseaseFile", "doc"];
const PAIRS: [&str; 2] = ["QAPair", "pair"];

/// Refuses XML that says it is in another encoding than the one that it was read in, which need not show in its letters.
///
/// # Errors
/// A declared encoding that is not UTF-8, nor UTF-16 where it was that.
pub fn check_encoding(content: &str, was_utf16: bool, name: &str) -> Result<(), Error> {
    let Ok(Event::Decl(declaration)) = Reader::from_str(content).read_event() else { return Ok(()) };
    let known: &[&str] =
        if was_utf16 { &["utf-16", "utf16", "utf-16le", "utf-16be"] } else { &["utf-8", "utf8", "us-ascii", "ascii"] };
    match declaration.encoding() {
        Some(Ok(found)) if !known.iter().any(|known| found.eq_ignore_ascii_case(known)) => {
            Err(text_encoding::refused(name, 1, &format!("declared encoding {}", shown(&found))))
        }
        _ => Ok(()),
    }
}

/// Adds every pair, question and answer joined by a blank, with `#pid` as its place. Markup inside of either separates
/// words. A pair that cannot be understood is a document that cannot be read.
///
/// # Errors
/// Another root element, XML that is not well-formed; pairs that come before the damage have been added.
pub fn read(content: &str, name: &str, corpus: &mut Corpus) -> Result<(), Error> {
    let mut reader = Reader::from_str(content);
    reader.config_mut().expand_empty_elements = true;
    let (mut file, mut lines) = (File::new(name), LineCounter::new(content));
    loop {
        let line = lines.line_of(position(reader.buffer_position()));
        match reader.read_event() {
            Ok(Event::Eof) => return file.ended(line),
            Ok(event) => file.take(event, line, corpus)?,
            Err(error) => {
                let line = LineCounter::new(content).line_of(position(reader.error_position()));
                return Err(Error::corrupt(format!("{name}, line {line}: damaged XML")).caused_by(&error));
            }
        }
    }
}

fn position(byte: u64) -> usize {
    usize::try_from(byte).unwrap_or(usize::MAX)
}

/// Where in a file the reader is.
struct File<'a> {
    name: &'a str,
    /// Elements that are open.
    depth: usize,
    root: Option<String>,
    pair: Option<Pair>,
    n_pairs: usize,
    /// Lines of the pairs so far, by their numbers.
    lines_of_pids: HashMap<String, u64>,
}

#[derive(Default)]
struct Pair {
    /// Elements around it.
    depth: usize,
    line: u64,
    pid: Option<String>,
    kind: Option<String>,
    question: String,
    answer: String,
    /// Elements around the question or answer that is being read, and which of them it is.
    part: Option<(usize, Part)>,
    error: Option<Error>,
}

#[derive(Clone, Copy)]
enum Part {
    Question,
    Answer,
}

impl<'a> File<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, depth: 0, root: None, pair: None, n_pairs: 0, lines_of_pids: HashMap::new() }
    }

    fn damaged(&self, line: u64, what: &str) -> Error {
        Error::corrupt(format!("{}, line {line}: {what}", self.name))
    }

    fn take(&mut self, event: Event<'_>, line: u64, corpus: &mut Corpus) -> Result<(), Error> {
        match event {
            Event::Start(tag) => {
                self.start(&tag, line)?;
                self.depth += 1;
            }
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.end(corpus);
            }
            Event::Text(text) => self.text(&text.xml10_content(), line)?,
            Event::CData(text) => self.text(&text.xml10_content(), line)?,
            Event::GeneralRef(reference) => match resolved(&reference) {
                Some(character) => self.text(&character, line)?,
                None => {
                    let entity = shown(&reference);
                    let what =
                        format!("unknown entity {entity}; expected lt, gt, amp, apos, quot or a character's number");
                    let error = self.damaged(line, &what);
                    if let Some(pair) = self.pair.as_mut().filter(|pair| pair.part.is_some()) {
                        pair.error.get_or_insert(error);
                    }
                }
            },
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Eof | Event::Empty(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>, line: u64) -> Result<(), Error> {
        let name = tag.local_name();
        let is = |known: &str| name.as_ref().eq_ignore_ascii_case(known);
        if self.depth == 0 {
            if let Some(root) = &self.root {
                return Err(self.damaged(line, &format!("a second root element; expected nothing after <{root}>")));
            }
            if !ROOTS.iter().any(|root| is(root)) {
                let (found, file) = (shown(name.as_ref()), self.name);
                return Err(Error::unsupported(format!(
                    "{file}, line {line}: the root element is {found}; expected \"Document\", as in MedQuAD"
                )));
            }
            self.root = Some(name.as_ref().to_owned());
        } else if let Some(pair) = &mut self.pair {
            let part =
                [("question", Part::Question), ("answer", Part::Answer)].into_iter().find(|(known, _)| is(known));
            match (&pair.part, part) {
                (None, Some((_, part))) => {
                    pair.part = Some((self.depth, part));
                    if matches!(part, Part::Question) {
                        pair.kind = attribute(tag, "qtype");
                    }
                }
                _ => pair.push(" "),
            }
        } else if PAIRS.iter().any(|pair| is(pair)) {
            self.n_pairs += 1;
            let pid = attribute(tag, "pid");
            self.pair = Some(Pair { depth: self.depth, line, pid, ..Pair::default() });
        }
        Ok(())
    }

    /// An element has ended that `depth` others are around.
    fn end(&mut self, corpus: &mut Corpus) {
        let Some(pair) = &mut self.pair else { return };
        pair.push(" ");
        if pair.part.is_some_and(|(depth, _)| depth == self.depth) {
            pair.part = None;
        }
        if pair.depth == self.depth
            && let Some(pair) = self.pair.take()
        {
            self.add(pair, corpus);
        }
    }

    /// Text outside of all pairs is none of ours, but a file may not have any outside of its root.
    fn text(&mut self, text: &str, line: u64) -> Result<(), Error> {
        if self.depth == 0 && !text.trim().is_empty() {
            return Err(self.damaged(line, &format!("{} outside of the root element", shown(text.trim()))));
        }
        if let Some(pair) = &mut self.pair {
            pair.push(text);
        }
        Ok(())
    }

    fn add(&mut self, pair: Pair, corpus: &mut Corpus) {
        // A pid is a word, so this is none.
        let numbered = format!("#pair {}", self.n_pairs);
        let (line, name) = (pair.line, self.name);
        let place = match pair.pid.filter(|pid| is_id(pid)) {
            None => numbered,
            Some(pid) => {
                let place = format!("#{pid}");
                if let Some(earlier) = self.lines_of_pids.insert(pid, line) {
                    let repeated = format!("{name}, line {line}: pair {} was on line {earlier} already", &place[1..]);
                    let error = Error::corrupt(format!("{repeated}; expected each pid once"));
                    return corpus.add_unreadable(numbered, error);
                }
                place
            }
        };
        match pair.error {
            Some(error) => corpus.add_unreadable(place, error),
            // The question alone would teach questions.
            None if pair.answer.trim().is_empty() => corpus.add(place, None, ""),
            None => {
                let text = format!("{} {}", pair.question.trim(), pair.answer.trim());
                corpus.add(place, pair.kind.as_deref(), text.trim());
            }
        }
    }

    fn ended(&self, line: u64) -> Result<(), Error> {
        match &self.root {
            None => Err(self.damaged(line, "no root element; expected <Document>, as in MedQuAD")),
            Some(root) if self.depth > 0 => Err(self.damaged(line, &format!("the file ends inside of <{root}>"))),
            Some(_) => Ok(()),
        }
    }
}

impl Pair {
    /// Text goes to what is being read, if anything is.
    fn push(&mut self, text: &str) {
        match self.part {
            Some((_, Part::Question)) => self.question.push_str(text),
            Some((_, Part::Answer)) => self.answer.push_str(text),
            None => {}
        }
    }
}

/// What a reference in the text stands for: one of XML's own entities, or a character by its number.
fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Some(character.into()),
        Ok(None) => resolve_xml_entity(reference).map(String::from),
        Err(_) => None,
    }
}

/// An attribute; none where it is missing, blank or damaged.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).ok()??;
    let value = found.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE Document [<!ENTITY big \"<QAPair/>\">]>\n\
        <Document id=\"7\"><Focus>&big;</Focus>\n<QAPairs>\n<QAPair pid=\"1\">\n\
        <Question qid=\"7-1\" qtype=\" side &amp; effects\">What is <i>it</i> ?</Question>\n\
        <Answer>a &lt; b &#246;<!-- no -->o<![CDATA[ <c> &amp; ]]></Answer>\n</QAPair>\n\
        <QAPair pid=\"x2\"><Answer><p>one</p><p>two</p></Answer><Question/></QAPair>\n\
        <QAPair pid=\"3\"><Question>Why?</Question><Answer> </Answer></QAPair>\n</QAPairs></Document>\n<!-- end -->";

    /// What was read, and how reading ended.
    fn corpus(content: &str) -> (Corpus, Result<(), Error>) {
        let mut corpus = Corpus::default();
        corpus.begin_file("q.xml", 0, b"");
        let outcome = read(content, "q.xml", &mut corpus);
        (corpus, outcome)
    }

    fn read_error(content: &str) -> String {
        corpus(content).1.unwrap_err().to_string()
    }

    #[test]
    fn pairs_are_documents_with_the_type_of_the_question() {
        let (corpus, outcome) = corpus(TWO);
        outcome.unwrap();
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["What is  it  ? a < b öo <c> &amp;", "one  two"]);
        assert_eq!((corpus.id(0).as_str(), corpus.label(0).as_deref()), ("q.xml#1", Some("side & effects")));
        assert_eq!((corpus.id(1).as_str(), corpus.label(1)), ("q.xml#x2", None));
        assert_eq!((corpus.n_empty(), corpus.n_unreadable()), (1, 0));
    }

    #[test]
    fn the_spelling_of_the_older_files_is_read_too() {
        let (corpus, outcome) = corpus(
            "<doc docid=\"1\"><qaPairs><pair pid=\"1\"><question qtype=\"information\">a</question>\r\n\
             <answer>b\r\nc</answer></pair></qaPairs></doc>",
        );
        outcome.unwrap();
        assert_eq!((corpus.text(0).unwrap(), corpus.label(0).as_deref()), ("a b\nc", Some("information")));
    }

    #[test]
    fn unknown_entities_cost_their_pair_and_expand_to_nothing() {
        let bomb = "<!DOCTYPE doc [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
        let (corpus, outcome) = corpus(&format!(
            "{bomb}\n<doc><pair pid=\"1\"><question>x</question>\n<answer>&b;</answer></pair>\n\
             <pair pid=\"2\"><answer>&nbsp;</answer></pair><pair pid=\"3\"><answer>&#xD800;&#0;</answer></pair>\n\
             <pair pid=\"4\"><answer>good</answer></pair></doc>"
        ));
        outcome.unwrap();
        let found: Vec<_> = corpus.unreadable().map(|error| error.message().split(';').next().unwrap()).collect();
        let expected = [
            "q.xml, line 3: unknown entity \"b\"",
            "q.xml, line 4: unknown entity \"nbsp\"",
            "q.xml, line 4: unknown entity \"#xD800\"",
        ];
        assert_eq!(found, expected);
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["good"]);
    }

    #[test]
    fn pairs_without_a_number_are_counted_and_numbers_come_once() {
        let (corpus, outcome) = corpus(
            "<doc><pair><answer>a</answer></pair><pair pid=\"a b\"><answer>b</answer></pair>\n\
             <pair pid=\"1\"><answer>c</answer></pair><pair pid=\"1\"><answer>d</answer></pair></doc>",
        );
        outcome.unwrap();
        let ids: Vec<_> = (0..corpus.len()).map(|index| corpus.id(index)).collect();
        assert_eq!(ids, ["q.xml#pair 1", "q.xml#pair 2", "q.xml#1", "q.xml#pair 4"]);
        let expected = "q.xml, line 2: pair 1 was on line 2 already; expected each pid once";
        assert_eq!(corpus.text(3).unwrap_err().message(), expected);
    }

    #[test]
    fn another_root_is_named_beside_the_expected_one() {
        let expected = "q.xml, line 2: the root element is \"annotation\"; expected \"Document\", as in MedQuAD";
        assert_eq!(read_error("<?xml version=\"1.0\"?>\n<annotation><QAPair/></annotation>"), expected);
    }

    #[test]
    fn damage_is_named_with_its_line_and_keeps_what_came_before() {
        for (content, expected) in [
            ("<doc>\n<a></b></doc>", "line 2: damaged XML: ill-formed document: expected `</a>`"),
            ("<doc>\n\n<a b=\"1", "line 3: damaged XML: syntax error"),
            ("<doc>\n<a>&amp</a></doc>", "line 2: damaged XML: ill-formed document"),
            ("<doc>\n<a>\n", "line 3: the file ends inside of <doc>"),
            ("<!-- nothing -->", "line 1: no root element; expected <Document>"),
            ("clear lungs", "line 1: \"clear lungs\" outside of the root element"),
            ("<doc/>\nmore", "line 1: \"more\" outside of the root element"),
            ("<doc/>\n<doc/>", "line 2: a second root element; expected nothing after <doc>"),
        ] {
            let found = read_error(content);
            assert!(found.starts_with(&format!("q.xml, {expected}")), "{found}");
        }
        for end in 200..TWO.len() - 20 {
            let (corpus, outcome) = corpus(&TWO[..TWO.floor_char_boundary(end)]);
            assert!(outcome.is_err() && corpus.len() <= 2, "{end}");
        }
        let (corpus, outcome) = corpus("<doc><pair pid=\"1\"><answer>a</answer></pair><pair");
        assert!(outcome.is_err());
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn another_declared_encoding_is_refused() {
        for known in ["<doc/>", "<?xml version=\"1.0\"?><doc/>", "<?xml version='1.0' encoding='utf-8'?><doc/>"] {
            check_encoding(known, false, "q.xml").unwrap();
        }
        let utf16 = "<?xml version='1.0' encoding='UTF-16'?><doc/>";
        assert!(check_encoding(utf16, true, "q.xml").is_ok() && check_encoding(utf16, false, "q.xml").is_err());
        let error =
            check_encoding("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><doc/>", false, "q.xml").unwrap_err();
        let expected = "q.xml, line 1: declared encoding \"ISO-8859-1\" found where UTF-8 was expected\nhint: ";
        assert!(error.message().starts_with(expected), "{error}");
    }

    #[test]
    fn depth_is_no_matter() {
        let deep = format!("<doc>{}{}</doc>", "<a>".repeat(100_000), "</a>".repeat(100_000));
        corpus(&deep).1.unwrap();
    }
}
