//! What lies at and below a path of the host that a job should not meet.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What lies at and below a path that a job should not meet; a few of each kind if there are many.
pub(super) struct Found {
    pub(super) sockets: Vec<PathBuf>,
    pub(super) pipes: Vec<PathBuf>,
    /// A directory that jobs may pass and not list: nor may who looks here without a privilege.
    pub(super) unlisted: Option<PathBuf>,
    /// A directory that others than its owner may write to.
    pub(super) open: Option<PathBuf>,
    /// Whether all of it was looked at.
    pub(super) complete: bool,
}

impl Found {
    pub(super) fn below(path: &Path, most_files: usize) -> Self {
        const MOST: usize = 3;
        let mut found = Self { sockets: Vec::new(), pipes: Vec::new(), unlisted: None, open: None, complete: true };
        let (mut looked_at, mut waiting) = (0, vec![path.to_owned()]);
        while let Some(path) = waiting.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let kind = metadata.file_type();
            if kind.is_socket() {
                found.sockets.push(path);
            } else if kind.is_fifo() {
                found.pipes.push(path);
            } else if kind.is_dir() {
                if found.open.is_none() && is_open(&metadata) {
                    found.open = Some(path.clone());
                }
                if found.unlisted.is_none() && metadata.mode() & 0o005 == 0o001 {
                    found.unlisted = Some(path.clone());
                }
                for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
                    looked_at += 1;
                    // Only what can be one or hold one is worth another look.
                    if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_socket() || kind.is_fifo()) {
                        waiting.push(entry.path());
                    }
                }
            }
            if found.sockets.len() + found.pipes.len() >= MOST {
                break;
            }
            if looked_at > most_files {
                found.complete = false;
                break;
            }
        }
        found.sockets.sort();
        found.pipes.sort();
        found
    }
}

/// Whether others than the owner and root's group may make files in a directory.
fn is_open(directory: &fs::Metadata) -> bool {
    let mode = directory.mode();
    mode & 0o002 != 0 || (mode & 0o020 != 0 && directory.gid() != 0)
}

#[cfg(test)]
mod tests {
    use super::Found;

    #[test]
    fn a_search_that_ends_early_says_so() {
        let directory = std::env::temp_dir().join(format!("policy-many-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("writable");
        for number in 0..10 {
            std::fs::write(directory.join(number.to_string()), "").expect("writable");
        }
        assert!(Found::below(&directory, 10).complete);
        assert!(!Found::below(&directory, 9).complete);
        std::fs::remove_dir_all(&directory).expect("made above");
    }
}
