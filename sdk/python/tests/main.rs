//! Packed modules of Python, loaded as the host loads plugins.
//!
//! An interpreter with NumPy is needed: the one that MEDCOSS_PYTHON names, or `python3`.

mod accounts;
mod authoring;
mod conformance;
mod expression;
mod faults;
mod installation;
mod plugin;
mod processes;
