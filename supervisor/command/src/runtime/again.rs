//! `try`: a build's modules imported anew, on this host as it is now.

use cloister_policy::Checked;
use cloister_policy::packages::{Manifest, PACKAGES, at_fault};
use serde_json::{Value as Json, json};

use super::build::{ROOT, write_manifest};
use super::error::Error;
use super::store::Store;
use super::table::table;
use super::wanted::wanted;
use super::{args, settle, trial};

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    name: String,
    manifest: Manifest,
}

/// Tries the build of a runtime, and keeps what came of it with that.
pub fn again(checked: &Checked, arguments: &args::Try) -> Result<Tried, Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::NotRoot("cloister runtime try"));
    }
    let store = Store::at(checked.store())?;
    let name = &arguments.name;
    let runtime = wanted(checked, std::slice::from_ref(name))?.pop().ok_or_else(|| Error::NotBuilt(name.clone()))?;
    let (id, (base, _)) = (runtime.id()?, runtime.base_facts()?);
    let build = store.build(&id);
    if !build.is_dir() {
        return Err(Error::NotBuilt(name.clone()));
    }
    if let Some(why) = at_fault(&build, ROOT) {
        return Err(Error::Unfit(id, why, build));
    }
    let packages = build.join(PACKAGES);
    let all = arguments.modules.is_empty();
    let modules = if all { settle::modules(&packages)? } else { arguments.modules.clone() };
    let modules = trial::run(&arguments.common.policy, name, &packages, &base.site, &modules)?;
    let manifest = Manifest { modules, ..Manifest::read(&build)? };
    if all {
        write_manifest(&build, &manifest)?;
    }
    Ok(Tried { name: name.clone(), manifest })
}

impl Tried {
    /// For people.
    pub fn words(&self) -> String {
        format!("{}: {} packages\n{}", self.name, self.manifest.packages.len(), table(&self.manifest.modules))
    }

    /// For machines.
    pub fn json(&self) -> Json {
        json!({ "runtime": self.name, "modules": self.manifest.modules })
    }
}
