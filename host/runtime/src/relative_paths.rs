//! Paths relative to a folder of this machine: runs, reports and messages hold no absolute path.

use std::path::{Component, Path};

/// Whether a path stays below the folder that it is joined to.
pub fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// A message in which paths below a folder are relative to it, and the folder itself is `.`. Only a whole path or its
/// beginning is replaced: another path that contains the same text stays as it is.
pub(crate) fn without_folder(message: &str, folder: &str) -> String {
    if folder.is_empty() {
        return message.into();
    }
    let below = format!("{}/", folder.trim_end_matches('/'));
    let message = replace(message, &below, "", |_| true);
    match below.as_str() {
        "/" => message,
        _ => replace(&message, below.trim_end_matches('/'), ".", |behind| behind.is_none_or(|c| !is_of_path(c))),
    }
}

/// Replaces a text where it begins a path, and where the character behind it is accepted.
fn replace(message: &str, from: &str, to: &str, accepts: impl Fn(Option<char>) -> bool) -> String {
    let mut replaced = String::with_capacity(message.len());
    let mut done = 0;
    for (at, _) in message.match_indices(from) {
        let (before, behind) = (message[..at].chars().next_back(), message[at + from.len()..].chars().next());
        if before.is_none_or(|c| !is_of_path(c)) && accepts(behind) {
            replaced.push_str(&message[done..at]);
            replaced.push_str(to);
            done = at + from.len();
        }
    }
    replaced.push_str(&message[done..]);
    replaced
}

/// Whether a character beside a path belongs to the path. Blanks and punctuation around it do not.
fn is_of_path(c: char) -> bool {
    !c.is_whitespace() && !"\"'`()[]{}<>=:,;|".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_and_their_beginnings_are_replaced() {
        for folder in ["/data", "/data/"] {
            let cut = |message| without_folder(message, folder);
            assert_eq!(cut("/data/a.png is damaged"), "a.png is damaged");
            assert_eq!(cut("no file \"/data/a/data/b.png\": /data/c"), "no file \"a/data/b.png\": c");
            assert_eq!(cut("/mnt/data/a.png and ../data/b"), "/mnt/data/a.png and ../data/b");
            assert_eq!(cut("/data: empty, /database, in (/data)"), ".: empty, /database, in (.)");
        }
        assert_eq!(without_folder("mydata/a, data/b", "data"), "mydata/a, b");
        assert_eq!(without_folder("/etc/a: b/c", "/"), "etc/a: b/c");
        assert_eq!(without_folder("/a", ""), "/a");
    }
}
