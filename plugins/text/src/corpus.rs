//! The texts of a dataset, with ids and labels, in memory. Not in here: how files are read, and tokens.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use medcoss_sdk::Fingerprint;

/// All documents. Their texts lie in one string one after another, which is about as small as the files.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Ids of the files, in the order in which they were begun.
    files: Vec<String>,
    text: String,
    documents: Vec<Document>,
    /// Each distinct label once.
    labels: BTreeSet<Arc<str>>,
    fingerprint: Fingerprint,
    n_empty: usize,
}

#[derive(Debug)]
struct Document {
    /// Index of its file.
    file: usize,
    /// What follows the file in the id, with its `#`.
    place: Box<str>,
    label: Option<Arc<str>>,
    /// Bytes of the corpus' text.
    text: Range<usize>,
}

impl Corpus {
    /// The documents that are added from now on come from this file.
    pub fn begin_file(&mut self, id: &str, content: &[u8]) {
        self.fingerprint.add(id.as_bytes());
        self.fingerprint.add(content);
        self.files.push(id.to_owned());
    }

    /// Adds a document of the file begun last. `place` says where in the file; it is unique there. A document without
    /// visible characters is counted, not kept.
    pub fn add(&mut self, place: String, label: Option<&str>, text: &str) {
        if text.trim().is_empty() {
            self.n_empty += 1;
            return;
        }
        let label = label.map(|label| self.interned(label));
        let start = self.text.len();
        self.text.push_str(text);
        let text = start..self.text.len();
        self.documents.push(Document { file: self.files.len().saturating_sub(1), place: place.into(), label, text });
    }

    fn interned(&mut self, label: &str) -> Arc<str> {
        if let Some(known) = self.labels.get(label) {
            return known.clone();
        }
        let new: Arc<str> = label.into();
        self.labels.insert(new.clone());
        new
    }

    /// Drops the documents that `keep` does not want and counts them as empty.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let Self { text, documents, n_empty, .. } = self;
        documents.retain(|document| {
            let kept = keep(&text[document.text.clone()]);
            *n_empty += usize::from(!kept);
            kept
        });
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Number of documents that were empty and are not here.
    pub fn n_empty(&self) -> usize {
        self.n_empty
    }

    /// Id of a document: its file's id and its place in there. Empty for an index out of range, as are text and label.
    pub fn id(&self, index: usize) -> String {
        self.documents
            .get(index)
            .and_then(|document| Some(format!("{}{}", self.files.get(document.file)?, document.place)))
            .unwrap_or_default()
    }

    /// Label of a document, where it has one.
    pub fn label(&self, index: usize) -> Option<String> {
        self.documents.get(index)?.label.as_deref().map(String::from)
    }

    /// Text of a document.
    pub fn text(&self, index: usize) -> &str {
        self.documents.get(index).map_or("", |document| &self.text[document.text.clone()])
    }

    /// All texts in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.text(index))
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
        corpus.begin_file("a/one.txt", b"...");
        corpus.add("#1".into(), Some("normal"), "clear lungs");
        corpus.add("#2".into(), None, " \t ");
        corpus.begin_file("b.txt", b"...");
        corpus.add("#1".into(), Some("normal"), "größer");
        corpus.add("#5".into(), None, "x");
        let ids: Vec<_> = (0..corpus.len()).map(|index| corpus.id(index)).collect();
        assert_eq!(ids, ["a/one.txt#1", "b.txt#1", "b.txt#5"]);
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["clear lungs", "größer", "x"]);
        assert_eq!((corpus.label(1).as_deref(), corpus.label(2)), (Some("normal"), None));
        assert_eq!((corpus.n_empty(), corpus.labels.len()), (1, 1));

        corpus.retain(|text| text != "größer");
        assert_eq!((corpus.len(), corpus.id(1).as_str(), corpus.text(1)), (2, "b.txt#5", "x"));
        assert_eq!(corpus.n_empty(), 2);
    }

    #[test]
    fn the_fingerprint_follows_content_and_names() {
        let of = |id: &str, content: &[u8]| {
            let mut corpus = Corpus::default();
            corpus.begin_file(id, content);
            corpus.fingerprint().hex()
        };
        assert_eq!(of("a", b"x"), of("a", b"x"));
        assert_ne!(of("a", b"x"), of("a", b"y"));
        assert_ne!(of("a", b"x"), of("b", b"x"));
        assert_ne!(of("a", b"bx"), of("ab", b"x"));
    }
}
