//! What Cloister does as root: it makes place for what serves jobs, the engine, and gives all its power up before that begins.
//!
//! 1. [`serve`]: the start. The policy is read, ids and names are claimed, control groups and device nodes are made and the
//!    socket is listened on. Then this process takes an id that nobody else has, in a user namespace that has the jobs' ids and
//!    no other, and becomes the engine, the program `cloister-engine`.
//! 2. [`monitor`]: what stays root beside it, as in programs with privilege separation: it opens what only root may, of what the
//!    policy names, and removes at the end what was made.
//! 3. [`powers`]: how that is asked; by who is root itself, such as the operator's program, it is done.
//!
//! Nothing here parses what strangers send, and nobody but the engine can ask for anything.

pub mod args;
mod asked;
mod begin;
pub mod claim;
pub mod confine;
pub mod devices;
pub mod host;
pub mod id_map;
pub mod library;
mod line;
mod manager;
pub mod monitor;
pub mod needs;
pub mod open_files;
pub mod powers;
mod program;
pub mod reader;
pub mod serve;
mod socket;

pub use begin::{Begin, NotBegun};
