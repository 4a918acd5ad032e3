//! The daemon's own confinement: what a supervisor never needs, it gives up before it serves anyone.
//!
//! Launchers start below it and inherit the filter; their capabilities are those of a user namespace
//! of their own, whatever is given up here.

use caps::{CapSet, Capability};
use cloister_sandbox::seccomp;
use nix::sched::{CloneFlags, unshare};

/// Capabilities that remain: to map ids into launchers' namespaces, to end processes of other ids, to
/// write to control groups whoever owns them (some hosts mount them writable for nobody) and to read
/// what jobs leave whatever its modes, to hand the socket and the control groups' doors over, and to drop the rest.
const KEPT: [Capability; 6] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_KILL,
    Capability::CAP_SETGID,
    Capability::CAP_SETUID,
    Capability::CAP_SETPCAP,
];

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
/// The step that failed, for a person.
pub fn confine(loopback: bool) -> Result<(), String> {
    give_up(loopback)?;
    seccomp::apply(&seccomp::compile_supervisor(loopback).map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
}

/// The part of it that is no filter.
///
/// # Errors
/// As [`confine`].
pub fn give_up(loopback: bool) -> Result<(), String> {
    if loopback && !has_no_network() {
        let failed =
            |errno| format!("leave the host's network: {errno}: start it in one of its own (PrivateNetwork=yes)");
        unshare(CloneFlags::CLONE_NEWNET).map_err(failed)?;
    }
    let failed = |error: caps::errors::CapsError| format!("give up capabilities: {error}");
    let kept = KEPT.into_iter().collect();
    for given_up in caps::all().difference(&kept) {
        // One that the bounding set lacks already is no loss, and one this kernel lacks cannot be had.
        if caps::has_cap(None, CapSet::Bounding, *given_up).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, *given_up).map_err(failed)?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(failed)?;
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    let held = caps::read(None, CapSet::Permitted).map_err(failed)?.intersection(&kept).copied().collect();
    caps::set(None, CapSet::Effective, &held).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &held).map_err(failed)
}

/// Sandboxes need root to begin with.
///
/// # Errors
/// Without it, for a person.
pub fn require_root() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err("this needs root, to map ids and to make control groups: run it with sudo".to_owned())
    }
}
