//! What is made as root of a host for what serves jobs on it.

use std::sync::Arc;

use cloister_sandbox::Result;
use cloister_sandbox::cgroup::{Doors, Tree};
use cloister_sandbox::devices::Devices;
use cloister_sandbox::spec::IdRange;

use crate::claim::Claim;
use crate::library::Library;
use crate::powers::Powers;

/// All of it, with who does what else takes root.
#[derive(Debug)]
pub struct Host {
    /// The ids of launchers and jobs.
    pub ids: IdRange,
    /// The control groups.
    pub tree: Tree,
    /// The slots' own device nodes, if they have any.
    pub devices: Option<Devices>,
    /// The native library of interpreters.
    pub library: Library,
    /// Who does what takes root. Last, for what was made goes with it.
    pub powers: Arc<Powers>,
}

impl Host {
    /// For a process that is root, and serves by itself.
    ///
    /// # Errors
    /// The control groups that could not be made.
    pub fn own(claim: &Claim, group: &str, devices: Option<Devices>) -> Result<Self> {
        let (ids, tree) = (claim.ids(), Tree::create(group)?);
        tree.delegate_to(ids.base)?;
        Ok(Self { ids, tree, devices, library: Library::find(), powers: Arc::new(Powers::Own) })
    }

    /// For the engine: of what was made for it.
    pub(crate) fn of_engine(
        ids: IdRange,
        tree: impl FnOnce(Doors) -> Tree,
        devices: Option<Devices>,
        library: Library,
        powers: Powers,
    ) -> Self {
        let powers = Arc::new(powers);
        Self { ids, tree: tree(Powers::doors(&powers)), devices, library, powers }
    }
}
