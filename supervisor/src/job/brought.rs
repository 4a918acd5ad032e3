//! What lies in a job's working directory before its script begins, so that it is not taken for what the script left.

use std::collections::{HashMap, HashSet};

use cloister_protocol::{InputFile, directories};
use rustix::fs::{FileType, Stat};

use crate::job::tree::size;

/// Where the runner puts the script itself, if it does: below another name where the request has a file of this one.
const SCRIPT: &str = "script.py";

/// The files that a request brings, and what they take.
#[derive(Debug)]
pub struct Brought {
    /// Where each is, relative to the working directory, and its size.
    files: HashMap<String, u64>,
    /// The directories that they are in.
    directories: usize,
    /// The file of the script.
    script: String,
}

impl Default for Brought {
    fn default() -> Self {
        Self { files: HashMap::new(), directories: 0, script: SCRIPT.to_owned() }
    }
}

impl Brought {
    /// These.
    #[must_use]
    pub fn new(files: &[InputFile]) -> Self {
        let mut script = SCRIPT.to_owned();
        while files.iter().any(|file| file.path() == script) {
            script.insert(0, '_');
        }
        let directories = files.iter().flat_map(|file| directories(file.path())).collect::<HashSet<_>>().len();
        let files = files.iter().map(|file| (file.path().to_owned(), file.bytes().len() as u64)).collect();
        Self { files, directories, script }
    }

    /// Each with its size.
    #[must_use]
    pub fn files(&self) -> &HashMap<String, u64> {
        &self.files
    }

    /// Where the script's own file is, relative to the working directory.
    #[must_use]
    pub fn script(&self) -> &str {
        &self.script
    }

    /// How many files and directories they are, without the script's.
    #[must_use]
    pub fn inodes(&self) -> u64 {
        (self.files.len() + self.directories) as u64
    }

    /// Whether what is at this path is what was brought, or the script's file.
    #[must_use]
    pub fn is_unchanged(&self, path: &str, stat: &Stat) -> bool {
        path == self.script || self.files.get(path).is_some_and(|bytes| is_as_put(stat, *bytes))
    }
}

/// Whether a file is as the runner has put it there: of that size, and last changed at a whole second, which is how the
/// runner marks it and what nobody happens to write at.
#[must_use]
pub fn is_as_put(stat: &Stat, bytes: u64) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_file() && size(stat) == bytes && stat.st_mtime_nsec == 0
}
