//! Everything that the program writes to standard output and standard error passes through this file, so that no text of
//! a run folder, a plugin, a file name or a sample steers the terminal: characters that would are written as escapes
//! (`\u{1b}`). Line ends stay. A closed or full standard error stops no command.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use medcoss_plugin_host::{original_stdout, steers_terminal};

/// The text with escapes for the characters that would steer a terminal.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |c, text| text.extend(c.escape_default()))
}

/// JSON with escapes for these characters, of which serde writes only those of C0. Outside of strings JSON has none
/// but line ends.
fn escaped_json(text: &str) -> Cow<'_, str> {
    // All of these characters have four hexadecimal digits at most. Writing into a string does not fail.
    replaced(text, |c, text| {
        let _ = write!(text, "\\u{:04x}", u32::from(c));
    })
}

fn replaced(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    let steers = |c: char| c != '\n' && steers_terminal(c);
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    text.chars().for_each(|c| if steers(c) { escape(c, &mut safe) } else { safe.push(c) });
    Cow::Owned(safe)
}

/// Writes text to standard error.
pub(crate) fn write_error(text: &str) {
    // A standard error that is closed or full cannot be reported.
    let _ = io::stderr().lock().write_all(escaped(text).as_bytes());
}

/// Writes a line to standard error, in one piece.
pub(crate) fn write_error_line(line: &str) {
    write_error(&format!("{line}\n"));
}

/// Writes a result to standard output.
pub(crate) fn write_result(text: &str) -> io::Result<()> {
    write_to_stdout(&escaped(text))
}

/// Writes a result in JSON to standard output.
pub(crate) fn write_json(text: &str) -> io::Result<()> {
    write_to_stdout(&escaped_json(text))
}

fn write_to_stdout(text: &str) -> io::Result<()> {
    match original_stdout() {
        // Plugins print to the process's standard output itself.
        Some(mut file) => file.write_all(text.as_bytes()),
        None => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
    }
}

/// Shows help, the version, or what is wrong with the command line. The arguments may come from names of files, and are
/// part of the message: where they would steer the terminal, it comes without colours.
pub(crate) fn write_usage(error: &clap::Error, arguments: &[OsString]) {
    let steers = |argument: &OsString| argument.to_string_lossy().contains(steers_terminal);
    if arguments.iter().any(steers) {
        return write_error(&error.render().to_string());
    }
    // A closed stream cannot be reported.
    let _ = error.print();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_steer_a_terminal_are_escaped_and_line_ends_stay() {
        assert_eq!(escaped("a\n\u{1b}]0;b\u{7}\r\t"), "a\n\\u{1b}]0;b\\u{7}\\r\\t");
        assert_eq!(escaped("\u{9b}31m \u{202e}gnp.\u{2069}\u{7f}"), "\\u{9b}31m \\u{202e}gnp.\\u{2069}\\u{7f}");
        assert!(matches!(escaped("M\u{fc}ller \u{b1} 3\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}": "b\u{202e}\u{1b}\n\t" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let safe = escaped_json(&text);
        assert!(!safe.contains(|c: char| c != '\n' && steers_terminal(c)), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
