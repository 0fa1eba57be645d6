//! The versions of the plugin contract that this host supports, newest first. A library may export a plugin by several
//! versions; the host uses the first that it finds. A new version is added before the others and removes none.

use medcoss_abi::{CONTRACT_MAJOR, PluginHeader, PluginTable, Rejection};

/// Prefix of the exported symbols of every version. The version's number, `_` and the plugin's id follow.
const SYMBOLS: &str = "medcoss_plugin_v";

/// One version of the plugin contract.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// Number of the version.
    pub major: u32,
    /// Smallest size of the exported header in bytes.
    pub header_bytes: u64,
    /// Compares a header with the host's own definition, part by part, and returns the functions that the host calls:
    /// the plugin's own, or functions that translate into them.
    ///
    /// # Safety
    /// The pointer is that of a symbol of this version with at least as many bytes, aligned, in a library that is never unloaded.
    pub accept: unsafe fn(*const ()) -> Result<&'static PluginTable, Rejection>,
}

/// Version 1, frozen.
pub const V1: Contract =
    Contract { major: CONTRACT_MAJOR, header_bytes: size_of::<PluginHeader>() as u64, accept: accept_v1 };

/// All supported versions, newest first.
pub const CONTRACTS: &[Contract] = &[V1];

/// # Safety
/// As [`Contract::accept`].
unsafe fn accept_v1(header: *const ()) -> Result<&'static PluginTable, Rejection> {
    // SAFETY: not null, aligned, large enough, never unloaded, and nobody writes to it; `check` reads it field by field, each only after
    // the ones before were accepted.
    unsafe { &*header.cast::<PluginHeader>() }.check()
}

impl Contract {
    /// The name of the symbol that exports the plugin `id`.
    pub(crate) fn symbol(&self, id: &str) -> String {
        format!("{SYMBOLS}{}_{id}", self.major)
    }
}

/// Version and plugin id that a symbol stands for, or `None` if the symbol exports no plugin.
pub(crate) fn version_and_id(symbol: &str) -> Option<(u32, &str)> {
    let (version, id) = symbol.strip_prefix(SYMBOLS)?.split_once('_')?;
    Some((version.parse().ok()?, id))
}

/// The version numbers of some contracts for messages: `1`, or `2 and 1`.
pub(crate) fn spoken(contracts: &[Contract]) -> String {
    contracts.iter().map(|contract| contract.major.to_string()).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_abi::SYMBOL_PREFIX;

    #[test]
    fn symbols_are_taken_apart_and_put_together() {
        assert_eq!(V1.symbol("gait"), format!("{SYMBOL_PREFIX}gait"));
        assert_eq!(version_and_id("medcoss_plugin_v1_ct_2"), Some((1, "ct_2")));
        assert_eq!(version_and_id("medcoss_plugin_v12_ct"), Some((12, "ct")));
        for other in ["medcoss_plugin_v1", "medcoss_plugin_vx_ct", "medcoss_plugin_", "main"] {
            assert_eq!(version_and_id(other), None, "{other}");
        }
    }

    #[test]
    fn newer_versions_come_first() {
        assert!(CONTRACTS.windows(2).all(|pair| pair[0].major > pair[1].major));
    }
}
