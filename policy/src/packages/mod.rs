//! The packages of runtimes: a lock that an operator made, and a build of it in the store, that is a directory with what the
//! lock says and nothing else.
//!
//! What is here reads: whether both are there, belong together and can be changed by nobody but root. Nothing is ever
//! made or run.

mod digest;
mod facts;
mod known;
mod lock;
mod look;
mod packaged;
mod stdlib;
mod tree;
mod warmed;

pub use digest::{BuildId, build_id};
pub use facts::{BASE_FACTS, Base, MANIFEST, Manifest, Module, NoFacts};
pub use lock::{Lock, NotALock};
pub use packaged::{NotPackaged, Packaged};
pub use tree::{LOCK, PACKAGES, at_fault};

pub(crate) use known::Looked;
#[cfg(feature = "text")]
pub(crate) use lock::changes;
pub(crate) use look::look;
pub(crate) use packaged::{packaged, store};
