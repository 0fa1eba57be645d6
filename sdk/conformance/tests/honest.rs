//! An honest plugin keeps every rule.

use std::path::PathBuf;

use medcoss_abi::builtins;
use medcoss_conformance::{Data, Event, Outcome, Request, RuleReport, check, rules};
use medcoss_fixture as _;
use serde_json::json;

use crate::one_at_a_time;

fn checked(request: &Request) -> Vec<RuleReport> {
    let _one = one_at_a_time();
    check(builtins()[0].header, request, &mut |_| {})
}

fn report<'a>(reports: &'a [RuleReport], rule: &str) -> &'a RuleReport {
    reports.iter().find(|report| report.rule == rule).unwrap()
}

#[test]
fn the_fixture_conforms() {
    let _one = one_at_a_time();
    medcoss_conformance::assert_conforms("fixture");
}

#[test]
fn every_rule_is_announced_tried_and_reported_in_order() {
    let _one = one_at_a_time();
    let mut started = Vec::new();
    let request = Request { id: Some("fixture".into()), ..Request::default() };
    let reports = check(builtins()[0].header, &request, &mut |event| match event {
        Event::Started(rule) => started.push(rule.to_string()),
        Event::Finished(report) => assert_eq!(started.last(), Some(&report.rule)),
    });
    let names: Vec<_> = rules().map(|asked| asked.name.to_string()).collect();
    assert_eq!(started, names);
    // Its tokens are vectors, it reads no masks and has no presets: rules about those do not concern it.
    let skipped: Vec<_> = reports.iter().filter(|v| v.outcome == Outcome::Skipped).map(|v| v.rule.as_str()).collect();
    assert_eq!(
        skipped,
        [
            "option-presets",
            "survey",
            "lengths",
            "token-ids",
            "targets",
            "valid",
            "target-values",
            "coordinates",
            "affines",
            "skip",
            "extras-optional",
            "label-maps",
            "grids",
        ]
    );
    assert!(report(&reports, "throughput").measured["samples_per_second_1_thread"] > 0.0);
}

#[test]
fn rules_that_are_passed_over_are_not_tried() {
    let skipped_rules: Vec<_> =
        rules().map(|asked| asked.name.to_string()).filter(|name| name != "mask-count").collect();
    let reports = checked(&Request { skipped_rules, ..Request::default() });
    assert_eq!(reports.len(), 1);
    assert_eq!((reports[0].rule.as_str(), reports[0].outcome), ("mask-count", Outcome::Passed));
    assert_eq!(reports[0].detail, "6 of 12 tokens, 50.0 %");
}

#[test]
fn the_users_own_data_and_options_are_read_and_invalid_samples_of_theirs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.csv"), "a,1,2,3,4\nb,5,6,seven,8\nc,9,10,11,12\n").unwrap();
    let data = Data { base: folder.path().into(), paths: vec![PathBuf::from("mine.csv")] };
    let options = json!({ "length": 4, "patch": 1 });
    let reports = checked(&Request { data: Some(data.clone()), options, ..Request::default() });
    let broken: Vec<_> = reports.iter().filter(|report| report.outcome == Outcome::Failed).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let read = report(&reports, "read");
    assert_eq!(
        read.detail,
        "2 of 3 tried samples, 3 in all; cannot be read: mine.csv#row=1: column 4 is \"seven\", not a number"
    );
    assert_eq!(read.measured["invalid_samples"], 1.0);

    // With options that no line suits there is nothing to read, and what rests on it is skipped.
    let reports = checked(&Request { data: Some(data), ..Request::default() });
    assert_eq!(report(&reports, "read").outcome, Outcome::Failed);
    let skipped = report(&reports, "repeatable");
    assert_eq!(skipped.detail, "rule `read` does not hold, and this one rests on it");
    assert_eq!(report(&reports, "truncated-files").outcome, Outcome::Passed);
}

#[test]
fn an_id_that_is_not_the_symbols_is_noticed() {
    let reports = checked(&Request { id: Some("other".into()), ..Request::default() });
    let failed: Vec<_> = reports.iter().filter(|v| v.outcome == Outcome::Failed).map(|v| v.rule.as_str()).collect();
    assert_eq!(failed, ["description"], "{}", medcoss_conformance::summary(&reports));
}

#[test]
#[should_panic(expected = "linked are [\"fixture\"]")]
fn a_plugin_that_is_not_linked_is_named() {
    medcoss_conformance::assert_conforms("ecg");
}
