//! Workers: the same bytes from each, as many as threads, and none that is left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plugin::{Plugin, packed};

/// Process ids of the workers of a module.
fn workers(id: &str) -> BTreeSet<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let is_worker = |process: &u32| {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        command.ends_with(format!("\0{id}\0").as_bytes())
    };
    processes.filter_map(number).filter(is_worker).collect()
}

fn commands(folder: &Path, id: &str, words: &[&str]) {
    fs::create_dir_all(folder.join("data")).unwrap();
    for (at, word) in words.iter().enumerate() {
        fs::write(folder.join(format!("data/{at:03}.txt")), word).unwrap();
    }
    let source = include_str!("modules/commands.py");
    fs::create_dir(folder.join(id)).unwrap();
    let source = source.replace("id = \"commands\"", &format!("id = \"{id}\""));
    let source = source.replace("time_limit_s = 3", "time_limit_s = 600");
    fs::write(folder.join(id).join(format!("{id}.py")), source).unwrap();
}

#[test]
fn many_threads_get_the_same_bytes_from_several_workers_and_the_last_close_ends_all() {
    let place = tempfile::tempdir().unwrap();
    commands(place.path(), "several", &["process", "process", "fine", "globals", "fine"]);
    let plugin = Plugin::of_folder(&place.path().join("several"));
    assert_eq!(workers("several").len(), 0, "packing leaves no worker, and a description needs none");
    plugin.describe().unwrap();
    assert_eq!(workers("several").len(), 0);
    let opened = plugin.open(place.path(), &["data"], Value::Null).unwrap();
    let second = plugin.open(place.path(), &["data"], Value::Null).unwrap();
    let samples = [(2, 5), (3, 6), (4, 7), (2, 8)];
    let alone = opened.fill(&samples);
    let (opened, alone) = (&opened, &alone);
    let processes: BTreeSet<u32> = std::thread::scope(|scope| {
        let at_once = (0..2).map(|_| {
            scope.spawn(|| {
                let process = opened.fill(&[(0, 1)]).tokens[0];
                assert_eq!(opened.fill(&samples), *alone);
                process as u32
            })
        });
        at_once.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let n_cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(processes.len(), n_cores.min(2));
    assert_eq!(workers("several"), processes);
    assert_eq!(second.fill(&samples), *alone, "a worker has several datasets");
    drop(second);
    assert_eq!(workers("several"), processes);
    assert_eq!(opened.fill(&samples), *alone);
}

#[test]
fn closing_the_last_dataset_ends_the_workers() {
    let place = tempfile::tempdir().unwrap();
    commands(place.path(), "closed", &["fine"]);
    let plugin = Plugin::of_folder(&place.path().join("closed"));
    for _ in 0..2 {
        let opened = plugin.open(place.path(), &["data"], Value::Null).unwrap();
        opened.fill(&[(0, 1)]);
        assert_eq!(workers("closed").len(), 1);
        drop(opened);
        assert_eq!(workers("closed").len(), 0);
    }
    plugin.open(place.path(), &["nowhere"], Value::Null).err().unwrap();
    assert_eq!(workers("closed").len(), 0);
}

#[test]
fn a_worker_that_ends_while_it_is_idle_is_replaced_and_one_that_finds_other_data_is_refused() {
    let place = tempfile::tempdir().unwrap();
    commands(place.path(), "idle", &["fine", "exit"]);
    let plugin = Plugin::of_folder(&place.path().join("idle"));
    let opened = plugin.open(place.path(), &["data"], Value::Null).unwrap();
    let filled = opened.fill(&[(0, 1)]);
    let process = *workers("idle").first().unwrap();
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    // It has lost its memory, and with it its name, before its files are closed.
    wait_until("the worker is gone", || {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        workers("idle").is_empty()
            && state.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
    });
    assert_eq!(opened.fill(&[(0, 1)]), filled);
    fs::write(place.path().join("data/new.txt"), "fine").unwrap();
    assert_eq!(opened.fill(&[(0, 1)]), filled, "the worker that is there knows the data");
    assert_eq!(opened.fill(&[(1, 1)]).reports.len(), 1);
    for _ in 0..2 {
        let error = opened.query("records", br#"{"first":0,"count":2}"#).unwrap_err();
        assert!(error.contains("the data have changed since they were opened"), "{error}");
    }
}

#[test]
fn the_host_stops_a_long_open_and_a_process_that_a_dead_worker_forked_delays_nothing() {
    let place = tempfile::tempdir().unwrap();
    commands(place.path(), "long", &["fork", "fine"]);
    let path = place.path().join("long/long.py");
    let open = "    def open(self):
        for done in range(10_000 if self.data[0].name == \"endless\" else 3):
            self.progress(done, 0, \"files looked at, until it is stopped\" if done > 3 else \"files looked at\")
            time.sleep(0.05)
        super().open()

    def load(";
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("    def load(", open)).unwrap();
    let plugin = Plugin::of_folder(&place.path().join("long"));
    let error = plugin.open(place.path(), &["endless"], Value::Null).err().unwrap();
    assert!(error.contains("the host asked to stop"), "{error}");
    let opened = plugin.open(place.path(), &["data"], Value::Null).unwrap();
    let begin = Instant::now();
    let filled = opened.fill(&[(0, 1), (1, 2)]);
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(filled.reports.len(), 1);
    let expected = "the worker of long ended with exit code 5 while it loaded the sample";
    assert!(filled.reports[0].2.starts_with(expected), "{:?}", filled.reports);
    drop(opened);
    wait_until("the forked process is gone", || workers("long").is_empty());
}

/// Folder of a test that this process is started again for.
const CHILD: &str = "MEDCOSS_BRIDGE_TEST_CHILD";

/// The host is killed while its workers are idle, sleep, and compute.
#[test]
fn a_host_that_is_killed_leaves_no_worker() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let folder = Path::new(&folder);
        let plugin = Plugin::load(&folder.join("killed/libmedcoss_killed.so"), "killed");
        let opened = plugin.open(folder, &["data"], Value::Null).unwrap();
        fs::write(folder.join("ready"), "").unwrap();
        opened.fill(&[(std::env::var("SAMPLE").unwrap().parse().unwrap(), 1)]);
        std::thread::sleep(Duration::from_secs(600));
    }
    for (sample, word) in ["fine", "hang", "spin"].iter().enumerate() {
        let place = tempfile::tempdir().unwrap();
        commands(place.path(), "killed", &["fine", "hang", "spin"]);
        packed(&place.path().join("killed"), false).unwrap();
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::a_host_that_is_killed_leaves_no_worker"])
            .env(CHILD, place.path())
            .env("SAMPLE", sample.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the dataset is open", || place.path().join("ready").exists());
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(workers("killed").len(), 1, "{word}");
        host.kill().unwrap();
        host.wait().unwrap();
        wait_until("the worker is gone", || workers("killed").is_empty());
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}
