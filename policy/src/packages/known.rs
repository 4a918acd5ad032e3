//! What is known of the runtimes on this host, and what a policy comes to with it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cloister_terms::{Mount, Package, Policy};
use sha2::{Digest, Sha256};

use super::digest::BuildId;
use super::tree::PACKAGES;

/// What this host has of a policy's runtimes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looked {
    /// By the names of the runtimes of which something is known.
    pub(crate) known: BTreeMap<String, Known>,
}

/// What is known of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The tree of its base, in which there is a `usr`.
    pub(crate) tree: PathBuf,
    /// Where packages lie, as a sandbox sees it.
    pub(crate) site: PathBuf,
    /// The version of its Python.
    pub(crate) python: String,
    pub(crate) packages: Vec<Package>,
    pub(crate) modules: Vec<String>,
    /// Of these, what may be imported in a process that others are forked from, as far as anybody has tried.
    pub(crate) forked: Vec<String>,
    /// What says which packages it has, if it has some of its own.
    pub(crate) file: Option<PathBuf>,
    /// The digest of that when its lock was made.
    pub(crate) input: Option<String>,
    /// The build that it has then, and where that lies.
    pub(crate) build: Option<(BuildId, PathBuf)>,
}

impl Looked {
    /// Puts what was found into the policy: one more mount, names and versions, and a digest that is another with other
    /// builds.
    pub(crate) fn fill(&self, policy: &mut Policy) {
        let mut builds = String::new();
        for (name, known) in &self.known {
            let Some(runtime) = policy.runtimes.get_mut(name) else { continue };
            runtime.python = Some(known.python.clone());
            runtime.packages.clone_from(&known.packages);
            runtime.modules.clone_from(&known.forked);
            if let Some((id, build)) = &known.build {
                runtime.mounts.push(Mount { host: build.join(PACKAGES), inside: known.site.clone() });
                builds += &format!("\n{name} {id}");
            }
        }
        if !builds.is_empty() {
            let digest = Sha256::digest(format!("{}{builds}", policy.digest));
            policy.digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        }
    }
}
