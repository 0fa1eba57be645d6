//! What goes wrong in a module is named, counts for the sample alone, and leaves the host as it was.

use std::fs;
use std::time::{Duration, Instant};

use medcoss_abi::code;
use serde_json::Value;
use tempfile::TempDir;

use crate::plugin::{LOG, Opened, Plugin};

/// The module under an id of its own, since each test closes its workers.
fn commands(id: &str) -> Plugin {
    let source = include_str!("modules/commands.py");
    Plugin::of_source(id, &source.replace("id = \"commands\"", &format!("id = \"{id}\"")))
}

/// A file for each command, opened in their order.
fn opened(plugin: Plugin, words: &[&str]) -> (TempDir, Opened) {
    let place = tempfile::tempdir().unwrap();
    for (at, word) in words.iter().enumerate() {
        fs::write(place.path().join(format!("{at:03}.txt")), word).unwrap();
    }
    let opened = plugin.open(place.path(), &["."], Value::Null).unwrap();
    (place, opened)
}

fn all(n: usize) -> Vec<(u64, u64)> {
    (0..n as u64).map(|index| (index, 10 + index)).collect()
}

#[test]
fn each_exception_has_its_code_and_its_place() {
    let words = [
        "corrupt",
        "missing",
        "unsupported",
        "type",
        "index",
        "skip",
        "shape",
        "complex",
        "mask",
        "nothing",
        "unknown",
        "memory",
        "leave",
        "surrogate",
        "fine",
    ];
    let (_place, opened) = opened(commands("exceptions"), &words);
    let filled = opened.fill(&all(words.len()));
    let line = |text: &str| {
        let source = include_str!("modules/commands.py");
        let at = source.lines().position(|line| line.trim() == text).unwrap();
        format!("(at exceptions.py:{})", at + 1)
    };
    let expected = [
        (
            code::CORRUPT,
            format!("ValueError: line 3 is no number {}", line("raise ValueError(\"line 3 is no number\")")),
        ),
        (code::UNREADABLE, line("(Path(\"/nowhere\") / \"file\").read_bytes()")),
        (code::UNSUPPORTED, "version 9 of the format is not read".into()),
        (
            code::PANIC,
            format!("exceptions.py raised TypeError: object of type 'int' has no len() {}", line("return len(5)")),
        ),
        (code::PANIC, format!("exceptions.py raised IndexError: list index out of range {}", line("return [][1]"))),
        (code::SKIPPED, "flat".into()),
        (code::PANIC, "exceptions.py: tokens has the shape [2, 4]; [4, 2] was expected".into()),
        (code::PANIC, "exceptions.py raised ".into()),
        (code::PANIC, "exceptions.py: mask has values other than 0 and 1".into()),
        (code::PANIC, "exceptions.py: load returned NoneType; a dict of arrays was expected".into()),
        (code::PANIC, "exceptions.py: load returned 'token'; the geometry has tokens, mask".into()),
        (code::CORRUPT, line("np.zeros(1 << 60)")),
        (code::PANIC, format!("exceptions.py raised SystemExit: good-bye {}", line("sys.exit(\"good-bye\")"))),
        (code::CORRUPT, "name ?".into()),
    ];
    assert_eq!(filled.reports.len(), expected.len(), "{:?}", filled.reports);
    for ((slot, code, message), (at, (expected_code, expected))) in
        filled.reports.iter().zip(expected.iter().enumerate())
    {
        assert_eq!((*slot, *code), (at as u64, *expected_code), "{message}");
        assert!(message.contains(expected.as_str()), "{message:?} lacks {expected:?}");
    }
}

#[test]
fn a_worker_that_dies_is_named_and_takes_no_other_sample_with_it() {
    let words = ["fine", "exit", "fine", "kill", "segfault", "fine"];
    let (_place, opened) = opened(commands("deaths"), &words);
    let filled = opened.fill(&all(words.len()));
    let found: Vec<_> = filled.reports.iter().map(|(slot, code, _)| (*slot, *code)).collect();
    assert_eq!(found, [(1, code::PANIC), (3, code::PANIC), (4, code::PANIC)]);
    let begins = [
        "the worker of deaths ended with exit code 3 while it loaded the sample",
        "the worker of deaths ended by signal 9 (SIGKILL, as when memory runs out) while it loaded the sample",
        "the worker of deaths ended by signal 11 (SIGSEGV) while it loaded the sample; it last printed: ",
    ];
    for ((_, _, message), begin) in filled.reports.iter().zip(begins) {
        assert!(message.starts_with(begin), "{message}");
    }
    // The Python frames of a crash in a C library.
    assert!(filled.reports[2].2.contains("deaths.py"), "{:?}", filled.reports[2]);
    // Samples beside those that ended workers are what they are alone.
    for slot in [0, 2, 5] {
        let alone = opened.fill(&[(slot, 10 + slot)]);
        let slot = slot as usize;
        assert_eq!(filled.tokens[slot * 8..][..8], alone.tokens);
        assert_eq!(filled.mask[slot * 4..][..4], alone.mask);
    }
}

#[test]
fn a_long_batch_is_passed_in_pieces_with_two_deaths_in_it() {
    let (_place, opened) = opened(commands("pieces"), &["fine", "globals", "exit", "skip"]);
    let mut samples: Vec<(u64, u64)> = (0..200).map(|at| (at % 2, at)).collect();
    samples[70].0 = 2;
    samples[127].0 = 3;
    samples[199].0 = 2;
    let filled = opened.fill(&samples);
    let found: Vec<_> = filled.reports.iter().map(|(slot, code, _)| (*slot, *code)).collect();
    assert_eq!(found, [(70, code::PANIC), (127, code::SKIPPED), (199, code::PANIC)]);
    for slot in [0, 1, 63, 64, 69, 71, 126, 128, 191, 192, 198] {
        let alone = opened.fill(&samples[slot..=slot]);
        assert_eq!(
            (&filled.tokens[slot * 8..][..8], &filled.mask[slot * 4..][..4]),
            (&alone.tokens[..], &alone.mask[..])
        );
    }
}

#[test]
fn a_worker_that_hangs_is_killed_and_the_batch_goes_on() {
    let words = ["fine", "hang", "fine", "spin", "fine"];
    let (_place, opened) = opened(commands("hangs"), &words);
    let begin = Instant::now();
    let filled = opened.fill(&all(words.len()));
    assert!(begin.elapsed() < Duration::from_secs(30));
    let found: Vec<_> = filled.reports.iter().map(|(slot, code, _)| (*slot, *code)).collect();
    assert_eq!(found, [(1, code::PANIC), (3, code::PANIC)]);
    let expected = "the worker of hangs did not answer within 3 s while it loaded the sample, and was killed";
    assert!(filled.reports[0].2.starts_with(expected), "{:?}", filled.reports[0]);
}

#[test]
fn what_is_printed_goes_to_the_log_and_standard_input_is_empty() {
    let (_place, opened) = opened(commands("prints"), &["print", "input"]);
    let filled = opened.fill(&all(2));
    assert_eq!(filled.reports, []);
    assert_eq!(filled.tokens[8..], [0.0; 8], "standard input is empty");
    let log = LOG.lock().unwrap();
    for expected in ["commands is imported", "to standard output", "to standard error", "from a shell"] {
        assert!(log.iter().any(|line| line == expected), "{expected}: {log:?}");
    }
}

#[test]
fn global_generators_follow_the_seed_as_well() {
    let (_place, opened) = opened(commands("globals_of_numpy"), &["globals"]);
    let [one, again, other] = [3, 3, 4].map(|seed| opened.fill(&[(0, seed)]).tokens);
    assert_eq!(one, again);
    assert!(one[0] != other[0] && one[1] != other[1]);
}
