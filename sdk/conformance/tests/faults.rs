//! Every rule can fail: plugins with one fault each break the rule that is about it, and no other.

use std::collections::BTreeSet;

use medcoss_conformance::{Outcome, Request, RuleReport, check, rules};
use serde_json::json;

use crate::one_at_a_time;
use crate::raw_plugin::{Fault, HEADER, set};

/// Rules that take time; tried only where they are what is asked about.
const SLOW: [&str; 4] = ["memory", "no-threads", "open-files", "throughput"];

/// Continuous tokens, fault and the rule that it breaks.
const NUMBERS: &[(Fault, &str)] = &[
    (Fault::DescriptionIsGibberish, "description"),
    (Fault::DescriptionChanges, "description"),
    (Fault::BadFamily, "description"),
    (Fault::BadVersion, "description"),
    (Fault::NoSummary, "description"),
    (Fault::NoReads, "description"),
    (Fault::LacksAnOperation, "description"),
    (Fault::RendersWithoutSaying, "description"),
    (Fault::FamilyOfImages, "family"),
    (Fault::RequiresUndeclared, "geometry"),
    (Fault::SizesOverflow, "geometry"),
    (Fault::AllMasked, "geometry"),
    (Fault::OptionWithoutDefault, "options-schema"),
    (Fault::OptionWithoutDescription, "options-schema"),
    (Fault::DefaultOutOfRange, "options-schema"),
    (Fault::RequiredOption, "options-schema"),
    (Fault::SynthesisePanics, "synthesise"),
    (Fault::SynthesisedIsElsewhere, "synthesise"),
    (Fault::FilesOfTheMoment, "same-files"),
    (Fault::FilesWithoutSeed, "same-files"),
    (Fault::DefaultsRefused, "defaults"),
    (Fault::OtherGeometry, "defaults"),
    (Fault::PresetOfNothing, "option-presets"),
    (Fault::PresetOfAnotherType, "option-presets"),
    (Fault::PresetRefused, "option-presets"),
    (Fault::UnknownOptionAccepted, "unknown-option"),
    (Fault::UnknownOptionPanics, "unknown-option"),
    (Fault::RangeIgnored, "option-ranges"),
    (Fault::RangeWithoutName, "option-ranges"),
    (Fault::OrderOfNothing, "option-order"),
    (Fault::OpensNothing, "read"),
    (Fault::SynthesisesTooFew, "read"),
    (Fault::LoadFails, "read"),
    (Fault::InfoChanges, "info"),
    (Fault::PagesTooLarge, "records"),
    (Fault::UnstableIds, "records"),
    (Fault::DoubleId, "record-fields"),
    (Fault::AbsoluteId, "record-fields"),
    (Fault::ClimbingId, "record-fields"),
    (Fault::EntryOutOfRange, "record-fields"),
    (Fault::EmptyGroup, "record-fields"),
    (Fault::NegativeWeight, "record-fields"),
    (Fault::MetadataOfTables, "record-fields"),
    (Fault::StrangeFileForgotten, "account"),
    (Fault::StrangeFileUsed, "account"),
    (Fault::LeftOutTwice, "account"),
    (Fault::LeftOutWithoutReason, "account"),
    (Fault::AccountUnknownLater, "account"),
    (Fault::SurveyDeniesItsOwn, "survey"),
    (Fault::SurveyOutOfRange, "survey"),
    (Fault::SurveyProposesNothing, "survey"),
    (Fault::FingerprintOfWords, "fingerprint"),
    (Fault::FingerprintOfTheMoment, "fingerprint"),
    (Fault::FingerprintOfNothing, "fingerprint"),
    (Fault::WritesPastTheEnd, "bounds"),
    (Fault::WritesBeforeTheBeginning, "bounds"),
    (Fault::WritesMaskPastTheEnd, "bounds"),
    (Fault::LeavesAValue, "written"),
    (Fault::NotANumber, "finite"),
    (Fault::Infinite, "finite"),
    (Fault::MaskTwo, "mask-values"),
    (Fault::MaskTooFew, "mask-count"),
    (Fault::MaskTooManySometimes, "mask-count"),
    (Fault::PlainIsMasked, "evaluation-view"),
    (Fault::PlainWithChance, "evaluation-fixed"),
    (Fault::CountsCalls, "repeatable"),
    (Fault::PlaceInBatch, "order"),
    (Fault::SizeOfBatch, "order"),
    (Fault::ByThread, "threads"),
    (Fault::SameMasks, "seeds"),
    (Fault::ShareAStatic, "apart"),
    (Fault::AssetsElsewhere, "save-assets"),
    (Fault::KeepsRounded, "keep"),
    (Fault::KeepsBackwards, "keep"),
    (Fault::KeepsAbsolute, "keep"),
    (Fault::MasksOfOtherShape, "label-maps"),
    (Fault::MasksTooFew, "label-maps"),
    (Fault::MasksLackALabel, "label-maps"),
    (Fault::MasksOfTheMoment, "label-maps"),
    (Fault::MasksWithoutSpacing, "label-maps"),
    (Fault::MasksOfNothing, "label-maps"),
    (Fault::MasksOfNoSample, "label-maps"),
    (Fault::MasksPanic, "label-maps"),
    (Fault::OneMaskPanics, "label-maps"),
    (Fault::GridsTooFew, "grids"),
    (Fault::GridWithoutVoxels, "grids"),
    (Fault::GridsOfTheMoment, "grids"),
    (Fault::GridOfNoSample, "grids"),
    (Fault::NoImage, "render"),
    (Fault::HalfAPicture, "render"),
    (Fault::RendersAnything, "render"),
    (Fault::RendersHidden, "render-mask"),
    (Fault::UnknownExtraRefused, "unknown-extra"),
    (Fault::UnknownExtraWritten, "unknown-extra"),
    (Fault::UnknownViewDelivered, "unknown-view"),
    (Fault::UnknownFieldRefused, "unknown-field"),
    (Fault::AnswersAnything, "unknown-operation"),
    (Fault::OtherCodeForUnknown, "unknown-operation"),
    (Fault::MissingPathAccepted, "missing-path"),
    (Fault::MissingPathPanics, "missing-path"),
    (Fault::BadIndexDelivered, "invalid-index"),
    (Fault::BadIndexPanics, "invalid-index"),
    (Fault::GibberishAccepted, "invalid-request"),
    (Fault::GibberishOtherCode, "invalid-request"),
    (Fault::EmptyDelivered, "empty-files"),
    (Fault::EmptyPanics, "empty-files"),
    (Fault::TruncatedPanics, "truncated-files"),
    (Fault::TruncatedNotANumber, "truncated-files"),
    (Fault::ChangedPanics, "changed-bytes"),
    (Fault::ChangedUnknownCode, "changed-bytes"),
    (Fault::LeaksMemory, "memory"),
    (Fault::LeavesThreads, "no-threads"),
    (Fault::LeavesFiles, "open-files"),
];

/// The same with samples that have more than tokens and masks.
const RICH: &[(Fault, &str)] = &[
    (Fault::ValidityTwo, "valid"),
    (Fault::NothingHasValues, "valid"),
    (Fault::TargetNotANumber, "target-values"),
    (Fault::CoordinateOutOfRange, "coordinates"),
    (Fault::CoordinateOfNothing, "coordinates"),
    (Fault::AffineOfNoVolume, "affines"),
    (Fault::GridElsewhere, "grids"),
    (Fault::ExtrasChangeMasks, "extras-optional"),
    (Fault::SkipsAtRandom, "skip"),
    (Fault::SkippedIsEmpty, "skip"),
];

/// The same with token ids.
const WORDS: &[(Fault, &str)] = &[
    (Fault::LeavesPadding, "written"),
    (Fault::LengthTooLarge, "lengths"),
    (Fault::WordsBehindTheLength, "lengths"),
    (Fault::IdOutOfRange, "token-ids"),
    (Fault::NegativeId, "token-ids"),
    (Fault::TargetOutOfRange, "targets"),
    (Fault::TargetInPadding, "targets"),
    (Fault::PlainHasTargets, "evaluation-view"),
];

/// Faults that several rules are about; whether with words.
const SEVERAL: &[(Fault, bool, &[&str])] = &[
    (Fault::SynthesisesNothing, false, &["synthesise", "same-files", "read"]),
    (
        Fault::NullHandle,
        false,
        &["defaults", "option-presets", "read", "missing-path", "changed-bytes", "truncated-files", "empty-files"],
    ),
    (Fault::LoadPanics, false, &["read", "changed-bytes", "truncated-files", "empty-files"]),
    (Fault::SlotOutOfRange, false, &["read", "changed-bytes", "truncated-files", "empty-files"]),
    (Fault::MessageNotUtf8, false, &["read", "changed-bytes", "truncated-files", "empty-files"]),
    (Fault::AssetsChangeSamples, false, &["save-assets", "keep"]),
    (Fault::NoTargets, true, &["targets", "seeds"]),
    (
        Fault::ErrorWithoutJson,
        false,
        &[
            "unknown-option",
            "option-ranges",
            "unknown-operation",
            "label-maps",
            "grids",
            "render",
            "missing-path",
            "invalid-request",
        ],
    ),
];

fn tried(fault: Fault, option: &str, with_slow: bool) -> Vec<RuleReport> {
    let _one = one_at_a_time();
    set(fault);
    let skipped_rules = if with_slow { vec![] } else { SLOW.map(String::from).to_vec() };
    let options = if option.is_empty() { json!(null) } else { json!({ option: true }) };
    let reports = check(&HEADER, &Request { skipped_rules, options, ..Request::default() }, &mut |_| {});
    set(Fault::None);
    reports
}

fn broken(reports: &[RuleReport]) -> Vec<&str> {
    reports.iter().filter(|report| report.outcome == Outcome::Failed).map(|report| report.rule.as_str()).collect()
}

#[test]
fn without_a_fault_every_rule_holds() {
    for (option, n_skipped) in [("", 9), ("rich", 3), ("words", 10)] {
        let reports = tried(Fault::None, option, true);
        assert!(broken(&reports).is_empty(), "{}", medcoss_conformance::summary(&reports));
        let skipped = reports.iter().filter(|report| report.outcome == Outcome::Skipped);
        assert_eq!(skipped.count(), n_skipped, "{}", medcoss_conformance::summary(&reports));
    }
}

#[test]
fn a_fault_breaks_the_rule_that_is_about_it_and_no_other() {
    let mut wrong = String::new();
    for (option, table) in [("", NUMBERS), ("rich", RICH), ("words", WORDS)] {
        for &(fault, rule) in table {
            let reports = tried(fault, option, SLOW.contains(&rule));
            if broken(&reports) != [rule] {
                wrong.push_str(&format!("{fault:?}: expected {rule}, broken are {:?}\n", broken(&reports)));
                wrong.push_str(&medcoss_conformance::summary(&reports));
                continue;
            }
            let report = reports.iter().find(|report| report.rule == rule).unwrap();
            assert!(!report.detail.is_empty() && report.remedy.as_ref().is_some_and(|remedy| !remedy.is_empty()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_fault_that_several_rules_are_about_breaks_them_and_no_other() {
    for &(fault, words, expected) in SEVERAL {
        let reports = tried(fault, if words { "words" } else { "" }, false);
        let found: BTreeSet<_> = broken(&reports).into_iter().collect();
        assert_eq!(found, expected.iter().copied().collect(), "{fault:?}\n{}", medcoss_conformance::summary(&reports));
    }
}

#[test]
fn every_rule_has_been_seen_to_fail() {
    let seen: BTreeSet<_> = NUMBERS.iter().chain(RICH).chain(WORDS).map(|(_, rule)| *rule).collect();
    // The header's has a test of its own below; throughput is measured and not judged.
    let never: Vec<_> = rules().map(|asked| asked.name).filter(|name| !seen.contains(name)).collect();
    assert_eq!(never, ["header", "throughput"]);
}

#[test]
fn a_header_of_another_contract_is_refused_and_nothing_is_called() {
    let bytes = std::mem::size_of_val(&HEADER);
    let copy: &'static mut [u64] = Box::leak(vec![0u64; bytes.div_ceil(8)].into_boxed_slice());
    // SAFETY: the copy has the size and the alignment of a header, which is plain data: numbers and addresses of
    // statics. The version that is changed in it is a number, behind 16 bytes of magic.
    let header: &'static medcoss_abi::PluginHeader = unsafe {
        let header = copy.as_mut_ptr().cast::<medcoss_abi::PluginHeader>();
        std::ptr::copy_nonoverlapping(&raw const HEADER, header, 1);
        *header.cast::<u32>().add(4) = 9;
        &*header
    };
    let reports = check(header, &Request::default(), &mut |_| {});
    assert_eq!(broken(&reports), ["header"]);
    assert!(reports[0].detail.contains(&format!("version 9.{}", medcoss_abi::CONTRACT_MINOR)), "{}", reports[0].detail);
    assert!(reports[1..].iter().all(|report| report.outcome == Outcome::Skipped));
}

#[test]
fn throughput_is_measured() {
    let reports = tried(Fault::Slow, "", true);
    let figures = &reports.last().unwrap().measured;
    let (one, two) = (figures["samples_per_second_1_thread"], figures["samples_per_second_2_threads"]);
    // A call takes 20 ms, and two threads wait at the same time.
    assert!(one < 50.5 && one > 5.0 && two > 1.2 * one, "{one} {two}");
}

#[test]
#[should_panic(
    expected = "mask-count: 6 of 12 tokens of sample s00.bare are masked; n_masked is 7\n  remedy: mask exactly"
)]
fn a_failing_assertion_lists_what_is_broken_with_remedies() {
    let reports = tried(Fault::MaskTooFew, "", false);
    panic!("{}", medcoss_conformance::summary(&reports));
}
