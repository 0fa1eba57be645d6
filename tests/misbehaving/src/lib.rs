//! Faults of plugins, on request. `MEDCOSS_MISBEHAVE=PLACE:DEED` asks for one, and `PLACE:DEED@N` for one from the
//! `N`th time on that a process reaches the place. The plugins are the examples of this crate: `misbehaving` is written
//! against the bare contract, `misbehaving_sdk` with the SDK, whose shim contains panics.

use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Header of a version of the contract that does not exist: the functions of version 1, and one more. For the test that
/// a host of version 2 still loads plugins of version 1.
#[repr(C)]
pub struct HeaderOfVersion2 {
    /// Version of the contract: 2.
    pub major: u32,
    /// Functions of version 1.
    pub table: medcoss_abi::PluginTable,
    /// The function that version 2 adds.
    pub estimate: extern "C" fn(medcoss_abi::DatasetHandle) -> u64,
}

/// Environment variable that asks for a fault.
pub const VARIABLE: &str = "MEDCOSS_MISBEHAVE";

/// Line that the fault `loop` writes to standard error before it loops.
pub const LOOPING: &str = "the plugin loops";

/// Text that steers a terminal: it sets the window's title, hides the following text, and reverses the order of
/// characters.
pub const STEERING: &str = "\u{1b}]0;owned\u{7}\u{9b}8m\u{202e}gnp.\u{2066}\r";

/// The fault that is requested at a place, if its time has come. Each call counts as reaching the place.
pub fn deed(place: &str) -> Option<String> {
    static REACHED: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());
    let asked = std::env::var(VARIABLE).ok()?;
    let deed = asked.strip_prefix(place)?.strip_prefix(':')?;
    let (deed, from) = match deed.split_once('@') {
        Some((deed, from)) => (deed, from.parse().expect("a number after @")),
        None => (deed, 1),
    };
    let mut reached = REACHED.lock().expect("no panic while it is held");
    let n = match reached.iter_mut().find(|(known, _)| known == place) {
        Some((_, n)) => {
            *n += 1;
            *n
        }
        None => {
            reached.push((place.into(), 1));
            1
        }
    };
    (n >= from).then(|| deed.into())
}

/// Payload of a panic that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics too");
    }
}

/// Calls itself until the stack overflows.
#[expect(unconditional_recursion, reason = "that is the point")]
fn recursion(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    frame[3] + recursion(depth + 1) + std::hint::black_box(frame)[5]
}

/// Commits the requested fault of a place if it is one that any place can have; otherwise returns it to the caller.
pub fn act(place: &str) -> Option<String> {
    let deed = deed(place)?;
    match deed.as_str() {
        "panic" => panic!("boo"),
        "payload" => std::panic::panic_any(Bomb),
        "abort" => std::process::abort(),
        "exit0" => std::process::exit(0),
        "exit3" => std::process::exit(3),
        // SAFETY: none; the invalid write is the fault.
        "segfault" => unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) },
        "loop" => {
            eprintln!("{LOOPING}");
            loop {
                std::thread::park();
            }
        }
        "print" => {
            let line = [b'p'; 1 << 10];
            for _ in 0..4 << 10 {
                let _ = std::io::stdout().write_all(&line);
                let _ = std::io::stderr().write_all(&line);
            }
            let _ = std::io::stdout().flush();
        }
        "park-threads" => {
            static ONCE: std::sync::Once = std::sync::Once::new();
            ONCE.call_once(|| (0..8).for_each(|_| drop(std::thread::spawn(std::thread::park))));
        }
        "slow" => std::thread::sleep(Duration::from_millis(100)),
        "recursion" => drop(std::hint::black_box(recursion(1))),
        // Hidden from the optimiser, which removes unused memory.
        "leak" => drop(std::hint::black_box(vec![1u8; 1 << 20].leak())),
        _ => return Some(deed),
    }
    None
}
