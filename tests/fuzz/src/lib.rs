//! Code that the fuzz targets share. An input becomes a file, a plugin opens it as data, every sample is loaded, and
//! the answers are checked against the rules of the host. For an invalid file a plugin may return an error, or samples
//! that fail; it may not panic, hang, or take memory without bound.
//!
//! Formats are read through the plugins, so that targets do not change when readers do.

#[cfg(feature = "run-folder")]
pub mod run;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use medcoss_sdk::{Continuous, Discrete, Patches, 
    Dataset, Error, FoundFile, Geometry, Modality, NOT_A_TARGET, OpenRequest, Sample, View, sample_rng,
    serde_json::{self, Value},
};

/// Largest number of samples that are loaded of an input.
const MAX_LOADED: usize = 8;
/// Largest length of an id in bytes, as in the host.
const MAX_ID_BYTES: usize = 1024;

/// Vocabulary for targets that do not test vocabularies.
pub const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nclear\nlung\n##s\n##a\n.\n,\n";

/// A folder of this process, in memory where such a file system exists.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("medcoss-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for inputs");
        folder
    })
}

/// Writes a file into [`folder`].
pub fn put(name: &str, content: &[u8]) {
    std::fs::write(folder().join(name), content).expect("room for an input");
}

/// Opens the file `name` with `content`, and loads its first samples in both views.
pub fn open_and_load<M: Modality>(name: &str, content: &[u8], options: Value) {
    put(name, content);
    open_and_load_as::<M>(name, options);
}

/// Opens an existing file, and loads its first samples in both views.
pub fn open_and_load_as<M: Modality>(name: &str, options: Value) {
    let options = serde_json::from_value(options).expect("options of the plugin");
    M::geometry(&options).expect("options in their ranges");
    let request = OpenRequest { base: folder().to_owned(), data: vec![name.into()], options, assets: None };
    match M::open(request) {
        Ok(dataset) => check(&dataset),
        Err(error) => check_error(&error),
    }
}

/// Opens an existing file, and reads `content` as the mask of its first sample, under the name `mask`.
pub fn label_map<M: Modality>(name: &str, mask: &str, content: &[u8], options: Value) {
    put(mask, content);
    let options = serde_json::from_value(options).expect("options of the plugin");
    let request = OpenRequest { base: folder().to_owned(), data: vec![name.into()], options, assets: None };
    let dataset = M::open(request).expect("a good file");
    let path = folder().join(mask);
    let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
    let mask = FoundFile { path, id: mask.to_owned(), entry: 0, bytes: content.len() as u64, modified };
    match dataset.label_map(0, &mask) {
        Ok(map) => assert_eq!(map.shape().iter().product::<usize>(), map.values().len()),
        Err(error) => check_error(&error),
    }
}

fn check(dataset: &impl Dataset) {
    assert!(!dataset.is_empty(), "an opened dataset has samples");
    let mut ids = BTreeSet::new();
    for index in 0..dataset.len() {
        let id = dataset.record(index).id;
        assert!(!id.is_empty() && id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control), "id {id:?}");
        assert!(Path::new(&id).components().all(|part| matches!(part, std::path::Component::Normal(_))), "id {id:?}");
        assert!(ids.insert(id), "an id comes twice");
        let _ = dataset.record(index).label;
    }
    for index in 0..dataset.len().min(MAX_LOADED) {
        for view in [View::Evaluation, View::Training] {
            load(dataset, index, view);
        }
    }
}

fn load(dataset: &impl Dataset, index: usize, view: View) {
    let mut rng = sample_rng(index as u64);
    match dataset.geometry() {
        Geometry::Continuous(Continuous { grid, d_token, n_masked, .. }) => {
            let n_tokens = grid.iter().product::<usize>();
            let (mut tokens, mut mask) = (vec![0.0; n_tokens * d_token], vec![0; n_tokens]);
            let sample = Sample::Continuous(Patches::new(&mut tokens, &mut mask));
            match dataset.load(index, view, &mut rng, sample) {
                Ok(()) => {
                    assert!(tokens.iter().all(|value| value.is_finite()), "a value that is no number");
                    let n_found = mask.iter().filter(|&&masked| masked == 1).count();
                    assert_eq!(n_found, if view == View::Training { n_masked } else { 0 });
                }
                Err(error) => check_error(&error),
            }
        }
        Geometry::Discrete(Discrete { length, vocabulary, padding_id, .. }) => {
            let (mut ids, mut labels, mut n) = (vec![padding_id; length], vec![NOT_A_TARGET; length], 0);
            let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
            match dataset.load(index, view, &mut rng, sample) {
                Ok(()) => {
                    let known = |id: i32| usize::try_from(id).is_ok_and(|id| id < vocabulary);
                    assert!(ids.iter().all(|&id| known(id)), "an id that is not in the vocabulary");
                    assert!(labels.iter().all(|&id| id == NOT_A_TARGET || known(id)), "a label that is no id");
                    assert!(usize::try_from(n).is_ok_and(|n| (1..=length).contains(&n)), "{n} tokens");
                }
                Err(error) => check_error(&error),
            }
        }
    }
}

/// Checks that an error has a message, and that the message is not a whole file.
pub fn check_error(error: &Error) {
    assert!(!error.message().is_empty());
    assert!(error.message().len() < 8192, "a message of {} bytes", error.message().len());
}

/// Options of the text targets: a given vocabulary and short samples, with `more`.
pub fn text_options(more: Value) -> Value {
    put("vocab.txt", VOCABULARY.as_bytes());
    let mut options = serde_json::json!({ "tokenizer": "vocab.txt", "max_length": 16 });
    if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
        options.extend(more);
    }
    options
}

/// Writes a first input of a target into its corpus, unless it exists. A target whose inputs no plugin writes does this
/// as it starts.
pub fn first_input(target: &str, name: &str, content: &[u8]) {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    if !corpus.join(name).exists() {
        std::fs::create_dir_all(&corpus)
            .and_then(|()| std::fs::write(corpus.join(name), content))
            .expect("room for an input");
    }
}

/// A gzipped synthetic volume, reduced to 5 by 4 by 3 voxels after its header, so that changes concern the header.
pub fn small_volume(made: &[u8]) -> Vec<u8> {
    let mut volume = Vec::new();
    flate2::read::GzDecoder::new(made).read_to_end(&mut volume).expect("a volume that was made");
    for (axis, size) in [5u16, 4, 3].into_iter().enumerate() {
        volume[42 + 2 * axis..44 + 2 * axis].copy_from_slice(&size.to_le_bytes());
    }
    volume.truncate(352 + 5 * 4 * 3 * 2);
    volume
}
