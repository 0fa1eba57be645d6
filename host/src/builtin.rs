//! The plugins that are linked into this program. Each plugin registers itself when it is linked.

use medcoss_plugin_host::{Builtin, Plugin};
#[cfg(feature = "builtin")]
use {medcoss_ct as _, medcoss_mri as _, medcoss_pathology as _, medcoss_text as _, medcoss_xray as _};

/// The built-in plugins, by id.
pub(crate) fn builtins() -> Vec<&'static Builtin> {
    medcoss_abi::builtins()
}

/// The paper's order of modalities. Other modalities follow in alphabetical order.
const ORDER: [&str; 5] = ["text", "xray", "ct", "mri", "pathology"];

/// Sorts plugins into the order in which a model learns their modalities.
pub(crate) fn in_order(plugins: &mut [Plugin]) {
    let rank = |plugin: &Plugin| {
        let id = plugin.description().id.clone();
        (ORDER.iter().position(|known| *known == id).unwrap_or(ORDER.len()), id)
    };
    plugins.sort_by_key(rank);
}
