//! System calls by name, the named groups, and the calls that no policy may allow.
//!
//! Of every call that there is, it is decided: it is in a group, never allowed, or may be named by itself. A test tells
//! of one that a newer kernel brings.

mod groups;
mod named;
mod resolve;

pub use cloister_terms::{NEVER, Syscall};
pub use groups::GROUPS;
pub use named::NAMED;
pub use resolve::{group, resolve};
