//! What a job left in its working directory: in `out`, where the request asked for it, and elsewhere.
//!
//! It is read when every process of its cell is dead, through a descriptor of the job's own file system
//! that was taken before the job began. Nothing in it is followed or trusted: `openat2(2)` neither leaves that
//! file system nor passes a link, only regular files are read, and how much is looked at, named and read is bounded.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cloister_protocol::{ExecuteRequest, LeftFile, OUT, OutputFile, Pattern};
use cloister_sandbox::spec::Spec;
use rustix::fs::{AtFlags, Dir, StatFs, fstatfs, statat};

use crate::job::bounds::Bounds;
use crate::job::brought::{Brought, is_as_put};
use crate::job::returned::{At, Returned};
use crate::job::tree::{entries, open_directory, stat_below};
use crate::job::unasked::Unasked;
use crate::job::wanted;

/// Up to so many pages and files a file system's end is no work worth a thread.
const LIGHT: u64 = 256;

/// So many files that a request brought are looked at on the event loop, whether they are as they were.
const FEW: usize = 16;

/// What a job left.
#[derive(Debug, Default)]
pub struct Left {
    /// The files that are returned, with or without their content.
    pub files: Vec<OutputFile>,
    /// Whether any of them was left out.
    pub truncated: bool,
    /// What was asked for and is not there.
    pub missing: Vec<String>,
    /// Files that nobody asked for, or some of them.
    pub unasked: Vec<LeftFile>,
    /// How many more of these there are.
    pub unasked_more: u64,
}

/// The file system that a job's files are on, held past the job's end. Closing it frees what is in it.
#[derive(Debug)]
pub struct JobFiles {
    root: OwnedFd,
    /// The working directory, or where files are put instead, as the job sees it and below the root.
    directory: (PathBuf, PathBuf),
    /// How many files and directories there are if the job makes none.
    inodes: u64,
    brought: Brought,
    wanted: Vec<Pattern>,
}

impl JobFiles {
    /// The file system with this root, on which the profile's jobs have their files.
    #[must_use]
    pub fn new(root: OwnedFd, spec: &Spec) -> Self {
        let directory = spec.out.parent().expect("it lies in a directory").to_owned();
        let (above, _) = spec.own_file_system(&directory).expect("a job may write where it leaves its files");
        let below = directory.strip_prefix(above).expect("it lies there").join(".");
        Self { root, directory: (directory, below), inodes: 0, brought: Brought::default(), wanted: Vec::new() }
    }

    /// Where those of a request are put, as the job sees it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// Looks at what is there in front of a request, whose files are yet to come.
    pub fn begin(&mut self, request: &ExecuteRequest) {
        self.brought = Brought::new(&request.files);
        self.wanted.clone_from(&request.files_out);
        self.inodes = self.statfs().map_or(0, |stat| inodes(&stat)) + self.brought.inodes();
    }

    fn statfs(&self) -> io::Result<StatFs> {
        Ok(fstatfs(&self.root)?)
    }

    // What follows is for when all processes of the job are dead.

    /// Whether there is nothing to return or to tell of, and if so, whether there is so little in it that it can be
    /// closed on the event loop.
    #[must_use]
    pub fn nothing(&self) -> Option<bool> {
        let stat = self.statfs().ok()?;
        let more = inodes(&stat).saturating_sub(self.inodes);
        let nothing = self.wanted.is_empty()
            && (more == 0 || more == 1 && self.has_script())
            && self.is_out_empty()
            && self.is_as_brought();
        // Its blocks are pages.
        nothing.then(|| stat.f_blocks.saturating_sub(stat.f_bfree) + inodes(&stat) <= LIGHT)
    }

    /// Whether the script has a file of its own there.
    fn has_script(&self) -> bool {
        let (name, below) = (self.brought.script(), &self.directory.1);
        // There is nothing to follow on the way to a name in the root.
        match below.as_os_str() == "." {
            true => statat(&self.root, name, AtFlags::SYMLINK_NOFOLLOW).is_ok(),
            false => stat_below(&self.root, below.join(name)).is_ok(),
        }
    }

    fn is_out_empty(&self) -> bool {
        let out = open_directory(&self.root, self.directory.1.join(OUT));
        out.is_ok_and(|mut out| entries(&mut out).next().is_none())
    }

    /// Whether each file of the request is as it was, if they are few.
    fn is_as_brought(&self) -> bool {
        let files = self.brought.files();
        let is_same = |(path, bytes): &(String, u64)| {
            let path = self.directory.1.join(path);
            stat_below(&self.root, &path).is_ok_and(|stat| is_as_put(&stat, *bytes))
        };
        files.len() <= FEW && files.iter().all(is_same)
    }

    /// Reads what may be returned, and finds what else there is. Takes its time: not for the event loop.
    #[must_use]
    pub fn collect(&self, bounds: &Bounds) -> Left {
        let mut returned = Returned::new(bounds, &self.brought);
        match open_directory(&self.root, self.directory.1.join(OUT)) {
            Ok(out) => _ = returned.directory(out, At { prefix: &format!("{OUT}/"), depth: 0 }),
            // The script may remove it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => returned.truncated = true,
        }
        returned.begin_search();
        let is_missing = |pattern: &&Pattern| {
            !self.open_directory().is_ok_and(|directory| wanted::take(directory, pattern, &mut returned))
        };
        let missing = self.wanted.iter().filter(is_missing).map(|pattern| pattern.text().to_owned()).collect();
        let unasked = self.open_directory().map(|directory| Unasked::find(directory, &returned, &self.brought));
        let Unasked { named, more, .. } = unasked.unwrap_or_default();
        let Returned { files, truncated, .. } = returned;
        Left { files, truncated, missing, unasked: named, unasked_more: more }
    }

    fn open_directory(&self) -> io::Result<Dir> {
        open_directory(&self.root, &self.directory.1)
    }
}

/// How many files and directories a file system has.
fn inodes(stat: &StatFs) -> u64 {
    stat.f_files.saturating_sub(stat.f_ffree)
}
