//! The lock that a living supervisor has on its groups' name: `flock(2)` on the group's own directory, which is the
//! same to everybody who sees the hierarchy, in whatever mount namespace. It ends with its holder, however that ends.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::group::make;
use crate::error::{Context, Error, Result};

/// A directory that is this process's own for as long as it lives.
#[derive(Debug)]
pub(crate) struct Hold(Flock<File>);

impl AsFd for Hold {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Hold {
    /// Makes the directory if it is not there, and takes it.
    ///
    /// # Errors
    /// When somebody else has it, who is named.
    pub(crate) fn take(directory: &Path) -> Result<Self> {
        loop {
            make(directory)?;
            let opened = File::open(directory).doing(|| format!("open {}", directory.display()))?;
            let own = opened.metadata().doing(|| format!("stat {}", directory.display()))?;
            match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                // One that its holder removed just before it ended is nobody's any more.
                Ok(held) if fs::metadata(directory).is_ok_and(|now| now.ino() == own.ino()) => return Ok(Self(held)),
                Ok(_) => {}
                Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Err(taken(directory, &own)),
                Err((_, errno)) => return Err(errno).doing(|| format!("flock {}", directory.display())),
            }
        }
    }
}

fn taken(directory: &Path, metadata: &fs::Metadata) -> Error {
    let name = directory.file_name().unwrap_or_default().display();
    let holder = holder(metadata).map_or_else(|| "another process".to_owned(), describe);
    Error::layer(
        format_args!("take the control group {name:?}"),
        format_args!("{holder} has it: stop that one, or choose another name with --cgroup"),
    )
}

/// Who has the lock, as far as it can be seen from here: `proc_locks(5)`.
fn holder(metadata: &fs::Metadata) -> Option<u32> {
    let (device, inode) = (metadata.dev(), metadata.ino());
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let file = format!("{major:02x}:{minor:02x}:{inode}");
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip_while(|field| *field != "FLOCK").skip(3);
        let pid = fields.next()?.parse().ok().filter(|pid| *pid > 0)?;
        (fields.next() == Some(file.as_str())).then_some(pid)
    })
}

/// A process for a person: its number and its command line.
#[must_use]
pub fn describe(pid: u32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command: Vec<_> = command.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
    match command.join(" ").trim_end() {
        "" => format!("process {pid}"),
        command => format!("process {pid} ({})", command.escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::Hold;

    #[test]
    fn a_directory_has_one_holder_who_is_named_and_is_free_after_him() {
        let directory = std::env::temp_dir().join(format!("cloister-hold-{}", std::process::id()));
        let first = Hold::take(&directory).expect("free");
        let second = Hold::take(&directory).expect_err("taken").to_string();
        assert!(second.contains(&format!("process {} (", std::process::id())), "{second}");
        drop(first);
        let third = Hold::take(&directory);
        std::fs::remove_dir(&directory).expect("made above");
        third.expect("free again");
    }
}
