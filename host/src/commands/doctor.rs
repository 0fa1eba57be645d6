//! `medcoss doctor`: what this machine has for medcoss, and what is slow or missing.

use std::path::{Path, PathBuf};

use clap::Args;
use medcoss_core::device::names_of_kind;
use medcoss_plugin_host::PluginRegistry;
use serde::Serialize;

use crate::arguments::{PluginArgs, ResultArgs};
use crate::failure::Failure;
use crate::tables::Table;

/// Kinds of devices beside the CPU.
const KINDS: [&str; 3] = ["cuda", "rocm", "wgpu"];

/// Examine this machine and this installation
///
/// Shows the version, what the processor can, threads, devices, plugins, and folders that medcoss writes; and says what is missing or slow,
/// and why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss doctor
  medcoss doctor --plugin-dir ~/my-plugins --json")]
pub(crate) struct Doctor {
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    result: ResultArgs,
}

#[derive(Serialize)]
struct Examined {
    version: &'static str,
    optimised: bool,
    processor: Vec<&'static str>,
    cores: usize,
    threads: usize,
    devices: Vec<String>,
    plugins: Vec<String>,
    refused: Vec<String>,
    writable: Vec<(PathBuf, bool)>,
    /// What is missing or slow, each with its reason and a remedy.
    findings: Vec<String>,
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let registry = self.plugins.registry()?;
        let examined = Examined::of(&registry);
        self.result.print(&examined, Examined::to_text)
    }
}

impl Examined {
    fn of(registry: &PluginRegistry) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = rayon::current_num_threads();
        let processor = processor();
        let mut devices = vec!["cpu".to_string()];
        let mut findings = Vec::new();
        for kind in KINDS {
            match names_of_kind(kind) {
                Some(names) if names.is_empty() => {
                    findings.push(format!("this build has {kind}, and this machine has no such device"))
                }
                Some(names) => devices.extend(names),
                None => {}
            }
        }
        if devices.len() == 1 {
            findings.push(
                "training runs on the processor: a build with --features cuda or wgpu uses a GPU (cargo build --release --features cuda)".into(),
            );
        }
        if cfg!(debug_assertions) {
            findings.push("this build is not fully optimised: cargo build --release gives one that is".into());
        }
        if threads < cores {
            findings.push(format!("{threads} threads compute on {cores} cores: RAYON_NUM_THREADS sets their number"));
        }
        if cfg!(target_arch = "x86_64") && !processor.contains(&"avx2") {
            findings.push("the processor has no AVX2: matrix products are several times slower".into());
        }
        let (mut plugins, mut refused) =
            (Vec::new(), registry.refused.iter().map(ToString::to_string).collect::<Vec<_>>());
        for described in registry.describe_all() {
            match described {
                Ok(plugin) => plugins.push(format!("{} {}", plugin.description.id, plugin.description.version)),
                Err(error) => refused.push(error.to_string()),
            }
        }
        findings.extend(refused.iter().map(|refused| format!("plugin refused: {refused}")));
        if plugins.is_empty() {
            findings.push("no plugin was found: name their folder with --plugin-dir".into());
        }
        let temporary = std::env::temp_dir();
        let mut writable =
            vec![(PathBuf::from("."), is_writable(Path::new("."))), (temporary.clone(), is_writable(&temporary))];
        writable.dedup();
        for (folder, _) in writable.iter().filter(|(_, writable)| !writable) {
            findings.push(format!("no file can be created in {}", folder.display()));
        }
        Self {
            version: env!("CARGO_PKG_VERSION"),
            optimised: !cfg!(debug_assertions),
            processor,
            cores,
            threads,
            devices,
            plugins,
            refused,
            writable,
            findings,
        }
    }

    fn to_text(&self) -> String {
        let mut table = Table::bare();
        let optimised = if self.optimised { "optimised" } else { "not fully optimised" };
        table.row(["version".to_string(), format!("{}, {optimised}", self.version)]);
        table.row(["processor", &self.processor.join(", ")]);
        table.row(["threads".to_string(), format!("{} of {} cores", self.threads, self.cores)]);
        table.row(["devices", &self.devices.join(", ")]);
        table.row(["plugins", &self.plugins.join(", ")]);
        let folders = self.writable.iter().map(|(folder, writable)| {
            format!("{}{}", folder.display(), if *writable { "" } else { " (cannot be written)" })
        });
        table.row(["writes to", &folders.collect::<Vec<_>>().join(", ")]);
        let mut text = table.wrapped();
        match self.findings.as_slice() {
            [] => text.push_str("\nNothing is missing.\n"),
            findings => findings.iter().for_each(|finding| text.push_str(&format!("\n- {finding}"))),
        }
        if !self.findings.is_empty() {
            text.push('\n');
        }
        text
    }
}

/// Whether a file can be created in a folder; it is removed again.
fn is_writable(folder: &Path) -> bool {
    tempfile::tempfile_in(folder).is_ok()
}

/// What the processor can, of what matters here.
fn processor() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ];
        known.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec![std::env::consts::ARCH]
    }
}
