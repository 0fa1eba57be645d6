//! Files that commands write, and what they say where nobody reads it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use crate::place::{FIXTURE, Place};

#[test]
fn a_file_is_overwritten_on_request_and_an_input_never() {
    let place = Place::new(&["fixture"]);
    place.pretrain("reference", &[FIXTURE]);
    fs::write(place.work("thesis.txt"), "years of work").unwrap();
    symlink(place.work("first"), place.work("alias")).unwrap();
    let series = fs::read_dir(place.work("fixture")).unwrap().next().unwrap().unwrap().path();
    fs::hard_link(&series, place.work("copy.csv")).unwrap();
    let embed = ["embed", "first", "--modality", "fixture", "--data", "fixture", "--out"];
    for command in [&["export", "first", "--out"][..], &embed] {
        let with = |more: &[&str]| place.run(&[command, more].concat());
        let refused = with(&["thesis.txt"]);
        assert!(refused.code == 1 && refused.err.contains("hint: choose another file, or overwrite it with --force"));
        for own in ["alias/run.toml", "first/stages/../run.toml", "first/stages/01-fixture/model.bpk"] {
            let refused = with(&[own, "--force"]);
            assert!(refused.code == 1 && refused.err.contains("is an input of this command"), "{own}: {refused:?}");
        }
        assert_eq!(fs::read_to_string(place.work("thesis.txt")).unwrap(), "years of work");
    }
    let refused = place.run(&[&embed[..], &["copy.csv", "--force"]].concat());
    assert!(refused.code == 1 && refused.err.contains("is an input of this command"), "{refused:?}");
    place.succeed(&["show", "first", "--verify"]);
    place.succeed(&["export", "first", "--out", "thesis.txt", "--force"]);
    assert_ne!(fs::read(place.work("thesis.txt")).unwrap(), b"years of work");
}

#[test]
fn scores_replace_scores_and_no_other_file() {
    let place = Place::new(&["fixture"]);
    place.pretrain("reference", &[FIXTURE]);
    let tasks = "[[task]]\nname = \"gait\"\nmodality = \"fixture\"\ndata = \"fixture\"\nprotocol = \"knn\"\nlabels = { entry = true }\n";
    fs::write(place.work("tasks.toml"), tasks).unwrap();
    fs::create_dir(place.work("results")).unwrap();
    fs::write(place.work("results/scores.csv"), "mine").unwrap();
    let message = place.refused(&["eval", "first", "tasks.toml", "--out", "results"]);
    assert!(message.contains("results/scores.csv exists and is no earlier result"), "{message}");
    assert_eq!(fs::read_to_string(place.work("results/scores.csv")).unwrap(), "mine");
    fs::rename(place.work("results/scores.csv"), place.work("results/comparison.csv")).unwrap();
    let compare = ["compare", "run.toml", "--tasks", "tasks.toml", "--strategies", "sequential", "--out", "results"];
    let message = place.refused(&compare);
    assert!(message.contains("results/comparison.csv exists and is no earlier result"), "{message}");
}

#[test]
fn a_full_or_closed_standard_error_stops_nothing() {
    let place = Place::new(&["fixture"]);
    place.pretrain("reference", &[FIXTURE]);
    fs::remove_dir_all(place.work("first")).unwrap();
    for (name, sink) in [("full", Some("/dev/full")), ("closed", None)] {
        let mut command = place.command(&["pretrain", "run.toml", "--out", name]);
        let error = match sink {
            Some(path) => Stdio::from(File::options().write(true).open(path).unwrap()),
            // The reading end is closed at once.
            None => Stdio::from(std::io::pipe().unwrap().1),
        };
        let status = command.stdout(Stdio::null()).stderr(error).status().unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
        place.succeed(&["show", name, "--verify"]);
    }
}

#[test]
fn quiet_commands_say_how_many_samples_were_skipped() {
    let place = Place::new(&["fixture"]);
    let series = fs::read_dir(place.work("fixture")).unwrap().next().unwrap().unwrap().path();
    let mut lines = fs::read_to_string(&series).unwrap();
    lines.push_str("a,1,2,damaged\n");
    fs::write(&series, lines).unwrap();
    let more = ["--set", "data.max_invalid_fraction=0.2"];
    place.configure("reference", &[FIXTURE]);
    let quiet = place.succeed(&[&["pretrain", "run.toml", "--out", "first", "--quiet"][..], &more].concat());
    let expected =
        "warning: fixture: samples that cannot be read were skipped: 1; state.json of the stage names them\n";
    assert_eq!(quiet.err, expected);
    let said = place.succeed(&[&["pretrain", "run.toml", "--out", "second"][..], &more].concat());
    assert!(said.err.contains("warning: fixture: sample ") && !said.err.contains("were skipped: 1"), "{}", said.err);
}
