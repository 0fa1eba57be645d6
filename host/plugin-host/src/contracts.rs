//! The versions of the plugin contract that this host speaks, newest first. A library may carry a plugin by several of them; the first
//! that it has is taken. A version that is added here comes before the others and takes nothing away from them.

use medcoss_abi::{CONTRACT_MAJOR, PluginHeader, PluginTable, Rejection};

/// What the symbols of every version begin with; the version's number, `_` and the plugin's id follow.
const SYMBOLS: &str = "medcoss_plugin_v";

/// One version.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// Its number.
    pub major: u32,
    /// Bytes that the exported header has, at least.
    pub header_bytes: u64,
    /// Compares a header with this side's, part by part, and gives the functions that the host calls: those of the plugin, or some that
    /// translate into them.
    ///
    /// # Safety
    /// The pointer is that of a symbol of this version with at least as many bytes, aligned, in a library that is never unloaded.
    pub accept: unsafe fn(*const ()) -> Result<&'static PluginTable, Rejection>,
}

/// Version 1, frozen.
pub const V1: Contract =
    Contract { major: CONTRACT_MAJOR, header_bytes: size_of::<PluginHeader>() as u64, accept: accept_v1 };

/// All of them, newest first.
pub const CONTRACTS: &[Contract] = &[V1];

/// # Safety
/// As [`Contract::accept`].
unsafe fn accept_v1(header: *const ()) -> Result<&'static PluginTable, Rejection> {
    // SAFETY: not null, aligned, large enough, never unloaded, and nobody writes to it; `check` reads it field by field, each only after
    // the ones before were accepted.
    unsafe { &*header.cast::<PluginHeader>() }.check()
}

impl Contract {
    /// The symbol of a plugin.
    pub(crate) fn symbol(&self, id: &str) -> String {
        format!("{SYMBOLS}{}_{id}", self.major)
    }
}

/// Version and id that a symbol stands for; none if it is no plugin's.
pub(crate) fn version_and_id(symbol: &str) -> Option<(u32, &str)> {
    let (version, id) = symbol.strip_prefix(SYMBOLS)?.split_once('_')?;
    Some((version.parse().ok()?, id))
}

/// The versions of some contracts, for messages: `1`, or `2 and 1`.
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
