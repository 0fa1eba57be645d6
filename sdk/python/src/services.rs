//! What the host offers: its log, and progress of long calls.

use std::sync::OnceLock;

use medcoss_abi::message::{Progress, Stop};
use medcoss_abi::{HostServices, service};

static SERVICES: OnceLock<HostServices> = OnceLock::new();

/// Level of information in the host's log.
const INFORMATION: u32 = 3;

pub(crate) fn attach(services: HostServices) {
    let _ = SERVICES.set(services);
}

pub(crate) fn log(text: &str) {
    if let Some(services) = SERVICES.get() {
        (services.log)(INFORMATION, text.into());
    }
}

/// Reports progress to the host. Returns whether the call is to end.
pub(crate) fn asks_to_stop(progress: &Progress) -> bool {
    let Some(services) = SERVICES.get() else { return false };
    let body = serde_json::to_string(progress).unwrap_or_default();
    let answer = (services.ask)(service::PROGRESS.into(), body.as_str().into());
    serde_json::from_slice(answer.into_bytes().as_slice()).is_ok_and(|Stop { stop }| stop)
}
