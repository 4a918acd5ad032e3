//! Ids of the host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user id of the host, and the group id of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub u32);

/// The least that jobs may run as: below lie accounts, system and human.
pub const LEAST: Uid = Uid(100_000);

/// The last that there is. Of the two above it `setresuid(2)` reads one as "leave it", and the other is often nobody's.
pub const LAST: Uid = Uid(u32::MAX - 2);

/// Whom a policy is read as: an id that has no account. systemd's table of ids gives it to containers, as the one that in
/// each of these is no id (65535).
pub const READER: Uid = Uid(0x6fff_ffff);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
