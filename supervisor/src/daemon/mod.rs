//! The daemon, from an empty host to an empty host: it claims ids, confines itself, starts what serves, puts another policy
//! in force when asked to, and ends when running jobs have.

pub mod args;
pub mod canary;
pub(crate) mod change;
pub mod claim;
pub mod confine;
pub mod devices;
pub mod id_map;
pub mod lifecycle;
pub mod needs;
pub(crate) mod notify;
pub(crate) mod open_files;
pub mod program;
pub mod reader;
pub(crate) mod reload;
pub mod start;
pub(crate) mod watched;
