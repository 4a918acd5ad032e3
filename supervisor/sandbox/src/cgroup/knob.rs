//! One file of a control group, kept open: a path walk for each read would cost more than the read.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// More than any file that is read here holds, but for a list of processes, whose length does not matter.
const LONGEST: usize = 1024;

/// An open file of a group.
#[derive(Debug)]
pub(super) struct Knob {
    file: File,
    path: PathBuf,
}

impl Knob {
    /// Opens a group's file to read it.
    pub(super) fn read(group: &Path, name: &str) -> Result<Self> {
        Self::open(group, name, false)
    }

    /// Opens a group's file to read and write it.
    pub(super) fn read_and_write(group: &Path, name: &str) -> Result<Self> {
        Self::open(group, name, true)
    }

    fn open(group: &Path, name: &str, write: bool) -> Result<Self> {
        let path = group.join(name);
        let file = File::options().read(true).write(write).open(&path).doing(|| format!("open {}", path.display()))?;
        Ok(Self { file, path })
    }

    /// Writes a value.
    pub(super) fn set(&self, value: &str) -> Result<()> {
        self.file.write_all_at(value.as_bytes(), 0).doing(|| format!("write {value} to {}", self.path.display()))
    }

    /// The number that is all of its content.
    pub(super) fn number(&self) -> Result<u64> {
        self.parse(|text| text.trim().parse().ok())
    }

    /// The number behind a name at the start of one of its lines.
    pub(super) fn field(&self, name: &str) -> Result<u64> {
        self.parse(|text| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()))
    }

    /// Whether it holds nothing.
    pub(super) fn is_blank(&self) -> Result<bool> {
        self.parse(|text| Some(text.trim().is_empty()))
    }

    fn parse<T>(&self, find: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let mut bytes = [0; LONGEST];
        let length = self.file.read_at(&mut bytes, 0).doing(|| format!("read {}", self.path.display()))?;
        let text = String::from_utf8_lossy(&bytes[..length]);
        find(&text).ok_or_else(|| {
            Error::layer(format_args!("read {}", self.path.display()), format_args!("unexpected content {text:?}"))
        })
    }
}
