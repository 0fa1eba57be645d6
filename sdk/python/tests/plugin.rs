//! A module that is packed, loaded and called.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use medcoss_abi::abi_stable::std_types::{RSlice, RSliceMut, RStr, RString, RVec};
use medcoss_abi::message::{Geometry, Info, Open};
use medcoss_abi::{DatasetHandle, FillBuffers, FillRequest, HostServices, PluginHeader, PluginTable, VIEW_TRAIN};
use medcoss_python_bridge::{BRIDGE_FILE, PackError, PackRequest, Packed, pack};
use serde_json::Value;
use tempfile::TempDir;

/// The bridge's library, as cargo built it for these tests.
pub fn bridge() -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name(BRIDGE_FILE);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// The interpreter of the tests.
pub fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let name = std::env::var("MEDCOSS_PYTHON").unwrap_or_else(|_| "python3".into());
        let found = Command::new(&name).args(["-c", "import numpy"]).output();
        let has_numpy = found.is_ok_and(|output| output.status.success());
        assert!(has_numpy, "{name} is no Python with NumPy; name one in MEDCOSS_PYTHON, or install python3-numpy");
        name
    })
}

/// A folder with a module `id`.py.
pub fn folder_of(id: &str, source: &str) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join(id);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(format!("{id}.py")), source).unwrap();
    (place, folder)
}

pub fn packed(folder: &Path, is_for_development: bool) -> Result<Packed, PackError> {
    python();
    pack(&PackRequest { bridge: &bridge(), folder, out: None, is_for_development })
}

/// A loaded plugin.
#[derive(Clone, Copy)]
pub struct Plugin {
    pub header: &'static PluginHeader,
    pub table: &'static PluginTable,
}

impl Plugin {
    /// Packs a module and loads its library.
    pub fn of_source(id: &str, source: &str) -> Self {
        let (_place, folder) = folder_of(id, source);
        Self::of_folder(&folder)
    }

    pub fn of_folder(folder: &Path) -> Self {
        let packed = packed(folder, false).unwrap_or_else(|error| panic!("{error}"));
        Self::load(&packed.library, &packed.id)
    }

    pub fn load(library: &Path, id: &str) -> Self {
        // SAFETY: the library is the bridge; its constructors register nothing that outlives it, and it is never unloaded.
        let library = Box::leak(Box::new(unsafe { libloading::Library::new(library) }.unwrap()));
        let symbol = format!("medcoss_plugin_v1_{id}");
        // SAFETY: under this name the bridge exports its header, which stays as the library does.
        let header: &'static PluginHeader =
            unsafe { &**library.get::<*const PluginHeader>(symbol.as_bytes()).unwrap() };
        let table = header.check().unwrap();
        (table.attach)(HostServices { log, ask });
        Self { header, table }
    }

    pub fn describe(&self) -> Result<Value, String> {
        read((self.table.describe)().into_result().map(RString::into_bytes).map_err(|error| error.body.to_string()))
    }

    /// The answer of an operation without a dataset.
    pub fn invoke(&self, name: &str, body: &Value) -> Result<Value, String> {
        let answer = (self.table.invoke)(name.into(), body.to_string().as_str().into()).into_result();
        read(answer.map(RString::into_bytes).map_err(|error| error.body.to_string()))
    }

    pub fn open(&self, base: &Path, data: &[&str], options: Value) -> Result<Opened, String> {
        let data = data.iter().map(PathBuf::from).collect();
        let body = serde_json::to_string(&Open { base: base.into(), data, options, assets: None }).unwrap();
        let handle = (self.table.open)(body.as_str().into()).into_result().map_err(|error| error.body.to_string())?;
        let mut opened = Opened { handle, table: self.table, info: None };
        opened.info = Some(serde_json::from_value(opened.query("info", b"")?).unwrap());
        Ok(opened)
    }
}

/// An open dataset, closed when dropped.
pub struct Opened {
    handle: DatasetHandle,
    table: &'static PluginTable,
    info: Option<Info>,
}

// SAFETY: the contract lets a dataset be used from any thread.
unsafe impl Sync for Opened {}

/// What a batch of a grid holds, and the code and message of each sample that was not simply delivered.
#[derive(Debug, PartialEq)]
pub struct Filled {
    pub tokens: Vec<f32>,
    pub mask: Vec<u8>,
    pub reports: Vec<(u64, i32, String)>,
}

impl Opened {
    pub fn info(&self) -> &Info {
        self.info.as_ref().unwrap()
    }

    pub fn query(&self, name: &str, body: &[u8]) -> Result<Value, String> {
        read(self.query_bytes(name, body).map_err(|(_, body)| body))
    }

    pub fn query_bytes(&self, name: &str, body: &[u8]) -> Result<Vec<u8>, (i32, String)> {
        let answer = (self.table.query)(self.handle, name.into(), RSlice::from_slice(body)).into_result();
        answer.map(Vec::from).map_err(|error| (error.code, error.body.to_string()))
    }

    /// Fills a batch of the training view.
    pub fn fill(&self, samples: &[(u64, u64)]) -> Filled {
        let Geometry::Continuous(geometry) = &self.info().geometry else { panic!("a grid was expected") };
        let n_tokens = geometry.grid.iter().product::<usize>() * samples.len();
        let (mut tokens, mut mask) = (vec![f32::NAN; n_tokens * geometry.d_token], vec![9; n_tokens]);
        let (indices, seeds): (Vec<u64>, Vec<u64>) = samples.iter().copied().unzip();
        let buffers = FillBuffers {
            tokens: RSliceMut::from_mut_slice(&mut tokens),
            mask: RSliceMut::from_mut_slice(&mut mask),
            ids: RSliceMut::default(),
            labels: RSliceMut::default(),
            lengths: RSliceMut::default(),
            extras: RVec::new(),
        };
        let request =
            FillRequest { view: VIEW_TRAIN, indices: RSlice::from_slice(&indices), seeds: RSlice::from_slice(&seeds) };
        let reports = (self.table.fill)(self.handle, request, buffers).into_result();
        let reports = reports.unwrap_or_else(|error| panic!("{}", error.body));
        let mut reports: Vec<_> =
            reports.into_iter().map(|one| (one.slot, one.code, one.message.to_string())).collect();
        reports.sort();
        Filled { tokens, mask, reports }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        (self.table.close)(self.handle);
    }
}

fn read<B: AsRef<[u8]>>(answer: Result<B, String>) -> Result<Value, String> {
    Ok(serde_json::from_slice(answer?.as_ref()).unwrap())
}

extern "C" fn log(_: u32, text: RStr<'_>) {
    LOG.lock().unwrap().push(text.to_string());
}

/// Asks those to stop that have such a name for what they count.
extern "C" fn ask(service: RStr<'_>, body: RStr<'_>) -> RString {
    let stop = service == "progress" && body.as_str().contains("until it is stopped");
    format!(r#"{{"stop":{stop}}}"#).into()
}

/// What plugins logged.
pub static LOG: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
