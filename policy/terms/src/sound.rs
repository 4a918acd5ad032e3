//! What must hold of any policy, whoever says that he has read it: a second look that needs no file.
//!
//! Where a policy comes from a process that read a file without a privilege, and that a file may have taken over, these
//! keep it from more than it should have: ids of accounts, the kernel's own files, calls that no job may make, links that
//! would be made elsewhere than in a sandbox, numbers that no file can have. Whatever else it says is a policy that an operator
//! could have written.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::amounts::{beyond, of_profile, of_supervisor};
use crate::id::{LAST, LEAST, NOBODY, READERS, Uid};
use crate::package;
use crate::path::{KERNELS, Mount, WRITABLE, is_own};
use crate::policy::{DEFAULT_PROFILE, Policy, Profile, Runtime, SessionLimits, Supervisor};
use crate::syscall::Syscall;

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
    /// A number is beyond what may be.
    Amount(&'static str),
    /// What becomes the name of something, or a variable, is no name.
    Name(String),
    /// Jobs would run as accounts, as nobody, or as the one who reads policies.
    Ids(Uid, u32),
    /// A time is beyond what may be.
    Time(String),
    /// A path is not absolute, leads up again, or shows what is the kernel's.
    Path(PathBuf),
    /// A call that no policy may allow.
    Call(&'static str),
    /// A rule for a call that there is not.
    NoCall(i64),
}

impl std::fmt::Display for Unsound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest => f.write_str("it has no digest"),
            Self::NoDefault => write!(f, "it has no profile {DEFAULT_PROFILE:?}"),
            Self::Profile(name) => write!(f, "its profile {name:?} is not whole"),
            Self::Amount(key) => write!(f, "its {key} is beyond what may be"),
            Self::Name(name) => write!(f, "its {name:?} is no name"),
            Self::Ids(base, count) => write!(f, "its {count} ids from {base} on are not for jobs"),
            Self::Time(name) => write!(f, "a time of {name} is beyond what may be"),
            Self::Path(path) => write!(f, "{} may not be shown, or not there", path.display()),
            Self::Call(name) => write!(f, "it allows {name}, which no policy may"),
            Self::NoCall(number) => write!(f, "it has a rule for call {number}, which is none"),
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
        self.profiles.keys().chain(self.runtimes.keys()).try_for_each(|name| named(name))?;
        self.check_ids()?;
        self.runtimes.values().try_for_each(Runtime::check)?;
        self.profiles.iter().try_for_each(|(name, profile)| profile.check(name, &self.runtimes))
    }

    /// Each slot, each parked child and each session needs an id of its own, the launchers one, and what serves one.
    fn check_ids(&self) -> Result<(), Unsound> {
        let Supervisor { uid_base, uid_count, slots, sessions, .. } = self.supervisor;
        let parked =
            self.profiles.values().filter_map(|profile| profile.warm.as_ref()).map(|warm| u64::from(warm.parked));
        let needed = u64::from(slots) + u64::from(sessions) + parked.sum::<u64>() + 2;
        let (base, count) = (u64::from(uid_base.0), u64::from(uid_count));
        let ids = base..base + count;
        let mut others = READERS.into_iter().chain([NOBODY]);
        let are_free = !others.any(|other| ids.contains(&u64::from(other.0)));
        let are_jobs = uid_base >= LEAST && ids.end <= u64::from(LAST.0) + 1 && are_free;
        if are_jobs && needed <= count { Ok(()) } else { Err(Unsound::Ids(uid_base, uid_count)) }
    }
}

impl Supervisor {
    fn check(&self) -> Result<(), Unsound> {
        if let Some(key) = beyond(of_supervisor(self)) {
            return Err(Unsound::Amount(key));
        }
        within(self.queue_wait, "supervisor")
    }
}

impl Runtime {
    fn check(&self) -> Result<(), Unsound> {
        inside(&self.interpreter)?;
        self.mounts.iter().try_for_each(Mount::check)?;
        self.links.iter().try_for_each(|(name, target)| link(name, target))?;
        let odd =
            |(name, value): &(&String, &String)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0');
        let odd = self.environment.iter().find(odd).map(|(name, _)| name.clone());
        let odd = odd.or_else(|| package::odd(self.python.as_deref(), &self.packages, &self.modules));
        odd.map_or(Ok(()), |name| Err(Unsound::Name(name)))
    }
}

impl Profile {
    fn check(&self, name: &str, runtimes: &BTreeMap<String, Runtime>) -> Result<(), Unsound> {
        if self.name != name || !runtimes.contains_key(&self.runtime) {
            return Err(Unsound::Profile(name.to_owned()));
        }
        if let Some(key) = beyond(of_profile(self)) {
            return Err(Unsound::Amount(key));
        }
        let kept = self.warm.iter().flat_map(|warm| [warm.renew, warm.idle]);
        let SessionLimits { idle, lifetime, interrupt_wait, .. } = self.sessions;
        [self.wall_time, self.cpu_time, idle, lifetime, interrupt_wait]
            .into_iter()
            .chain(kept)
            .try_for_each(|time| within(time, name))?;
        starts_in(&self.working_directory)?;
        self.filesystem.read_only.iter().try_for_each(Mount::check)?;
        self.path_rules.iter().try_for_each(|rule| inside(&rule.path))?;
        if let Some(rule) = self.call_rules.iter().find(|rule| Syscall::by_number(rule.number).is_none()) {
            return Err(Unsound::NoCall(rule.number));
        }
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

/// A directory that jobs start in: what a sandbox has of its own is not made anew for it.
fn starts_in(directory: &Path) -> Result<(), Unsound> {
    inside(directory)?;
    let writable = WRITABLE.iter().any(|own| directory.starts_with(own));
    if writable || !is_own(directory) { Ok(()) } else { Err(Unsound::Path(directory.to_owned())) }
}

/// A link is made in the root of a sandbox while the host's is in sight: its name is one in that root, and it leads down.
fn link(name: &str, target: &Path) -> Result<(), Unsound> {
    let place = Path::new("/").join(name);
    inside(&place)?;
    inside(&Path::new("/").join(target))?;
    let is_one = !name.contains('/') && !is_own(&place) && target.is_relative();
    if is_one { Ok(()) } else { Err(Unsound::Path(place)) }
}

/// What a profile or a runtime is called, in logs, metrics and what assistants are told.
fn named(name: &str) -> Result<(), Unsound> {
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    if !name.is_empty() && name.bytes().all(plain) { Ok(()) } else { Err(Unsound::Name(name.to_owned())) }
}

fn within(time: Duration, name: &str) -> Result<(), Unsound> {
    if !time.is_zero() && time <= LONGEST { Ok(()) } else { Err(Unsound::Time(name.to_owned())) }
}
