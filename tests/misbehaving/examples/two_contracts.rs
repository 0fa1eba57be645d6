//! A valid plugin for version 1 of the contract and for a version 2 that tests of the host imagine. It reports by which
//! version it was loaded.

use medcoss_abi::abi_stable::std_types::{RErr, ROk, RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::{
    DatasetHandle, FillBuffers, FillRequest, HostServices, PluginError, PluginHeader, PluginTable, SampleReport, code,
};
use medcoss_misbehaving::HeaderOfVersion2;

const fn table(describe: extern "C" fn() -> RResult<RString, PluginError>) -> PluginTable {
    PluginTable { attach, describe, invoke, open, query, fill, close }
}

#[used]
#[unsafe(export_name = "medcoss_plugin_v1_two_contracts")]
static FIRST: PluginHeader = PluginHeader::new(table(describe_first));

#[used]
#[unsafe(export_name = "medcoss_plugin_v2_two_contracts")]
static SECOND: HeaderOfVersion2 = HeaderOfVersion2 { major: 2, table: table(describe_second), estimate };

fn describe(version: &str) -> RResult<RString, PluginError> {
    let described = format!(
        r#"{{"id":"two_contracts","version":"{version}","summary":"nothing","family":"series","reads":[],"operations":[],
            "geometry":{{"kind":"continuous","grid":[2],"d_token":3,"n_masked":1}},"options":{{}}}}"#
    );
    ROk(described.into())
}

extern "C" fn describe_first() -> RResult<RString, PluginError> {
    describe("1.0.0")
}

extern "C" fn describe_second() -> RResult<RString, PluginError> {
    describe("2.0.0")
}

extern "C" fn estimate(_: DatasetHandle) -> u64 {
    0
}

extern "C" fn attach(_: HostServices) {}

fn nothing<T>() -> RResult<T, PluginError> {
    RErr(PluginError { code: code::UNKNOWN_OPERATION, body: r#"{"message":"it can do nothing"}"#.into() })
}

extern "C" fn invoke(_: RStr<'_>, _: RStr<'_>) -> RResult<RString, PluginError> {
    nothing()
}

extern "C" fn open(_: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    nothing()
}

extern "C" fn query(_: DatasetHandle, _: RStr<'_>, _: RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError> {
    nothing()
}

extern "C" fn fill(
    _: DatasetHandle,
    _: FillRequest<'_>,
    _: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    nothing()
}

extern "C" fn close(_: DatasetHandle) {}
