//! Ids of the host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A user id of the host, and the group id of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub u32);

/// The least that jobs may run as on a host: below lie accounts, system and human, and not all of them in its files.
pub const LEAST_ON_HOST: Uid = Uid(100_000);

/// The least that they may run as in a user namespace that has few ids, as that of a container, where nobody else is.
pub const LEAST: Uid = Uid(10_000);

/// Whom the kernel shows for ids that a user namespace does not have: "overflowuid" in `user_namespaces(7)`.
pub const NOBODY: Uid = Uid(65_534);

/// The last that there is. Of the two above it `setresuid(2)` reads one as "leave it", and the other is often nobody's.
pub const LAST: Uid = Uid(u32::MAX - 2);

/// Whom a policy is read as, the first of them that there is: an id that has no account. systemd's table of ids gives the one to
/// containers, as that which in each of these is no id (65535); the other is for those that have no more than 65536.
pub const READERS: [Uid; 2] = [Uid(0x6fff_ffff), Uid(65_533)];

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
