//! What scripts find in the profiles, made ready to be asked: read once for each answer of the supervisor's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cloister_protocol::{Package, Profiles};

use crate::needs::marker::Environment;
use crate::needs::version::There;

/// The runtimes of all profiles.
#[derive(Debug, Default)]
pub struct Catalog {
    profiles: BTreeMap<String, Arc<Runtime>>,
}

/// A Python and its packages. Profiles may share it.
#[derive(Debug, Default)]
pub struct Runtime {
    word: String,
    python: Option<(String, Environment)>,
    packages: HashMap<String, Provided>,
}

/// A package that is there.
#[derive(Debug)]
pub struct Provided {
    /// Its version as it was told.
    pub text: String,
    /// Its version, if it is one.
    pub version: Option<There>,
}

impl Catalog {
    /// Of these profiles.
    pub fn of(profiles: &Profiles) -> Self {
        let mut shared: HashMap<&str, Arc<Runtime>> = HashMap::new();
        let mut own = BTreeMap::new();
        for (name, info) in profiles {
            let read = || Arc::new(Runtime::of(info));
            let runtime = match info.runtime.as_str() {
                "" => read(),
                word => Arc::clone(shared.entry(word).or_insert_with(read)),
            };
            own.insert(name.clone(), runtime);
        }
        Self { profiles: own }
    }

    /// Of those profiles that may be used, by name; of all, if nobody says which.
    pub fn allowed<'a>(&'a self, allowed: Option<&'a [String]>) -> impl Iterator<Item = (&'a str, &'a Arc<Runtime>)> {
        let may = move |name: &str| allowed.is_none_or(|allowed| allowed.iter().any(|allowed| allowed == name));
        self.profiles.iter().map(|(name, runtime)| (name.as_str(), runtime)).filter(move |(name, _)| may(name))
    }
}

impl Runtime {
    fn of(info: &cloister_protocol::ProfileInfo) -> Self {
        let said = info.interpreter.as_ref();
        let mut packages = HashMap::new();
        let mut add = |name: &str, version: &str| {
            packages.insert(
                Package::normalized(name),
                Provided { text: version.to_owned(), version: There::parse(version) },
            );
        };
        // What was seen goes before what was written down: a profile may mount something over it.
        if said.is_none_or(|said| said.packages.is_empty() || said.may_have_more()) {
            info.packages.iter().for_each(|package| add(&package.name, &package.version));
        }
        for (name, version) in said.iter().flat_map(|said| &said.packages).filter_map(|package| package.split_once(' '))
        {
            add(name, version);
        }
        let python = said.map(|said| &said.version).or(info.python.as_ref());
        let python = python.map(|version| (version.clone(), Environment::of(version)));
        Self { word: info.runtime.clone(), python, packages }
    }

    /// By what the supervisor knows it.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// The version of its Python, as it was told.
    pub fn python(&self) -> Option<&str> {
        self.python.as_ref().map(|(version, _)| version.as_str())
    }

    /// What markers are asked of.
    pub fn environment(&self) -> Option<&Environment> {
        self.python.as_ref().map(|(_, environment)| environment)
    }

    /// A package by its normalized name.
    pub fn package(&self, name: &str) -> Option<&Provided> {
        self.packages.get(name)
    }

    /// How many packages it has.
    pub fn size(&self) -> usize {
        self.packages.len()
    }
}
