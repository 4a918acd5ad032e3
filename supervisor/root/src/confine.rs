//! The daemon's own confinement: what a supervisor never needs, it gives up before it serves anyone.
//!
//! Launchers start below it and inherit the filter; their capabilities are those of a user namespace
//! of their own, whatever is given up here.

use caps::errors::CapsError;
use caps::{CapSet, Capability};
use cloister_sandbox::seccomp;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

/// Capabilities that remain, to root for its start and to the engine in its user namespace: to map ids into namespaces, to end processes of
/// other ids, to write to control groups whoever owns them (some hosts mount them writable for nobody) and to read
/// what jobs leave whatever its modes, to hand the socket and the control groups over, and to drop the rest.
pub const KEPT: [Capability; 6] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETPCAP,
];

/// Of these, what remains to the monitor: to remove groups whoever owns them, to end what is in them, and to map ids and start
/// the policy's reader.
pub const KEPT_BY_MONITOR: [Capability; 4] =
    [Capability::CAP_DAC_OVERRIDE, Capability::CAP_KILL, Capability::CAP_SETGID, Capability::CAP_SETUID];

/// Why this process is not confined.
#[derive(Debug, thiserror::Error)]
pub enum NotConfined {
    /// It is in the host's network.
    #[error(
        "leave the host's network for one of its own, which a profile with a loopback network needs: {0}: start it in an empty one \
         (PrivateNetwork=yes), or with CAP_SYS_ADMIN (in a pod securityContext.capabilities.add: [SYS_ADMIN])"
    )]
    Network(#[from] Errno),
    /// It has capabilities that it should not.
    #[error("give up capabilities: {0}")]
    Capabilities(#[from] CapsError),
    /// It has no filter.
    #[error(transparent)]
    Filter(#[from] cloister_sandbox::Error),
}

/// This process is not root's.
#[derive(Debug, thiserror::Error)]
#[error(
    "this needs root, to map ids and to make control groups: run it with sudo (in a pod securityContext.runAsUser: 0)"
)]
pub struct NotRoot;

/// Whether whoever started this process has put it into a network of its own already.
fn has_no_network() -> bool {
    let interfaces = std::fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    let mut names = interfaces.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.next() == Some("lo") && names.next().is_none()
}

/// Bounds the capabilities and refuses whole families of system calls, for good.
///
/// Jobs inherit the filter. Where some have a loopback network, sockets of the internet families have to
/// pass it; so that they lead nowhere here either, the supervisor then leaves the host's network for an
/// empty one. Its socket is a file, which is found all the same.
///
/// # Errors
/// The step that failed.
pub fn confine(loopback: bool) -> Result<(), NotConfined> {
    give_up(loopback)?;
    Ok(seccomp::apply(&seccomp::compile_supervisor(loopback)?)?)
}

/// The part of it that is no filter.
///
/// # Errors
/// As [`confine`].
pub fn give_up(loopback: bool) -> Result<(), NotConfined> {
    if loopback && !has_no_network() {
        unshare(CloneFlags::CLONE_NEWNET)?;
    }
    Ok(keep(&KEPT)?)
}

/// Gives up every capability but these, for good.
///
/// # Errors
/// The set that the kernel would not change.
pub fn keep(kept: &[Capability]) -> Result<(), CapsError> {
    let kept = kept.iter().copied().collect();
    for given_up in caps::all().difference(&kept) {
        // One that the bounding set lacks already is no loss, and one this kernel lacks cannot be had.
        if caps::has_cap(None, CapSet::Bounding, *given_up).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, *given_up)?;
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let held = caps::read(None, CapSet::Permitted)?.intersection(&kept).copied().collect();
    caps::set(None, CapSet::Effective, &held)?;
    caps::set(None, CapSet::Permitted, &held)
}

/// Sandboxes need root to begin with.
///
/// # Errors
/// Without it.
pub fn require_root() -> Result<(), NotRoot> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(NotRoot) }
}
