//! JSON documents of a run folder: checksum, format version, and migration from earlier formats.
//!
//! A file states its format. A reader takes its own format and every earlier one: [`MIGRATIONS`] has one step for each,
//! which turns the JSON of that format into that of the next. A later format is refused, since guessing would lose what
//! the newer version added. So a change of a file's meaning raises [`FORMAT`] and adds a step; a field that may be absent
//! does not.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::checksum::{CHECKSUM_PLACEHOLDER, insert_checksum, verify_checksum};
use super::files::{read_document_bytes, write_atomically};
use crate::confined_path::ConfinedPath;
use crate::{Error, Result};

/// Version of the run format.
///
/// 1: without checksums. 2: checksums, interrupted epochs. 3: a number of decoder positions of their own, imported models,
/// `text.attention` in place of `model.text_attention`. 4: the field's names: `checksum` in place of `seal`, `invalid_samples` in place of
/// `bad_samples`, `report` in place of an imported model's `account`; of scores, `n_undefined` in place of `n_without` and the protocol
/// `masked-lm` in place of `cloze`.
pub const FORMAT: u32 = 4;

/// Step `n` turns format `n + 1` into `n + 2`.
const MIGRATIONS: [fn(&mut serde_json::Map<String, Value>); FORMAT as usize - 1] =
    [add_checksum, add_decoder_positions, rename_fields_of_format_3];

/// The text before the checksum.
const MARKER: &str = "\"checksum\": \"";

/// The text before the checksum in formats 2 and 3.
const MARKER_BEFORE_FORMAT_4: &str = "\"seal\": \"";

/// Format 1 had no checksum to verify.
fn add_checksum(document: &mut serde_json::Map<String, Value>) {
    document.insert("checksum".into(), CHECKSUM_PLACEHOLDER.into());
}

/// Formats 1 and 2 had as many positions in the decoder as in the embedder.
fn add_decoder_positions(document: &mut serde_json::Map<String, Value>) {
    let families = document.get_mut("model").and_then(|model| model.get_mut("families")).and_then(Value::as_array_mut);
    for family in families.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(n_positions) = family.get("n_positions").cloned() {
            family.insert("n_decoder_positions".into(), n_positions);
        }
    }
}

/// Format 4 took over the field's names.
fn rename_fields_of_format_3(document: &mut serde_json::Map<String, Value>) {
    for (before, now) in [("seal", "checksum"), ("bad_samples", "invalid_samples"), ("account", "report")] {
        if let Some(value) = document.remove(before) {
            document.insert(now.into(), value);
        }
    }
    for score in entries(document, "scores") {
        if let Some(n_undefined) = score.remove("n_without") {
            score.insert("n_undefined".into(), n_undefined);
        }
    }
    for task in entries(document, "tasks") {
        if task.get("protocol").is_some_and(|protocol| protocol == "cloze") {
            task.insert("protocol".into(), "masked-lm".into());
        }
    }
}

/// The objects in a list of a document; none where the field is no list.
fn entries<'a>(
    document: &'a mut serde_json::Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut serde_json::Map<String, Value>> {
    document.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Writes a document with a field `checksum`, which holds [`CHECKSUM_PLACEHOLDER`], and a field `format`.
pub(crate) fn write_document(path: &ConfinedPath, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::damaged(&path.path(), error))?;
    write_atomically(path, format!("{}\n", insert_checksum(&text, MARKER)).as_bytes())
}

/// Reads a document that [`write_document`] wrote, in this or an earlier format. The document's checksum is [`CHECKSUM_PLACEHOLDER`] again.
///
/// # Errors
/// A file that is missing, damaged, or of a later format.
pub(crate) fn read_document<T: DeserializeOwned>(path: &ConfinedPath) -> Result<T> {
    parse_document(&read_document_bytes(path)?).map_err(|detail| Error::damaged(&path.path(), detail))
}

/// Parses a document from the bytes of a file; the error is a sentence without the file's name.
pub(crate) fn parse_document<T: DeserializeOwned>(text: &[u8]) -> std::result::Result<T, String> {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let document: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let Value::Object(mut document) = document else { return Err("it holds no JSON object".into()) };
    let format = document.get("format").and_then(Value::as_u64).ok_or("it states no format")?;
    // Format 1 had no checksum. A document with one is verified, whatever format a changed digit makes it claim.
    if document.contains_key("checksum") || format >= 4 {
        verify_checksum(body, MARKER)?;
    } else if document.contains_key("seal") || format != 1 {
        verify_checksum(body, MARKER_BEFORE_FORMAT_4)?;
    }
    let steps = usize::try_from(format).ok().and_then(|format| MIGRATIONS.get(format.checked_sub(1)?..));
    let Some(steps) = steps else {
        return Err(format!("it has format {format}; this version reads formats 1 to {FORMAT}\nhint: update medcoss"));
    };
    steps.iter().for_each(|step| step(&mut document));
    document.insert("format".into(), FORMAT.into());
    document.insert("checksum".into(), CHECKSUM_PLACEHOLDER.into());
    serde_json::from_value(Value::Object(document)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Scores;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Note {
        format: u32,
        checksum: String,
        loss: f64,
        #[serde(default)]
        unfinished: Option<u32>,
    }

    #[test]
    fn documents_keep_every_digit_and_detect_every_flipped_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("note.json");
        // Neighbouring doubles must be read exactly as written.
        let mut loss = 0.7f64 / 11.0;
        for _ in 0..200 {
            let note = Note { format: FORMAT, checksum: CHECKSUM_PLACEHOLDER.into(), loss, unfinished: Some(3) };
            write_document(&path, &note).unwrap();
            assert_eq!(read_document::<Note>(&path).unwrap(), note);
            loss = f64::from_bits(loss.to_bits() + 1);
        }
        let text = std::fs::read(path.path()).unwrap();
        for bit in 0..8 * (text.len() - 1) {
            let mut broken = text.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_document::<Note>(&broken).is_err(), "bit {bit} of {}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn earlier_formats_are_migrated_and_later_ones_refused() {
        let note: Note = parse_document(b"{\"format\": 1, \"loss\": 0.5}").unwrap();
        assert_eq!(note, Note { format: FORMAT, checksum: CHECKSUM_PLACEHOLDER.into(), loss: 0.5, unfinished: None });
        let later = insert_checksum(
            &format!("{{\"checksum\": \"{CHECKSUM_PLACEHOLDER}\", \"format\": 5, \"loss\": 0.5}}"),
            MARKER,
        );
        let error = parse_document::<Note>(later.as_bytes()).unwrap_err();
        assert!(error.contains("format 5") && error.contains("formats 1 to 4"), "{error}");
        assert!(parse_document::<Note>(b"{\"format\": 0, \"loss\": 0.5}").is_err());
        assert!(parse_document::<Note>(b"{\"format\": 2, \"loss\": 0.5}").unwrap_err().contains("no checksum"));
    }

    #[test]
    fn a_document_of_format_3_gets_the_names_of_format_4() {
        let text = format!(
            "{{\"seal\": \"{CHECKSUM_PLACEHOLDER}\", \"format\": 3, \"bad_samples\": {{\"a\": \"torn\"}}, \"account\": 7}}"
        );
        let with_checksum = insert_checksum(&text, MARKER_BEFORE_FORMAT_4);
        let document: Value = parse_document(with_checksum.as_bytes()).unwrap();
        assert_eq!((&document["invalid_samples"]["a"], &document["report"]), (&"torn".into(), &7.into()));
        assert!(document.get("seal").is_none() && document.get("account").is_none());
        assert!(parse_document::<Value>(with_checksum.replace("torn", "worn").as_bytes()).is_err());
    }

    #[test]
    fn scores_of_format_3_get_the_names_of_format_4() {
        let text = format!(
            r#"{{"format": 3, "seal": "{CHECKSUM_PLACEHOLDER}", "tasks_file": "small", "tasks_sha256": "", "seeds": [0],
            "tasks": [{{"name": "words", "modality": "text", "own_stage": 1, "protocol": "cloze", "primary_metric": "accuracy",
                "higher_is_better": true, "classes": [], "n_train": 0, "n_test": 4}}],
            "stages": [{{"stage": 1, "modality": "text"}}],
            "scores": [{{"stage": 1, "task": "words", "metric": "hd95_voxels", "value": 2.0, "low": 1.0, "high": 3.0, "n": 4,
                "by_seed": [2.0], "n_without": 3}}], "transfer": null}}"#
        );
        let folder = tempfile::tempdir().unwrap();
        let path = ConfinedPath::root(folder.path()).unwrap().join("scores.json");
        std::fs::write(path.path(), insert_checksum(&text, MARKER_BEFORE_FORMAT_4)).unwrap();
        let scores = Scores::read(&path).unwrap();
        assert_eq!((scores.tasks[0].protocol.as_str(), scores.scores[0].n_undefined), ("masked-lm", Some(3)));
        scores.write(&path).unwrap();
        assert_eq!(Scores::read(&path).unwrap(), scores);
    }

    #[test]
    fn a_model_of_format_2_has_as_many_positions_in_the_decoder_as_in_the_embedder() {
        let text = format!(
            "{{\"seal\": \"{CHECKSUM_PLACEHOLDER}\", \"format\": 2, \"model\": {{\"families\": [{{\"n_positions\": 1024}}]}}}}"
        );
        let document: Value = parse_document(insert_checksum(&text, MARKER_BEFORE_FORMAT_4).as_bytes()).unwrap();
        assert_eq!(document["model"]["families"][0]["n_decoder_positions"], 1024);
    }
}
