//! The plugins that are linked into this program. Each registers itself; it need only be linked.

use medcoss_plugin_host::Builtin;
#[cfg(feature = "builtin")]
use {medcoss_ct as _, medcoss_mri as _, medcoss_pathology as _, medcoss_text as _, medcoss_xray as _};

/// All of them, by id.
pub(crate) fn builtins() -> Vec<&'static Builtin> {
    medcoss_abi::builtins()
}
