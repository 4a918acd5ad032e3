//! What keys have used today, as the gateway keeps it across restarts and `cloister keys usage` reads it: JSON, with an
//! entry for each key that has used anything. Keys stand there by the id that finds them, which is no secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::file::{Timestamp, Version};
use crate::quota::Day;
use crate::token::KeyId;

/// Where the gateway keeps it, unless it is told otherwise.
pub const STATE: &str = "/var/lib/cloister-gateway";

/// What the file is called in there.
pub const USED: &str = "used.json";

/// The largest file that is read: some 200,000 keys that ran something in one day.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What all keys have used in a day.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UsedFile {
    version: Version,
    /// The day.
    pub day: Day,
    /// When it was written.
    pub saved: Timestamp,
    /// Each key that used anything.
    pub keys: BTreeMap<KeyId, Used>,
}

/// What a key has used in a day.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Jobs that ran, or may have run.
    pub jobs: u64,
    /// Processor time of these, in microseconds.
    pub cpu_us: u64,
}

/// Why nothing can be said of what was used.
#[derive(Debug, thiserror::Error)]
pub enum UsedError {
    /// There is no such file.
    #[error(
        "read {path}: {1}: it is kept by a gateway that runs with --state; name its directory with --state DIRECTORY",
        path = .0.display()
    )]
    Read(PathBuf, io::Error),
    /// It holds something else.
    #[error(
        "{path} is damaged: {1}: what keys have used today is not known. To begin the day anew with nothing used: mv {path} {path}.damaged",
        path = .0.display()
    )]
    Damaged(PathBuf, String),
}

impl Used {
    /// The processor time.
    #[must_use]
    pub fn cpu(self) -> Duration {
        Duration::from_micros(self.cpu_us)
    }
}

impl UsedFile {
    /// This much, in this day.
    #[must_use]
    pub fn new(day: Day, saved: Timestamp, keys: BTreeMap<KeyId, Used>) -> Self {
        Self { version: Version, day, saved, keys }
    }

    /// Reads what a file that is open holds; `path` is for messages.
    ///
    /// # Errors
    /// That it cannot be read, or is not what it should be.
    pub fn read(file: File, path: &Path) -> Result<Self, UsedError> {
        let damaged = |why: String| UsedError::Damaged(path.to_owned(), why);
        let mut text = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut text).map_err(|error| UsedError::Read(path.to_owned(), error))?;
        if text.len() as u64 > LARGEST {
            return Err(damaged(format!("it is larger than {LARGEST} bytes")));
        }
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))
    }

    /// Reads what a gateway keeps in this directory.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn load(state: &Path) -> Result<Self, UsedError> {
        let path = state.join(USED);
        let file = File::open(&path).map_err(|error| UsedError::Read(path.clone(), error))?;
        Self::read(file, &path)
    }

    /// As it stands in the file.
    ///
    /// # Panics
    /// Never: it holds numbers and digits.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("numbers and digits");
        text.push(b'\n');
        text
    }
}
