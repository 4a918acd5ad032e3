//! What is written beside a base's tree and in a build: facts about them, as JSON.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cloister_terms::Package;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The name of a base's facts, beside its `usr`.
pub const BASE_FACTS: &str = "base.json";

/// The name of a build's facts.
pub const MANIFEST: &str = "runtime.json";

/// The longest of them, in bytes: thousands of packages.
const LONGEST: u64 = 4 << 20;

/// What the builder of a base says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The version of its Python, such as 3.11.7.
    pub python: String,
    /// The wheels' word for that, such as cp311.
    pub tag: String,
    /// The version of its C library, such as 2.36.
    pub libc: String,
    /// Where its packages lie, as a sandbox sees it.
    pub site: PathBuf,
    /// Those packages.
    pub packages: Vec<Package>,
    /// The top-level modules that they bring.
    pub modules: Vec<String>,
}

/// What the builder of a lock's packages says of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The runtime that they were built for.
    pub base: String,
    /// The version of its Python.
    pub python: String,
    /// The packages.
    pub packages: Vec<Package>,
    /// The top-level modules that they bring, and what came of importing each.
    pub modules: Vec<Module>,
    /// How much all of it takes.
    pub bytes: u64,
    /// When it was complete, such as 2026-11-26T12:00:00Z.
    pub made: String,
}

/// A top-level module, and what came of importing it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// How long its import took.
    pub milliseconds: f64,
    /// How much memory it took.
    pub bytes: u64,
    /// Whether it can be imported ahead in a process that others are forked from.
    pub forked: bool,
    /// Why not, in a sentence; empty if it can.
    #[serde(default)]
    pub why: String,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum NoFacts {
    /// There is no such file.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("read {path}: {1}", path = .0.display())]
    Unread(PathBuf, io::Error),
    /// It is longer than any of them.
    #[error("{path} is longer than {LONGEST} bytes", path = .0.display())]
    TooLong(PathBuf),
    /// It holds something else.
    #[error("{path} is not as its builder writes it: {1}", path = .0.display())]
    Garbled(PathBuf, serde_json::Error),
}

impl Base {
    /// The facts beside a tree, and their text.
    ///
    /// # Errors
    /// [`NoFacts`].
    pub fn read(tree: &Path) -> Result<(Self, String), NoFacts> {
        read(&tree.join(BASE_FACTS))
    }
}

impl Manifest {
    /// The facts in a build.
    ///
    /// # Errors
    /// [`NoFacts`].
    pub fn read(build: &Path) -> Result<Self, NoFacts> {
        Ok(read(&build.join(MANIFEST))?.0)
    }
}

/// The first two parts of a version.
pub(super) fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// The text of one.
pub(super) fn text(path: &Path) -> Result<String, NoFacts> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > LONGEST => Err(NoFacts::TooLong(path.to_owned())),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NoFacts::Missing(path.to_owned())),
        Err(error) => Err(NoFacts::Unread(path.to_owned(), error)),
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, String), NoFacts> {
    let text = text(path)?;
    let facts = serde_json::from_str(&text).map_err(|error| NoFacts::Garbled(path.to_owned(), error))?;
    Ok((facts, text))
}
