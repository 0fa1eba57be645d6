//! Samples a second that a packed module delivers through the bridge, without the program: `tests/compare/python_loader.py` runs it.
//!
//!     fill_rate MODULE BASE OPTIONS THREADS BATCH SECONDS
//!
//! Packs the module in the folder MODULE, opens the folder BASE with OPTIONS (JSON) and fills batches of the training view from so many
//! threads for so long. Prints the rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use medcoss_abi::abi_stable::std_types::{RSlice, RSliceMut, RStr, RString, RVec};
use medcoss_abi::message::{Geometry, Info, Open};
use medcoss_abi::{DatasetHandle, FillBuffers, FillRequest, HostServices, PluginHeader, PluginTable, VIEW_TRAIN};
use medcoss_python_bridge::{BRIDGE_FILE, PackRequest, pack};

/// Time in which workers start and files get into the cache.
const WARM_UP: Duration = Duration::from_secs(2);

struct Dataset {
    table: &'static PluginTable,
    handle: DatasetHandle,
}

// SAFETY: the contract lets a dataset be used from any thread.
unsafe impl Sync for Dataset {}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, base, options, threads, batch, seconds] = arguments.as_slice() else {
        panic!("MODULE BASE OPTIONS THREADS BATCH SECONDS were expected");
    };
    let [threads, batch, seconds] = [threads, batch, seconds].map(|number| number.parse::<usize>().expect("a number"));
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
    let n_delivered = AtomicU64::new(0);
    let start = Instant::now() + WARM_UP;
    let end = start + Duration::from_secs(seconds as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (dataset, info, n_delivered) = (&dataset, &info, &n_delivered);
            scope.spawn(move || fill(dataset, info, thread as u64, batch, [start, end], n_delivered));
        }
    });
    println!("{:.1}", n_delivered.into_inner() as f64 / seconds as f64);
    (table.close)(dataset.handle);
}

/// Fills batches until the end, and counts the samples of those that began and ended between the two instants.
fn fill(dataset: &Dataset, info: &Info, thread: u64, n: usize, [start, end]: [Instant; 2], n_delivered: &AtomicU64) {
    let Geometry::Continuous(geometry) = &info.geometry else { panic!("a grid was expected") };
    let n_tokens = n * geometry.grid.iter().product::<usize>();
    let (mut tokens, mut mask) = (vec![0.0; n_tokens * geometry.d_token], vec![0; n_tokens]);
    let mut seed = thread << 32;
    while Instant::now() < end {
        let indices: Vec<u64> = (0..n as u64).map(|at| (seed + at) % info.n_samples).collect();
        let seeds: Vec<u64> = (0..n as u64).map(|at| seed + at).collect();
        seed += n as u64;
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
        let began = Instant::now();
        let reports = (dataset.table.fill)(dataset.handle, request, buffers).into_result();
        let reports = reports.unwrap_or_else(|error| panic!("{}", error.body));
        assert!(reports.is_empty(), "{reports:?}");
        if began >= start && Instant::now() <= end {
            n_delivered.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}

extern "C" fn log(_: u32, _: RStr<'_>) {}

extern "C" fn ask(_: RStr<'_>, _: RStr<'_>) -> RString {
    RString::new()
}
