//! Host ids of its own: no two living supervisors on a host have one in common.
//!
//! Each has a record lock, `fcntl(2)`, on as many bytes of one file as it has ids, at the place that its ids have. So
//! the kernel sees which ranges overlap, says who has one, and gives it back however its holder ends. The file holds
//! nothing. Whoever sees another `/run` sees other locks: ids of supervisors in containers that share a host's user
//! namespace and not this file are the operator's to keep apart.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use cloister_sandbox::cgroup::describe;
use cloister_sandbox::spec::{IdRange, Uid};
use cloister_terms::LEAST_ON_HOST;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::id_map::IdMap;

/// Where ids are claimed.
const FILE: &str = "/run/cloister/ids";

/// The end of what nothing else uses: "Users, Groups, UIDs and GIDs on systemd systems" keeps what is above.
const END: u32 = 0x8000_0000;

/// A range of ids that nobody else has for as long as this lives. One a process: another of the same process would
/// not be refused, and takes this one's lock with it when it goes.
#[derive(Debug)]
pub struct Claim {
    ids: IdRange,
    file: File,
}

/// Why there is no claim.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another has some of them.
    #[error(
        "host ids {} to {} are in use by {}, which has {} to {}: stop that one, or give this one's policy another uid_base",
        .asked.base, last(.asked), describe_holder(*.pid), .held.base, last(.held)
    )]
    Taken {
        /// What was asked for.
        asked: IdRange,
        /// What another has.
        held: IdRange,
        /// Who that is; 0 if it cannot be seen from here.
        pid: i32,
    },
    /// They are those of accounts.
    #[error(
        "host ids from {} on are those of accounts: below {LEAST_ON_HOST} jobs may have theirs only in a user namespace whose ids \
         stand for others outside, such as a container's: give the policy a uid_base of {LEAST_ON_HOST} or more",
        .0.base
    )]
    OfAccounts(IdRange),
    /// There is no such range below the end.
    #[error("there are no {count} host ids beside those that are in use, from {from} up: lower uid_base")]
    None {
        /// How many were asked for.
        count: u32,
        /// Where the search began.
        from: u32,
    },
    /// The file cannot be used.
    #[error("claim host ids in {FILE}: {0}: it has to be writable for root")]
    File(#[from] io::Error),
}

impl Claim {
    /// Claims exactly this range.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn take(ids: IdRange) -> Result<Self, ClaimError> {
        Self::take_in(Path::new(FILE), ids)
    }

    /// Claims so many ids, the first that nobody has from `from` up.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn first_free(from: u32, count: u32) -> Result<Self, ClaimError> {
        Self::first_free_in(Path::new(FILE), from, count)
    }

    /// The ids.
    #[must_use]
    pub fn ids(&self) -> IdRange {
        self.ids
    }

    /// What holds the claim, in the process that has made it: it has to stay open there.
    #[must_use]
    pub fn hold(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn first_free_in(file: &Path, from: u32, count: u32) -> Result<Self, ClaimError> {
        // Who begins above the end may go on to the last id that there is.
        let end = if from < END { END } else { u32::MAX };
        let mut base = from;
        while base.checked_add(count).is_some_and(|after| after <= end) {
            match Self::take_in(file, IdRange { base: Uid(base), count }) {
                Err(ClaimError::Taken { held, .. }) => {
                    base = held.base.0.checked_add(held.count).filter(|next| *next > base).unwrap_or(u32::MAX);
                }
                done => return done,
            }
        }
        Err(ClaimError::None { count, from })
    }

    fn take_in(path: &Path, ids: IdRange) -> Result<Self, ClaimError> {
        if ids.base < LEAST_ON_HOST && !IdMap::own().are_apart(&(ids.base.0..=last(&ids))) {
            return Err(ClaimError::OfAccounts(ids));
        }
        let file = open(path)?;
        loop {
            match fcntl(&file, FcntlArg::F_SETLK(&lock(ids))) {
                Ok(_) => return Ok(Self { ids, file }),
                Err(Errno::EACCES | Errno::EAGAIN) => {}
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
            let mut holder = lock(ids);
            fcntl(&file, FcntlArg::F_GETLK(&mut holder)).map_err(io::Error::from)?;
            // Otherwise it has gone since.
            if i32::from(holder.l_type) != libc::F_UNLCK {
                let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
                let held = IdRange { base: Uid(number(holder.l_start)), count: number(holder.l_len) };
                return Err(ClaimError::Taken { asked: ids, held, pid: holder.l_pid });
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        // Whatever the mask: the gateway passes here to the socket.
        fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    // Nobody else may open it, for who may read a file may lock it.
    File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn lock(ids: IdRange) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).expect("a small number"),
        l_whence: i16::try_from(libc::SEEK_SET).expect("a small number"),
        l_start: ids.base.0.into(),
        l_len: ids.count.into(),
        l_pid: 0,
    }
}

fn last(ids: &IdRange) -> u32 {
    ids.base.0.saturating_add(ids.count - 1)
}

fn describe_holder(pid: i32) -> String {
    match u32::try_from(pid) {
        Ok(pid) if pid > 0 => describe(pid),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use cloister_sandbox::spec::{IdRange, Uid};

    use super::{Claim, ClaimError, END};

    #[test]
    fn the_search_ends_where_the_ids_do() {
        let file = std::env::temp_dir().join(format!("cloister-ids-{}", std::process::id()));
        let claim = Claim::first_free_in(&file, 100_000, 50).expect("nobody has any");
        assert_eq!(claim.ids(), IdRange { base: Uid(100_000), count: 50 });
        for (from, count) in [(END - 10, 11), (u32::MAX - 10, 11), (u32::MAX, 1), (100_000, u32::MAX)] {
            let refused = Claim::first_free_in(&file, from, count).expect_err("too many");
            assert!(matches!(refused, ClaimError::None { .. }), "{refused}");
        }
        std::fs::remove_file(&file).expect("made above");
    }
}
