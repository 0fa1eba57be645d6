//! Plugins that are linked into the program. A loaded library fills a registry of its own, which the host does
//! not see; so this one holds exactly the plugins that were linked in.

use crate::PluginHeader;

/// A linked plugin, submitted by the export macro.
pub struct Builtin {
    /// The plugin's id.
    pub id: &'static str,
    /// The same header that its shared library exports.
    pub header: &'static PluginHeader,
}

inventory::collect!(Builtin);

/// The linked plugins in the order of their ids (the registry itself has no stable order).
pub fn builtins() -> Vec<&'static Builtin> {
    let mut all: Vec<_> = inventory::iter::<Builtin>().collect();
    all.sort_by_key(|builtin| builtin.id);
    all
}
