//! Import and export of weights: checkpoints of the reference implementation, published vision transformers, and safetensors files.

mod arrays;
mod derived_family;
mod encoder;
mod export;
mod import;
mod import_report;
mod initial;
mod known_sizes;
mod metadata;
mod pixel_statistics;
mod published;
mod safetensors_file;
mod shape_checks;
mod tensor_file;
mod timm;
mod vit;
mod weights_source;

pub use arrays::ArraySource;
pub use derived_family::DerivedFamily;
pub use encoder::{EncoderArguments, export_encoder};
pub use export::{Exported, export};
pub use import::{Import, Imported};
pub use import_report::{ImportReport, LeftEntry, Origin, TakenPart};
pub use initial::InitialModel;
pub use known_sizes::KnownSizes;
pub use metadata::Layout;
pub use pixel_statistics::PixelStatistics;
pub use published::{Correspondence, Order, PUBLISHED_FAMILIES, Part, UNUSED, correspondences};
pub use safetensors::Dtype as ElementType;
pub use safetensors_file::{TensorOut, floats_to_bytes, write_safetensors};
pub use tensor_file::{NamedTensor, TensorFile, TensorRows};
pub use timm::{TimmArguments, export_timm};
