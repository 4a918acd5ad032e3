//! The runtimes of a policy that have packages, as far as the file says, for whoever makes their locks and builds.

use std::path::{Path, PathBuf};

use super::digest::{BuildId, build_id};
use super::facts::{self, Base, NoFacts, minor};
use super::look::{lock_path, tree_of};
use crate::keys::{runtime, supervisor};
use crate::read::Tables;

/// A runtime that has packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packaged {
    /// Its name.
    pub name: String,
    /// The name of its base.
    pub base: String,
    /// What says which packages it is to have.
    pub file: PathBuf,
    /// The lock of that.
    pub lock: PathBuf,
    /// The tree of its base, in which there is a `usr`.
    pub tree: PathBuf,
}

/// Why nothing can be made for a runtime.
#[derive(Debug, thiserror::Error)]
pub enum NotPackaged {
    /// Its base does not say what it is.
    #[error("{0}: make runtime, or a newer package of Cloister, makes a tree that says what it is")]
    Base(NoFacts),
    /// It has no lock.
    #[error("{}: cloister runtime lock makes it", .0)]
    Lock(NoFacts),
}

impl Packaged {
    /// The facts of its base, and their text.
    ///
    /// # Errors
    /// When there are none.
    pub fn base_facts(&self) -> Result<(Base, String), NotPackaged> {
        Base::read(&self.tree).map_err(NotPackaged::Base)
    }

    /// The text of its lock.
    ///
    /// # Errors
    /// When there is none.
    pub fn lock_text(&self) -> Result<String, NotPackaged> {
        facts::text(&self.lock).map_err(NotPackaged::Lock)
    }

    /// The build that its lock and its base make.
    ///
    /// # Errors
    /// When either is not there.
    pub fn id(&self) -> Result<BuildId, NotPackaged> {
        Ok(build_id(&self.lock_text()?, &self.base_facts()?.1))
    }
}

impl Base {
    /// The version without its last part, such as 3.11.
    #[must_use]
    pub fn minor(&self) -> String {
        minor(&self.python)
    }
}

/// Those of a policy, in a directory.
pub(crate) fn packaged(tables: &Tables, directory: &Path) -> Vec<Packaged> {
    let each = tables.runtimes.iter().filter_map(|(name, values)| {
        let file = directory.join(values.of(runtime::PACKAGES)?);
        let base = values.of(runtime::BASE)?.to_owned();
        // One that shows nothing there is found to have no facts.
        let tree = tree_of(values).unwrap_or(Path::new("/")).to_owned();
        Some(Packaged { name: name.clone(), base, lock: lock_path(&file), file, tree })
    });
    each.collect()
}

/// Where builds lie.
pub(crate) fn store(tables: &Tables) -> PathBuf {
    PathBuf::from(tables.supervisor.of(supervisor::RUNTIMES))
}
