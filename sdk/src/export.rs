//! The export macro and the functions behind it. They translate between the binary contract and the traits, and catch panics.

/// Makes a crate a plugin: `export_plugin!(ecg, Ecg);` with the id, bare, and the type that implements
/// [`Modality`](crate::Modality).
///
/// Exports the header under `medcoss_plugin_v1_<id>` and registers it for programs that link the crate statically. A crate
/// that is compiled with `panic = "abort"` is refused: a panic must be contained in the plugin.
#[macro_export]
macro_rules! export_plugin {
    ($id:ident, $modality:ty) => {
        const _: () = {
            #[cfg(panic = "abort")]
            compile_error!("a medcoss plugin must be compiled with panic = \"unwind\"");

            const _: () = assert!(
                $crate::shim::same(<$modality as $crate::Modality>::ID, stringify!($id)),
                "the id given to export_plugin! is not the modality's ID"
            );

            #[used]
            #[unsafe(export_name = concat!("medcoss_plugin_v1_", stringify!($id)))]
            pub static HEADER: $crate::abi::PluginHeader =
                $crate::abi::PluginHeader::new($crate::shim::table::<$modality>());

            $crate::abi::inventory::submit! {
                $crate::abi::Builtin { id: stringify!($id), header: &HEADER }
            }
        };
    };
}

/// What the macro needs. Public for it only.
#[doc(hidden)]
pub mod shim {
    pub use super::table::{same, table};
}

mod fill;
mod panics;
mod queries;
mod table;
