//! PyTorch checkpoints, written as `torch.save` does: a zip of a pickle and one file for each tensor's values.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Entry of the state dict.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A tensor: storage class (`FloatStorage`), shape, bytes.
    Tensor(&'static str, Vec<usize>, Vec<u8>),
    /// Call that executing the pickle would make: `os.system` of a command.
    Command(String),
}

/// A checkpoint: the state dict under `model` (or bare), and other entries beside it.
pub fn checkpoint(state: &[(String, Entry)], wrapper: Option<&str>, others: &[(&str, Entry)]) -> Vec<u8> {
    let mut pickle = vec![0x80, 2];
    let mut storages = Vec::new();
    match wrapper {
        Some(wrapper) => {
            pickle.push(b'}');
            text(&mut pickle, wrapper);
            dictionary(&mut pickle, state.iter().map(|(name, entry)| (name.as_str(), entry)), &mut storages);
            pickle.push(b's');
            for (name, entry) in others {
                text(&mut pickle, name);
                value(&mut pickle, entry, &mut storages);
                pickle.push(b's');
            }
        }
        None => dictionary(&mut pickle, state.iter().map(|(name, entry)| (name.as_str(), entry)), &mut storages),
    }
    pickle.push(b'.');

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut file = |name: String, bytes: &[u8]| {
        zip.start_file(name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    file("archive/data.pkl".into(), &pickle);
    file("archive/byteorder".into(), b"little");
    for (number, bytes) in storages.iter().enumerate() {
        file(format!("archive/data/{number}"), bytes);
    }
    file("archive/version".into(), b"3\n");
    zip.finish().unwrap().into_inner()
}

fn dictionary<'a>(
    pickle: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'a str, &'a Entry)>,
    storages: &mut Vec<Vec<u8>>,
) {
    class(pickle, "collections", "OrderedDict");
    pickle.extend(b")R(");
    for (name, entry) in entries {
        text(pickle, name);
        value(pickle, entry, storages);
    }
    pickle.push(b'u');
}

fn value(pickle: &mut Vec<u8>, entry: &Entry, storages: &mut Vec<Vec<u8>>) {
    match entry {
        Entry::Command(command) => {
            class(pickle, "posix", "system");
            text(pickle, command);
            pickle.extend(b"\x85R");
        }
        Entry::Tensor(storage, shape, bytes) => {
            let n = shape.iter().product::<usize>();
            class(pickle, "torch._utils", "_rebuild_tensor_v2");
            pickle.extend(b"((");
            text(pickle, "storage");
            class(pickle, "torch", storage);
            text(pickle, &storages.len().to_string());
            text(pickle, "cpu");
            number(pickle, n);
            pickle.extend(b"tQ");
            number(pickle, 0);
            tuple(pickle, shape);
            let strides: Vec<usize> = (0..shape.len()).map(|at| shape[at + 1..].iter().product()).collect();
            tuple(pickle, &strides);
            pickle.push(0x89);
            class(pickle, "collections", "OrderedDict");
            pickle.extend(b")RtR");
            storages.push(bytes.clone());
        }
    }
}

fn class(pickle: &mut Vec<u8>, module: &str, name: &str) {
    pickle.extend(format!("c{module}\n{name}\n").bytes());
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

fn number(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend((number as u32).to_le_bytes());
}

fn tuple(pickle: &mut Vec<u8>, numbers: &[usize]) {
    pickle.push(b'(');
    numbers.iter().for_each(|&value| number(pickle, value));
    pickle.push(b't');
}
