//! `list`: the runtimes that have packages, and the builds of the store with what uses them.

use std::collections::BTreeMap;

use cloister_policy::Checked;
use cloister_policy::packages::{BuildId, Manifest, NotPackaged, Packaged};
use serde_json::{Value as Json, json};

use super::build::mebibytes;
use super::error::Error;
use super::store::{Store, taken};
use super::used::mounted;

/// What there is.
#[derive(Debug)]
pub struct List {
    runtimes: Vec<(Packaged, Result<BuildId, String>)>,
    builds: Vec<Build>,
}

/// A build, and who uses it.
#[derive(Debug)]
struct Build {
    id: BuildId,
    manifest: Option<Manifest>,
    bytes: u64,
    runtimes: Vec<String>,
    processes: usize,
}

/// Looks for all of it.
pub fn list(checked: &Checked) -> Result<List, Error> {
    let store = Store::at(checked.store())?;
    let told = |result: Result<BuildId, NotPackaged>| result.map_err(|why| why.to_string());
    let runtimes: Vec<_> = checked.packaged().into_iter().map(|one| (one.clone(), told(one.id()))).collect();
    let mounted: BTreeMap<_, _> = mounted();
    let build = |id: BuildId| {
        let path = store.build(&id);
        let uses = runtimes.iter().filter(|(_, of)| of.as_ref() == Ok(&id)).map(|(runtime, _)| runtime.name.clone());
        Build {
            manifest: Manifest::read(&path).ok(),
            bytes: taken(&path).0,
            runtimes: uses.collect(),
            processes: mounted.get(&id).map_or(0, Vec::len),
            id,
        }
    };
    let builds = store.builds().into_iter().map(build).collect();
    Ok(List { runtimes, builds })
}

impl List {
    /// For people.
    pub fn words(&self) -> String {
        let mut text = String::new();
        for (runtime, id) in &self.runtimes {
            let state = match id {
                Err(why) => why.clone(),
                Ok(id) if self.builds.iter().any(|build| build.id == *id) => format!("build {id}"),
                Ok(_) => format!("not built: cloister runtime build {}", runtime.name),
            };
            text += &format!("runtime {} (base {}): {state}\n", runtime.name, runtime.base);
        }
        for build in &self.builds {
            let (count, made) = build.manifest.as_ref().map_or((0, "?"), |has| (has.packages.len(), has.made.as_str()));
            let (size, id) = (mebibytes(build.bytes), &build.id);
            text += &format!("build {id}: {count} packages, {size}, made {made}, used by {}\n", build.users());
        }
        if text.is_empty() { "no runtime has packages, and there is no build\n".to_owned() } else { text }
    }

    /// For machines.
    pub fn json(&self) -> Json {
        let runtimes = self.runtimes.iter().map(|(runtime, id)| {
            let lock = runtime.lock.display().to_string();
            json!({ "name": runtime.name, "base": runtime.base, "lock": lock, "build": id.as_ref().ok().map(BuildId::as_str),
                    "why": id.as_ref().err() })
        });
        let builds = self.builds.iter().map(|build| {
            json!({ "id": build.id.as_str(), "bytes": build.bytes, "runtimes": build.runtimes, "processes": build.processes,
                    "has": build.manifest })
        });
        json!({ "runtimes": runtimes.collect::<Vec<_>>(), "builds": builds.collect::<Vec<_>>() })
    }
}

impl Build {
    fn users(&self) -> String {
        let running = (self.processes > 0).then(|| format!("{} processes", self.processes));
        let users: Vec<_> = self.runtimes.iter().cloned().chain(running).collect();
        if users.is_empty() { "nothing".to_owned() } else { users.join(", ") }
    }
}
