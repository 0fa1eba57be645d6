//! Every unusual, rare or damaged file is read, or refused with its reason: never a panic, never more than ten seconds,
//! never a gigabyte. Prints how many were read and refused, by reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use medcoss_formats::image_file::read_image;
use medcoss_formats::nifti::read_volume;
use medcoss_formats::slide::Slide;
use medcoss_sdk::image::Region;
use medcoss_sdk::{Error, code, find_files};
use medcoss_test_support::data;
use medcoss_test_support::process::is_alone;

const LONGEST: Duration = Duration::from_secs(10);
const MAX_MIB: u64 = 1024;

/// Peak memory of this process in MiB, where the system reports it.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

/// Reason of an error, without the path and with numbers removed.
fn reason(error: &Error, path: &Path) -> String {
    assert!([code::CORRUPT, code::UNSUPPORTED, code::UNREADABLE].contains(&error.code()), "{error}");
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    assert!(error.message().contains(&*stem), "{error} does not name {}", path.display());
    let message = error.to_string();
    let message = message.replace(&*path.to_string_lossy(), "").replace(|c: char| c.is_ascii_digit(), "");
    message.lines().next().unwrap_or_default().trim().chars().take(110).collect()
}

/// Reads all files below a folder, each in a thread of its own.
fn sweep(folder: &Path, read: fn(&Path) -> Result<(), Error>, least_read: usize) {
    let files = find_files(folder, &[PathBuf::from(".")], |_| true, "any").unwrap().files;
    let (mut n_read, mut reasons) = (0, BTreeMap::<String, Vec<String>>::new());
    for file in &files {
        let (sender, receiver) = channel();
        let path = file.path.clone();
        let reader = std::thread::spawn(move || sender.send(read(&path)));
        match receiver.recv_timeout(LONGEST) {
            Ok(Ok(())) => n_read += 1,
            Ok(Err(error)) => reasons.entry(reason(&error, &file.path)).or_default().push(file.id.clone()),
            Err(RecvTimeoutError::Timeout) => panic!("{} takes more than {LONGEST:?}", file.id),
            Err(RecvTimeoutError::Disconnected) => panic!("{} makes the reader panic", file.id),
        }
        reader.join().unwrap().unwrap();
    }
    let peak = peak_mib();
    println!("{}: {n_read} of {} read, peak {peak} MiB", folder.display(), files.len());
    for (reason, ids) in reasons {
        println!("{:4}  {reason}  [{}{}]", ids.len(), ids[0], if ids.len() > 1 { ", ..." } else { "" });
    }
    assert!(peak < MAX_MIB, "{peak} MiB");
    assert!(n_read >= least_read, "{n_read} read");
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn every_volume_file_is_read_or_refused() {
    if !is_alone("sweep::every_volume_file_is_read_or_refused") {
        return;
    }
    let folder = data("conformance/nifti");
    sweep(&folder, |path| read_volume(path, 0.0).map(drop), 28);
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn every_tiff_is_read_or_refused() {
    if !is_alone("sweep::every_tiff_is_read_or_refused") {
        return;
    }
    let folder = data("conformance/tiff");
    sweep(&folder, |path| read_image(path).map(drop), 128);
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn every_tiff_opened_as_a_slide_is_read_or_refused() {
    if !is_alone("sweep::every_tiff_opened_as_a_slide_is_read_or_refused") {
        return;
    }
    let folder = data("conformance/tiff");
    let corners = |path: &Path| {
        let mut slide = Slide::open(path)?;
        for level in slide.levels().to_vec() {
            let corner = Region { left: level.width - 1, top: level.height - 1, width: 1, height: 1 };
            slide.read_region(level, corner)?;
        }
        Ok(())
    };
    sweep(&folder, corners, 128);
}
