//! What `medcoss plugin inspect` shows.

use medcoss_test_support::sandbox::{Sandbox, put_fixture};
use serde_json::Value;

#[test]
fn everything_that_a_plugin_says_of_itself_is_shown() {
    let sandbox = Sandbox::new();
    let path = put_fixture(&sandbox.folder("mine"), "gait.so");
    let answer = sandbox.run(["plugin", "inspect", path.to_str().unwrap()]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    let sha256 = answer.out.lines().find_map(|line| line.strip_prefix("sha256")).unwrap().trim();
    assert_eq!(sha256, sha256_of(&path));
    let expected = "\
fixture 0.3.1
series of numbers, one line of a CSV file a sample

location    SANDBOX/mine/gait.so
sha256      DIGEST
family      series
samples     12 tokens of 5 values, 6 masked
reads       CSV (.csv)
renders     text
operations  synthesise, survey, info, records, account, save-assets, render, keep

OPTION      TYPE     DEFAULT  DESCRIPTION
length      integer  60       Numbers in a sample: a multiple of `patch`, up to 65536. Longer lines are cut,
                              shorter ones are invalid samples.
patch       integer  5        Numbers in a token.
mask_ratio  number   0.5      Fraction of the tokens that are masked in training, above 0 and below 1.
gain        number   0.1      Training samples are multiplied with a number between one minus and one plus
                              this.
";
    assert_eq!(sandbox.anonymous(&answer.out).replace(sha256, "DIGEST"), expected);
}

#[test]
fn json_carries_the_schema_and_the_digest() {
    let sandbox = Sandbox::new();
    let path = put_fixture(&sandbox.folder("mine"), "gait.so");
    let by_id = ["plugin", "inspect", "fixture", "--json", "--no-builtin", "--plugin-dir", "../mine"];
    let answer = sandbox.run(by_id);
    let shown: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(shown["id"], "fixture");
    assert_eq!(shown["sha256"], sha256_of(&path));
    assert_eq!(shown["location"]["kind"], "library");
    assert_eq!(shown["geometry"], serde_json::json!({"kind": "continuous", "grid": [12], "d_token": 5, "n_masked": 6}));
    assert_eq!(shown["options"]["properties"]["length"]["default"], 60);
    assert_eq!(shown["option_list"][1]["name"], "patch");
}

#[test]
fn an_unknown_id_gives_the_nearest() {
    let sandbox = Sandbox::new();
    put_fixture(&sandbox.folder("data/medcoss/plugins"), "gait.so");
    let answer = sandbox.run(["plugin", "inspect", "fixtrue", "--no-builtin"]);
    assert_eq!(answer.code, 1);
    let expected = "error: there is no plugin for modality \"fixtrue\"\n\
                    hint: did you mean \"fixture\"? found: fixture\n\
                    hint: `medcoss plugin list` shows what was found where; --plugin-dir adds a folder\n";
    assert_eq!(answer.err, expected);
}

fn sha256_of(path: &std::path::Path) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}
