//! Loading of a dataset's tokeniser: from a file that the options name, from saved assets, or learned from the data.

use std::{collections::BTreeMap, path::Path};

use medcoss_sdk::{Error, OpenRequest, log, text_encoding::decode};
use tokenizers::{
    AddedToken, Tokenizer, decoders::wordpiece::WordPiece as WordPieceDecoder, models::wordpiece::WordPiece,
    normalizers::BertNormalizer, pre_tokenizers::bert::BertPreTokenizer, processors::bert::BertProcessing,
};

use super::{
    FILE, SPECIAL, Tokeniser, rules,
    training::{self, CONTINUING, Learned, VocabularySize},
};
use crate::{corpus::Corpus, options::Options, read::read_vocabulary};

impl Tokeniser {
    /// The tokeniser of a dataset, from the first of these that there is:
    ///
    /// 1. The file that option `tokenizer` names. What a user says outright counts; but ids mean something to a trained
    ///    model, so a file that contradicts the saved vocabulary is refused.
    /// 2. The saved one, in `assets`. A model that goes on, or reads other data, keeps its vocabulary.
    /// 3. One learned from `corpus`.
    ///
    /// # Errors
    /// Files that are missing or damaged or no BERT vocabularies; a contradiction as above.
    pub fn obtain(request: &OpenRequest<Options>, corpus: &Corpus) -> Result<Self, Error> {
        let options = &request.options;
        let saved = request.assets.as_ref().map(|folder| folder.join(FILE));
        let Some(named) = &options.tokenizer else {
            return match saved {
                Some(path) => Self::from_json(&path),
                None => Self::learn(corpus, options),
            };
        };
        let path = request.base.join(named);
        let chosen = Self::from_file(&path, options.lowercase)?;
        if let Some(saved) = saved.filter(|path| path.exists())
            && Self::from_json(&saved)?.inner.get_vocab(true) != chosen.inner.get_vocab(true)
        {
            return Err(Error::bad_request(format!(
                "{} has another vocabulary than {}, which the model was trained with\n\
                 hint: leave option tokenizer out to go on with the saved one, or start a new run",
                path.display(),
                saved.display()
            )));
        }
        Ok(chosen)
    }

    fn learn(corpus: &Corpus, options: &Options) -> Result<Self, Error> {
        let normaliser = normaliser(options.lowercase);
        let texts = corpus.texts_of_documents(options.unit);
        let size = VocabularySize { most: options.vocab_size, min_document_count: options.min_document_count };
        let Learned { tokens, n_words, n_rare } = training::learn(texts, &normaliser, &SPECIAL, size)?;
        if n_rare > 0 {
            let least = options.min_document_count;
            let message = format!(
                "{n_rare} of {n_words} distinct words occur in fewer than {least} documents; the vocabulary does not hold them"
            );
            match n_rare == n_words {
                true => log::warn(&format!(
                    "{message}\nhint: more documents, or a lower min_document_count where no text is about patients"
                )),
                false => log::info(&message),
            }
        }
        Self::from_tokens(&tokens, options.lowercase, "the learned vocabulary")
    }

    fn from_file(path: &Path, lowercase: bool) -> Result<Self, Error> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Self::from_json(path),
            Some("txt") => Self::from_vocabulary(path, lowercase),
            _ => Err(Error::bad_request(format!(
                "option tokenizer is {}; expected a tokenizer.json or a vocab.txt",
                path.display()
            ))),
        }
    }

    fn from_json(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let bytes = read_vocabulary(path, &name)?;
        rules::check(&bytes, &name)?;
        let inner = Tokenizer::from_bytes(bytes)
            .map_err(|error| Error::corrupt(format!("{name} is no tokenizer.json")).caused_by(&*error))?;
        Self::checked(inner, &name)
    }

    /// One token a line, its id the number of the line from 0.
    fn from_vocabulary(path: &Path, lowercase: bool) -> Result<Self, Error> {
        let name = path.display().to_string();
        let bytes = read_vocabulary(path, &name)?;
        let tokens: Vec<String> = decode(&bytes, &name)?.text.lines().map(|line| line.trim_end().to_owned()).collect();
        let mut lines = BTreeMap::new();
        for (line, token) in (1usize..).zip(&tokens) {
            if let Some(earlier) = lines.insert(token, line) {
                return Err(Error::corrupt(format!(
                    "{name}, line {line}: token {token:?} was on line {earlier} already; expected each token once"
                )));
            }
        }
        Self::from_tokens(&tokens, lowercase, &name)
    }

    /// `tokens` are in the order of their ids and distinct.
    pub(super) fn from_tokens(tokens: &[String], lowercase: bool, name: &str) -> Result<Self, Error> {
        let refuse = |error: tokenizers::Error| Error::corrupt(format!("{name} is no vocabulary")).caused_by(&*error);
        let vocabulary = WordPiece::read_bytes(tokens.join("\n").as_bytes()).map_err(refuse)?;
        let mut inner = Tokenizer::new(WordPiece::builder().vocab(vocabulary).build().map_err(refuse)?);
        let id = |token: &str| inner.token_to_id(token).unwrap_or_default();
        let frame = BertProcessing::new(("[SEP]".into(), id("[SEP]")), ("[CLS]".into(), id("[CLS]")));
        inner
            .with_normalizer(Some(normaliser(lowercase)))
            .with_pre_tokenizer(Some(BertPreTokenizer))
            .with_post_processor(Some(frame))
            .with_decoder(Some(WordPieceDecoder::new(CONTINUING.into(), true)));
        let known = SPECIAL.iter().filter(|&&token| tokens.iter().any(|known| known == token));
        let known: Vec<_> = known.map(|&token| AddedToken::from(token, true)).collect();
        inner.add_special_tokens(&known);
        Self::checked(inner, name)
    }
}

/// BERT's: control characters out, white space to blanks, Chinese characters apart; and lower case without accents.
fn normaliser(lowercase: bool) -> BertNormalizer {
    BertNormalizer::new(true, true, None, lowercase)
}
