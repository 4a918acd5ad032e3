//! Why a runtime's packages could not be locked, built, tried or removed: each is a sentence for a person.

use std::io;
use std::path::PathBuf;

use cloister_policy::Bytes;
use cloister_policy::packages::{BuildId, NoFacts, NotALock, NotPackaged};

use crate::policy::NoPolicy;
use crate::runtime::pinned::VERSION;

/// One of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Policy(#[from] NoPolicy),
    #[error("the policy has no runtime with packages{0}: say base and packages in [runtime.NAME], docs/runtimes.md")]
    NoRuntime(String),
    #[error(transparent)]
    NotPackaged(#[from] NotPackaged),
    #[error(transparent)]
    Facts(#[from] NoFacts),
    #[error("{0} needs root, whose the packages have to be: run it with sudo")]
    NotRoot(&'static str),
    #[error("{0}: {1}")]
    File(String, io::Error),
    #[error("{path}: {1}", path = .0.display())]
    Input(PathBuf, String),
    #[error("{path} is no lock: {1}: cloister runtime lock makes it anew", path = .0.display())]
    Lock(PathBuf, NotALock),
    #[error("{path} is a lock for Python {1}, and the base has Python {2}: cloister runtime lock makes it anew", path = .0.display())]
    OtherPython(PathBuf, String, String),
    #[error("the store {store} cannot be trusted, for {1}: make it root's alone", store = .0.display())]
    Untrusted(PathBuf, String),
    #[error("uv of {path} cannot be trusted: {1}: remove it, and it is fetched anew", path = .0.display())]
    Tool(PathBuf, String),
    #[error(
        "what was resolved is no lock: {0}: a requirement has to be a name and versions, for what is installed is found by its name, \
         as a wheel, where pip is configured to look"
    )]
    Unlockable(NotALock),
    #[error(
        "pip is needed to fetch uv {VERSION}, and neither `python3 -m pip` nor `pip3` runs: apt-get install python3-pip, or put uv {VERSION} on the PATH"
    )]
    NoPip,
    #[error(
        "pip could not fetch uv {VERSION}: {0}: check the network and pip's configuration (pip config list), or put uv {VERSION} on the PATH"
    )]
    NoUv(String),
    #[error("uv {0}")]
    Uv(String),
    #[error("{0}")]
    Installed(String),
    #[error("compile the packages: {0}")]
    Compile(String),
    #[error("try the packages: {0}")]
    Trial(String),
    #[error("the builds in {store} would take more than {1}: cloister runtime gc removes what nothing uses, or allow more with --most", store = .0.display())]
    TooMuch(PathBuf, Bytes),
    #[error("the build {0} is there and cannot be used: {1}: remove {path} and build it again", path = .2.display())]
    Unfit(BuildId, String, PathBuf),
    #[error("the packages of {0} are not built: cloister runtime build {0}")]
    NotBuilt(String),
    #[error("nothing is removed, for it is not known what runtime {0:?} uses: {1}")]
    Unknown(String, NotPackaged),
}

/// What was done to a file when it failed.
pub trait Doing<T> {
    /// With what was being done.
    ///
    /// # Errors
    /// The failure, told.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::File(what(), error))
    }
}
