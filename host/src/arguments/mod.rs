//! Arguments that several commands share, one topic per file. Commands flatten them into their own.

mod configuration;
mod data;
mod data_root;
mod device;
mod invalid_fraction;
mod out_file;
mod plugins;
mod progress;
mod ranks;
mod result;
mod task;

pub(crate) use configuration::ConfigurationArgs;
pub(crate) use data::DataArgs;
pub(crate) use data_root::DataRootArgs;
pub(crate) use device::DeviceArgs;
pub(crate) use invalid_fraction::check_invalid_fraction;
pub(crate) use out_file::{OutFileArgs, check_replaceable};
pub(crate) use plugins::{PluginArgs, loading, probe};
pub(crate) use progress::{BarArgs, ProgressArgs};
pub(crate) use ranks::RanksArgs;
pub(crate) use result::ResultArgs;
pub(crate) use task::TaskArgs;
