//! A slot's group whose processes can be stopped.

use super::freezer::Freezer;
use super::slot::SlotCgroup;
use crate::error::{Error, Result};

impl SlotCgroup {
    /// From now on all in it can be stopped: this process, the only one in it, and what it starts.
    ///
    /// # Errors
    /// When this host cannot, or the file that could not be written.
    pub fn be_freezable(&mut self, first: u32) -> Result<()> {
        self.make_freezer()?.take_in(first)
    }

    /// Takes in a process that is stopped in another group, and what it starts from now on. It stays stopped: in the middle of a fork
    /// on version 1, what it starts would be in some of its groups. What it holds of memory stays charged where it is: `admin-guide/cgroup-v2`
    /// in the kernel, "Memory Ownership".
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn take_in_stopped(&mut self, process: u32) -> Result<()> {
        let freezer = self.make_freezer()?;
        freezer.set(true)?;
        freezer.take_in(process)?;
        self.groups.take_in(process)
    }

    fn make_freezer(&mut self) -> Result<&Freezer> {
        // One that was is gone before there is another: they have one name.
        self.freezer = None;
        Ok(self.freezer.insert(match (self.groups.directory(), &self.freezers) {
            (Some(_), _) => Freezer::v2(self.groups.counted().to_owned()),
            (None, Some((group, doors))) => Freezer::v1(group.clone(), doors.clone())?,
            (None, None) => return Err(Error::layer("stop a session", "version 1 has no freezer here; boot with it")),
        }))
    }

    /// From now on nothing in it can be stopped, for it is nobody's.
    pub fn forget_freezer(&mut self) {
        self.freezer = None;
    }

    /// Stops all in it, or lets it go on; without effect on one that cannot be stopped.
    ///
    /// # Errors
    /// The file that could not be written.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        self.freezer.as_ref().map_or(Ok(()), |freezer| freezer.set(frozen))
    }

    /// Whether all in it has stopped.
    ///
    /// # Errors
    /// The file that could not be read.
    pub fn is_frozen(&self) -> Result<bool> {
        self.freezer.as_ref().map_or(Ok(false), Freezer::is_frozen)
    }
}
