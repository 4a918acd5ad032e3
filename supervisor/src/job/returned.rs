//! What is returned of the files that a job left: read within bounds, and named where it is not.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use cloister_protocol::{DEEPEST, Encoded, OUT, OutputFile};
use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, statat};

use crate::job::bounds::Bounds;
use crate::job::brought::Brought;
use crate::job::media_type::media_type;
use crate::job::tree::{open_directory, open_file, size, sorted};

/// How many names below `out` are looked at.
pub const MOST_SEEN: usize = 4096;

/// How many for all that was asked for.
const MOST_SEARCHED: usize = 4 * MOST_SEEN;

/// How many steps are taken to match names, for all that was asked for: a fraction of a second, and what takes more is
/// made to.
const MOST_STEPS: usize = 64 << 20;

/// How many files are named whose content is left out.
const MOST_OMITTED: usize = 64;

/// What is returned so far.
#[derive(Debug)]
pub struct Returned<'a> {
    /// The files, with or without their content.
    pub files: Vec<OutputFile>,
    /// Whether anything was left out.
    pub truncated: bool,
    /// The paths of these, relative to the working directory.
    paths: HashSet<String>,
    /// Names that may still be looked at.
    names: usize,
    /// Steps that may still be taken to match them.
    steps: usize,
    /// Files that may still be named without their content.
    unread: usize,
    /// How many files may still be returned.
    room: u64,
    /// How many bytes.
    bytes: u64,
    bounds: &'a Bounds,
    brought: &'a Brought,
}

/// Where a walk is.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The path of the directory, relative to the working directory, with a slash at its end; empty for that itself.
    pub prefix: &'a str,
    /// How many directories deep that is.
    pub depth: usize,
}

impl<'a> Returned<'a> {
    /// Nothing so far.
    #[must_use]
    pub fn new(bounds: &'a Bounds, brought: &'a Brought) -> Self {
        let (room, bytes) = (bounds.files_out, bounds.files_out_bytes);
        Self {
            files: Vec::new(),
            truncated: false,
            paths: HashSet::new(),
            names: MOST_SEEN,
            steps: MOST_STEPS,
            unread: MOST_OMITTED,
            room,
            bytes,
            bounds,
            brought,
        }
    }

    /// From now on names are looked at for what was asked for.
    pub fn begin_search(&mut self) {
        self.names = MOST_SEARCHED;
    }

    /// Whether the file at this path is among them.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Whether so many steps may still be taken to match a name, which they then are.
    pub fn may_match(&mut self, steps: usize) -> bool {
        let left = self.steps.checked_sub(steps);
        self.truncated |= left.is_none();
        self.steps = left.unwrap_or(0);
        left.is_some()
    }

    /// The names in a directory, in their order, as far as they may still be looked at.
    pub fn names_in(&mut self, directory: &mut Dir) -> Vec<CString> {
        let (names, all) = sorted(directory, self.names);
        self.truncated |= !all;
        self.names -= names.len();
        names
    }

    /// Takes all that is in a directory; whether there was any file.
    pub fn directory(&mut self, mut directory: Dir, at: At<'_>) -> bool {
        let names = self.names_in(&mut directory);
        let Ok(directory) = directory.fd() else {
            self.truncated = true;
            return false;
        };
        let mut any = false;
        for name in &names {
            any |= self.entry(directory, name, at, false);
        }
        any
    }

    /// Takes what has this name, and of a directory all that is in it. A file of the request that is as it was brought
    /// is taken if it is `asked` for by its name. Whether there was any file.
    pub fn entry(&mut self, directory: impl AsFd, name: &CString, at: At<'_>, asked: bool) -> bool {
        let text = name.to_str();
        let path = format!("{}{}", at.prefix, text.map_or_else(|_| name.to_string_lossy(), Into::into));
        let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            self.truncated = true;
            return false;
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind.is_dir() {
            if text.is_ok()
                && at.depth < DEEPEST
                && let Ok(inner) = open_directory(&directory, name)
            {
                return self.directory(inner, At { prefix: &format!("{path}/"), depth: at.depth + 1 });
            }
            self.truncated = true;
            return false;
        }
        if self.has(&path) || (!asked && self.brought.is_unchanged(&path, &stat)) {
            return true;
        }
        let content = match text {
            _ if !kind.is_file() => Err("it is not a regular file".to_owned()),
            Err(_) => Err("its name is not UTF-8".to_owned()),
            Ok(_) => self.read(directory, name, &stat),
        };
        match content {
            Ok(content) => self.keep(path, &content),
            Err(why) => self.omit(path, &stat, why),
        }
        true
    }

    /// The content of a regular file, or why it is left out.
    fn read(&self, directory: impl AsFd, name: &CString, stat: &Stat) -> Result<Vec<u8>, String> {
        if self.room == 0 {
            return Err(format!("more than {} files are not returned", self.bounds.files_out));
        }
        let too_large =
            || format!("files of more than {} bytes together are not returned", self.bounds.files_out_bytes);
        if size(stat) > self.bytes {
            return Err(too_large());
        }
        let unreadable = |error: io::Error| format!("it cannot be read: {error}");
        let file = open_file(directory, name).map_err(unreadable)?;
        match fstat(&file) {
            Ok(now) if FileType::from_raw_mode(now.st_mode).is_file() => {}
            _ => return Err("it is not a regular file".to_owned()),
        }
        let mut content = Vec::new();
        File::from(file).take(self.bytes.saturating_add(1)).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 > self.bytes { Err(too_large()) } else { Ok(content) }
    }

    fn keep(&mut self, path: String, content: &[u8]) {
        self.room -= 1;
        self.bytes -= content.len() as u64;
        self.push(path, content.len() as u64, Some(Encoded::new(content)), None);
    }

    fn omit(&mut self, path: String, stat: &Stat, why: String) {
        self.truncated = true;
        if self.unread > 0 {
            self.unread -= 1;
            self.push(path, size(stat), None, Some(why));
        }
    }

    fn push(&mut self, path: String, size: u64, content_base64: Option<Encoded>, omitted: Option<String>) {
        self.paths.insert(path.clone());
        let (name, path) = match path.strip_prefix(OUT).and_then(|rest| rest.strip_prefix('/')) {
            Some(name) => (name.to_owned(), None),
            None => (path.clone(), Some(path)),
        };
        self.files.push(OutputFile { media_type: media_type(&name), name, path, size, content_base64, omitted });
    }
}
