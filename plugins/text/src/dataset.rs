//! Samples: a text in ids, cut to length, framed, masked.

use std::path::Path;

use medcoss_sdk::{
    Account, Dataset, Discrete, Error, Fingerprint, Geometry, OpenRequest, Sample, SampleRecord, SampleRng,
    Synthesised, Tokens, View, padded_word_masking::PaddedWordMasking, saved_samples, serde_json, table::Delimiter,
    whole_word_masking::WordMasking,
};

use crate::{
    census,
    corpus::Corpus,
    options::{MaskingScheme, Options, TextColumns, Unit},
    read::{self, FILE_FORMATS},
    report_cleaning::Cleaning,
    tokeniser::{self, Encoded, Tokeniser},
};

/// Dataset of an opened corpus: one document is one sample.
#[derive(Debug)]
pub struct TextDataset {
    options: Options,
    corpus: Corpus,
    tokeniser: Tokeniser,
    masking: Masking,
}

#[derive(Debug)]
enum Masking {
    Sample(WordMasking),
    Reference(PaddedWordMasking),
}

impl Masking {
    fn of(options: &Options, tokeniser: &Tokeniser) -> Result<Self, Error> {
        let Options { mask_ratio, max_length, .. } = *options;
        let Tokeniser { vocabulary, mask_id, special_ids, .. } = tokeniser;
        match options.masking_scheme {
            MaskingScheme::Sample => WordMasking::new(mask_ratio, *vocabulary, *mask_id, special_ids).map(Self::Sample),
            MaskingScheme::Reference => {
                PaddedWordMasking::new(mask_ratio, max_length, *vocabulary, *mask_id, special_ids).map(Self::Reference)
            }
        }
    }
}

/// File of saved samples, and its field with the text.
const KEPT: &str = "kept.jsonl";
const KEPT_FIELD: &str = "text";

impl TextDataset {
    /// Reads the data, finds or learns the vocabulary, drops what has no tokens, and counts what is left out or cut. A damaged document
    /// among good ones stays as a sample that cannot be loaded.
    ///
    /// # Errors
    /// Options out of range or that nothing in the data fits, data that are missing, without a readable document or in an encoding that is
    /// not read, a tokeniser that cannot be used.
    pub fn open(request: &OpenRequest<Options>) -> Result<Self, Error> {
        let options = &request.options;
        options.check()?;
        let mut corpus = read::read(request)?;
        check_not_empty(request, &corpus)?;
        let tokeniser = Tokeniser::obtain(request, &corpus)?;
        corpus.retain(|text| tokeniser.sees(text));
        check_not_empty(request, &corpus)?;
        corpus.leave_out_files_without_documents();
        census::take(&mut corpus, &tokeniser, request);
        let masking = Masking::of(options, &tokeniser)?;
        Ok(Self { options: options.clone(), corpus, tokeniser, masking })
    }

    /// `[CLS] tokens [SEP]`, at most `max_length` long; the frame belongs to no word.
    fn framed(&self, text: &str) -> Result<Encoded, Error> {
        let Encoded { mut ids, mut words } = self.tokeniser.encode(text, self.options.max_length - 2)?;
        if ids.is_empty() {
            return Err(Error::corrupt("the text has no tokens"));
        }
        if !self.options.whole_word_masking {
            words = (0..).map(Some).take(ids.len()).collect();
        }
        ids.insert(0, self.tokeniser.start_id);
        words.insert(0, None);
        ids.push(self.tokeniser.end_id);
        words.push(None);
        Ok(Encoded { ids, words })
    }
}

/// Data without a single readable document are refused: for what could not be read, if that is why.
fn check_not_empty(request: &OpenRequest<Options>, corpus: &Corpus) -> Result<(), Error> {
    if corpus.texts().next().is_some() {
        return Ok(());
    }
    if let Some(first) = corpus.unreadable().next() {
        return Err(first.clone());
    }
    let names: Vec<_> = request.data.iter().map(|entry| entry.display().to_string()).collect();
    let (names, n_empty) = (names.join(", "), corpus.n_empty());
    let kinds = FILE_FORMATS.join(", ");
    let left_out: String = corpus.left_out().iter().map(|(reason, n)| format!(" and {n} {reason}")).collect();
    let files = match corpus.account().summary().as_str() {
        "" => String::new(),
        files => format!("; files left out: {files}"),
    };
    Err(Error::unreadable(format!(
        "no documents in {names}, {n_empty} empty ones{left_out} aside (looked for {kinds}){files}"
    )))
}

impl Dataset for TextDataset {
    fn geometry(&self) -> Geometry {
        let Tokeniser { vocabulary, padding_id, start_id, end_id, mask_id, .. } = self.tokeniser;
        Geometry::Discrete(Discrete {
            length: self.options.max_length,
            vocabulary,
            padding_id,
            mask_id,
            special_ids: vec![start_id, end_id],
            vocabulary_digest: Some(self.tokeniser.digest.clone()),
            ..Discrete::default()
        })
    }

    fn len(&self) -> usize {
        self.corpus.len()
    }

    fn record(&self, index: usize) -> SampleRecord {
        self.corpus.record(index, self.options.unit)
    }

    fn fingerprint(&self) -> Fingerprint {
        self.corpus.fingerprint()
    }

    fn account(&self) -> Option<&Account> {
        Some(self.corpus.account())
    }

    fn load(&self, index: usize, view: View, rng: &mut SampleRng, sample: Sample<'_>) -> Result<(), Error> {
        let (ids, labels, length) = sample.discrete()?;
        // What is wrong with a document that cannot be read names file and line itself.
        let text = self.corpus.text(index)?;
        let encoded = self.framed(text).map_err(|error| error.in_context(&self.corpus.id(index)))?;
        let n = encoded.ids.len();
        let (Some(ids), Some(labels), Ok(n)) = (ids.get_mut(..n), labels.get_mut(..n), i32::try_from(n)) else {
            return Err(Error::bad_request(format!(
                "a sample has {} ids; the buffers are shorter",
                self.options.max_length
            )));
        };
        ids.copy_from_slice(&encoded.ids);
        *length = n;
        if view == View::Training {
            match &self.masking {
                Masking::Sample(masking) => masking.apply(rng, &encoded.words, ids, labels),
                Masking::Reference(masking) => masking.apply(rng, &encoded.words, ids, labels),
            }
        }
        Ok(())
    }

    /// The tokeniser is always written, also when it was given: a model without its vocabulary is of no use.
    fn save_assets(&self, folder: &Path) -> Result<Vec<String>, Error> {
        self.tokeniser.save(folder)?;
        Ok(vec![tokeniser::FILE.into()])
    }

    /// As JSON Lines, with the same fields whatever the texts came from.
    fn save_samples(&self, indices: &[usize], folder: &Path) -> Result<Synthesised, Error> {
        let mut lines = String::new();
        for &index in indices {
            lines.push_str(&serde_json::json!({ KEPT_FIELD: self.corpus.text(index)? }).to_string());
            lines.push('\n');
        }
        saved_samples::write(&folder.join(KEPT), lines.as_bytes())?;
        let options = Options {
            text_column: Some(TextColumns::One(KEPT_FIELD.into())),
            keep_rows: Default::default(),
            cleaning: Cleaning::None,
            label_column: None,
            tokenizer: None,
            unit: Unit::Document,
            text_files: None,
            delimiter: Delimiter::Auto,
            ..self.options.clone()
        };
        saved_samples::reopened_with(vec![KEPT.into()], &options)
    }

    fn render(&self, tokens: Tokens<'_>) -> Result<Vec<u8>, Error> {
        self.tokeniser.decode(tokens.discrete()?).map(String::into_bytes)
    }
}
