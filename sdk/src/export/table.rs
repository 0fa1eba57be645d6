//! The functions of the table, generic over the modality.

use medcoss_abi::abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::message::{Description, Open, SurveyRequest, Synthesise};
use medcoss_abi::{
    DatasetHandle, FillBuffers, FillRequest, HostServices, PluginError, PluginTable, SampleReport, operation,
};

use super::fill::fill_samples;
use super::panics::{self, contained};
use super::queries::{self, json, parse, unknown};
use crate::{Error, Modality, OpenRequest};

/// The table of a modality.
pub const fn table<M: Modality>() -> PluginTable {
    PluginTable {
        attach,
        describe: describe::<M>,
        invoke: invoke::<M>,
        open: open::<M>,
        query: query::<M>,
        fill: fill::<M>,
        close: close::<M>,
    }
}

/// String equality in a constant.
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

extern "C" fn attach(services: HostServices) {
    crate::log::attach(services);
    panics::watch();
}

extern "C" fn describe<M: Modality>() -> RResult<RString, PluginError> {
    call(|| {
        let description = Description {
            id: M::ID.into(),
            version: M::VERSION.into(),
            summary: M::SUMMARY.into(),
            family: M::FAMILY.into(),
            geometry: M::geometry(&M::Options::default())?,
            reads: M::FILE_FORMATS.iter().map(|&kind| kind.into()).collect(),
            options: crate::options::schema::<M>(),
            renders: M::RENDERS,
            operations: queries::operations::<M>(),
            debug_build: cfg!(debug_assertions),
        };
        json(&description).map(RString::from)
    })
}

extern "C" fn invoke<M: Modality>(name: RStr<'_>, body: RStr<'_>) -> RResult<RString, PluginError> {
    call(|| match name.as_str() {
        operation::SYNTHESISE => {
            let request: Synthesise = parse(body.as_str().as_bytes())?;
            let made = M::synthesise(&request.folder, request.n_samples, request.seed)?;
            json(&made).map(RString::from)
        }
        operation::SURVEY => {
            let request: SurveyRequest = parse(body.as_str().as_bytes())?;
            json(&M::survey(&request.base, &request.data)?).map(RString::from)
        }
        other => Err(unknown::<M>(other)),
    })
}

extern "C" fn open<M: Modality>(body: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    call(|| {
        let request: Open = parse(body.as_str().as_bytes())?;
        let options = crate::options::parse::<M>(request.options)?;
        let dataset = M::open(OpenRequest { base: request.base, data: request.data, options, assets: request.assets })?;
        Ok(DatasetHandle(Box::into_raw(Box::new(dataset)) as *const ()))
    })
}

extern "C" fn query<M: Modality>(
    handle: DatasetHandle,
    name: RStr<'_>,
    body: RSlice<'_, u8>,
) -> RResult<RVec<u8>, PluginError> {
    call(|| {
        // SAFETY: the host passes a handle that `open` of this same table gave and that it has not closed.
        let dataset = unsafe { &*(handle.0 as *const M::Dataset) };
        queries::answer::<M>(dataset, name.as_str(), body.as_slice()).map(RVec::from)
    })
}

extern "C" fn fill<M: Modality>(
    handle: DatasetHandle,
    request: FillRequest<'_>,
    buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    call(|| {
        // SAFETY: as in `query`.
        let dataset = unsafe { &*(handle.0 as *const M::Dataset) };
        fill_samples(dataset, request, buffers)
    })
}

extern "C" fn close<M: Modality>(handle: DatasetHandle) {
    let _ = contained(|| {
        // SAFETY: the host passes a handle that `open` gave, once, and uses it no more.
        drop(unsafe { Box::from_raw(handle.0 as *mut M::Dataset) });
        Ok(())
    });
}

fn call<T>(call: impl FnOnce() -> Result<T, Error>) -> RResult<T, PluginError> {
    contained(call).map_err(Error::into_abi).into()
}
