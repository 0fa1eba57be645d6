//! An honest plugin keeps every rule.

use std::path::PathBuf;

use medcoss_abi::builtins;
use medcoss_fixture as _;
use medcoss_kit::{Data, Event, Outcome, Request, Verdict, check, rules};
use serde_json::json;

use crate::one_at_a_time;

fn checked(request: &Request) -> Vec<Verdict> {
    let _one = one_at_a_time();
    check(builtins()[0].header, request, &mut |_| {})
}

fn verdict<'a>(verdicts: &'a [Verdict], rule: &str) -> &'a Verdict {
    verdicts.iter().find(|verdict| verdict.rule == rule).unwrap()
}

#[test]
fn the_fixture_conforms() {
    let _one = one_at_a_time();
    medcoss_kit::assert_conforms("fixture");
}

#[test]
fn every_rule_is_announced_tried_and_reported_in_order() {
    let _one = one_at_a_time();
    let mut told = Vec::new();
    let request = Request { id: Some("fixture".into()), ..Request::default() };
    let verdicts = check(builtins()[0].header, &request, &mut |event| match event {
        Event::Begun(rule) => told.push(rule.to_string()),
        Event::Finished(verdict) => assert_eq!(told.last(), Some(&verdict.rule)),
    });
    let names: Vec<_> = rules().map(|asked| asked.name.to_string()).collect();
    assert_eq!(told, names);
    // Its tokens are vectors, and it reads no masks: only rules about ids of tokens and about masks do not concern it.
    let skipped: Vec<_> = verdicts.iter().filter(|v| v.outcome == Outcome::Skipped).map(|v| v.rule.as_str()).collect();
    assert_eq!(skipped, ["lengths", "token-ids", "targets", "label-maps"]);
    assert!(verdict(&verdicts, "throughput").measured["samples_per_second_1_thread"] > 0.0);
}

#[test]
fn rules_that_are_passed_over_are_not_tried() {
    let passed_over: Vec<_> = rules().map(|asked| asked.name.to_string()).filter(|name| name != "mask-count").collect();
    let verdicts = checked(&Request { passed_over, ..Request::default() });
    assert_eq!(verdicts.len(), 1);
    assert_eq!((verdicts[0].rule.as_str(), verdicts[0].outcome), ("mask-count", Outcome::Passed));
    assert_eq!(verdicts[0].detail, "6 of 12 tokens, 50.0 %");
}

#[test]
fn the_users_own_data_and_options_are_read_and_bad_samples_of_theirs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.csv"), "a,1,2,3,4\nb,5,6,seven,8\nc,9,10,11,12\n").unwrap();
    let data = Data { base: folder.path().into(), paths: vec![PathBuf::from("mine.csv")] };
    let options = json!({ "length": 4, "patch": 1 });
    let verdicts = checked(&Request { data: Some(data.clone()), options, ..Request::default() });
    let broken: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Failed).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let read = verdict(&verdicts, "read");
    assert_eq!(
        read.detail,
        "2 of 3 tried samples, 3 in all; cannot be read: mine.csv#row=1: column 4 is \"seven\", not a number"
    );
    assert_eq!(read.measured["bad_samples"], 1.0);

    // With options that no line suits there is nothing to read, and what rests on it is skipped.
    let verdicts = checked(&Request { data: Some(data), ..Request::default() });
    assert_eq!(verdict(&verdicts, "read").outcome, Outcome::Failed);
    let skipped = verdict(&verdicts, "repeatable");
    assert_eq!(skipped.detail, "rule `read` does not hold, and this one rests on it");
    assert_eq!(verdict(&verdicts, "truncated-files").outcome, Outcome::Passed);
}

#[test]
fn an_id_that_is_not_the_symbols_is_noticed() {
    let verdicts = checked(&Request { id: Some("other".into()), ..Request::default() });
    let failed: Vec<_> = verdicts.iter().filter(|v| v.outcome == Outcome::Failed).map(|v| v.rule.as_str()).collect();
    assert_eq!(failed, ["description"], "{}", medcoss_kit::report(&verdicts));
}

#[test]
#[should_panic(expected = "linked are [\"fixture\"]")]
fn a_plugin_that_is_not_linked_is_named() {
    medcoss_kit::assert_conforms("ecg");
}
