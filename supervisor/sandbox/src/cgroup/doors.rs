//! Who opens the files by which processes enter groups.
//!
//! The kernel asks who opened such a file, not who writes to it. On version 1 that has to be root of the host, whoever makes the
//! groups; on version 2 whoever the groups are delegated to: "Delegation" in `cgroups(7)`.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::group::open_door;
use crate::error::Result;

type Open = dyn Fn(&Path) -> Result<OwnedFd> + Send + Sync;

/// Opens the files by which processes enter groups of version 1.
#[derive(Clone)]
pub struct Doors(Arc<Open>);

impl Doors {
    /// Of a process that is root of the host.
    #[must_use]
    pub fn own() -> Self {
        Self::by(open_door)
    }

    /// Of one that has them opened.
    #[must_use]
    pub fn by(open: impl Fn(&Path) -> Result<OwnedFd> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd> {
        (self.0)(path)
    }
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doors")
    }
}
