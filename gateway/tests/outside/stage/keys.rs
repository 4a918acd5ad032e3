//! A key file that whoever the gateway becomes can read.

use std::error::Error;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::time::Duration;

use cloister_keys::{NewKey, revoke};
use nix::unistd::geteuid;

use super::{Place, USER};

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

    /// Makes a key, with options as `cloister keys new` has them.
    pub fn add(&self, name: &str, options: &[&str]) -> Result<String, Box<dyn Error>> {
        let mut new = NewKey { name: name.to_owned(), ..NewKey::default() };
        for option in options.chunks(2) {
            match *option {
                ["--profiles", names] => new.profiles = Some(names.split(',').map(str::to_owned).collect()),
                ["--rate", rate] => new.rate = Some(rate.parse()?),
                ["--burst", count] => new.burst = Some(count.parse()?),
                ["--concurrency", count] => new.concurrency = Some(count.parse()?),
                ["--expires", "1ms"] => new.expires = Some(Duration::from_millis(1)),
                ["--expires", "1d"] => new.expires = Some(Duration::from_secs(24 * 3600)),
                _ => return Err(format!("no such option here: {option:?}").into()),
            }
        }
        Ok(new.make(&self.path)?.reveal().to_owned())
    }

    /// Revokes a key.
    pub fn revoke(&self, name: &str) -> Result<(), Box<dyn Error>> {
        Ok(revoke(&self.path, name)?)
    }

    /// Has the file hold this, as an editor does that replaces it: half of it is never there.
    pub fn write(&self, text: impl AsRef<[u8]>) -> io::Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, text)?;
        let before = fs::metadata(&self.path)?;
        fs::set_permissions(&new, before.permissions())?;
        chown(&new, Some(before.uid()), Some(before.gid()))?;
        fs::rename(new, &self.path)
    }

    /// The path as an argument.
    pub fn argument(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }
}
