//! Plugins of the past and hosts of the future: a library that was built against the frozen version 1 of the contract is taken by this
//! host, and by one that knows a second version.

use std::fs;

use medcoss_abi::message::{Open, Synthesise};
use medcoss_abi::{CONTRACT_MAJOR, PluginTable, Rejection};
use medcoss_misbehaving::HeaderOfVersion2;
use medcoss_plugin_host::{Batch, CONTRACTS, Contract, Plugin, V1, View};

/// The version to come.
const V2: Contract = Contract { major: 2, header_bytes: size_of::<HeaderOfVersion2>() as u64, accept: accept_v2 };

unsafe fn accept_v2(header: *const ()) -> Result<&'static PluginTable, Rejection> {
    // SAFETY: it is a symbol of version 2 in a library that stays.
    let header = unsafe { &*header.cast::<HeaderOfVersion2>() };
    if header.major == 2 { Ok(&header.table) } else { Err(Rejection::Version { found: (header.major, 0) }) }
}

#[test]
fn a_plugin_of_the_frozen_contract_is_described_opened_and_read() {
    let path = medcoss_test_support::libraries::contract_v1();
    for contracts in [CONTRACTS, &[V2, V1]] {
        let plugin = Plugin::load_by(&path, "contract_v1", contracts).unwrap();
        assert_eq!(plugin.name(), "contract_v1 1.0.0");
        let folder = tempfile::tempdir().unwrap();
        let made = plugin.synthesise(&Synthesise { folder: folder.path().into(), n_samples: 5, seed: 3 }).unwrap();
        let mut text = fs::read_to_string(folder.path().join("numbers.txt")).unwrap();
        text.push_str("one two\n");
        fs::write(folder.path().join("numbers.txt"), text).unwrap();
        let open = Open { base: folder.path().into(), data: made.data, options: made.options, assets: None };
        let dataset = plugin.open(&open).unwrap();
        assert_eq!(dataset.ids().len(), 6);
        let mut batch = Batch::default();
        assert_eq!(dataset.fill(View::Evaluation, &[4, 1], &[0, 0], &mut batch).unwrap(), []);
        let line = |n: usize| (0..6).map(move |at| (n * 6 + at) as f32 * 0.25 + 3.0);
        assert_eq!(batch.tokens, line(4).chain(line(1)).collect::<Vec<_>>());
        let failures = dataset.fill(View::Training, &[2, 5], &[8, 9], &mut batch).unwrap();
        assert_eq!(failures.len(), 1);
        assert!(failures[0].to_string().ends_with("(fill): numbers.txt#5: it has not six numbers"), "{failures:?}");
        assert_eq!(batch.mask[..2], [1, 0]);
    }
}

#[test]
fn of_two_versions_the_newest_that_the_host_knows_is_taken() {
    assert_eq!(CONTRACT_MAJOR, 1, "a version of the contract was added: this test imagines another one than the next");
    let path = medcoss_test_support::libraries::misbehaving("two_contracts");
    let taken = |contracts| Plugin::load_by(&path, "two_contracts", contracts).map(|plugin| plugin.name().to_string());
    assert_eq!(taken(CONTRACTS), Ok("two_contracts 1.0.0".into()));
    assert_eq!(taken(&[V2, V1]), Ok("two_contracts 2.0.0".into()));
    let alone = taken(&[Contract { major: 3, ..V2 }]).unwrap_err();
    assert!(alone.reason.contains("medcoss_plugin_v3_two_contracts"), "{alone}");
}
