//! Options that the data do not fit: none is ignored in silence.

use medcoss_sdk::Error;

use crate::corpus::Corpus;
use crate::kind::Kind;
use crate::options::{Options, Unit};

/// Refuses an option that no file of the data fits, and counts the files that one does not fit where it fits others.
///
/// # Errors
/// The first option that nothing fits.
pub fn check(corpus: &mut Corpus, options: &Options, n_text_files: usize) -> Result<(), Error> {
    let kinds: Vec<Kind> = corpus.kinds().map(|(_, kind)| kind).collect();
    let is = |kind: Kind| kinds.contains(&kind);
    let has_columns = kinds.iter().any(|kind| kind.has_columns());
    let names: Vec<&str> = [
        ("text_column", options.text_column.is_some()),
        ("label_column", options.label_column.is_some()),
        ("keep_rows", !options.keep_rows.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is_given)| is_given.then_some(name))
    .collect();
    let columns_hint = "leave the option out; text_files = \"tables\" reads .txt files as tables with a header";
    let misfit = if let (Some(name), false) = (names.first(), has_columns) {
        Some((*name, "has columns (tables and JSON have)", columns_hint))
    } else if !options.delimiter.is_auto() && !is(Kind::Table) {
        Some(("delimiter", "is a table", columns_hint))
    } else if options.unit == Unit::Sentence && !is(Kind::Abstracts) {
        Some(("unit", "has the ###id, LABEL<TAB>sentence layout, whose sentences are known", "leave the option out"))
    } else if options.text_files.is_some() && n_text_files == 0 {
        Some(("text_files", "is a .txt file", "leave the option out"))
    } else {
        None
    };
    if let (Some((option, what, hint)), Some((first, _))) = (misfit, corpus.kinds().next()) {
        let n = kinds.len();
        let files =
            if n == 1 { format!("{first}, the only file,") } else { format!("none of {n} files, such as {first},") };
        let what = if n == 1 { format!("{files} is not one that {what}") } else { format!("{files} {what}") };
        return Err(Error::bad_request(format!("option {option} is given, but {what}\nhint: {hint}")));
    }
    let without = kinds.iter().filter(|kind| !kind.has_columns()).count();
    if !names.is_empty() {
        let what = format!("files have no columns, so that {} does not apply to them", names.join(", "));
        (0..without).for_each(|_| corpus.remark(what.as_str()));
    }
    Ok(())
}
