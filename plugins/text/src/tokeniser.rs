//! Text to ids and back. Where the vocabulary comes from is decided here; how one is learned is in [`crate::training`],
//! and the frame and the mask are put on in [`crate::dataset`].

use std::path::Path;

use medcoss_sdk::{Error, OpenRequest};
use tokenizers::{
    AddedToken, Tokenizer, decoders::wordpiece::WordPiece as WordPieceDecoder, models::wordpiece::WordPiece,
    normalizers::BertNormalizer, pre_tokenizers::bert::BertPreTokenizer, processors::bert::BertProcessing,
};

use crate::{
    corpus::Corpus,
    options::Options,
    read::{decode, read_bytes},
    training::{self, CONTINUING},
};

/// What `save_assets` writes and `assets` is looked through for.
pub const FILE: &str = "tokenizer.json";

/// BERT's special tokens, in the order of their ids in a learned vocabulary.
pub const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// Ids of padding and mask in a learned vocabulary.
pub const LEARNED_PADDING_ID: i32 = 0;
/// See [`LEARNED_PADDING_ID`].
pub const LEARNED_MASK_ID: i32 = 4;

/// A tokeniser with the special tokens that masked language modelling needs.
#[derive(Debug)]
pub struct Tokeniser {
    inner: Tokenizer,
    /// One more than the largest id.
    pub vocabulary: usize,
    /// Fills samples up.
    pub padding_id: i32,
    /// Opens a sample.
    pub start_id: i32,
    /// Closes a sample.
    pub end_id: i32,
    /// Stands for a masked token.
    pub mask_id: i32,
    /// Every special id, ascending.
    pub special_ids: Vec<i32>,
}

/// A text in ids, without a frame.
pub struct Encoded {
    /// `[n]`.
    pub ids: Vec<i32>,
    /// `[n]`, the number of the word that a token belongs to.
    pub words: Vec<Option<u32>>,
}

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
        let tokens = training::learn(corpus.texts(), &normaliser, &SPECIAL, options.vocab_size)?;
        Self::from_tokens(&tokens, options.lowercase, "the learned vocabulary")
    }

    fn from_file(path: &Path, lowercase: bool) -> Result<Self, Error> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Self::from_json(path),
            Some("txt") => Self::from_vocabulary(path, lowercase),
            _ => Err(Error::bad_request(format!(
                "option tokenizer is {}; expected a tokenizer.json or a vocab.txt",
                path.display()
            ))),
        }
    }

    fn from_json(path: &Path) -> Result<Self, Error> {
        let inner = Tokenizer::from_bytes(read_bytes(path)?)
            .map_err(|error| Error::corrupt(format!("{} is no tokenizer.json", path.display())).caused_by(&*error))?;
        Self::checked(inner, &path.display().to_string())
    }

    /// One token a line, its id the number of the line from 0.
    fn from_vocabulary(path: &Path, lowercase: bool) -> Result<Self, Error> {
        let (bytes, name) = (read_bytes(path)?, path.display().to_string());
        let tokens: Vec<String> = decode(&bytes, &name)?.lines().map(|line| line.trim_end().to_owned()).collect();
        let mut lines = std::collections::BTreeMap::new();
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
    fn from_tokens(tokens: &[String], lowercase: bool, name: &str) -> Result<Self, Error> {
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

    /// Takes over what this plugin does by itself, and makes sure of the special tokens and the range of the ids.
    fn checked(mut inner: Tokenizer, name: &str) -> Result<Self, Error> {
        // Cutting, filling up and framing are done with the sample; a text that spells "[MASK]" means no mask.
        inner
            .with_padding(None)
            .with_truncation(None)
            .map_err(|error| Error::corrupt(format!("{name} cannot be used without truncation")).caused_by(&*error))?;
        inner.set_encode_special_tokens(true);

        let largest = inner.get_vocab(true).into_values().max().unwrap_or_default();
        if i32::try_from(largest).is_err() {
            return Err(Error::corrupt(format!("{name} has id {largest}; expected 31 bits at most")));
        }
        let id = |token: &str| {
            inner.token_to_id(token).map(|id| id as i32).ok_or_else(|| {
                Error::unsupported(format!("{name} has no token {token}; expected all of {}", SPECIAL.join(", ")))
            })
        };
        let [padding_id, unknown_id, start_id, end_id, mask_id] =
            [id(SPECIAL[0])?, id(SPECIAL[1])?, id(SPECIAL[2])?, id(SPECIAL[3])?, id(SPECIAL[4])?];
        let added = inner.get_added_tokens_decoder().into_iter().filter(|(_, token)| token.special);
        let mut special_ids: Vec<i32> = added.map(|(id, _)| id as i32).collect();
        special_ids.extend([padding_id, unknown_id, start_id, end_id, mask_id]);
        special_ids.sort_unstable();
        special_ids.dedup();
        let vocabulary = largest as usize + 1;
        Ok(Self { inner, vocabulary, padding_id, start_id, end_id, mask_id, special_ids })
    }

    /// Ids of a text with their words.
    ///
    /// # Errors
    /// A text that the tokeniser refuses.
    pub fn encode(&self, text: &str) -> Result<Encoded, Error> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|error| Error::corrupt("a text could not be tokenised").caused_by(&*error))?;
        // Ids are below `vocabulary`, which fits.
        let ids = encoding.get_ids().iter().map(|&id| id as i32).collect();
        Ok(Encoded { ids, words: encoding.get_word_ids().to_vec() })
    }

    /// True when a text gives any token at all.
    pub fn sees(&self, text: &str) -> bool {
        // A letter or digit always gives one, at least the unknown token; the rest is looked at closely.
        text.contains(char::is_alphanumeric) || self.encode(text).is_ok_and(|encoded| !encoded.ids.is_empty())
    }

    /// Text of a sample's ids; frame and padding are left out, masks are shown.
    ///
    /// # Errors
    /// An id that is not in the vocabulary.
    pub fn decode(&self, ids: &[i32]) -> Result<String, Error> {
        let unseen = [self.padding_id, self.start_id, self.end_id];
        let mut shown = Vec::with_capacity(ids.len());
        for &id in ids.iter().filter(|id| !unseen.contains(id)) {
            match u32::try_from(id).ok().filter(|&id| self.inner.id_to_token(id).is_some()) {
                Some(id) => shown.push(id),
                None => {
                    let vocabulary = self.vocabulary;
                    return Err(Error::bad_request(format!(
                        "id {id} is not one of the {vocabulary} of the vocabulary"
                    )));
                }
            }
        }
        self.inner
            .decode(&shown, false)
            .map_err(|error| Error::bad_request("the ids could not be decoded").caused_by(&*error))
    }

    /// Writes the tokeniser as [`FILE`].
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        self.inner
            .save(&path, true)
            .map_err(|error| Error::unreadable(format!("{} cannot be written", path.display())).caused_by(&*error))
    }
}

/// BERT's: control characters out, white space to blanks, Chinese characters apart; and lower case without accents.
fn normaliser(lowercase: bool) -> BertNormalizer {
    BertNormalizer::new(true, true, None, lowercase)
}
