//! `gc`: removes the builds that nothing uses, and what can be fetched again.

use std::collections::BTreeSet;
use std::fs;

use cloister_policy::Checked;
use cloister_policy::packages::{BuildId, NoFacts, NotPackaged};
use serde_json::{Value as Json, json};

use super::build::mebibytes;
use super::error::{Doing, Error};
use super::store::{Store, taken};
use super::used::mounted;

/// What was removed, or would be.
#[derive(Debug)]
pub struct Removed {
    dry_run: bool,
    builds: Vec<(BuildId, u64)>,
    kept: usize,
    cache: u64,
}

/// Removes, or only says what it would.
pub fn gc(checked: &Checked, dry_run: bool) -> Result<Removed, Error> {
    // Of another's processes nobody else is told what they have mounted.
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot("cloister runtime gc"));
    }
    let store = Store::at(checked.store())?;
    let builds = store.builds();
    let in_use = used(checked)?;
    let (kept, unused): (Vec<_>, Vec<_>) = builds.into_iter().partition(|id| in_use.contains(id));
    let mut removed = Removed { dry_run, builds: Vec::new(), kept: kept.len(), cache: 0 };
    for id in unused {
        let bytes = taken(&store.build(&id)).0;
        if !dry_run {
            let _held = store.lock(&id, || ())?;
            // It may have come into use since.
            if used(checked)?.contains(&id) {
                removed.kept += 1;
                continue;
            }
            store.remove(&id)?;
        }
        removed.builds.push((id, bytes));
    }
    let cache = store.cache();
    if cache.is_dir() {
        removed.cache = taken(&cache).0;
        if !dry_run {
            fs::remove_dir_all(&cache).doing(|| format!("remove {}", cache.display()))?;
        }
    }
    Ok(removed)
}

/// The builds that the policy's locks name, and those that something on this host has mounted.
fn used(checked: &Checked) -> Result<BTreeSet<BuildId>, Error> {
    let mut used: BTreeSet<BuildId> = mounted().into_keys().collect();
    for runtime in checked.packaged() {
        match runtime.id() {
            Ok(id) => drop(used.insert(id)),
            // One without a lock uses nothing.
            Err(NotPackaged::Lock(NoFacts::Missing(_))) => {}
            Err(why) => return Err(Error::Unknown(runtime.name, why)),
        }
    }
    Ok(used)
}

impl Removed {
    /// For people.
    pub fn words(&self) -> String {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let line = |(id, bytes): &(BuildId, u64)| format!("{verb} build {id}, {}\n", mebibytes(*bytes));
        let mut text: String = self.builds.iter().map(line).collect();
        if self.cache > 0 {
            text += &format!("{verb} what was fetched, {}\n", mebibytes(self.cache));
        }
        text + &format!("{} builds are in use\n", self.kept)
    }

    /// For machines.
    pub fn json(&self) -> Json {
        let builds = self.builds.iter().map(|(id, bytes)| json!({ "id": id.as_str(), "bytes": bytes }));
        json!({ "dry_run": self.dry_run, "builds": builds.collect::<Vec<_>>(), "cache_bytes": self.cache, "kept": self.kept })
    }
}
