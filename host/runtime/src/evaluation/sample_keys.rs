//! Names under which a table or a list may know a sample.

use std::path::Path;

/// The names of a sample, the most exact first: its id, its file, either relative to the table's folder, the file's name, that name without extensions.
pub(super) fn keys_of(table: &Path, id: &str, file: &str) -> Vec<String> {
    let folder = plain(&table.parent().unwrap_or(Path::new("")).to_string_lossy());
    let below = |id: &str| match folder.as_str() {
        "" => None,
        folder => id.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).map(str::to_string),
    };
    let name = file.rsplit('/').next().unwrap_or(file);
    let stems = name.match_indices('.').map(|(at, _)| name[..at].to_string()).filter(|stem| !stem.is_empty());
    let mut keys = vec![id.to_string()];
    keys.extend(below(id));
    keys.push(file.to_string());
    keys.extend(below(file));
    keys.push(name.to_string());
    // The longest stem comes first: the text before the last dot.
    let stems: Vec<String> = stems.collect();
    keys.extend(stems.into_iter().rev());
    keys
}

/// A key with `/` between folders and none at its start.
pub(super) fn plain(key: &str) -> String {
    let key = key.trim().replace('\\', "/");
    key.trim_start_matches("./").to_string()
}
