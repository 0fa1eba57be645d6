//! The header: what a library exports, and the checks before anything in it is called.

use abi_stable::{StableAbi, abi_stability::abi_checking::check_layout_compatibility, type_layout::TypeLayout};

use crate::PluginTable;

/// Prefix of the exported symbol; the plugin's id follows. Ids can so be read from the symbol table
/// without running anything, and two plugins can be linked into one program.
pub const SYMBOL_PREFIX: &str = "medcoss_plugin_v1_";

/// First bytes of every header.
pub const MAGIC: [u8; 16] = *b"medcoss-plugin\0\0";

/// Version of the contract. A host takes plugins of its own major version and of any minor.
pub const CONTRACT_MAJOR: u32 = 1;
/// Raised when operations, kinds of buffers, codes or JSON fields are added; never when the table changes, which it does not.
pub const CONTRACT_MINOR: u32 = 3;
/// The first minor version that was released. 1.0 and 1.1 were drafts with another table.
pub const FIRST_MINOR: u32 = 2;

/// The minor version of the 0.x crate whose `TypeLayout` the header points to: layouts of another one
/// must not be read.
const LAYOUT_FORMAT: u32 = 11;

/// The exported static. Its fields are read in order, each only after the ones before it were accepted.
#[repr(C)]
pub struct PluginHeader {
    magic: [u8; 16],
    contract_major: u32,
    contract_minor: u32,
    layout_format: u32,
    header_bytes: u32,
    layout: &'static TypeLayout,
    table: PluginTable,
}

impl PluginHeader {
    /// The header of a plugin that was compiled against this crate.
    pub const fn new(table: PluginTable) -> Self {
        Self {
            magic: MAGIC,
            contract_major: CONTRACT_MAJOR,
            contract_minor: CONTRACT_MINOR,
            layout_format: LAYOUT_FORMAT,
            header_bytes: size_of::<Self>() as u32,
            layout: <PluginTable as StableAbi>::LAYOUT,
            table,
        }
    }

    /// The table of functions, after magic, version, size and layout were compared with this side's.
    ///
    /// # Errors
    /// [`Rejection`] says which comparison failed, with both values.
    pub fn check(&'static self) -> Result<&'static PluginTable, Rejection> {
        if self.magic != MAGIC {
            return Err(Rejection::Magic { found: String::from_utf8_lossy(&self.magic).into_owned() });
        }
        if self.contract_major != CONTRACT_MAJOR {
            return Err(Rejection::Version { found: (self.contract_major, self.contract_minor) });
        }
        if self.contract_minor < FIRST_MINOR {
            return Err(Rejection::Draft { found: (self.contract_major, self.contract_minor) });
        }
        if self.layout_format != LAYOUT_FORMAT {
            return Err(Rejection::LayoutFormat { found: self.layout_format });
        }
        if self.header_bytes as usize != size_of::<Self>() {
            return Err(Rejection::HeaderSize { found: self.header_bytes });
        }
        check_layout_compatibility(<PluginTable as StableAbi>::LAYOUT, self.layout)
            .map_err(|errors| Rejection::Layout { detail: errors.to_string() })?;
        Ok(&self.table)
    }
}

/// Why a header was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The symbol is there but does not begin as a header does.
    Magic {
        /// The first 16 bytes, as text.
        found: String,
    },
    /// Compiled against another major version of the contract.
    Version {
        /// Major and minor version of the plugin.
        found: (u32, u32),
    },
    /// Compiled against a draft of the contract that was never released.
    Draft {
        /// Major and minor version of the plugin.
        found: (u32, u32),
    },
    /// Compiled with an incompatible release of the layout library.
    LayoutFormat {
        /// The plugin's format number.
        found: u32,
    },
    /// The header has another size.
    HeaderSize {
        /// Bytes that the plugin states.
        found: u32,
    },
    /// A type of the table differs.
    Layout {
        /// The differences, field by field.
        detail: String,
    },
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Magic { found } => write!(f, "its header begins with {found:?} instead of \"medcoss-plugin\""),
            Self::Version { found: (major, minor) } => write!(
                f,
                "it was built for version {major}.{minor} of the plugin contract; this host speaks {CONTRACT_MAJOR}.{CONTRACT_MINOR}"
            ),
            Self::Draft { found: (major, minor) } => write!(
                f,
                "it was built for draft {major}.{minor} of the plugin contract, which was never released; this host speaks {CONTRACT_MAJOR}.{CONTRACT_MINOR}\n\
                 hint: build it again with the SDK of this host"
            ),
            Self::LayoutFormat { found } => {
                write!(f, "its layout description has format 0.{found}; this host reads 0.{LAYOUT_FORMAT}")
            }
            Self::HeaderSize { found } => {
                write!(f, "its header has {found} bytes instead of {}", size_of::<PluginHeader>())
            }
            Self::Layout { detail } => write!(f, "its function table has another layout: {detail}"),
        }
    }
}

impl std::error::Error for Rejection {}
