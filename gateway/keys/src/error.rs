//! What can be wrong with a key file, and with a change to it, for a person.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::rate::Rate;

/// What a name may be, for who chose another.
const NAME_RULE: &str = "a name is 1 to 64 letters, digits, dots, dashes and underscores";

/// What is wrong with what a file holds.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    /// Its form, with the line.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// A key's name.
    #[error("key {0:?}: {NAME_RULE}")]
    Name(String),
    /// Two keys that cannot be told apart.
    #[error("key {0:?}: its name or its id is there twice")]
    Twice(String),
    /// A burst of nothing.
    #[error("key {0:?}: a burst needs a rate")]
    Burst(String),
    /// A bucket that cannot be reckoned with.
    #[error(
        "key {0:?}: a burst of {1} takes more than 100 years to fill at {2}: choose a smaller burst or a higher rate"
    )]
    Fill(String, NonZeroU32, Rate),
}

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not for this account.
    #[error("read {path}: {1}: the gateway's own account or group must be able to", path = .0.display())]
    Closed(PathBuf, io::Error),
    /// It cannot be read.
    #[error("read {path}: {1}", path = .0.display())]
    Read(PathBuf, io::Error),
    /// It holds something else.
    #[error("{path}: {1}", path = .0.display())]
    Mistake(PathBuf, Mistake),
}

/// Why a file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No key may be called so.
    #[error("{0:?}: {NAME_RULE}")]
    Name(String),
    /// A key is called so.
    #[error("there is a key {0:?} already: revoke it first, or choose another name")]
    Taken(String),
    /// No key is called so.
    #[error("{path}: there is no key {1:?}; `keys list` shows those there are", path = .0.display())]
    Unknown(PathBuf, String),
    /// The kernel has no random bytes, `getrandom(2)`.
    #[error("get random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// There is no place for it.
    #[error("open {path}: {1}: make it for the gateway's group: install -d -m 0750 -g cloister-gateway {path}", path = .0.display())]
    Directory(PathBuf, io::Error),
    /// It cannot be read as it is.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It would be no key file.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// It cannot be written.
    #[error("write {path}: {1}", path = .0.display())]
    Write(PathBuf, io::Error),
}
