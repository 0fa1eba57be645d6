//! A manifest: a table with a row for each file, in CSV or JSON Lines.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use medcoss_plugin_host::{EntryFacts, did_you_mean};
use serde_json::Value;

use super::listed::{Listed, UsedValue};
use super::resolved::ResolvedData;
use super::side::Side;
use crate::relative_paths::is_below;

/// Largest manifest in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// Most rows of a manifest.
const MAX_ROWS: usize = 1 << 26;
/// Columns that a message lists at most.
const MAX_LISTED: usize = 20;

/// The cells of a row that are asked for.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    /// Line of the file, from 1.
    line: u64,
    path: Option<String>,
    label: Option<String>,
    group: Option<String>,
    split: Option<String>,
    pair: Option<String>,
}

/// Reads a manifest. Rows without a path, of another split, and rows whose file is not there are left out.
///
/// # Errors
/// A manifest that cannot be read, columns that are missing, a split of another name, one file with two meanings.
pub(super) fn read(listed: &Listed, base: &Path, sides: &[Side]) -> Result<ResolvedData> {
    let manifest = listed.place();
    let file = base.join(manifest);
    let mut text = String::new();
    let opened = File::open(&file).with_context(|| format!("cannot read the manifest {}", file.display()))?;
    let n_bytes = opened.metadata()?.len();
    if n_bytes > MAX_BYTES {
        bail!("the manifest has {} MiB; manifests of up to {} MiB are read", n_bytes >> 20, MAX_BYTES >> 20);
    }
    opened
        .take(MAX_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("{} is no text in UTF-8", manifest.display()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let extension = manifest.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let rows = match extension.as_deref() {
        Some("jsonl" | "ndjson") => of_json_lines(listed, text)?,
        extension => {
            of_table(listed, text, listed.delimiter.unwrap_or(if extension == Some("tsv") { '\t' } else { ',' }))?
        }
    };
    let folder = manifest.parent().unwrap_or(Path::new(""));
    let mut found = ResolvedData::default();
    let mut known: HashMap<PathBuf, usize> = HashMap::new();
    let mut lines = Vec::new();
    for row in rows {
        let line = row.line;
        let at_line = || format!("{} line {line}", manifest.display());
        let Some(path) = &row.path else {
            found.left_out.push((at_line(), "a row without a path".into()));
            continue;
        };
        let entry = located(listed, base, folder, path).with_context(at_line)?;
        let shown = entry.display().to_string();
        if let Some(reason) = not_wanted(listed, &row, sides).with_context(at_line)? {
            found.left_out.push((shown, reason));
            continue;
        }
        if !base.join(&entry).exists() {
            found.left_out.push((shown, "named by the manifest, and not there".into()));
            continue;
        }
        let facts = EntryFacts {
            label: row.label,
            group: row.group,
            pair: row.pair,
            split: row.split.as_deref().and_then(Side::of_name).map(|side| side.name().into()),
        };
        match known.get(&entry) {
            None => {
                known.insert(entry.clone(), found.entries.len());
                lines.push(line);
                found.add(entry, facts);
            }
            Some(&at) if found.facts[at] == facts => {
                found
                    .left_out
                    .push((format!("{shown} ({})", at_line()), "a row that an earlier one says already".into()));
            }
            Some(&at) => {
                bail!("{shown} stands on lines {} and {line} with other values\nhint: keep one row a file", lines[at])
            }
        }
    }
    Ok(found)
}

/// The path of a file below the base.
fn located(listed: &Listed, base: &Path, folder: &Path, cell: &str) -> Result<PathBuf> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let path = PathBuf::from(format!("{}{cell}{}", text(&listed.prefix), text(&listed.suffix)));
    let entry = if path.is_absolute() {
        let below = match &listed.strip {
            Some(strip) => path.strip_prefix(strip).ok(),
            None => path.strip_prefix(base).ok(),
        };
        below.map(Path::to_path_buf).ok_or_else(|| {
            anyhow!(
                "{} does not lie in {}\nhint: data.strip = \"/beginning/of/these/paths\" maps them to the data root",
                path.display(),
                listed.strip.as_deref().map_or_else(|| base.display().to_string(), String::from)
            )
        })?
    } else {
        folder.join(path)
    };
    match is_below(&entry) {
        true => Ok(entry),
        false => bail!("{} leads out of the data root", entry.display()),
    }
}

/// Why a row is not used because of its split; `None`: it is.
fn not_wanted(listed: &Listed, row: &Row, sides: &[Side]) -> Result<Option<String>> {
    let Some(column) = &listed.split else { return Ok(None) };
    let Some(value) = &row.split else { return Ok(Some("a row without a split".into())) };
    if let Some(used) = &listed.used {
        let is_used = used.iter().any(|used: &UsedValue| used.text() == *value);
        return Ok((!is_used).then(|| format!("of {column} {value}")));
    }
    let Some(side) = Side::of_name(value) else {
        bail!(
            "{column} is {value:?}; train, validation and test are known\nhint: data.use = [\"{value}\"] chooses rows by other values"
        );
    };
    Ok((!sides.contains(&side)).then(|| format!("of the split {}", side.name())))
}

fn of_table(listed: &Listed, text: &str, delimiter: char) -> Result<Vec<Row>> {
    let Ok(delimiter) = u8::try_from(delimiter) else { bail!("data.delimiter is {delimiter:?}; it must be one byte") };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().context("the manifest is no table")?.clone();
    let column = |wanted: &Option<String>| -> Result<Option<usize>> {
        let Some(wanted) = wanted else { return Ok(None) };
        let places: Vec<usize> = (0..header.len()).filter(|at| header[*at] == **wanted).collect();
        match places.as_slice() {
            [at] => Ok(Some(*at)),
            [] => {
                let others = [',', ';', '\t', '|'].into_iter().filter(|other| *other as u32 != u32::from(delimiter));
                let other = others.into_iter().find(|other| header.iter().any(|title| title.contains(*other)));
                let remedy = match other {
                    Some(other) => format!(
                        "the columns seem to be separated by {other:?}: set data.delimiter = {:?}",
                        other.to_string()
                    ),
                    None => {
                        let titles: Vec<&str> = header.iter().take(MAX_LISTED).collect();
                        let more = if header.len() > MAX_LISTED { ", ..." } else { "" };
                        format!("{}the columns are {}{more}", did_you_mean(wanted, header.iter()), titles.join(", "))
                    }
                };
                bail!("the manifest has no column {wanted:?}\nhint: {remedy}")
            }
            _ => bail!("the manifest has {} columns {wanted:?}\nhint: give each a name of its own", places.len()),
        }
    };
    let [path, label, group, split, pair] = [
        column(&listed.path)?,
        column(&listed.label)?,
        column(&listed.group)?,
        column(&listed.split)?,
        column(&listed.pair)?,
    ];
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).context("the manifest is damaged")? {
        let cell = |at: Option<usize>| record.get(at?).filter(|text| !text.is_empty()).map(str::to_string);
        let line = record.position().map_or(0, csv::Position::line);
        let row = Row {
            line,
            path: cell(path),
            label: cell(label),
            group: cell(group),
            split: cell(split),
            pair: cell(pair),
        };
        push(&mut rows, row)?;
    }
    Ok(rows)
}

fn of_json_lines(listed: &Listed, text: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = at as u64 + 1;
        let fields: BTreeMap<String, Value> =
            serde_json::from_str(line).with_context(|| format!("line {number} is no JSON object"))?;
        let cell = |name: &Option<String>| -> Result<Option<String>> {
            let Some(name) = name else { return Ok(None) };
            Ok(match fields.get(name) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                Some(_) => bail!("line {number}: {name} is a list or an object; a text or a number is expected"),
            })
        };
        let row = Row {
            line: number,
            path: cell(&listed.path)?,
            label: cell(&listed.label)?,
            group: cell(&listed.group)?,
            split: cell(&listed.split)?,
            pair: cell(&listed.pair)?,
        };
        push(&mut rows, row)?;
    }
    let named = |column: &Option<String>, has: fn(&Row) -> bool| match column {
        Some(name) if !rows.is_empty() && !rows.iter().any(has) => bail!("no line of the manifest has {name:?}"),
        _ => Ok(()),
    };
    named(&listed.path, |row| row.path.is_some())?;
    named(&listed.label, |row| row.label.is_some())?;
    named(&listed.group, |row| row.group.is_some())?;
    named(&listed.split, |row| row.split.is_some())?;
    named(&listed.pair, |row| row.pair.is_some())?;
    Ok(rows)
}

fn push(rows: &mut Vec<Row>, row: Row) -> Result<()> {
    if rows.len() == MAX_ROWS {
        bail!("the manifest has more than {MAX_ROWS} rows");
    }
    rows.push(row);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    /// A folder with some files and a manifest.
    fn folder(name: &str, manifest: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("img")).unwrap();
        for file in ["a.png", "b.png", "c.png"] {
            std::fs::write(folder.path().join("img").join(file), file).unwrap();
        }
        std::fs::write(folder.path().join(name), manifest).unwrap();
        folder
    }

    fn resolved(folder: &Path, source: &str, sides: &[Side]) -> Result<ResolvedData> {
        let table: toml::Table = format!("data = {source}").parse().unwrap();
        let listed: Listed = table["data"].clone().try_into().unwrap();
        listed.check()?;
        read(&listed, folder, sides)
    }

    fn entries(data: &ResolvedData) -> Vec<&str> {
        data.entries.iter().map(|entry| entry.to_str().unwrap()).collect()
    }

    const TRAIN: &[Side] = &[Side::Train];
    const BOTH: &[Side] = &[Side::Train, Side::Test];

    #[test]
    fn rows_are_files_with_label_group_and_split() {
        let text = "file,finding,patient,fold\na,effusion,p1,train\nb,,p2,test\nc,normal,p1,train\nd,normal,p3,train\n,x,y,train\n";
        let folder = folder("list.csv", text);
        let source = "{ manifest = 'list.csv', path = 'file', label = 'finding', group = 'patient', split = 'fold', prefix = 'img/', suffix = '.png' }";
        let data = resolved(folder.path(), source, TRAIN).unwrap();
        assert_eq!(entries(&data), ["img/a.png", "img/c.png"]);
        assert_eq!((data.facts[0].label.as_deref(), data.facts[0].group.as_deref()), (Some("effusion"), Some("p1")));
        let reasons: Vec<_> = data.left_out.iter().map(|(file, reason)| (file.as_str(), reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                ("img/b.png", "of the split test"),
                ("img/d.png", "named by the manifest, and not there"),
                ("list.csv line 6", "a row without a path")
            ]
        );
        let data = resolved(folder.path(), source, BOTH).unwrap();
        assert_eq!(entries(&data), ["img/a.png", "img/b.png", "img/c.png"]);
        assert_eq!((data.facts[1].label.as_deref(), data.facts[1].split.as_deref()), (None, Some("test")));
    }

    #[test]
    fn folds_are_chosen_by_their_values() {
        let folder = folder("list.tsv", "file\tfold\nimg/a.png\t0\nimg/b.png\t1\nimg/c.png\t2\n");
        let source = "{ manifest = 'list.tsv', path = 'file', split = 'fold', use = [0, 2] }";
        let data = resolved(folder.path(), source, TRAIN).unwrap();
        assert_eq!(entries(&data), ["img/a.png", "img/c.png"]);
        assert_eq!(data.left_out, [("img/b.png".to_string(), "of fold 1".to_string())]);
        let error =
            resolved(folder.path(), "{ manifest = 'list.tsv', path = 'file', split = 'fold' }", TRAIN).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("line 2") && error.contains("fold is \"0\"") && error.contains("data.use"), "{error}");
    }

    #[test]
    fn json_lines_hold_texts_and_numbers() {
        let text = "{\"p\": \"img/a.png\", \"y\": 3}\n\n{\"p\": \"img/b.png\", \"y\": null, \"more\": [1]}\n";
        let folder = folder("list.jsonl", text);
        let data = resolved(folder.path(), "{ manifest = 'list.jsonl', path = 'p', label = 'y' }", TRAIN).unwrap();
        assert_eq!(data.facts.iter().map(|facts| facts.label.as_deref()).collect::<Vec<_>>(), [Some("3"), None]);
        let refused = |source| format!("{:#}", resolved(folder.path(), source, TRAIN).unwrap_err());
        assert!(
            refused("{ manifest = 'list.jsonl', path = 'p', label = 'z' }")
                .contains("no line of the manifest has \"z\"")
        );
        assert!(refused("{ manifest = 'list.jsonl', path = 'more' }").contains("line 3: more is a list"));
    }

    #[test]
    fn absolute_paths_are_mapped_to_the_data_root_or_refused() {
        let folder = folder("list.csv", "file\n/mnt/pacs/img/a.png\n");
        let refused = |source| format!("{:#}", resolved(folder.path(), source, TRAIN).unwrap_err());
        let error = refused("{ manifest = 'list.csv', path = 'file' }");
        assert!(error.contains("line 2") && error.contains("data.strip"), "{error}");
        let data =
            resolved(folder.path(), "{ manifest = 'list.csv', path = 'file', strip = '/mnt/pacs' }", TRAIN).unwrap();
        assert_eq!(entries(&data), ["img/a.png"]);
        let whole = folder.path().join("img/b.png");
        std::fs::write(folder.path().join("own.csv"), format!("file\n{}\n", whole.display())).unwrap();
        let data = resolved(folder.path(), "{ manifest = 'own.csv', path = 'file' }", TRAIN).unwrap();
        assert_eq!(entries(&data), ["img/b.png"]);
        std::fs::write(folder.path().join("out.csv"), "file\nimg/../../x.png\n").unwrap();
        assert!(refused("{ manifest = 'out.csv', path = 'file' }").contains("leads out of the data root"));
    }

    #[test]
    fn wrong_manifests_are_refused_with_the_remedy() {
        let folder = folder("list.csv", "file;label\nimg/a.png;x\n");
        let refused = |source| format!("{:#}", resolved(folder.path(), source, TRAIN).unwrap_err());
        let error = refused("{ manifest = 'list.csv', path = 'file' }");
        assert!(error.contains("no column \"file\"") && error.contains("data.delimiter = \";\""), "{error}");
        resolved(folder.path(), "{ manifest = 'list.csv', path = 'file', delimiter = ';' }", TRAIN).unwrap();
        assert!(refused("{ manifest = 'gone.csv', path = 'file' }").contains("cannot read the manifest"));
        assert!(refused("{ manifest = 'list.csv' }").contains("data.path is missing"));
        assert!(refused("{ manifest = 'list.csv', path = 'file', folder = 'x' }").contains("belongs to a layout"));
        assert!(refused("{ layout = 'bids', folder = '.', label = 'x' }").contains("belongs to a manifest"));
        assert!(refused("{ path = 'file' }").contains("without manifest, layout or patterns"));
        for (text, word) in [
            ("file,label\nimg/a.png,x\nimg/a.png,y\n", "stands on lines 2 and 3"),
            ("file,file\nimg/a.png,x\n", "2 columns \"file\""),
            ("fiel\nimg/a.png\n", "did you mean"),
            ("file,label\nimg/a.png\n", "damaged"),
        ] {
            std::fs::write(folder.path().join("other.csv"), text).unwrap();
            let error = refused("{ manifest = 'other.csv', path = 'file', label = 'label' }");
            assert!(error.contains(word) || text.starts_with("fiel") && error.contains("no column"), "{word}: {error}");
        }
    }
}
