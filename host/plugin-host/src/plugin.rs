//! A loaded plugin: its description, and the calls that need no dataset.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use medcoss_abi::abi_stable::std_types::{RResult, RString};
use medcoss_abi::message::{Description, Survey, SurveyRequest, Synthesise, Synthesised};
use medcoss_abi::{PluginHeader, PluginTable, Rejection, operation};
use medcoss_caller::Shape;
use medcoss_caller::answers::{check_description, check_size, check_synthesised};
use medcoss_caller::survey::check_survey;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::calls;
use crate::contracts::{CONTRACTS, Contract};
use crate::error::PluginError;
use crate::library::{self, Loaded};
use crate::library_file::LibraryFile;
use crate::location::{LoadError, PluginLocation};
use crate::options;

/// Prefix of the reason when the dynamic loader refuses a library. The cause may be another, missing library, so the
/// error can disappear without a new file.
pub(crate) const LOADER_REFUSES: &str = "the dynamic loader refuses it";

/// A loaded plugin with its checked description. Clones refer to the same plugin.
#[derive(Clone)]
pub struct Plugin {
    description: Arc<Description>,
    shape: Shape,
    location: PluginLocation,
    sha256: Option<Arc<str>>,
    name: Arc<str>,
    table: &'static PluginTable,
}

impl Plugin {
    /// Loads the plugin `id` from a library.
    ///
    /// # Errors
    /// A library that the dynamic loader refuses, a plugin of another contract, a plugin whose description is invalid.
    pub fn load(path: &Path, id: &str) -> Result<Self, LoadError> {
        Self::load_by(path, id, CONTRACTS)
    }

    /// Loads the plugin `id` by the first of some contracts that the library supports.
    ///
    /// # Errors
    /// As [`Plugin::load`].
    pub fn load_by(path: &Path, id: &str, contracts: &[Contract]) -> Result<Self, LoadError> {
        Self::load_file(&read_library(path)?, id, contracts)
    }

    /// Loads the plugin `id` from the content of a library file, whatever has become of the file since it was read.
    ///
    /// # Errors
    /// As [`Plugin::load`].
    pub fn load_file(file: &LibraryFile, id: &str, contracts: &[Contract]) -> Result<Self, LoadError> {
        from_library(Self::open_library(file, id, contracts)?, file, id)
    }

    /// Opens the library and reads the plugin's header: the first part of [`Plugin::load`], in which constructors of
    /// the library run.
    pub(crate) fn open_library(file: &LibraryFile, id: &str, contracts: &[Contract]) -> Result<Loaded, LoadError> {
        let opened = calls::during(&id.into(), || library::header_of(file, id, contracts));
        opened.map_err(|message| {
            let location = PluginLocation::Library { path: file.path().to_path_buf() };
            let (reason, hint) = message.split_once("\nhint: ").unwrap_or((&message, "build it again on this machine"));
            LoadError::new(&location, format_args!("{LOADER_REFUSES}: {reason}"), hint)
        })
    }

    /// Loads a plugin from its header, such as that of a built-in plugin.
    ///
    /// # Errors
    /// As [`Plugin::load`].
    pub fn from_header(header: &'static PluginHeader, id: &str, location: PluginLocation) -> Result<Self, LoadError> {
        Self::from_table(header.check(), id, location)
    }

    pub(crate) fn from_table(
        table: Result<&'static PluginTable, Rejection>,
        id: &str,
        location: PluginLocation,
    ) -> Result<Self, LoadError> {
        let table = table.map_err(|rejection| {
            let hint = match rejection {
                Rejection::Magic { .. } => "build it with the export_plugin! macro of the medcoss SDK",
                _ => "build it against the SDK of this host's version",
            };
            LoadError::new(&location, rejection, hint)
        })?;
        let unnamed: Arc<str> = id.into();
        calls::during(&unnamed, || library::attach(table));
        let described = (|| {
            let answer = result("describe", &unnamed, || (table.describe)())?.into_bytes();
            let description: Description = parse("describe", &unnamed, answer.as_slice())?;
            check_description(&description, id)
                .and_then(|()| Shape::new(&description.geometry))
                .map(|shape| (description, shape))
                .map_err(|violation| PluginError::contract(&unnamed, "describe", violation))
        })();
        let (description, shape) = described.map_err(|error| {
            let error = LoadError::from_text(&location, &error.message);
            LoadError {
                hint: error.hint.or_else(|| Some("report it to the plugin's authors, or use another version".into())),
                ..error
            }
        })?;
        let name = format!("{} {}", description.id, description.version).into();
        Ok(Self { description: description.into(), shape, location, sha256: None, name, table })
    }

    /// The plugin's description of itself. Its texts are unchanged, and so untrusted.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Options of a preset that the plugin declares, by the preset's name; none where it declares none of that name.
    pub fn option_preset(&self, name: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
        options::preset(&self.description.options, name)
    }

    /// Shape of the plugin's samples with default options.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Location that the plugin was loaded from.
    pub fn location(&self) -> &PluginLocation {
        &self.location
    }

    /// SHA-256 of the library file that the plugin was loaded from, as 64 hexadecimal digits. `None` for a built-in
    /// plugin, which is part of this program.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Id and version of the plugin: `xray 0.1.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether the plugin's datasets can write samples into a run, so that the data are no longer needed.
    pub fn keeps(&self) -> bool {
        self.description.operations.iter().any(|known| known == operation::KEEP)
    }

    /// Writes sample files of the plugin's own formats into an existing empty folder.
    ///
    /// # Errors
    /// An error that the plugin reports; missing entries of its answer.
    pub fn synthesise(&self, request: &Synthesise) -> Result<Synthesised, PluginError> {
        let made: Synthesised = self.invoke(operation::SYNTHESISE, request)?;
        check_synthesised(&request.folder, &made)
            .map_err(|violation| self.violation(operation::SYNTHESISE, &violation))?;
        Ok(made)
    }

    /// What the plugin makes of data: whether they are of its modality, and which options suit them. `None` where it does not say, or was built
    /// before there was this question.
    ///
    /// # Errors
    /// An error that the plugin reports, an answer that breaks the contract.
    pub fn survey(&self, base: &Path, data: &[PathBuf]) -> Result<Option<Survey>, PluginError> {
        if !self.description.operations.iter().any(|known| known == operation::SURVEY) {
            return Ok(None);
        }
        let request = SurveyRequest { base: base.to_path_buf(), data: data.to_vec() };
        let survey: Option<Survey> = self.invoke(operation::SURVEY, &request)?;
        if let Some(survey) = &survey {
            check_survey(survey).map_err(|violation| self.violation(operation::SURVEY, &violation))?;
        }
        Ok(survey)
    }

    /// Calls a named operation of the plugin as a whole.
    ///
    /// # Errors
    /// An error that the plugin reports; an answer of another form.
    pub fn invoke<T: DeserializeOwned>(&self, operation: &str, request: &impl Serialize) -> Result<T, PluginError> {
        let body = self.body(operation, request)?;
        let answer = result(operation, &self.name, || (self.table.invoke)(operation.into(), body.as_str().into()))?;
        parse(operation, &self.name, answer.into_bytes().as_slice())
    }

    pub(crate) fn table(&self) -> &'static PluginTable {
        self.table
    }

    pub(crate) fn violation(&self, operation: &str, what: &str) -> PluginError {
        PluginError::contract(&self.name, operation, what)
    }

    /// Calls the plugin once, under its name, and translates its error.
    pub(crate) fn call<T>(
        &self,
        operation: &str,
        call: impl FnOnce() -> RResult<T, medcoss_abi::PluginError>,
    ) -> Result<T, PluginError> {
        result(operation, &self.name, call)
    }

    pub(crate) fn parse<T: DeserializeOwned>(&self, operation: &str, answer: &[u8]) -> Result<T, PluginError> {
        parse(operation, &self.name, answer)
    }

    /// A path that is not UTF-8 cannot be said in JSON.
    pub(crate) fn body(&self, operation: &str, request: &impl Serialize) -> Result<RString, PluginError> {
        serde_json::to_string(request).map(RString::from).map_err(|error| {
            PluginError::request(&self.name, operation, format!("the request cannot be put in words: {error}"))
        })
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("location", &self.location).finish_non_exhaustive()
    }
}

/// The second part of [`Plugin::load_file`], in which the plugin describes itself.
///
/// # Errors
/// As [`Plugin::load`].
pub(crate) fn from_library(loaded: Loaded, file: &LibraryFile, id: &str) -> Result<Plugin, LoadError> {
    let location = PluginLocation::Library { path: file.path().to_path_buf() };
    let plugin = Plugin::from_table(loaded.table(), id, location)?;
    Ok(Plugin { sha256: Some(file.shared_sha256().clone()), ..plugin })
}

/// Reads a library file, for a plugin that is loaded from it.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn read_library(path: &Path) -> Result<LibraryFile, LoadError> {
    LibraryFile::open(path).map_err(|error| {
        let location = PluginLocation::Library { path: path.to_path_buf() };
        LoadError::new(
            &location,
            format_args!("it cannot be read: {error}"),
            "check the path and the permissions of the file",
        )
    })
}

fn result<T>(
    operation: &str,
    name: &Arc<str>,
    call: impl FnOnce() -> RResult<T, medcoss_abi::PluginError>,
) -> Result<T, PluginError> {
    calls::during(name, call).into_result().map_err(|error| PluginError::reported(name, operation, &error))
}

fn parse<T: DeserializeOwned>(operation: &str, name: &str, answer: &[u8]) -> Result<T, PluginError> {
    check_size(answer.len()).map_err(|violation| PluginError::contract(name, operation, violation))?;
    serde_json::from_slice(answer).map_err(|error| {
        let start = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
        PluginError::contract(
            name,
            operation,
            format!("its answer is not of the form that the contract gives it: {error}; it begins with {start:?}"),
        )
    })
}
