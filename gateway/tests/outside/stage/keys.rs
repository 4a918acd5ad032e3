//! A key file that whoever the gateway becomes can read, changed by the real command.

use std::io::{self, Error};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Command, Output};

use nix::unistd::geteuid;

use super::{PROGRAM, Place, USER};

/// A key file that need not be there yet. Removed with the value.
#[derive(Debug)]
pub struct KeyFile {
    /// Where it is.
    pub path: PathBuf,
    _place: Place,
}

impl KeyFile {
    /// A place for one.
    pub fn new() -> io::Result<Self> {
        let place = Place::new()?;
        if geteuid().is_root() {
            chown(place.directory(), None, Some(USER))?;
        }
        Ok(Self { path: place.directory().join("keys.toml"), _place: place })
    }

    /// Makes a key.
    pub fn add(&self, name: &str, arguments: &[&str]) -> io::Result<String> {
        let output = self.command(&[&["new", name], arguments].concat())?;
        if !output.status.success() {
            return Err(Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs `cloister-gateway keys`.
    pub fn command(&self, arguments: &[&str]) -> io::Result<Output> {
        Command::new(PROGRAM).arg("keys").arg("--keys").arg(&self.path).args(arguments).output()
    }

    /// The path as an argument.
    pub fn argument(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }
}
