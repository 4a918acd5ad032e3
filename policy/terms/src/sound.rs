//! What must hold of any policy, whoever says that he has read it: a second look that needs no file.
//!
//! Where a policy comes from a process that read a file without a privilege, and that a file may have taken over, these
//! keep it from more than it should have: ids of accounts, the kernel's own files, calls that no job may make. Whatever
//! else it says is a policy that an operator could have written.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::id::{LAST, LEAST, READER, Uid};
use crate::path::{KERNELS, Mount};
use crate::policy::{DEFAULT_PROFILE, Policy, Profile, Runtime, Supervisor};
use crate::syscall::Syscall;

/// Jobs at once, at most: each has a host id and a control group.
pub const MOST_SLOTS: u32 = 4096;

/// Requests that wait, at most.
pub const MOST_WAITING: u32 = 1_000_000;

/// Longer than any time that a file may have.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Digits of a digest.
const DIGITS: usize = 64;

/// Why something is no policy, or none that may be put in force.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsound {
    /// The digest is not 64 hexadecimal digits.
    Digest,
    /// The profile for requests that name none is missing.
    NoDefault,
    /// A profile needs a runtime that is not there, or has another name than its own.
    Profile(String),
    /// A number of `[supervisor]` is beyond what may be.
    Amount(&'static str),
    /// Jobs would run as accounts, as nobody, or as the one who reads policies.
    Ids(Uid, u32),
    /// A time is beyond what may be.
    Time(String),
    /// A path is not absolute, leads up again, or shows what is the kernel's.
    Path(PathBuf),
    /// A call that no policy may allow.
    Call(&'static str),
}

impl std::fmt::Display for Unsound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest => f.write_str("it has no digest"),
            Self::NoDefault => write!(f, "it has no profile {DEFAULT_PROFILE:?}"),
            Self::Profile(name) => write!(f, "its profile {name:?} is not whole"),
            Self::Amount(key) => write!(f, "its {key} is beyond what may be"),
            Self::Ids(base, count) => write!(f, "its {count} ids from {base} on are not for jobs"),
            Self::Time(name) => write!(f, "a time of {name} is beyond what may be"),
            Self::Path(path) => write!(f, "{} may not be shown, or not there", path.display()),
            Self::Call(name) => write!(f, "it allows {name}, which no policy may"),
        }
    }
}

impl std::error::Error for Unsound {}

impl Policy {
    /// Looks again at what must hold of any policy.
    ///
    /// # Errors
    /// The first thing that does not.
    pub fn check(&self) -> Result<(), Unsound> {
        if self.digest.len() != DIGITS || !self.digest.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Unsound::Digest);
        }
        if !self.profiles.contains_key(DEFAULT_PROFILE) {
            return Err(Unsound::NoDefault);
        }
        self.supervisor.check()?;
        self.check_ids()?;
        self.runtimes.values().try_for_each(Runtime::check)?;
        self.profiles.iter().try_for_each(|(name, profile)| profile.check(name, &self.runtimes))
    }

    /// Each slot and each parked child needs an id of its own, and the launchers one.
    fn check_ids(&self) -> Result<(), Unsound> {
        let Supervisor { uid_base, uid_count, slots, .. } = self.supervisor;
        let parked =
            self.profiles.values().filter_map(|profile| profile.warm.as_ref()).map(|warm| u64::from(warm.parked));
        let needed = u64::from(slots) + parked.sum::<u64>() + 1;
        let (base, count) = (u64::from(uid_base.0), u64::from(uid_count));
        let ids = base..base + count;
        let are_jobs = uid_base >= LEAST && ids.end <= u64::from(LAST.0) + 1 && !ids.contains(&u64::from(READER.0));
        if are_jobs && needed <= count { Ok(()) } else { Err(Unsound::Ids(uid_base, uid_count)) }
    }
}

impl Supervisor {
    fn check(&self) -> Result<(), Unsound> {
        if !(1..=MOST_SLOTS).contains(&self.slots) {
            return Err(Unsound::Amount("slots"));
        }
        if self.queue > MOST_WAITING {
            return Err(Unsound::Amount("queue"));
        }
        within(self.queue_wait, "supervisor")
    }
}

impl Runtime {
    fn check(&self) -> Result<(), Unsound> {
        inside(&self.interpreter)?;
        self.links.iter().try_for_each(|(name, target)| link(name, target))?;
        self.mounts.iter().try_for_each(Mount::check)
    }
}

impl Profile {
    fn check(&self, name: &str, runtimes: &BTreeMap<String, Runtime>) -> Result<(), Unsound> {
        if self.name != name || !runtimes.contains_key(&self.runtime) {
            return Err(Unsound::Profile(name.to_owned()));
        }
        let renewed = self.warm.as_ref().map_or(Duration::ZERO, |warm| warm.renew);
        [self.wall_time, self.cpu_time, renewed].into_iter().try_for_each(|time| within(time, name))?;
        inside(&self.working_directory)?;
        self.filesystem.read_only.iter().try_for_each(Mount::check)?;
        self.path_rules.iter().try_for_each(|rule| inside(&rule.path))?;
        let permitted = self.call_rules.iter().filter(|rule| rule.action.permits());
        let permitted = permitted.filter_map(|rule| Syscall::by_number(rule.number));
        match self.syscalls.iter().copied().chain(permitted).find(|call| call.is_never_allowed()) {
            Some(call) => Err(Unsound::Call(call.name())),
            None => Ok(()),
        }
    }
}

impl Mount {
    fn check(&self) -> Result<(), Unsound> {
        inside(&self.host)?;
        inside(&self.inside)?;
        if KERNELS.iter().any(|kernels| self.host.starts_with(kernels)) {
            return Err(Unsound::Path(self.host.clone()));
        }
        if self.has_place() { Ok(()) } else { Err(Unsound::Path(self.inside.clone())) }
    }
}

/// A path from the root that leads nowhere but down.
fn inside(path: &Path) -> Result<(), Unsound> {
    let down = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let plain = path.is_absolute() && path.components().all(down) && !path.as_os_str().as_bytes().contains(&0);
    if plain { Ok(()) } else { Err(Unsound::Path(path.to_owned())) }
}

/// A name in the root, and a target that leads down from there.
fn link(name: &str, target: &Path) -> Result<(), Unsound> {
    let is_plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let (name, root) = (Path::new(name), Path::new("/"));
    if !is_plain(name) || name.components().count() != 1 || !is_plain(target) {
        return Err(Unsound::Path(root.join(name)));
    }
    inside(&root.join(name)).and_then(|()| inside(&root.join(target)))
}

fn within(time: Duration, name: &str) -> Result<(), Unsound> {
    if time <= LONGEST { Ok(()) } else { Err(Unsound::Time(name.to_owned())) }
}
