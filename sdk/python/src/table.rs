//! The functions of the contract. A handle is a number, not an address: what is not open is refused.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use medcoss_abi::abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec};
use medcoss_abi::{
    DatasetHandle, FillBuffers, FillRequest, HostServices, PluginError, PluginTable, SampleReport, code, operation,
};
use serde_json::json;

use crate::dataset::Dataset;
use crate::pool::Pool;
use crate::{Failure, Package, services};

pub(crate) const TABLE: PluginTable = PluginTable { attach, describe, invoke, open, query, fill, close };

/// The workers of this library.
fn pool() -> Result<&'static Pool, Failure> {
    static POOL: OnceLock<Result<Pool, Failure>> = OnceLock::new();
    POOL.get_or_init(|| Package::of_this_library().map(Pool::new)).as_ref().map_err(Clone::clone)
}

/// Open datasets, by handle.
fn datasets() -> MutexGuard<'static, HashMap<usize, Arc<Dataset>>> {
    static OPEN: OnceLock<Mutex<HashMap<usize, Arc<Dataset>>>> = OnceLock::new();
    OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn dataset(handle: DatasetHandle) -> Result<Arc<Dataset>, Failure> {
    let found = datasets().get(&handle.0.addr()).cloned();
    found.ok_or_else(|| Failure::bad_request("the dataset is not open"))
}

extern "C" fn attach(services: HostServices) {
    services::attach(services);
}

extern "C" fn describe() -> RResult<RString, PluginError> {
    call(|| {
        let pool = pool()?;
        Ok(pool.description()?.to_string().into())
    })
}

extern "C" fn invoke(name: RStr<'_>, body: RStr<'_>) -> RResult<RString, PluginError> {
    call(|| {
        let pool = pool()?;
        check_known(pool, name.as_str(), &[operation::SYNTHESISE, operation::SURVEY])?;
        let doing = match name.as_str() {
            operation::SURVEY => "it looked at data",
            _ => "it wrote sample files",
        };
        let request = json!({ "operation": name.as_str() });
        let answer = pool.with_worker(None, |worker| Ok(worker.call(&request, body.as_str().as_bytes(), doing)?.1))?;
        String::from_utf8(answer).map(RString::from).map_err(|error| Failure::fault(error.to_string()))
    })
}

extern "C" fn open(body: RStr<'_>) -> RResult<DatasetHandle, PluginError> {
    call(|| {
        let dataset = Dataset::open(pool()?, body.as_str().as_bytes())?;
        let handle = dataset.handle();
        datasets().insert(handle, Arc::new(dataset));
        Ok(DatasetHandle(std::ptr::without_provenance(handle)))
    })
}

extern "C" fn query(handle: DatasetHandle, name: RStr<'_>, body: RSlice<'_, u8>) -> RResult<RVec<u8>, PluginError> {
    call(|| {
        let queries = [
            operation::INFO,
            operation::RECORDS,
            operation::ACCOUNT,
            operation::SAVE_ASSETS,
            operation::KEEP,
            operation::RENDER,
            operation::LABEL_MAPS,
        ];
        check_known(pool()?, name.as_str(), &queries)?;
        dataset(handle)?.query(name.as_str(), body.as_slice()).map(RVec::from)
    })
}

extern "C" fn fill(
    handle: DatasetHandle,
    request: FillRequest<'_>,
    buffers: FillBuffers<'_>,
) -> RResult<RVec<SampleReport>, PluginError> {
    call(|| dataset(handle)?.fill(request, buffers))
}

extern "C" fn close(handle: DatasetHandle) {
    let _ = catch_unwind(|| drop(datasets().remove(&handle.0.addr())));
}

/// Refuses operations that the module does not have.
fn check_known(pool: &Pool, name: &str, here: &[&str]) -> Result<(), Failure> {
    let description = pool.description()?;
    let named = description["operations"].as_array().into_iter().flatten().any(|known| known == name);
    if named && here.contains(&name) {
        return Ok(());
    }
    let id = &pool.package().id;
    Err(Failure::new(code::UNKNOWN_OPERATION, format!("plugin {id} knows no operation {name:?}")))
}

/// The result of a call. A panic of the bridge does not leave it.
fn call<T>(call: impl FnOnce() -> Result<T, Failure>) -> RResult<T, PluginError> {
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let outcome = outcome.unwrap_or_else(|_| Err(Failure::fault("the bridge to Python panicked")));
    outcome.map_err(PluginError::from).into()
}
