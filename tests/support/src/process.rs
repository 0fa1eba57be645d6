//! Commands of the program with a time limit, and their results as rows of a table.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

/// Time limit of a command; most take a hundredth of it.
const LONGEST: Duration = Duration::from_secs(60);
/// Limit on the output of a command in bytes; more than any result needs.
pub const MOST_OUTPUT: usize = 64 << 10;

/// Result of a command.
#[derive(Debug)]
pub struct CommandResult {
    /// The exit code, or minus the signal.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// Time from its start to its end.
    pub took: Duration,
}

impl CommandResult {
    /// The first line that tells a reader of the terminal what is wrong.
    pub fn message(&self) -> String {
        let is_message = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
        let mut causes = self.err.lines().filter_map(|line| line.strip_prefix("  caused by: "));
        let with_cause = |error: &str| causes.next().map_or(error.to_string(), |cause| format!("{error}: {cause}"));
        let error = self.err.lines().find(|line| line.starts_with("error: ")).map(with_cause);
        let error = error.or(self.err.lines().find(is_message).map(String::from));
        let refused = self.out.split_once("Refused:\n").and_then(|(_, rest)| rest.lines().nth(1));
        assert!(self.out.len() < MOST_OUTPUT, "it says {} bytes", self.out.len());
        error.or(refused.map(|line| line.trim().into())).unwrap_or("-".into())
    }
}

/// Runs a command in a sandbox, with a time limit.
pub fn run(sandbox: &Sandbox, command: &mut Command, meanwhile: impl FnOnce(&mut Child)) -> CommandResult {
    run_within(LONGEST, &sandbox.path(""), command, meanwhile)
}

/// Runs a command for at most so long. Its output goes to files in a folder, because a full pipe would block it.
///
/// # Panics
///
/// Where the command takes longer, or its output is not UTF-8.
pub fn run_within(
    longest: Duration,
    folder: &Path,
    command: &mut Command,
    meanwhile: impl FnOnce(&mut Child),
) -> CommandResult {
    let [out, err] = ["out", "err"].map(|name| folder.join(name));
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    meanwhile(&mut child);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > longest => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} took longer than {longest:?}: {}", fs::read_to_string(&err).unwrap_or_default());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let took = began.elapsed();
    let text = |path: &Path| String::from_utf8(fs::read(path).unwrap()).expect("what it says is UTF-8");
    let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
    CommandResult { code, out: text(&out), err: text(&err), took }
}

/// Prints a row of a table for people.
pub fn print_row(case: &str, command: &str, result: &CommandResult, sandbox: &Sandbox) {
    let message = sandbox.anonymous(&result.message());
    let message: String = message.chars().take(150).collect();
    println!("| {case} | {command} | {message} | {} | {:.1} s |", result.code, result.took.as_secs_f64());
}

/// Prints the head of such a table.
pub fn print_head(title: &str) {
    println!("\n{title}\n\n| case | command | message | exit code | time |\n|---|---|---|---|---|");
}

/// Runs a test again in a process of its own, to measure the process. Returns whether the caller is in that process.
/// `test` is the name of the test with its modules.
///
/// # Panics
///
/// Where the test fails in that process.
pub fn is_alone(test: &str) -> bool {
    const VARIABLE: &str = "MEDCOSS_TEST_ALONE";
    if std::env::var_os(VARIABLE).is_some_and(|name| name == test) {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--include-ignored", "--nocapture"]).env(VARIABLE, test);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    println!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{test} failed in a process of its own");
    false
}

/// Waits until a condition holds.
///
/// # Panics
///
/// Where the condition does not hold after two minutes; `what` describes it.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < 2 * LONGEST, "waited for {:?}: {what}", 2 * LONGEST);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks a process to stop, as Ctrl-C does.
pub fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "the process has ended before it was interrupted");
}

/// CPU time of a process in seconds, over all of its threads.
pub fn cpu_seconds(child: &Child) -> f64 {
    cpu_seconds_of(&child.id().to_string())
}

/// CPU time of the process with this id, or of `self`.
fn cpu_seconds_of(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name of the program, in parentheses, may hold spaces.
    let (_, fields) = status.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    // Linux reports 100 ticks per second to user programs on every machine.
    ticks.sum::<f64>() / 100.0
}

/// Runs work on a hostile file within a GiB of memory and ten seconds of CPU time, which other work on the machine does not
/// lengthen. The caller must be alone in its process, see [`is_alone`].
///
/// # Panics
///
/// Where the work exceeds a limit.
pub fn bounded<T>(what: &str, work: impl FnOnce() -> T) -> T {
    const MAX_MIB: u64 = 1 << 10;
    const LONGEST: f64 = 10.0;
    // The peak is reset to the present memory.
    fs::write("/proc/self/clear_refs", "5").expect("Linux resets the peak of a process");
    let before = cpu_seconds_of("self");
    let outcome = work();
    let took = cpu_seconds_of("self") - before;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_mib = peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10;
    println!("| {what} | {peak_mib} MiB | {took:.1} s |");
    assert!(peak_mib <= MAX_MIB && took <= LONGEST, "{what} took {peak_mib} MiB and {took:.1} s");
    outcome
}
