//! Control groups: what a job may use, what it has used, and its certain end.
//!
//! Version 2 is preferred; version 1 and hybrid layouts, each controller in a hierarchy of its own,
//! are supported. Only the supervisor touches these files; a job sees none of them.

mod delegation;
mod doors;
mod freezer;
mod group;
mod groups;
mod hold;
mod knob;
mod layout;
mod mounts;
mod slot;
mod stopping;
mod tree;
mod v1;
mod v2;

pub use doors::Doors;
pub(crate) use group::make;
pub use group::open_door;
pub use groups::{Limits, Usage};
pub(crate) use hold::Hold;
pub use hold::describe;
pub use layout::Layout;
pub use mounts::Version;
pub use slot::SlotCgroup;
pub use tree::Tree;
