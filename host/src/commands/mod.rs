//! The commands, one file each: the arguments, and `run`.

pub(crate) mod bench;
mod builtin_pace;
pub(crate) mod compare;
pub(crate) mod data_check;
pub(crate) mod demo;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod plan;
pub(crate) mod plugin_check;
pub(crate) mod plugin_inspect;
pub(crate) mod plugin_list;
pub(crate) mod plugin_new;
pub(crate) mod plugin_pack;
pub(crate) mod plugin_preview;
pub(crate) mod plugin_rescan;
pub(crate) mod plugin_trust;
pub(crate) mod pretrain;
pub(crate) mod report;
pub(crate) mod resume;
pub(crate) mod show;
pub(crate) mod stage_add;
pub(crate) mod stage_remove;
pub(crate) mod synth;
