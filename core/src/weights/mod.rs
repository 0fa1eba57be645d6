//! Import and export of weights: checkpoints of the reference implementation, and safetensors files.

mod arrays;
mod encoder;
mod export;
mod import;
mod import_report;
mod initial;
mod metadata;
mod published;
mod safetensors_file;
mod tensor_file;

pub use arrays::ArraySource;
pub use encoder::{EncoderArguments, export_encoder};
pub use export::{Exported, export};
pub use import::{Import, Imported, KnownSizes};
pub use import_report::{ImportReport, LeftEntry, Origin, TakenPart};
pub use initial::InitialModel;
pub use metadata::Layout;
pub use published::{Correspondence, Order, PUBLISHED_FAMILIES, Part, UNUSED, correspondences};
pub use safetensors::Dtype as ElementType;
pub use safetensors_file::{TensorOut, floats_to_bytes, write_safetensors};
pub use tensor_file::{NamedTensor, TensorFile, TensorRows};
