//! Plugins that break the contract, each in one way: the host notices, says how, and lives on.
//!
//! The plugin here is written against the bare contract, without the SDK, which would not let it misbehave.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::message::{FileGrid, Grids, Open, SaveAssets, Synthesise};
use medcoss_abi::{
    DatasetHandle, FillBuffers, FillRequest, HostServices, PluginError, PluginHeader, PluginTable, SampleReport,
    VIEW_TRAIN, code, operation,
};
use medcoss_plugin_host::{
    Batch, FailureKind, Fault, LoadError, OpenDataset, Plugin, PluginLocation, SampleFailure, Tokens, View,
};
use serde_json::{Value, json};

/// What is wrong with the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// The answer to an operation is this text.
    Answer(&'static str, &'static str),
    NullHandle,
    EndlessError,
    Panics,
    ErrorSlot(u64),
    WritesNothing,
    /// Writes a bad value into one buffer of the sample in slot 1.
    NotANumber,
    MaskTwo,
    MaskTooFew,
    ReportsSlotOne,
}

thread_local! {
    static WRONG: Cell<Wrong> = const { Cell::new(Wrong::Nothing) };
    static N_CLOSED: Cell<usize> = const { Cell::new(0) };
}

static HEADER: PluginHeader = PluginHeader::new(PluginTable { attach, describe, invoke, open, query, fill, close });

extern "C" fn attach(_: HostServices) {}

fn answer(name: &str, honest: Value) -> String {
    match WRONG.get() {
        Wrong::Answer(wrong, text) if wrong == name => text.into(),
        _ => honest.to_string(),
    }
}

extern "C" fn describe() -> RResult<RString, PluginError> {
    let honest = json!({
        "id": "odd", "version": "2.0.0", "summary": "", "family": "series", "reads": [], "operations": ["grids"],
        "geometry": { "kind": "continuous", "grid": [2, 3], "d_token": 2, "n_masked": 4 },
        "options": { "type": "object" }, "renders": "png"
    });
    ROk(answer("describe", honest).into())
}

extern "C" fn invoke(name: RStr<'_>, _: RStr<'_>) -> RResult<RString, PluginError> {
    ROk(answer(name.as_str(), json!({ "data": ["."], "options": {} })).into())
}

extern "C" fn open(_: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    match WRONG.get() {
        Wrong::NullHandle => ROk(DatasetHandle(std::ptr::null())),
        Wrong::EndlessError => {
            let body = json!({ "message": "m".repeat(1 << 20), "causes": ["c".repeat(1 << 20)] });
            RErr(PluginError { code: code::CORRUPT, body: body.to_string().into() })
        }
        Wrong::Panics => {
            RErr(PluginError { code: code::PANIC, body: r#"{"message":"the plugin panicked: boo"}"#.into() })
        }
        _ => ROk(DatasetHandle((&raw const HEADER).cast())),
    }
}

extern "C" fn query(_: DatasetHandle, name: RStr<'_>, body: RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError> {
    let honest = match name.as_str() {
        operation::INFO => json!({
            "n_samples": 3, "fingerprint": "0123456789abcdef",
            "geometry": { "kind": "continuous", "grid": [2, 3], "d_token": 2, "n_masked": 4 }
        }),
        operation::GRIDS => {
            let request: Grids = serde_json::from_slice(body.as_slice()).unwrap();
            let grid = |index: &u64| if *index == 1 { json!({ "shape": [20, 30] }) } else { Value::Null };
            json!(request.indices.iter().map(grid).collect::<Vec<_>>())
        }
        operation::RECORDS => json!([{ "id": "a" }, { "id": "b", "label": "x" }, { "id": "c" }]),
        _ => json!([]),
    };
    ROk(answer(name.as_str(), honest).into_bytes().into())
}

extern "C" fn fill(
    _: DatasetHandle,
    request: FillRequest<'_>,
    buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    let wrong = WRONG.get();
    if wrong == Wrong::WritesNothing {
        return ROk(RVec::new());
    }
    let (tokens, mask) = (buffers.tokens.into_mut_slice(), buffers.mask.into_mut_slice());
    tokens.fill(0.25);
    for mask in mask.chunks_mut(6) {
        let n_masked = if request.view == VIEW_TRAIN { 4 } else { 0 };
        mask.fill(0);
        mask[..n_masked].fill(1);
    }
    let mut errors = RVec::new();
    let error = |slot, message: &str| SampleReport { slot, code: code::CORRUPT, message: message.into() };
    match wrong {
        Wrong::NotANumber => tokens[12 + 3] = f32::NAN,
        Wrong::MaskTwo => mask[6 + 5] = 2,
        Wrong::MaskTooFew => mask[6] = 0,
        Wrong::ErrorSlot(slot) => errors.push(error(slot, "b: broken")),
        Wrong::ReportsSlotOne => errors.extend([error(1, "broken"), error(1, "again")]),
        _ => {}
    }
    ROk(errors)
}

extern "C" fn close(_: DatasetHandle) {
    N_CLOSED.set(N_CLOSED.get() + 1);
}

fn load(wrong: Wrong) -> Result<Plugin, LoadError> {
    WRONG.set(wrong);
    Plugin::from_header(&HEADER, "odd", PluginLocation::BuiltIn)
}

fn dataset(wrong: Wrong) -> Result<OpenDataset, medcoss_plugin_host::PluginError> {
    let plugin = load(wrong).unwrap();
    plugin.open(&Open { base: ".".into(), data: vec![".".into()], options: json!({}), assets: None })
}

fn filled(wrong: Wrong) -> Result<Vec<SampleFailure>, medcoss_plugin_host::PluginError> {
    dataset(wrong).unwrap().fill(View::Training, &[0, 1, 2], &[1, 2, 3], &mut Batch::default())
}

/// The geometry of the honest plugin.
const HONEST: &str = r#""grid":[2,3],"d_token":2,"n_masked":4"#;

fn info(n_samples: u64, geometry: &str, fingerprint: &str) -> String {
    format!(
        r#"{{"n_samples":{n_samples},"fingerprint":"{fingerprint}","geometry":{{"kind":"continuous",{geometry}}}}}"#
    )
}

#[test]
fn what_a_geometry_requires_must_be_known_and_other_new_fields_pass() {
    let asked = |more: &str| -> &'static str { info(3, &format!("{HONEST},{more}"), "0123456789abcdef").leak() };
    dataset(Wrong::Answer("info", asked(r#""aura":"blue""#))).unwrap();
    let error = dataset(Wrong::Answer("info", asked(r#""requires":["holograms"]"#))).unwrap_err();
    assert_eq!(error.fault, Fault::Request);
    assert_eq!(error.message, "it requires \"holograms\", which this version does not know\nhint: update medcoss");
}

#[test]
fn an_honest_plugin_passes() {
    let plugin = load(Wrong::Nothing).unwrap();
    assert_eq!((plugin.name(), plugin.shape().n_values()), ("odd 2.0.0", 12));
    assert_eq!(filled(Wrong::Nothing), Ok(vec![]));
}

#[test]
fn grids_come_in_the_order_of_the_request_and_are_checked() {
    let known = Some(FileGrid::of_shape([20, 30]));
    assert_eq!(dataset(Wrong::Nothing).unwrap().grids(&[2, 1, 0, 1]).unwrap(), [None, known.clone(), None, known]);
    let error = dataset(Wrong::Nothing).unwrap().grids(&[0, 3]).unwrap_err();
    assert_eq!((error.fault, error.message.as_str()), (Fault::Request, "sample 3 does not exist; there are 3"));
    for (answer, expected) in [
        ("[]", "it answers with 0 grids for 1 samples"),
        (r#"[{"shape":[20]}]"#, "samples have 2 axes"),
        (r#"[{"shape":[20,0]}]"#, "of 1 to 16777216 voxels"),
        (r#"[{"shape":[20,30],"to_ras_mm":[[1,0,0,0],[0,1,0,0],[0,0,1,0]]}]"#, "three axes"),
        (r#"{"shape":[20,30]}"#, "its answer is not of the form"),
    ] {
        let error = dataset(Wrong::Answer("grids", answer)).unwrap().grids(&[1]).unwrap_err();
        assert_eq!(error.fault, Fault::Contract, "{answer}");
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn descriptions_are_not_believed() {
    for (answer, expected) in [
        ("gibberish", "its answer is not of the form that the contract gives it: expected value at line 1 column 1"),
        ("{}", "missing field `id`"),
        (
            r#"{"id":"even","version":"1","summary":"","family":"x","reads":[],"operations":[],"options":{},
            "geometry":{"kind":"discrete","length":3,"vocabulary":9,"padding_id":0,"mask_id":1}}"#,
            "the plugin calls itself \"even\"",
        ),
        (
            r#"{"id":"odd","version":"1","summary":"","family":"x","reads":[],"operations":[],"options":{},
            "geometry":{"kind":"continuous","grid":[4294967296,4294967296],"d_token":1,"n_masked":1}}"#,
            "the grid is [4294967296, 4294967296]",
        ),
    ] {
        let error = load(Wrong::Answer("describe", answer)).unwrap_err();
        assert!(error.reason.contains(expected), "{error}");
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("fault in the plugin")), "{error}");
    }
}

#[test]
fn answers_about_a_dataset_are_not_believed_and_it_is_closed() {
    let cases: [(&'static str, &str, &str); 9] = [
        ("info", &info(3, r#""grid":[6],"d_token":2,"n_masked":6"#, "0123456789abcdef"), "6 of 6 tokens are masked"),
        ("info", "[]", "its answer is not of the form"),
        ("info", &info(3, HONEST, "whatever"), "it must be 8 to 128 hexadecimal digits"),
        ("info", &info(u64::MAX, HONEST, "0123456789abcdef"), "it must have at most 4294967296"),
        ("records", r#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#, "two samples have the id \"a\""),
        ("records", r#"[{"id":"a"},{"id":"b"},{"id":"/etc/shadow"}]"#, "it must be a relative path"),
        ("records", r#"[{"id":1}]"#, "invalid type: integer"),
        ("records", r#"[{"id":"a"}]"#, "there are 1 records for 3 samples from 0 on"),
        ("records", r#"[{"id":"a"},{"id":"b"},{"id":"c","entry":1}]"#, "its entry is 1; the data have 1"),
    ];
    for (operation, answer, expected) in cases {
        let answer: &'static str = answer.to_owned().leak();
        let before = N_CLOSED.get();
        let error = dataset(Wrong::Answer(operation, answer)).unwrap_err();
        assert_eq!(error.fault, Fault::Contract);
        assert!(!error.is_user_error());
        assert!(error.to_string().starts_with(&format!("plugin odd 2.0.0 ({operation}): ")), "{error}");
        assert!(error.message.contains(expected), "{error}");
        assert_eq!(N_CLOSED.get(), before + 1, "{operation} {answer}");
    }
}

#[test]
fn data_without_samples_are_the_users_to_fix() {
    let none: &'static str = info(0, HONEST, "0123456789abcdef").leak();
    let error = dataset(Wrong::Answer("info", none)).unwrap_err();
    assert_eq!(error.to_string(), "plugin odd 2.0.0 (open): the data hold no samples");
    assert!(error.is_user_error());
}

#[test]
fn failures_to_open_are_reported_in_bounds() {
    let before = N_CLOSED.get();
    assert!(dataset(Wrong::NullHandle).unwrap_err().message.starts_with("the dataset's handle is null"));
    let error = dataset(Wrong::EndlessError).unwrap_err();
    assert_eq!(error.fault, Fault::Reported(code::CORRUPT));
    assert!(error.message.len() < 5000);
    assert!(std::error::Error::source(&error).is_some_and(|cause| cause.to_string().len() < 5000));
    let error = dataset(Wrong::Panics).unwrap_err();
    assert_eq!(error.to_string(), "plugin odd 2.0.0 (open): the plugin panicked: boo");
    assert!(!error.is_user_error());
    assert_eq!(N_CLOSED.get(), before, "nothing was opened");
}

#[test]
fn a_dataset_is_closed_once() {
    let before = N_CLOSED.get();
    let open = Arc::new(dataset(Wrong::Nothing).unwrap());
    drop(open.clone());
    assert_eq!(N_CLOSED.get(), before);
    drop(open);
    assert_eq!(N_CLOSED.get(), before + 1);
}

#[test]
fn one_invalid_sample_is_named_and_the_others_count() {
    for (wrong, expected) in [
        (
            Wrong::NotANumber,
            "plugin odd 2.0.0 (fill, training view): b: value 1 of token 1 is NaN, not a finite number",
        ),
        (Wrong::MaskTwo, "plugin odd 2.0.0 (fill, training view): b: the mask of token 5 is 2, neither 0 nor 1"),
        (Wrong::MaskTooFew, "plugin odd 2.0.0 (fill, training view): b: 3 tokens are masked instead of 4"),
        (Wrong::ReportsSlotOne, "plugin odd 2.0.0 (fill): b: broken"),
        (Wrong::ErrorSlot(1), "plugin odd 2.0.0 (fill): b: broken"),
    ] {
        let failures = filled(wrong).unwrap();
        let [failure] = failures.as_slice() else { panic!("{failures:?}") };
        assert_eq!((failure.slot, failure.id.as_str()), (1, "b"));
        let message = failure.to_string();
        assert_eq!(message.lines().next(), Some(expected));
        // What the plugin reports is the data's fault, and what it delivers is its own.
        let is_its_own = !matches!(wrong, Wrong::ReportsSlotOne | Wrong::ErrorSlot(_));
        assert_eq!(failure.kind == FailureKind::Plugin, is_its_own, "{failure:?}");
        assert_eq!(message.contains("fault of the plugin"), is_its_own, "{message}");
    }
}

#[test]
fn a_sample_that_was_never_written_is_a_failure() {
    let failures = filled(Wrong::WritesNothing).unwrap();
    assert_eq!(failures.iter().map(|failure| failure.slot).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_error_for_a_sample_that_was_not_asked_for_breaks_the_call() {
    for slot in [3, u64::MAX] {
        let error = filled(Wrong::ErrorSlot(slot)).unwrap_err();
        assert!(error.message.starts_with(&format!("it reports sample {slot} of a request of 3")), "{error}");
    }
}

#[test]
fn requests_that_do_not_fit_are_refused_before_the_plugin_is_asked() {
    let dataset = dataset(Wrong::Nothing).unwrap();
    let mut batch = Batch::default();
    let error = dataset.fill(View::Evaluation, &[0, 3], &[0, 0], &mut batch).unwrap_err();
    assert_eq!((error.fault, error.message.as_str()), (Fault::Request, "sample 3 does not exist; there are 3"));
    let error = dataset.fill(View::Evaluation, &[0], &[0, 0], &mut batch).unwrap_err();
    assert_eq!(error.message, "there are 2 seeds for 1 samples");
    assert_eq!(dataset.fill(View::Evaluation, &[], &[], &mut batch), Ok(vec![]));
}

#[test]
fn renderings_and_written_files_are_looked_at() {
    let render = |wrong| dataset(wrong).unwrap().render(Tokens::Continuous(&[0.0; 12]), &[]);
    assert!(render(Wrong::Answer("render", "GIF89a")).unwrap_err().message.starts_with("its answer is not a PNG file"));
    let error = dataset(Wrong::Nothing).unwrap().render(Tokens::Discrete(&[0; 12]), &[]).unwrap_err();
    assert_eq!(error.fault, Fault::Request);
    let folder = tempfile::tempdir().unwrap();
    let save = |answer| dataset(Wrong::Answer("save-assets", answer)).unwrap().save_assets(folder.path());
    assert_eq!(save("[]"), Ok(vec![]));
    assert!(save(r#"["../x"]"#).unwrap_err().message.contains("not the plain name of a file"));
    assert!(save(r#"["x"]"#).unwrap_err().message.contains("there is no such file"));
    let made = |answer| {
        let request = Synthesise { folder: folder.path().into(), n_samples: 1, seed: 0 };
        load(Wrong::Answer("synthesise", answer)).unwrap().synthesise(&request)
    };
    assert!(made(r#"{"data":["gone.png"],"options":{}}"#).unwrap_err().message.contains("it names \"gone.png\""));
    assert!(made(r#"{"data":["."],"options":null}"#).is_ok());
}

#[test]
fn paths_that_json_cannot_say_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"\xff"));
    let plugin = load(Wrong::Nothing).unwrap();
    let error = plugin.invoke::<Value>("save", &SaveAssets { folder: odd.into() }).unwrap_err();
    assert_eq!(error.fault, Fault::Request);
    assert!(error.message.contains("UTF-8"), "{error}");
}
