//! Loads samples of a module in Python through the bridge, without the program: `tests/compare/python_loader.py` measures how long it takes.
//!
//!     fill_batches MODULE BASE OPTIONS THREADS BATCH BATCHES
//!
//! Packs the module in the folder MODULE, opens the folder BASE with OPTIONS (JSON) and fills so many batches of the training view from so many
//! threads.

use std::sync::atomic::{AtomicU64, Ordering};

use medcoss_abi::abi_stable::std_types::{RSlice, RSliceMut, RStr, RString, RVec};
use medcoss_abi::message::{Geometry, Info, Open};
use medcoss_abi::{DatasetHandle, FillBuffers, FillRequest, HostServices, PluginHeader, PluginTable, VIEW_TRAIN};
use medcoss_python_bridge::{BRIDGE_FILE, PackRequest, pack};

struct Dataset {
    table: &'static PluginTable,
    handle: DatasetHandle,
}

// SAFETY: the contract lets a dataset be used from any thread.
unsafe impl Sync for Dataset {}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, base, options, threads, batch, batches] = arguments.as_slice() else {
        panic!("MODULE BASE OPTIONS THREADS BATCH BATCHES were expected");
    };
    let [threads, batch, batches] = [threads, batch, batches].map(|number| number.parse::<usize>().expect("a number"));
    let place = tempfile::tempdir().expect("a folder");
    let out = place.path().join("packed.so");
    // Examples lie in a folder of their own beside the library.
    let bridge = std::env::current_exe().expect("a path").parent().expect("a folder").with_file_name(BRIDGE_FILE);
    let request = PackRequest { bridge: &bridge, folder: module.as_ref(), out: Some(&out), is_for_development: false };
    let id = pack(&request).unwrap_or_else(|error| panic!("{error}")).id;
    // SAFETY: the library is that of a packed module, which the caller names in order to run it. It is never unloaded.
    let library = Box::leak(Box::new(unsafe { libloading::Library::new(&out) }.expect("a library")));
    // SAFETY: a packed library exports its header under this name.
    let header: &'static PluginHeader =
        unsafe { &**library.get::<*const PluginHeader>(format!("medcoss_plugin_v1_{id}")).expect("a plugin") };
    let table = header.check().expect("a header of this contract");
    (table.attach)(HostServices { log, ask });
    let open = Open {
        base: base.into(),
        data: vec![".".into()],
        options: serde_json::from_str(options).expect("JSON"),
        assets: None,
    };
    let body = serde_json::to_string(&open).expect("JSON");
    let handle = (table.open)(body.as_str().into()).into_result().unwrap_or_else(|error| panic!("{}", error.body));
    let info = (table.query)(handle, "info".into(), RSlice::EMPTY).into_result().expect("an answer");
    let info: Info = serde_json::from_slice(&info).expect("JSON");
    let dataset = Dataset { table, handle };
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| fill(&dataset, &info, batch, || next.fetch_add(1, Ordering::Relaxed), batches as u64));
        }
    });
    (table.close)(dataset.handle);
}

/// Fills batches of `n` samples as long as their number is below `end`.
fn fill(dataset: &Dataset, info: &Info, n: usize, next: impl Fn() -> u64, end: u64) {
    let Geometry::Continuous(geometry) = &info.geometry else { panic!("a grid was expected") };
    let n_tokens = n * geometry.grid.iter().product::<usize>();
    let (mut tokens, mut mask) = (vec![0.0; n_tokens * geometry.d_token], vec![0; n_tokens]);
    while let Some(batch) = Some(next()).filter(|&batch| batch < end) {
        let seeds: Vec<u64> = (0..n as u64).map(|at| batch * n as u64 + at).collect();
        let indices: Vec<u64> = seeds.iter().map(|seed| seed % info.n_samples).collect();
        let request =
            FillRequest { view: VIEW_TRAIN, indices: RSlice::from_slice(&indices), seeds: RSlice::from_slice(&seeds) };
        let buffers = FillBuffers {
            tokens: RSliceMut::from_mut_slice(&mut tokens),
            mask: RSliceMut::from_mut_slice(&mut mask),
            ids: RSliceMut::default(),
            labels: RSliceMut::default(),
            lengths: RSliceMut::default(),
            extras: RVec::new(),
        };
        let reports = (dataset.table.fill)(dataset.handle, request, buffers).into_result();
        let reports = reports.unwrap_or_else(|error| panic!("{}", error.body));
        assert!(reports.is_empty(), "{reports:?}");
    }
}

extern "C" fn log(_: u32, _: RStr<'_>) {}

extern "C" fn ask(_: RStr<'_>, _: RStr<'_>) -> RString {
    RString::new()
}
