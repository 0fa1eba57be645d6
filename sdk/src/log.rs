//! Messages to the host's log. Before the host has attached, and in tests without one, they go nowhere.

use std::sync::OnceLock;

use medcoss_abi::HostServices;

static HOST: OnceLock<HostServices> = OnceLock::new();

pub(crate) fn attach(services: HostServices) {
    let _ = HOST.set(services);
}

fn send(level: u32, message: &str) {
    if let Some(host) = HOST.get() {
        (host.log)(level, message.into());
    }
}

/// A warning: the user should know, and the work goes on.
pub fn warn(message: &str) {
    send(2, message);
}

/// Logs a message at the level of information.
pub fn info(message: &str) {
    send(3, message);
}

/// Detail for debugging.
pub fn debug(message: &str) {
    send(4, message);
}
