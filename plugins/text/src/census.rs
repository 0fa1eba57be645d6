//! What is not in the samples as it is in the files, counted when data are opened: documents that cannot be read, are empty, left out, cut,
//! repeated or no prose, and tokens that the vocabulary does not know.

use std::hash::{DefaultHasher, Hash, Hasher};

use medcoss_sdk::OpenRequest;

use crate::corpus::Corpus;
use crate::kind::Kind;
use crate::options::Options;
use crate::tokeniser::Tokeniser;

/// Documents, and bytes of text, of which tokens are counted; of more, evenly spaced ones. It takes some seconds.
const COUNTED: (usize, usize) = (10_000, 8 << 20);
/// Of long documents at least so many.
const MIN_COUNTED: usize = 32;
/// Files that are read by lines from which on each may be a document, and lines in one on average below which it may.
const MAY_BE_DOCUMENTS: (usize, usize) = (3, 100);

/// Adds what there is to say of the documents to the account of their files.
pub fn take(corpus: &mut Corpus, tokeniser: &Tokeniser, request: &OpenRequest<Options>) {
    let notices =
        [left_out(corpus), of_files(corpus, &request.options), of_texts(corpus), of_tokens(corpus, tokeniser, request)];
    let account = corpus.account_mut();
    notices.into_iter().flatten().for_each(|Counted(n, of, what)| account.notice(n, of, what));
}

/// How many, of how many, and what.
#[derive(Debug, PartialEq)]
struct Counted(usize, usize, String);

impl Counted {
    fn new(n: usize, of: usize, what: impl Into<String>) -> Self {
        Self(n, of, what.into())
    }
}

/// Documents that are not here, or without a text.
fn left_out(corpus: &Corpus) -> Vec<Counted> {
    let (n_here, n_empty, n_unreadable) = (corpus.len(), corpus.n_empty(), corpus.n_unreadable());
    let all = n_here + n_empty + corpus.n_left_out();
    let mut counted = vec![
        // Their reasons may quote them, and are given with each of them.
        Counted::new(n_unreadable, all, "documents cannot be read and count as invalid samples"),
        Counted::new(n_empty, all, "documents (lines, rows or files) are empty and left out"),
    ];
    for (reason, &n) in corpus.left_out() {
        counted.push(Counted::new(n, all, format!("documents {reason} are left out")));
    }
    let what = "documents lose letters outside of ASCII, as cleaning = \"reference\" deletes them";
    counted.push(Counted::new(corpus.n_shortened(), all, what));
    counted
}

/// What was assumed of files.
fn of_files(corpus: &Corpus, options: &Options) -> Vec<Counted> {
    let n_files = corpus.kinds().count();
    let mut counted: Vec<_> =
        corpus.remarks().iter().map(|(what, &n)| Counted::new(n, n_files, what.as_str())).collect();
    let n_by_lines = corpus.kinds().filter(|&(_, kind)| kind == Kind::Lines).count();
    let n_lines = corpus.texts_with_kinds().filter(|&(kind, _)| kind == Kind::Lines).count();
    let may_be = n_by_lines >= MAY_BE_DOCUMENTS.0
        && n_lines >= 2 * n_by_lines
        && n_lines < MAY_BE_DOCUMENTS.1 * n_by_lines
        && options.text_files.is_none();
    if may_be {
        let what = format!(
            "text files are read line by line, {n_lines} documents in all: if a file is one report, set text_files = \"documents\", else \
             \"lines\""
        );
        counted.push(Counted::new(n_by_lines, n_files, what));
    }
    counted
}

/// Texts that are damaged, repeated, or no prose.
fn of_texts(corpus: &Corpus) -> Vec<Counted> {
    let (mut n, mut n_damaged, mut n_of_columns, mut n_odd) = (0, 0, 0, 0);
    let mut digests = Vec::new();
    for (kind, text) in corpus.texts_with_kinds() {
        n += 1;
        n_damaged += usize::from(text.contains(['\0', '\u{fffd}']));
        n_of_columns += usize::from(kind.has_columns());
        n_odd += usize::from(kind.has_columns() && is_no_prose(text));
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        digests.push(hasher.finish());
    }
    digests.sort_unstable();
    digests.dedup();
    let damaged =
        "documents have zero bytes or replacement characters (U+FFFD), which are dropped: look for a wrong conversion";
    let odd =
        "documents of tables and JSON are a number, a date, a code, a path or a single word: check option text_column";
    vec![
        Counted::new(n_damaged, n, damaged),
        Counted::new(n_odd, n_of_columns, odd),
        Counted::new(n - digests.len(), n, "documents repeat the text of an earlier one"),
    ]
}

/// A text without letters, or one word of ASCII. A script without blanks has no such words.
fn is_no_prose(text: &str) -> bool {
    let text = text.trim();
    !text.contains(char::is_alphabetic) || (text.is_ascii() && !text.contains(char::is_whitespace))
}

/// Tokens that are unknown, and documents that are longer than a sample.
fn of_tokens(corpus: &Corpus, tokeniser: &Tokeniser, request: &OpenRequest<Options>) -> Vec<Counted> {
    let options = &request.options;
    let (mut n_texts, mut n_bytes) = (0_usize, 0_usize);
    for text in corpus.texts() {
        n_texts += 1;
        n_bytes += text.len();
    }
    let by_bytes = n_bytes.div_ceil(COUNTED.1).min(n_texts.div_ceil(MIN_COUNTED));
    let step = n_texts.div_ceil(COUNTED.0).max(by_bytes).max(1);
    let n_room = options.max_length - 2;
    let (mut n_looked_at, mut n_tokens, mut n_unknown, mut n_long, mut n_cut) = (0, 0, 0, 0, 0);
    for text in corpus.texts().step_by(step) {
        // What cannot be tokenised is an invalid sample, which the host counts.
        let Ok(encoded) = tokeniser.encode(text, usize::MAX) else { continue };
        let n = encoded.ids.len();
        n_looked_at += 1;
        n_tokens += n;
        n_unknown += encoded.ids.iter().filter(|&&id| id == tokeniser.unknown_id).count();
        n_long += usize::from(n > n_room);
        n_cut += n.saturating_sub(n_room);
    }
    let counted_in = match step {
        1 => String::new(),
        _ => format!(" (counted in {n_looked_at} of {n_texts} documents, evenly spaced)"),
    };
    let unknown = match n_unknown > n_tokens / 2 {
        false => format!("tokens are unknown to the vocabulary{counted_in}"),
        true => format!(
            "tokens are unknown to the vocabulary{counted_in}, so that the model cannot tell these documents apart: {}",
            remedy(request)
        ),
    };
    let long = format!(
        "documents are longer than max_length ({} tokens with [CLS] and [SEP]) and are cut: {n_cut} of {n_tokens} tokens are not used\
         {counted_in}",
        options.max_length
    );
    vec![Counted::new(n_unknown, n_tokens, unknown), Counted::new(n_long, n_looked_at, long)]
}

/// What to do about a vocabulary that does not fit.
fn remedy(request: &OpenRequest<Options>) -> &'static str {
    match (&request.options.tokenizer, &request.assets) {
        (Some(_), _) => {
            "name a tokenizer of their language with option tokenizer, or leave it out to learn a vocabulary from the data"
        }
        (None, Some(_)) => {
            "the vocabulary is the one that the model was trained with; texts of another language need a run of their own"
        }
        (None, None) => {
            "words that are too long or too rare cannot be learned; raise vocab_size, or name a tokenizer with option tokenizer"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_codes_paths_and_single_words_are_no_prose() {
        for text in ["12", "2020-03-12 10:22", "files/p10/s5.txt", "pneumonia", " -1.5 ", "J18.9", "a;b"] {
            assert!(is_no_prose(text), "{text}");
        }
        for text in ["No effusion.", "双肺纹理清晰", "clear lungs", "größe"] {
            assert!(!is_no_prose(text), "{text}");
        }
    }
}
