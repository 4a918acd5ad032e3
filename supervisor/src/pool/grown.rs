//! A zygote that has imported more than its profile's own, one that is wanted, and why there may be none.

use std::sync::{Arc, Weak};
use std::time::Instant;

use cloister_protocol::ImportSet;

use crate::link::connection::Connection;
use crate::pool::parked::Parked;

/// A zygote with more imports, and its children.
#[derive(Debug)]
pub struct Grown {
    /// What was asked for.
    pub asked: ImportSet,
    /// What of that there is, in it and by those that it was forked from.
    pub set: ImportSet,
    /// Its children.
    pub parked: Arc<Parked>,
    /// It.
    pub zygote: Arc<Connection>,
    /// What it was forked from, and what that was in the end: the profile's own.
    pub parent: Weak<Connection>,
    /// See above.
    pub root: Weak<Connection>,
    /// What it holds, and what those did that it was forked from and that are gone, in bytes.
    pub bytes: u64,
    /// What it and those that it was forked from hold beside the profile's own, in bytes.
    pub with_parents: u64,
    /// When a request was last served from it.
    pub used: Instant,
}

/// A set that a zygote is to be made for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which.
    pub set: ImportSet,
    /// How much its tenants want it.
    pub weight: f64,
    /// Whether there is one of it, that was forked from a zygote which is no longer the profile's.
    pub again: bool,
}

/// Why no zygote is kept for a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All of it is there without one.
    Needless,
    /// It could not be imported, or not in a process that is forked.
    Failed,
    /// There is no room for it.
    Memory,
}

impl Refusal {
    /// As it is told.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Needless => None,
            Self::Failed => Some("failed"),
            Self::Memory => Some("memory"),
        }
    }
}

/// Whether they are one.
#[must_use]
pub fn is(one: &Weak<Connection>, other: &Arc<Connection>) -> bool {
    std::ptr::eq(one.as_ptr(), Arc::as_ptr(other))
}
