//! The plugins that are linked into this program. Each plugin registers itself when it is linked.

use medcoss_plugin_host::Builtin;
#[cfg(feature = "builtin")]
use {medcoss_ct as _, medcoss_mri as _, medcoss_pathology as _, medcoss_text as _, medcoss_xray as _};

/// The built-in plugins, by id.
pub(crate) fn builtins() -> Vec<&'static Builtin> {
    medcoss_abi::builtins()
}
