//! The daemon, from an empty host to an empty host: it takes what was made for it, starts what serves, puts another policy in
//! force when asked to, and ends when running jobs have.

pub mod canary;
pub(crate) mod change;
pub mod lifecycle;
pub(crate) mod notify;
pub(crate) mod reload;
pub mod start;
pub(crate) mod watched;
