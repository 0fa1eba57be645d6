//! What a module says of the files of its data, and what it makes of data that nobody has named.

use std::fs;

use medcoss_abi::message::{Account, Survey};
use medcoss_caller::account::AccountChecks;
use medcoss_caller::survey::check_survey;
use serde_json::{Value, from_value, json};

use crate::plugin::{LOG, Plugin};

fn everything() -> Plugin {
    Plugin::of_source("everything", include_str!("modules/everything.py"))
}

#[test]
fn every_file_of_the_data_is_used_or_left_out_for_a_reason() {
    let base = tempfile::tempdir().unwrap();
    for folder in ["data/b", "data/.cache", "data/run"] {
        fs::create_dir_all(base.path().join(folder)).unwrap();
    }
    let numbers = |n: usize| vec![0_u8; 4 * n];
    for (file, content) in [
        ("data/a.raw", numbers(60)),
        ("data/b/short.RAW", numbers(51)),
        ("data/b/empty.raw", numbers(0)),
        ("data/b/.hidden.raw", numbers(60)),
        ("data/notes.txt", numbers(1)),
        ("data/table.CSV.gz", numbers(1)),
        ("data/README", numbers(1)),
        ("data/.cache/c.raw", numbers(60)),
        ("data/run/run.toml", numbers(0)),
        ("data/run/plugins.lock", numbers(0)),
        ("data/run/d.raw", numbers(60)),
    ] {
        fs::write(base.path().join(file), content).unwrap();
    }
    std::os::unix::fs::symlink(base.path().join("data"), base.path().join("data/b/back")).unwrap();
    std::os::unix::fs::symlink("nowhere", base.path().join("data/b/gone")).unwrap();
    let dataset = everything().open(base.path(), &["data"], Value::Null).unwrap();
    assert_eq!(dataset.info().n_samples, 2);
    let page = |first, count| -> Account {
        let body = json!({ "first": first, "count": count }).to_string();
        from_value(dataset.query("account", body.as_bytes()).unwrap()).unwrap()
    };
    let all = page(0, 1000);
    AccountChecks::default().check_page(&all).unwrap();
    let mut left_out: Vec<_> = all.left_out.iter().map(|one| (one.file.as_str(), one.reason.as_str())).collect();
    left_out.sort_unstable();
    let expected = [
        ("data/.cache", "hidden (the name begins with a dot)"),
        ("data/README", "another kind of file (no extension)"),
        ("data/b/.hidden.raw", "hidden (the name begins with a dot)"),
        ("data/b/back", "a folder that is listed elsewhere, by a link"),
        ("data/b/empty.raw", "an empty file"),
        ("data/b/gone", "a link that leads nowhere"),
        ("data/notes.txt", "another kind of file (.txt)"),
        ("data/run", "a run folder of medcoss"),
        ("data/table.CSV.gz", "another kind of file (.csv.gz)"),
    ];
    assert_eq!(left_out, expected);
    assert_eq!((all.n_used, all.n_left_out), (2, 9));
    let notices: Vec<_> = all.notices.iter().map(|one| (one.n, one.of, one.what.as_str(), one.warns)).collect();
    assert_eq!(notices, [(1, 2, "recordings are filled up with zeros", true)]);
    let some = page(7, 5);
    assert_eq!((some.n_left_out, some.left_out), (9, all.left_out[7..].to_vec()));
    assert_eq!(page(9, 5).left_out, []);
}

#[test]
fn a_module_that_keeps_no_account_answers_that_it_does_not_know() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("a.txt"), "a line of text\n").unwrap();
    let letters = Plugin::of_source("letters", include_str!("modules/letters.py"));
    let dataset = letters.open(base.path(), &["a.txt"], Value::Null).unwrap();
    assert_eq!(dataset.query("account", br#"{"first":0,"count":10}"#).unwrap(), Value::Null);
    let request = json!({ "base": base.path(), "data": ["a.txt"] });
    assert_eq!(letters.invoke("survey", &request).unwrap(), Value::Null);
}

#[test]
fn a_survey_says_how_sure_it_is_and_proposes_options() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("a.raw"), vec![0; 4 * 60]).unwrap();
    fs::write(base.path().join("b.raw"), vec![0; 4 * 61]).unwrap();
    let asked = |entry: &str| -> Survey {
        let answer = everything().invoke("survey", &json!({ "base": base.path(), "data": [entry] })).unwrap();
        let survey = from_value(answer).unwrap();
        check_survey(&survey).unwrap();
        survey
    };
    let survey = asked(".");
    assert_eq!((survey.fit, survey.why.as_str()), (0.25, "1 of 2 files hold 3 channels"));
    assert_eq!(
        (survey.facts[0].name.as_str(), survey.facts[0].value.as_str()),
        ("numbers of a channel", "at least 20")
    );
    let options: Vec<_> =
        survey.options.iter().map(|one| (one.name.as_str(), one.value.clone(), one.reason.as_str())).collect();
    let expected =
        [("n_masked", json!(7), "half of the tokens"), ("gains", json!([1.0, 1.0]), "numbers are calibrated")];
    assert_eq!(options, expected);
    let none = asked("nothing");
    assert_eq!((none.fit, none.why.as_str()), (0.0, "no file ends in .raw"));
}

/// A module whose `survey` and `account` are these, with an option `n` from 2 to 64.
fn module(id: &str, methods: &str) -> Plugin {
    let source = format!(
        r#"
import dataclasses

from medcoss_plugin import Account, Files, Survey, grid, option


@dataclasses.dataclass
class Options:
    n: int = option(4, "Tokens.", least=2, most=64)


class Surveyed(Files):
    id = "{id}"
    summary = "files"
    family = "{id}"
    reads = "files (.bin)"
    suffixes = ".bin"
    Options = Options

    @staticmethod
    def geometry(options):
        return grid([options.n], 2, 1)

{methods}
"#
    );
    Plugin::of_source(id, &source)
}

#[test]
fn answers_of_another_kind_are_faults_of_the_module_by_name() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("a.bin"), "a").unwrap();
    let request = json!({ "base": base.path(), "data": ["."] });
    for (id, returned, expected) in [
        ("survey_number", "0.5", "survey returned float; a Survey or None was expected"),
        ("survey_fit", "Survey(1.5, 'x')", "survey gives the fit 1.5; a number from 0 to 1 was expected"),
        (
            "survey_range",
            "Survey(1, 'x', options={'n': (1, 'y')})",
            "survey proposes n = 1; it must be integer at least 2 and at most 64",
        ),
        ("survey_name", "Survey(1, 'x', options={'m': (1, 'y')})", "survey proposes m = 1; there is no such option"),
        ("survey_pair", "Survey(1, 'x', options={'n': 3})", "survey proposes n = 3; a pair of a value and a reason"),
    ] {
        let plugin =
            module(id, &format!("    @staticmethod\n    def survey(base, data):\n        return {returned}\n"));
        let error = plugin.invoke("survey", &request).unwrap_err();
        assert!(error.contains(&format!("{id}.py: {expected}")), "{error}");
    }
    let plugin = module("account_number", "    def account(self):\n        return 3\n");
    let error = plugin.open(base.path(), &["."], Value::Null).unwrap().query("account", br#"{"first":0,"count":1}"#);
    let error = error.unwrap_err();
    assert!(error.contains("account_number.py: account returned int; an Account or None was expected"), "{error}");
}

#[test]
fn a_method_of_a_dataset_that_is_called_survey_is_no_survey() {
    let plugin = module("surveyor", "    def survey(self, file, sums):\n        raise ValueError('not asked for')\n");
    let request = json!({ "base": "/", "data": ["nothing"] });
    assert_eq!(plugin.invoke("survey", &request).unwrap(), Value::Null);
    assert!(!LOG.lock().unwrap().iter().any(|line| line.contains("not asked for")));
}
