//! Stand-in for `cubecl-llvm`, put in its place by `[patch.crates-io]`.
//!
//! The CUDA and HIP runtimes of CubeCL can compile kernels in two ways: to C++ for NVRTC or HIPRTC, or through LLVM. They always link
//! both, and the build script of the second one downloads LLVM, which a build without internet cannot. medcoss selects
//! the first way (features `cuda-cpp`, `hip-cpp`), so this crate has the names that the runtimes mention and nothing behind
//! them: asked to compile, it answers with an error.

use cubecl_core::ir::amd::GfxArch;
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_server::compiler::CompilationError;
use cubecl_server::kernel::BufferIOAttr;

/// PTX versions.
pub mod nvptx {
    /// The PTX version to emit.
    pub mod ptx_version {
        /// A PTX version; none is ever made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// No version: nothing here emits PTX.
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// Narrowing of what a device advertises.
pub mod shared {
    /// Narrowing of what a device advertises.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// GPU targets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA.
            Nvptx,
            /// AMD.
            AmdGpu {
                /// With matrix instructions.
                wmma: bool,
            },
        }

        /// Leaves everything as it is; only called when this compiler is selected.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}

/// Targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA.
    #[default]
    Nvptx,
    /// AMD.
    AmdGpu,
}

/// The compiler that is not there.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

/// Its options.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// AMD architecture.
    pub arch: Option<GfxArch>,
    /// NVIDIA architecture.
    pub sm_arch: Option<SmArch>,
    /// PTX version.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Scalars in the parameter block.
    pub grid_constants: bool,
    /// Keeps `..Default::default()` meaningful, as upstream's further options do.
    pub other: (),
}

/// A compiled module; none is ever made.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// NUL-terminated PTX.
    pub ptx: Vec<core::ffi::c_char>,
    /// Entry point.
    pub entrypoint: String,
    /// Intermediate representation.
    pub ir: String,
    /// Bytes a launch.
    pub shared_memory_size: usize,
    /// Access modes in binding order.
    pub io: Vec<BufferIOAttr>,
}

/// A compiled module for AMD; none is ever made.
#[derive(Clone, Debug)]
pub struct AmdGpuModule {
    /// Code object.
    pub code_object: Vec<u8>,
    /// Intermediate representation.
    pub ir: String,
    /// Bytes a launch.
    pub shared_memory_size: usize,
    /// Access modes in binding order.
    pub io: Vec<BufferIOAttr>,
}

/// What a compilation gives.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA.
    NvptxCode(NvptxModule),
    /// For AMD.
    AmdGpuCode(AmdGpuModule),
    /// For another target.
    Other,
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no artifact")
    }
}

impl PlironCompiler {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM; kernels are compiled as C++".into(),
            backtrace: Default::default(),
        })
    }

    /// Name of the intermediate language.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
