//! The plugin under test and what rules share: its table, description, synthetic files and opened samples. Each is made
//! at its first use. One that cannot be made breaks its own rule, and rules that need it are skipped.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use medcoss_abi::message::{Description, Open, Synthesise, Synthesised};
use medcoss_abi::{PluginHeader, code, operation};
use medcoss_caller::answers::check_synthesised;
use medcoss_caller::{FillPattern, View};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::batch::Batch;
use crate::growth::Growth;
use crate::open_dataset::{OpenDataset, seed_of};
use crate::outcome::{Stop, violation};
use crate::plugin::{CallError, PANIC_REMEDY, Plugin};
use crate::repeated_reading::read_again;
use crate::request::Request;
use crate::samples_under_test::Samples;

/// The plugin under test.
pub(crate) struct PluginUnderTest {
    header: &'static PluginHeader,
    pub(crate) request: Request,
    folder: TempDir,
    plugin: Option<Result<Plugin, Stop>>,
    description: Option<Result<Rc<Description>, Stop>>,
    synthetic: Option<Result<Rc<Synthetic>, Stop>>,
    samples: Option<Result<Rc<Samples>, Stop>>,
    repeatable: Option<Result<(), Stop>>,
    flawless: Option<bool>,
    pub(crate) growth: Option<Result<Growth, Stop>>,
}

/// Files that the plugin made itself, and how they are opened.
pub(crate) struct Synthetic {
    pub(crate) open: Open,
}

impl PluginUnderTest {
    pub(crate) fn new(header: &'static PluginHeader, request: Request) -> std::io::Result<Self> {
        Ok(Self {
            header,
            request,
            folder: tempfile::Builder::new().prefix("medcoss-conformance-").tempdir()?,
            plugin: None,
            description: None,
            synthetic: None,
            samples: None,
            repeatable: None,
            flawless: None,
            growth: None,
        })
    }

    /// The table, for the rule about the header.
    pub(crate) fn try_plugin(&mut self) -> Result<Plugin, Stop> {
        let header = self.header;
        self.plugin
            .get_or_insert_with(|| {
                let table = header.check().map_err(|rejection| {
                    violation(rejection.to_string(), "build the plugin against the SDK of this version")
                })?;
                Ok(Plugin::attach(table))
            })
            .clone()
    }

    /// The accepted plugin, or the reason to skip a rule.
    pub(crate) fn plugin(&mut self) -> Result<Plugin, Stop> {
        self.try_plugin().map_err(|_| needs("header"))
    }

    /// The description, for the rule about it.
    pub(crate) fn try_description(&mut self) -> Result<Rc<Description>, Stop> {
        let plugin = self.plugin()?;
        self.description.get_or_insert_with(|| Ok(Rc::new(plugin.describe()?))).clone()
    }

    /// The description.
    pub(crate) fn description(&mut self) -> Result<Rc<Description>, Stop> {
        self.try_description().map_err(|_| needs("description"))
    }

    /// Whether the plugin says that it knows an operation.
    pub(crate) fn knows(&mut self, operation: &str) -> Result<bool, Stop> {
        Ok(self.description()?.operations.iter().any(|known| known == operation))
    }

    /// A new, empty folder.
    pub(crate) fn new_folder(&self, name: &str) -> Result<PathBuf, Stop> {
        let path = self.folder.path().join(name);
        // What an earlier rule left under this name is not needed any more.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path)
            .map_err(|error| Stop::Skip(format!("{} cannot be made: {error}", path.display())))?;
        Ok(path)
    }

    /// Lets the plugin make files in a new folder.
    pub(crate) fn synthesise(&mut self, name: &str, seed: u64) -> Result<Open, Stop> {
        let plugin = self.plugin()?;
        let folder = self.new_folder(name)?;
        let request = Synthesise { folder: folder.clone(), n_samples: self.request.n_samples.max(3), seed };
        let made: Synthesised = plugin.invoke(operation::SYNTHESISE, &request)?;
        check_made(&folder, &made)?;
        let options = merged(&made.options, &self.request.options);
        Ok(Open { base: folder, data: made.data, options, assets: None })
    }

    /// The plugin's own files, for the rule about them.
    pub(crate) fn try_synthetic(&mut self) -> Result<Rc<Synthetic>, Stop> {
        if self.synthetic.is_none() {
            let seed = self.request.seed;
            let made = self.synthesise("synthetic", seed).map(|open| Rc::new(Synthetic { open }));
            self.synthetic = Some(made);
        }
        self.synthetic.clone().unwrap_or_else(|| Err(needs("synthesise")))
    }

    /// The plugin's own files.
    pub(crate) fn synthetic(&mut self) -> Result<Rc<Synthetic>, Stop> {
        self.try_synthetic().map_err(|_| needs("synthesise"))
    }

    /// Samples, for the rule about reading them.
    pub(crate) fn try_samples(&mut self) -> Result<Rc<Samples>, Stop> {
        if self.samples.is_none() {
            self.samples = Some(self.read_samples().map(Rc::new));
        }
        self.samples.clone().unwrap_or_else(|| Err(needs("read")))
    }

    /// Samples of the plugin, or the reason to skip a rule.
    pub(crate) fn samples(&mut self) -> Result<Rc<Samples>, Stop> {
        self.try_samples().map_err(|stop| match stop {
            Stop::Violation { .. } => needs("read"),
            skip => skip,
        })
    }

    /// Whether a sample is the same when it is read again, for the rule about it.
    pub(crate) fn try_repeatable(&mut self) -> Result<(), Stop> {
        let samples = self.samples()?;
        let seed = self.request.seed;
        self.repeatable.get_or_insert_with(|| read_again(&samples, seed)).clone()
    }

    /// Samples that are the same when they are read again: what compares them in other ways needs that.
    pub(crate) fn repeatable_samples(&mut self) -> Result<Rc<Samples>, Stop> {
        let samples = self.samples()?;
        self.try_repeatable().map_err(|_| needs("repeatable"))?;
        Ok(samples)
    }

    /// Whether the plugin's own files give samples that keep the contract while they are undamaged. Where they do not,
    /// other rules say so.
    pub(crate) fn flawless(&mut self) -> Result<bool, Stop> {
        if let Some(known) = self.flawless {
            return Ok(known);
        }
        let dataset = OpenDataset::new(self.plugin()?, &self.synthetic()?.open).map_err(|_| needs("read"))?;
        let seed = self.request.seed;
        let flawless = View::ALL.into_iter().all(|view| {
            dataset.all().all(|index| {
                let mut batch = Batch::new(&dataset.shape, FillPattern::EmptySample);
                let read = dataset.fill(view, &[index], &[seed_of(seed, index)], &mut batch);
                read.is_ok_and(|bad| bad.is_empty()) && batch.flaw(view, 0).is_none()
            })
        });
        self.flawless = Some(flawless);
        Ok(flawless)
    }

    fn read_samples(&mut self) -> Result<Samples, Stop> {
        let plugin = self.plugin()?;
        let own = self.request.data.clone();
        let open = match &own {
            Some(data) => {
                let options = merged(&Value::Null, &self.request.options);
                Open { base: data.base.clone(), data: data.paths.clone(), options, assets: None }
            }
            None => self.synthetic()?.open.clone(),
        };
        let dataset = OpenDataset::new(plugin, &open)?;
        let n = dataset.len();
        if n == 0 {
            return Err(violation(
                "the opened data hold no samples; at least one was expected",
                "let `open` fail when it finds nothing to read, and `synthesise` write what `open` finds",
            ));
        }
        // Options of the user may cut files into fewer samples.
        let as_synthesised = own.is_none() && self.request.options.as_object().is_none_or(Map::is_empty);
        if as_synthesised && n < self.request.n_samples.max(3) {
            return Err(violation(
                format!("{n} samples were opened of at least {} that were synthesised", self.request.n_samples.max(3)),
                "let `synthesise` write at least `n_samples` samples, and name all of them in `data`",
            ));
        }
        let wanted = n.min(self.request.n_samples.max(3));
        let mut indices = Vec::new();
        let mut bad = Vec::new();
        // Evenly spaced over all.
        for index in (0..wanted).map(|at| (at * n / wanted) as u64) {
            let mut batch = Batch::new(&dataset.shape, FillPattern::EmptySample);
            let failed = dataset.fill(View::Evaluation, &[index], &[seed_of(self.request.seed, index)], &mut batch)?;
            let Some(failed) = failed.into_iter().next() else {
                let mut training = Batch::new(&dataset.shape, FillPattern::EmptySample);
                let seeds = [seed_of(self.request.seed, index)];
                let reported = dataset.fill(View::Training, &[index], &seeds, &mut training)?;
                // What has nothing to learn is another rule's business.
                if !reported.iter().any(|reported| reported.code == code::SKIPPED) {
                    indices.push(index);
                }
                continue;
            };
            let id = dataset.id(index);
            let error = CallError::Reported {
                operation: format!("fill` of sample `{id}"),
                code: failed.code,
                message: failed.message.clone(),
            };
            if error.is_fault() {
                return Err(violation(error.to_string(), PANIC_REMEDY));
            }
            if own.is_none() {
                return Err(violation(
                    format!("{error}; samples that the plugin synthesised itself must be readable"),
                    "let `synthesise` answer with options that its files suit",
                ));
            }
            let named = if failed.message.contains(id) { String::new() } else { format!("{id}: ") };
            bad.push(format!("{named}{}", failed.message));
        }
        if indices.is_empty() {
            return Err(violation(
                format!("none of {wanted} samples can be read; {}", bad.first().map_or("", String::as_str)),
                "give data and options (--set) that suit each other",
            ));
        }
        Ok(Samples { open, dataset, indices, bad })
    }
}

/// Why a rule is not tried.
pub(crate) fn needs(rule: &str) -> Stop {
    Stop::Skip(format!("rule `{rule}` does not hold, and this one rests on it"))
}

/// What `synthesise` and `keep` answer with: entries that are there, below the folder.
pub(crate) fn check_made(folder: &Path, made: &Synthesised) -> Result<(), Stop> {
    let remedy = "write files and folders into the folder that was given, name them relative to it, and answer with a table of options";
    check_synthesised(folder, made).map_err(|what| violation(what, remedy))
}

/// Options over others.
pub(crate) fn merged(options: &Value, over: &Value) -> Value {
    let mut all = match options {
        Value::Object(all) => all.clone(),
        _ => Map::new(),
    };
    if let Value::Object(over) = over {
        all.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    Value::Object(all)
}
