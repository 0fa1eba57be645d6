//! The texts of a dataset, with ids and labels, in memory, and what stands for those that could not be read. Not in
//! here: how files are read, and tokens.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use medcoss_sdk::{Account, Error, Fingerprint, SampleRecord, code};

use crate::kind::Kind;
use crate::options::Unit;
use crate::report_cleaning::{Cleaning, cleaned};

/// Damaged places of a file that keep their own reasons, so that files of nothing else do not fill the memory with them.
const MAX_REASONS: usize = 10_000;

/// Most documents of a dataset. The ids of so many are about the longest answer that a host takes.
pub const MAX_DOCUMENTS: usize = 1 << 23;

/// A file whose documents are here.
#[derive(Debug)]
struct Source {
    id: String,
    /// Index of its entry of the data.
    entry: u32,
    kind: Kind,
    /// Documents of it that are left out on purpose.
    n_left_out: usize,
}

/// All documents. Their texts lie in one string one after another, which is about as small as the files.
#[derive(Debug)]
pub struct Corpus {
    /// In the order in which they were begun.
    files: Vec<Source>,
    text: String,
    documents: Vec<Document>,
    /// Each distinct label once.
    labels: BTreeSet<Arc<str>>,
    fingerprint: Fingerprint,
    cleaning: Cleaning,
    account: Account,
    n_empty: usize,
    /// Documents that are left out on purpose: how many, by the reason.
    left_out: BTreeMap<String, usize>,
    /// Documents that cleaning took letters from.
    n_shortened: usize,
    /// What was assumed of files: how many, by a phrase that follows the number.
    remarks: BTreeMap<String, usize>,
    /// Documents, and those that are empty or left out, before the file begun last.
    before_file: (usize, usize),
    n_unreadable_in_file: usize,
    is_full: bool,
    /// The reason of those in a file that keep none of their own.
    too_many: Arc<Error>,
}

#[derive(Debug)]
struct Document {
    /// Index of its file.
    file: usize,
    /// What follows the file in the id, with its `#`.
    place: Box<str>,
    label: Option<Arc<str>>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Bytes of the corpus' text.
    Text(Range<usize>),
    /// A document that is damaged; asking for its text says how. It counts as a sample, so that the host can name it
    /// and hold it against its budget.
    Unreadable(Arc<Error>),
}

impl Document {
    /// The place of the document that a sentence is of, where sentences are samples.
    fn whole(&self, unit: Unit) -> Option<&str> {
        match unit {
            Unit::Document => None,
            Unit::Sentence => self.place.rsplit_once('/').map(|(whole, _)| whole),
        }
    }

    /// Why it cannot be read.
    fn error(&self) -> Option<&Error> {
        match &self.content {
            Content::Text(_) => None,
            Content::Unreadable(error) => Some(error),
        }
    }
}

impl Default for Corpus {
    fn default() -> Self {
        let too_many = format!("one of more than {MAX_REASONS} damaged places in its file");
        Self {
            files: Vec::new(),
            text: String::new(),
            documents: Vec::new(),
            labels: BTreeSet::new(),
            fingerprint: Fingerprint::default(),
            cleaning: Cleaning::None,
            account: Account::default(),
            n_empty: 0,
            left_out: BTreeMap::new(),
            n_shortened: 0,
            remarks: BTreeMap::new(),
            before_file: (0, 0),
            n_unreadable_in_file: 0,
            is_full: false,
            too_many: Arc::new(Error::corrupt(too_many)),
        }
    }
}

impl Corpus {
    /// Without documents, of the files in the account; texts that are added are cleaned so.
    pub fn new(cleaning: Cleaning, account: Account) -> Self {
        Self { cleaning, account, ..Self::default() }
    }

    /// The documents that are added from now on come from this file, which holds lines until [`Self::set_kind`] says otherwise.
    pub fn begin_file(&mut self, id: &str, entry: u32, content: &[u8]) {
        self.fingerprint.add(id.as_bytes());
        self.fingerprint.add(content);
        self.files.push(Source { id: id.to_owned(), entry, kind: Kind::Lines, n_left_out: 0 });
        self.before_file = (self.documents.len(), self.n_empty + self.n_left_out());
        self.n_unreadable_in_file = 0;
    }

    /// Adds what identifies the file begun last beside its content.
    pub fn add_to_fingerprint(&mut self, item: &[u8]) {
        self.fingerprint.add(item);
    }

    /// What the file begun last holds.
    pub fn set_kind(&mut self, kind: Kind) {
        if let Some(file) = self.files.last_mut() {
            file.kind = kind;
        }
    }

    /// Counts a file of which something is assumed. The phrase follows the number: "files are UTF-16".
    pub fn remark(&mut self, what: impl Into<String>) {
        *self.remarks.entry(what.into()).or_default() += 1;
    }

    /// Leaves out a file that was not begun.
    pub fn leave_out_file(&mut self, id: &str, reason: &str) {
        self.account.leave_out(id, reason);
    }

    /// Leaves out the files without a document.
    pub fn leave_out_files_without_documents(&mut self) {
        let mut has_documents = vec![false; self.files.len()];
        self.documents.iter().for_each(|document| has_documents[document.file] = true);
        for (file, _) in self.files.iter().zip(has_documents).filter(|(_, has)| !has) {
            let reason = match file.n_left_out {
                0 => "empty: no document in it",
                _ => "without a document that keep_rows and cleaning leave",
            };
            self.account.leave_out(file.id.as_str(), reason);
        }
    }

    /// What each file holds, with the file's id, in the order in which they were begun.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.files.iter().map(|file| (file.id.as_str(), file.kind))
    }

    /// What was assumed of files: how many, by the phrase that follows the number.
    pub fn remarks(&self) -> &BTreeMap<String, usize> {
        &self.remarks
    }

    /// Files that are used and left out.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// As [`Self::account`], to add to it.
    pub fn account_mut(&mut self) -> &mut Account {
        &mut self.account
    }

    /// Documents that cleaning took letters outside of ASCII from.
    pub fn n_shortened(&self) -> usize {
        self.n_shortened
    }

    /// Whether documents were left out because there are more than [`MAX_DOCUMENTS`].
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds a document of the file begun last. `place` says where in the file; it is unique there. A document without
    /// visible characters is counted, not kept, and so is one that the cleaning leaves out.
    pub fn add(&mut self, place: String, label: Option<&str>, text: &str) {
        if text.trim().is_empty() {
            self.n_empty += 1;
            return;
        }
        let text = match self.cleaning {
            Cleaning::None => Cow::Borrowed(text),
            Cleaning::Reference => match cleaned(text) {
                Ok(cleaned) => {
                    let loses = !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && c.is_alphanumeric());
                    self.n_shortened += usize::from(loses);
                    Cow::Owned(cleaned)
                }
                Err(reason) => return self.leave_out(reason),
            },
        };
        if self.documents.len() == MAX_DOCUMENTS {
            self.is_full = true;
            return;
        }
        let label = label.map(|label| self.interned(label));
        let start = self.text.len();
        self.text.push_str(&text);
        self.push(place, label, Content::Text(start..self.text.len()));
    }

    /// Counts a document that is left out on purpose, by its reason.
    pub fn leave_out(&mut self, reason: &str) {
        if let Some(file) = self.files.last_mut() {
            file.n_left_out += 1;
        }
        match self.left_out.get_mut(reason) {
            Some(n) => *n += 1,
            None => drop(self.left_out.insert(reason.to_owned(), 1)),
        }
    }

    /// Documents that are left out on purpose: how many, by the reason.
    pub fn left_out(&self) -> &BTreeMap<String, usize> {
        &self.left_out
    }

    /// Number of documents that are left out on purpose.
    pub fn n_left_out(&self) -> usize {
        self.left_out.values().sum()
    }

    /// Adds a document of the file begun last that is there but cannot be read. An empty `place` stands for the file.
    pub fn add_unreadable(&mut self, place: String, error: Error) {
        if self.documents.len() == MAX_DOCUMENTS {
            self.is_full = true;
            return;
        }
        self.n_unreadable_in_file += 1;
        let kept = self.n_unreadable_in_file <= MAX_REASONS;
        let error = if kept { Arc::new(error) } else { self.too_many.clone() };
        self.push(place, None, Content::Unreadable(error));
    }

    /// When nothing of the file begun last can be read, takes its documents back and says why: with the first option that
    /// does not fit, or else the first damage.
    pub fn take_back_unreadable_file(&mut self) -> Option<Error> {
        let (n_documents, n_without) = self.before_file;
        let found = &self.documents[n_documents..];
        if self.n_empty + self.n_left_out() > n_without || found.iter().any(|document| document.error().is_none()) {
            return None;
        }
        let mut errors = found.iter().filter_map(Document::error);
        let option = errors.clone().find(|error| error.code() == code::BAD_REQUEST);
        let why = option.or_else(|| errors.next()).cloned();
        self.documents.truncate(n_documents);
        why
    }

    fn push(&mut self, place: String, label: Option<Arc<str>>, content: Content) {
        self.documents.push(Document { file: self.files.len().saturating_sub(1), place: place.into(), label, content });
    }

    fn interned(&mut self, label: &str) -> Arc<str> {
        if let Some(known) = self.labels.get(label) {
            return known.clone();
        }
        let new: Arc<str> = label.into();
        self.labels.insert(new.clone());
        new
    }

    /// Drops the texts that `keep` does not want and counts them as empty.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Self { text, documents, n_empty, .. } = self;
        documents.retain(|document| {
            let Content::Text(range) = &document.content else { return true };
            let kept = keep(&text[range.clone()]);
            *n_empty += usize::from(!kept);
            kept
        });
    }

    /// Number of documents, readable or not.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Number of documents that cannot be read.
    pub fn n_unreadable(&self) -> usize {
        self.unreadable().count()
    }

    /// Why documents cannot be read, in order.
    pub fn unreadable(&self) -> impl Iterator<Item = &Error> {
        self.documents.iter().filter_map(Document::error)
    }

    /// Number of documents that were empty and are not here.
    pub fn n_empty(&self) -> usize {
        self.n_empty
    }

    /// Record of a document. Where sentences are samples, those of a document are one group. Empty for an index out of range.
    pub fn record(&self, index: usize, unit: Unit) -> SampleRecord {
        let Some((document, Source { id: file, entry, .. })) =
            self.documents.get(index).and_then(|document| Some((document, self.files.get(document.file)?)))
        else {
            return SampleRecord::default();
        };
        let label = document.label.as_deref().map(String::from);
        let record = SampleRecord::new(self.id(index)).of_file(file.as_str()).of_entry(*entry).labelled(label);
        match document.whole(unit) {
            Some(whole) => record.in_group(format!("{file}{whole}")),
            None => record,
        }
    }

    /// Id of a document: its file's id and its place in there. Empty for an index out of range, as is the text.
    pub fn id(&self, index: usize) -> String {
        self.documents
            .get(index)
            .and_then(|document| Some(format!("{}{}", self.files.get(document.file)?.id, document.place)))
            .unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn label(&self, index: usize) -> Option<String> {
        self.record(index, Unit::Document).label
    }

    /// Text of a document.
    ///
    /// # Errors
    /// A document that cannot be read.
    pub fn text(&self, index: usize) -> Result<&str, Error> {
        match self.documents.get(index).map(|document| &document.content) {
            Some(Content::Text(range)) => Ok(&self.text[range.clone()]),
            Some(Content::Unreadable(error)) => Err(error.as_ref().clone()),
            None => Ok(""),
        }
    }

    /// All readable texts in order, each with the number of its document. Sentences of one abstract have the same, where sentences are
    /// samples.
    pub fn texts_of_documents(&self, unit: Unit) -> impl Iterator<Item = (usize, &str)> {
        let mut number = 0;
        let mut before = None;
        self.documents.iter().filter_map(move |document| {
            let Content::Text(range) = &document.content else { return None };
            let whole = document.whole(unit).map(|whole| (document.file, whole));
            number += usize::from(whole.is_none() || whole != before);
            before = whole;
            Some((number, &self.text[range.clone()]))
        })
    }

    /// All readable texts in order, each with what its file holds.
    pub fn texts_with_kinds(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.documents.iter().filter_map(|document| match &document.content {
            Content::Text(range) => Some((self.files.get(document.file)?.kind, &self.text[range.clone()])),
            Content::Unreadable(_) => None,
        })
    }

    /// All readable texts in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts_with_kinds().map(|(_, text)| text)
    }

    /// Digest of the files' ids and contents.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_file_place_label_and_text() {
        let mut corpus = Corpus::default();
        corpus.begin_file("a/one.txt", 0, b"...");
        corpus.add("#1".into(), Some("normal"), "clear lungs");
        corpus.add("#2".into(), None, " \t ");
        corpus.begin_file("b.txt", 0, b"...");
        corpus.add("#1".into(), Some("normal"), "größer");
        corpus.add("#5".into(), None, "x");
        let ids: Vec<_> = (0..corpus.len()).map(|index| corpus.id(index)).collect();
        assert_eq!(ids, ["a/one.txt#1", "b.txt#1", "b.txt#5"]);
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["clear lungs", "größer", "x"]);
        assert_eq!((corpus.label(1).as_deref(), corpus.label(2)), (Some("normal"), None));
        assert_eq!((corpus.n_empty(), corpus.labels.len()), (1, 1));

        corpus.retain(|text| text != "größer");
        assert_eq!((corpus.len(), corpus.id(1).as_str(), corpus.text(1).unwrap()), (2, "b.txt#5", "x"));
        assert_eq!(corpus.n_empty(), 2);
    }

    #[test]
    fn unreadable_documents_are_counted_and_say_why_but_give_no_text() {
        let mut corpus = Corpus::default();
        corpus.begin_file("a.txt", 0, b"...");
        corpus.add("#1".into(), None, "clear");
        corpus.add_unreadable("#2".into(), Error::corrupt("torn"));
        corpus.retain(|_| true);
        assert_eq!((corpus.len(), corpus.n_unreadable(), corpus.n_empty()), (2, 1, 0));
        assert_eq!((corpus.id(1).as_str(), corpus.label(1)), ("a.txt#2", None));
        assert_eq!(corpus.text(1), Err(Error::corrupt("torn")));
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["clear"]);
        assert_eq!(corpus.unreadable().next(), Some(&Error::corrupt("torn")));
    }

    #[test]
    fn reasons_are_kept_for_so_many_places_of_a_file_only() {
        let mut corpus = Corpus::default();
        for file in ["a.txt", "b.txt"] {
            corpus.begin_file(file, 0, b"...");
            for line in 0..=MAX_REASONS {
                corpus.add_unreadable(format!("#{line}"), Error::corrupt(format!("torn {line}")));
            }
        }
        assert_eq!(corpus.n_unreadable(), 2 * MAX_REASONS + 2);
        let reasons: Vec<_> = corpus.unreadable().map(Error::message).collect();
        assert_eq!((reasons[MAX_REASONS - 1], reasons[MAX_REASONS + 1]), ("torn 9999", "torn 0"));
        assert_eq!(reasons[MAX_REASONS], "one of more than 10000 damaged places in its file");
    }

    #[test]
    fn a_file_of_which_nothing_can_be_read_is_taken_back() {
        let mut corpus = Corpus::default();
        corpus.begin_file("a.txt", 0, b"...");
        corpus.add_unreadable("#1".into(), Error::corrupt("torn"));
        corpus.add("#2".into(), None, "clear");
        assert_eq!(corpus.take_back_unreadable_file(), None);
        corpus.begin_file("b.txt", 0, b"...");
        corpus.add_unreadable("#1".into(), Error::corrupt("torn"));
        corpus.add_unreadable("#2".into(), Error::bad_request("no such column"));
        assert_eq!(corpus.take_back_unreadable_file(), Some(Error::bad_request("no such column")));
        assert_eq!((corpus.len(), corpus.take_back_unreadable_file()), (2, None));
        corpus.begin_file("c.txt", 0, b"...");
        corpus.add("#1".into(), None, "");
        corpus.add_unreadable("#2".into(), Error::corrupt("torn"));
        assert_eq!(corpus.take_back_unreadable_file(), None);
    }

    #[test]
    fn the_fingerprint_follows_content_and_names() {
        let of = |id: &str, content: &[u8]| {
            let mut corpus = Corpus::default();
            corpus.begin_file(id, 0, content);
            corpus.fingerprint().hex()
        };
        assert_eq!(of("a", b"x"), of("a", b"x"));
        assert_ne!(of("a", b"x"), of("a", b"y"));
        assert_ne!(of("a", b"x"), of("b", b"x"));
        assert_ne!(of("a", b"bx"), of("ab", b"x"));
    }
}
