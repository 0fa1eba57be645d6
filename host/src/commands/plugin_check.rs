//! `medcoss plugin check`: tests a built library against the plugin contract, in a child process.
//!
//! The rules are those of `sdk/conformance`, which authors' tests run too. A child process adds limits of time and memory, and an outcome for
//! a plugin that takes its process down. The child is this program again; it
//! reports into a file, so that prints of a plugin disturb nothing. When it dies in the middle of a rule,
//! that rule has failed, and another child continues with the next rule.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use medcoss_conformance::{Data, Event, Outcome, Request, RuleReport, rules};
use medcoss_plugin_host::{LibraryFile, PluginRegistry, untrusted_text, v1_header_of};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::builtin_pace;
use crate::arguments::{ResultArgs, loading};
use crate::failure::Failure;
use crate::tables::Table;
use crate::terminal;

/// First argument of the child process; not a command for people.
const CHILD: &str = "__check";
/// The step before the rules: opening the library runs its constructors.
const LOAD: &str = "load";
/// Rules whose sudden end stops the check.
const VITAL: [&str; 3] = [LOAD, "header", "description"];
/// Number of child processes that may die before the remaining rules are skipped.
const MOST_DEATHS: usize = 4;
/// Interval at which the parent checks the child.
const LOOK: Duration = Duration::from_millis(10);
/// Largest size in bytes of a file that the plugin writes, and of its printed output.
const LARGEST_FILE: u64 = 1 << 30;
/// Number of bytes that are shown of the plugin's last output.
const LAST_WORDS: u64 = 400;

/// Check that a plugin keeps the contract
///
/// The command tests every rule of the contract in a child process with limits of time and memory: the description,
/// samples that the plugin synthesises and reads back, seeds, threads, bounds of buffers, damaged files, growth of
/// memory. It reports each broken rule with the finding, the expectation, and a remedy. The exit code is 0 only when no
/// rule is broken. The check loads the file, which runs its code.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  medcoss plugin check target/release/libmedcoss_mine.so
  medcoss plugin check libmedcoss_mine.so --data recordings --set length=5000
  medcoss plugin check libmedcoss_mine.so --json | jq '.rules[] | select(.outcome == \"failed\")'")]
pub(crate) struct Check {
    /// Library file of the plugin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Read samples from this file or folder, in addition to those that the plugin synthesises; may be given several
    /// times
    #[arg(long, value_name = "PATH")]
    data: Vec<PathBuf>,
    /// Set an option of the plugin; the value is written as in a configuration (`size=[16, 192, 192]`); may be given
    /// several times
    #[arg(long, value_name = "OPTION=VALUE")]
    set: Vec<String>,
    /// Id of the plugin to check, if the file holds several
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Time limit for a single rule, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Address space that the plugin may use in addition to the program's own, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    memory: u64,
    #[command(flatten)]
    result: ResultArgs,
}

/// The task of the child process.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    file: PathBuf,
    /// SHA-256 that the file must have.
    sha256: String,
    id: String,
    memory_mib: u64,
    /// File for the child's reports, one [`CheckEvent`] per line.
    events: PathBuf,
    request: Request,
}

/// One report of the child process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CheckEvent {
    StartedRun(String),
    Finished(RuleReport),
    Done,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: &'a Path,
    id: &'a str,
    sha256: &'a str,
    passed: bool,
    n_passed: usize,
    n_failed: usize,
    n_skipped: usize,
    /// Number of bytes that the plugin printed; 0 in a correct plugin.
    printed_bytes: u64,
    /// Milliseconds of a sample in the training view on one thread, where it was measured.
    sample_ms: Option<f64>,
    /// The same of the built-in plugins, ascending.
    builtin_sample_ms: Vec<f64>,
    rules: &'a [RuleReport],
}

impl Check {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let id = self.plugin_id().map_err(Failure::user)?;
        let request = self.request(&id).map_err(Failure::user)?;
        let read = LibraryFile::open(&self.file).with_context(|| format!("cannot read {}", self.file.display()));
        let sha256 = read.map_err(Failure::user)?.sha256().to_string();
        let (reports, printed_bytes) = self.tried(&id, &sha256, request).map_err(Failure::internal)?;
        let count = |outcome| reports.iter().filter(|report| report.outcome == outcome).count();
        let sample_ms = builtin_pace::milliseconds(&reports);
        let report = Report {
            file: &self.file,
            id: &id,
            sha256: &sha256,
            passed: count(Outcome::Failed) == 0,
            n_passed: count(Outcome::Passed),
            n_failed: count(Outcome::Failed),
            n_skipped: count(Outcome::Skipped),
            printed_bytes,
            sample_ms,
            builtin_sample_ms: sample_ms.map(|_| builtin_pace::of_builtins()).unwrap_or_default(),
            rules: &reports,
        };
        self.result.print(&report, Report::page)?;
        if report.passed {
            return Ok(());
        }
        let n = report.n_failed;
        Err(Failure::user(anyhow::anyhow!(
            "plugin {id} of {} breaks {n} {}\nhint: the table names a remedy for each",
            self.file.display(),
            if n == 1 { "rule" } else { "rules" }
        )))
    }

    fn plugin_id(&self) -> anyhow::Result<String> {
        let registry = PluginRegistry::of_file(&self.file, loading())?;
        let ids: Vec<_> = registry.found.iter().map(|found| found.id.as_str()).collect();
        match (&self.id, ids.as_slice()) {
            (Some(id), ids) if ids.contains(&id.as_str()) => Ok(id.clone()),
            (None, [only]) => Ok((*only).into()),
            (Some(id), ids) => {
                bail!("{} carries no plugin {id:?}\nhint: it carries {}", self.file.display(), ids.join(", "))
            }
            (None, ids) => {
                bail!("{} carries several plugins: {}\nhint: name one with --id", self.file.display(), ids.join(", "))
            }
        }
    }

    fn request(&self, id: &str) -> anyhow::Result<Request> {
        let data = if self.data.is_empty() { None } else { Some(located(&self.data)?) };
        let options = match self.set.as_slice() {
            [] => Value::Null,
            set => Value::Object(set.iter().map(|text| option(text)).collect::<anyhow::Result<Map<_, _>>>()?),
        };
        Ok(Request { id: Some(id.into()), data, options, ..Request::default() })
    }

    /// The outcomes of all rules, and the number of printed bytes.
    fn tried(&self, id: &str, sha256: &str, mut request: Request) -> anyhow::Result<(Vec<RuleReport>, u64)> {
        let mut reports: BTreeMap<String, RuleReport> = BTreeMap::new();
        let mut printed = 0;
        let mut given_up = None;
        for death in 1.. {
            let folder = tempfile::Builder::new().prefix("medcoss-check-").tempdir()?;
            let events = folder.path().join("events.jsonl");
            let file = self.file.canonicalize()?;
            let job = Job {
                file,
                sha256: sha256.into(),
                id: id.into(),
                memory_mib: self.memory,
                events,
                request: request.clone(),
            };
            let mut child = Child::start(folder.path(), job)?;
            let end = child.watch(Duration::from_secs(self.timeout), &mut reports)?;
            printed += child.printed.metadata()?.len();
            let Some(end) = end else { break };
            let rule = child.rule.clone();
            let (detail, remedy) = self.cause_of_death(&end, &child.last_words());
            reports.insert(rule.clone(), RuleReport::failed(&rule, &detail, remedy));
            if VITAL.contains(&rule.as_str()) || death == MOST_DEATHS {
                given_up = Some(rule);
                break;
            }
            request.skipped_rules = reports.keys().cloned().collect();
        }
        let mut all = Vec::new();
        for name in std::iter::once(LOAD).chain(rules().map(|asked| asked.name)) {
            match (reports.remove(name), &given_up) {
                (Some(report), _) => all.push(report),
                (None, Some(rule)) => {
                    all.push(RuleReport::skipped(name, &format!("not tried any more after rule `{rule}`")));
                }
                (None, None) => {
                    all.push(RuleReport::failed(name, "the rule was passed over", "report a fault in medcoss"))
                }
            }
        }
        Ok((all, printed))
    }

    fn cause_of_death(&self, end: &End, last_words: &str) -> (String, &'static str) {
        let said = if last_words.is_empty() { String::new() } else { format!("; it last printed: {last_words}") };
        let out_of_memory = last_words.contains("memory allocation of") || last_words.contains("out of memory");
        let (what, remedy) = match end {
            End::TimedOut => (
                format!("it had not ended after {} seconds, and was killed", self.timeout),
                "look for an endless loop or a lock that is never released; --timeout gives more time",
            ),
            End::Ended(status) if out_of_memory => (
                format!("its process ended ({}) when it wanted more than {} MiB", in_words(*status), self.memory),
                "bound what is allocated by the size of files, not by what they claim; --memory gives more",
            ),
            End::Ended(status) if status.code().is_some() => (
                format!("its process ended ({}) in the middle of the rule", in_words(*status)),
                "never call std::process::exit, or what does: report errors",
            ),
            End::Ended(status) => (
                format!("its process was ended by {}", in_words(*status)),
                "look at unsafe code and C libraries, at recursion without end, and at panics in `drop` or while panicking",
            ),
        };
        (format!("{what}{said}"), remedy)
    }
}

/// The way in which a child ended before it was finished.
enum End {
    TimedOut,
    Ended(ExitStatus),
}

/// A running child process.
struct Child {
    process: std::process::Child,
    events: File,
    /// Incomplete line that was read.
    rest: String,
    /// File with the output of the child and the plugin.
    printed: File,
    /// Name of the current rule.
    rule: String,
    is_done: bool,
}

impl Child {
    fn start(folder: &Path, job: Job) -> anyhow::Result<Self> {
        let written = folder.join("job.json");
        fs::write(&written, serde_json::to_vec(&job)?)?;
        let events = File::options().create(true).truncate(true).read(true).write(true).open(&job.events)?;
        let printed = File::options().create(true).read(true).append(true).open(folder.join("printed"))?;
        let process = Command::new(std::env::current_exe().context("this program cannot find itself")?)
            .arg(CHILD)
            .arg(&written)
            // Files that a killed child leaves are removed with the folder.
            .env("TMPDIR", folder)
            // A backtrace needs memory: where none is left it would hide that none was left.
            .env("RUST_BACKTRACE", "0")
            .env("RUST_LIB_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed.try_clone()?)
            .spawn()
            .context("cannot start a process to check the plugin in")?;
        Ok(Self { process, events, rest: String::new(), printed, rule: LOAD.into(), is_done: false })
    }

    /// Collects outcomes until the child ends. `None` when the child has finished the list.
    fn watch(&mut self, timeout: Duration, reports: &mut BTreeMap<String, RuleReport>) -> anyhow::Result<Option<End>> {
        let mut since = Instant::now();
        loop {
            // The status is read before the reports, so that all reports of an ended child are read.
            let ended = self.process.try_wait()?;
            if self.take(reports)? {
                since = Instant::now();
            }
            match ended {
                Some(_) if self.is_done => return Ok(None),
                Some(status) => return Ok(Some(End::Ended(status))),
                // A destructor of the library may hang after all reports.
                None if since.elapsed() > timeout => {
                    self.process.kill()?;
                    self.process.wait()?;
                    self.take(reports)?;
                    return Ok(Some(End::TimedOut));
                }
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// Reads new reports. Returns whether there were any.
    fn take(&mut self, reports: &mut BTreeMap<String, RuleReport>) -> anyhow::Result<bool> {
        let before = self.rest.len();
        self.events.read_to_string(&mut self.rest)?;
        let is_more = self.rest.len() > before;
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            match serde_json::from_str(&line).context("the child's report is damaged")? {
                CheckEvent::StartedRun(rule) => self.rule = rule,
                CheckEvent::Finished(report) => drop(reports.insert(report.rule.clone(), report)),
                CheckEvent::Done => {
                    self.is_done = true;
                    self.rule = LOAD.into();
                }
            }
        }
        Ok(is_more)
    }

    fn last_words(&mut self) -> String {
        let len = self.printed.metadata().map_or(0, |metadata| metadata.len());
        let mut bytes = Vec::new();
        let read = self.printed.seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS)));
        // The explanation is for people; the outcome counts without it.
        let _ = read.and_then(|_| (&self.printed).take(LAST_WORDS).read_to_end(&mut bytes));
        untrusted_text(String::from_utf8_lossy(&bytes).trim())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The child is still running only where an error came before the wait.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Report<'_> {
    /// How long a sample takes, beside the built-in plugins.
    fn pace(&self) -> String {
        let builtin = self.builtin_sample_ms.as_slice();
        let (Some(own), [first, .., last]) = (self.sample_ms, builtin) else { return String::new() };
        let median = builtin[builtin.len() / 2];
        let judged = if own > *last { ": slower than all of them, so that training may wait for its data" } else { "" };
        format!(
            "A sample takes {own:.1} ms on one thread; samples of the built-in plugins take {first:.1} to {last:.1} ms, median {median:.1} ms{judged}.\n"
        )
    }

    fn page(&self) -> String {
        let mut table = Table::new(&["rule", "outcome", "found"]);
        for RuleReport { rule, outcome, detail, remedy, .. } in self.rules {
            let outcome = match outcome {
                Outcome::Passed => "holds",
                Outcome::Failed => "BROKEN",
                Outcome::Skipped => "skipped",
            };
            let remedy = remedy.as_ref().map(|remedy| format!("\nremedy: {remedy}")).unwrap_or_default();
            table.row([rule.as_str(), outcome, &untrusted_text(&format!("{detail}{remedy}"))]);
        }
        let mut text = table.wrapped();
        let Self { n_passed, n_failed, n_skipped, printed_bytes, .. } = self;
        text.push_str(&format!("\n{n_passed} rules hold, {n_failed} are broken, {n_skipped} were skipped.\n"));
        text.push_str(&self.pace());
        if *printed_bytes > 0 {
            text.push_str(&format!("The plugin printed {printed_bytes} bytes; messages belong into the host's log.\n"));
        }
        text
    }
}

/// The folder of some paths, and the paths relative to it. A plugin never gets absolute entries, as in a configuration.
fn located(paths: &[PathBuf]) -> anyhow::Result<Data> {
    let mut whole = Vec::new();
    for path in paths {
        let found = path.canonicalize();
        whole.push(found.with_context(|| format!("--data {} not found\nhint: check the path", path.display()))?);
    }
    let parent = |path: &Path| path.parent().unwrap_or(path).to_path_buf();
    let mut base = parent(&whole[0]);
    while !whole.iter().all(|path| path.starts_with(&base) && *path != base) && base.parent().is_some() {
        base = parent(&base);
    }
    let paths = whole.iter().map(|path| path.strip_prefix(&base).unwrap_or(path).to_path_buf()).collect();
    Ok(Data { base, paths })
}

/// Parses `name=value`. A value that is not valid TOML is a string.
fn option(text: &str) -> anyhow::Result<(String, Value)> {
    let Some((name, value)) = text.split_once('=') else {
        bail!("--set {text:?} has no `=`\nhint: write --set option=value");
    };
    let parsed: Option<toml::Table> = format!("value = {value}").parse().ok();
    let value = parsed.and_then(|table| table.get("value").cloned()).unwrap_or_else(|| toml::Value::from(value.trim()));
    Ok((name.trim().into(), serde_json::to_value(value)?))
}

/// An exit status for people: `exit code 3`, `signal SIGSEGV`.
fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("signal {signal}"),
            Err(_) => format!("signal {number}"),
        },
        _ => status.to_string(),
    }
}

/// Runs the child's task if this process was started as the child, and returns the exit code; otherwise `None`.
pub(crate) fn as_child(arguments: &[OsString]) -> Option<ExitCode> {
    match arguments {
        [_, child, job] if child == CHILD => Some(match work(Path::new(job)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                terminal::write_error_line(&format!("error: {error:#}"));
                ExitCode::from(2)
            }
        }),
        _ => None,
    }
}

fn work(job: &Path) -> anyhow::Result<()> {
    let job: Job = serde_json::from_slice(&fs::read(job)?)?;
    // The file is opened for each line, since a plugin may close open files.
    let report_event = |event: &CheckEvent| -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        Ok(File::options().append(true).open(&job.events)?.write_all(&line)?)
    };
    let file = LibraryFile::open(&job.file).with_context(|| format!("cannot read {}", job.file.display()))?;
    if file.sha256() != job.sha256 {
        bail!("{} was replaced while it was checked\nhint: check it again", job.file.display());
    }
    limit(job.memory_mib)?;
    if !job.request.skipped_rules.iter().any(|rule| rule == LOAD) {
        report_event(&CheckEvent::StartedRun(LOAD.into()))?;
    }
    let mut request = job.request.clone();
    // Everything that is started from here on is the library's.
    request.n_threads_before = fs::read_dir("/proc/self/task").ok().map(Iterator::count);
    let header = match v1_header_of(&file, &job.id) {
        Ok(header) => header,
        Err(error) => {
            let text = error.to_string();
            let rebuild = "build it again on this machine, with all that it needs";
            let (reason, remedy) = text.split_once("\nhint: ").unwrap_or((&text, rebuild));
            let reason = format!("the dynamic loader refuses it: {reason}");
            report_event(&CheckEvent::Finished(RuleReport::failed(LOAD, &reason, remedy)))?;
            for asked in rules() {
                report_event(&CheckEvent::Finished(RuleReport::skipped(
                    asked.name,
                    "rule `load` does not hold, and this one rests on it",
                )))?;
            }
            return report_event(&CheckEvent::Done);
        }
    };
    if !job.request.skipped_rules.iter().any(|rule| rule == LOAD) {
        report_event(&CheckEvent::Finished(RuleReport::passed(LOAD, "opened by the dynamic loader")))?;
    }
    let mut failed = Ok(());
    medcoss_conformance::check(header, &request, &mut |event| {
        let result = match event {
            Event::Started(rule) => report_event(&CheckEvent::StartedRun(rule.into())),
            Event::Finished(report) => report_event(&CheckEvent::Finished(report.clone())),
        };
        if failed.is_ok() {
            failed = result;
        }
    });
    failed?;
    report_event(&CheckEvent::Done)
}

/// Limits the address space, the file sizes and the core dumps of this process.
fn limit(memory_mib: u64) -> anyhow::Result<()> {
    // First number of statm: pages of the whole address space, as the limit counts it.
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or_default();
    let own = pages * nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(4096) as u64;
    for (resource, most) in [
        (Resource::RLIMIT_AS, own.saturating_add(memory_mib.saturating_mul(1 << 20))),
        (Resource::RLIMIT_FSIZE, LARGEST_FILE),
        (Resource::RLIMIT_CORE, 0),
    ] {
        let (_, hard) = getrlimit(resource)?;
        setrlimit(resource, most.min(hard), hard).with_context(|| format!("cannot limit {resource:?} to {most}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_toml_values_or_strings() {
        let parsed = |text| option(text).unwrap();
        assert_eq!(parsed("size=[16, 192, 192]"), ("size".into(), json!([16, 192, 192])));
        assert_eq!(parsed("mask_ratio = 0.5"), ("mask_ratio".into(), json!(0.5)));
        assert_eq!(parsed("column=findings"), ("column".into(), json!("findings")));
        assert_eq!(parsed("column=\"a=b\""), ("column".into(), json!("a=b")));
        assert!(option("size").unwrap_err().to_string().contains("hint: "));
    }

    #[test]
    fn data_are_named_below_their_common_folder() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("a/b")).unwrap();
        fs::create_dir_all(base.join("a/c/d")).unwrap();
        let data = located(&[base.join("a/b"), base.join("a/c/d")]).unwrap();
        assert_eq!(data, Data { base: base.join("a"), paths: vec!["b".into(), "c/d".into()] });
        let nested = located(&[base.join("a/b"), base.join("a")]).unwrap();
        assert_eq!(nested, Data { base: base.clone(), paths: vec!["a/b".into(), "a".into()] });
        assert!(located(&[base.join("gone")]).is_err());
    }
}
