//! The files that a job left and nobody asked for: only their names and sizes are told, so that nobody wonders.

use std::os::fd::AsFd;

use cloister_protocol::{DEEPEST, LeftFile, OUT, is_hidden};
use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use crate::job::brought::Brought;
use crate::job::returned::{MOST_SEEN, Returned};
use crate::job::tree::{open_directory, size, sorted};

/// How many are named.
const MOST_NAMED: usize = 32;

/// The longest path that is told, in bytes.
const LONGEST_TOLD: usize = 256;

/// What was left.
#[derive(Debug, Default)]
pub struct Unasked {
    /// Some of it.
    pub named: Vec<LeftFile>,
    /// How many files more.
    pub more: u64,
    /// Names looked at.
    seen: usize,
}

impl Unasked {
    /// Looks through a working directory: what is not in `out`, not returned, not hidden and not as the request brought it.
    #[must_use]
    pub fn find(working_directory: Dir, returned: &Returned<'_>, brought: &Brought) -> Self {
        let mut unasked = Self::default();
        unasked.directory(working_directory, "", 0, &|path, stat| {
            !returned.has(path) && !brought.is_unchanged(path, stat)
        });
        unasked
    }

    /// Files first, so that many in a directory do not hide those beside it.
    fn directory(&mut self, mut directory: Dir, prefix: &str, depth: usize, is_news: &dyn Fn(&str, &Stat) -> bool) {
        let (names, _) = sorted(&mut directory, MOST_SEEN - self.seen);
        self.seen += names.len();
        let Ok(directory) = directory.fd() else { return };
        let mut directories = Vec::new();
        for name in names {
            let text = name.to_string_lossy();
            let Ok(stat) = statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let path = format!("{prefix}{text}");
            match FileType::from_raw_mode(stat.st_mode) {
                _ if is_hidden(&text) || path == OUT => {}
                FileType::Directory => directories.push(name),
                FileType::RegularFile if is_news(&path, &stat) => self.tell(path, &stat),
                _ => {}
            }
        }
        for name in directories.iter().filter(|_| depth < DEEPEST) {
            if let Ok(inner) = open_directory(directory.as_fd(), name) {
                self.directory(inner, &format!("{prefix}{}/", name.to_string_lossy()), depth + 1, is_news);
            }
        }
    }

    fn tell(&mut self, path: String, stat: &Stat) {
        if self.named.len() < MOST_NAMED && path.len() <= LONGEST_TOLD {
            self.named.push(LeftFile { path, size: size(stat) });
        } else {
            self.more += 1;
        }
    }
}
