//! The plugins that are linked into this program. Each registers itself; it need only be linked.

#[cfg(feature = "builtin")]
use {medcoss_ct as _, medcoss_mri as _, medcoss_pathology as _, medcoss_text as _, medcoss_xray as _};

pub(super) use medcoss_abi::builtins;
