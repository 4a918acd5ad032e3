//! Who a process is and what it may do: ids, user namespace, capabilities, securebits, keyring.
//!
//! See `credentials(7)`, `user_namespaces(7)` and `capabilities(7)`. What is here prepares a namespace (`map_ids`,
//! `become_namespace_root`) or takes away from the process that calls it; nothing gives a job a power.

use std::os::fd::AsFd;

use caps::{CapSet, Capability};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::error::{Context, Error, Result};
use crate::spec::{IdRange, JOB_ID, Slot};
use crate::sys;

/// Every securebit but `KEEP_CAPS`, and all their locks: root has no special power, no change of
/// uid brings capabilities back, and none can be made ambient.
const SECUREBITS_LOCKED: libc::c_ulong = (libc::SECBIT_NOROOT
    | libc::SECBIT_NOROOT_LOCKED
    | libc::SECBIT_NO_SETUID_FIXUP
    | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
    | libc::SECBIT_KEEP_CAPS_LOCKED
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE
    | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) as libc::c_ulong;

/// Maps a child's ids from 0 up to `range`, from outside its user namespace.
///
/// # Errors
/// The map that could not be written.
pub fn map_ids(child: nix::unistd::Pid, range: IdRange) -> Result<()> {
    map_all(child, &[(crate::spec::Uid(0), range)])
}

/// Maps a process's ids, of users and groups alike, to several ranges, each from its first id inside up.
///
/// # Errors
/// The map that could not be written.
pub fn map_all(process: nix::unistd::Pid, ranges: &[(crate::spec::Uid, IdRange)]) -> Result<()> {
    let line = |(inside, range): &(crate::spec::Uid, IdRange)| format!("{inside} {} {}\n", range.base, range.count);
    let lines: String = ranges.iter().map(line).collect();
    for map in ["gid_map", "uid_map"] {
        let path = format!("/proc/{process}/{map}");
        std::fs::write(&path, &lines).doing(|| format!("write {path} ({})", lines.trim_end().replace('\n', ", ")))?;
    }
    Ok(())
}

/// Becomes root of the user namespace that this process is in, without supplementary groups.
///
/// # Errors
/// The call that failed.
pub fn become_namespace_root() -> Result<()> {
    setgroups(&[]).doing(|| "setgroups to none")?;
    become_id(0)?;
    stay_seen()
}

/// Goes into the slot's user namespace, which its cell's init is in, and takes the job's id there.
///
/// # Errors
/// The call that failed.
pub fn enter_user_namespace(init: impl AsFd) -> Result<()> {
    setns(init, CloneFlags::CLONE_NEWUSER).doing(|| "setns the slot's user namespace")?;
    become_id(JOB_ID)?;
    stay_seen()
}

/// Takes the slot's id, and stays where it is.
///
/// # Errors
/// The call that failed.
pub fn take_id(slot: Slot) -> Result<()> {
    become_id(slot.id())?;
    stay_seen()
}

/// The capabilities that this kernel knows of: what [`drop_capabilities`] takes out of the bounding set.
#[must_use]
pub fn known_capabilities() -> Vec<Capability> {
    caps::all().into_iter().filter(|&known| caps::has_cap(None, CapSet::Bounding, known).is_ok()).collect()
}

/// Gives up every capability for good, those that an exec could bring back included: bounding set,
/// securebits with their locks, then all that [`lay_down_capabilities`] does.
///
/// # Errors
/// The set that the kernel would not change.
pub fn drop_capabilities(known: &[Capability]) -> Result<()> {
    for &capability in known {
        caps::drop(None, CapSet::Bounding, capability)
            .map_err(|error| Error::library_call(format_args!("drop {capability} from the bounding set"), error))?;
    }
    sys::set_securebits(SECUREBITS_LOCKED).doing(|| "prctl PR_SET_SECUREBITS")?;
    lay_down_capabilities()
}

/// Empties the ambient, inheritable, effective and permitted sets. Enough for a process that can
/// start no program.
///
/// # Errors
/// The set that the kernel would not change.
pub fn lay_down_capabilities() -> Result<()> {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set)
            .map_err(|error| Error::library_call(format_args!("clear the {set:?} capabilities"), error))?;
    }
    Ok(())
}

/// No exec grants privileges any more: `PR_SET_NO_NEW_PRIVS`, which Landlock and seccomp require.
///
/// # Errors
/// The call that failed.
pub fn forgo_new_privileges() -> Result<()> {
    prctl::set_no_new_privs().doing(|| "prctl PR_SET_NO_NEW_PRIVS")
}

/// Nobody of the same id may look inside or attach: `PR_SET_DUMPABLE`.
///
/// # Errors
/// The call that failed.
pub fn close_to_peers() -> Result<()> {
    prctl::set_dumpable(false).doing(|| "prctl PR_SET_DUMPABLE 0")
}

/// Joins a session keyring of its own; a kernel without keyrings has nothing to leave behind.
///
/// # Errors
/// The call that failed.
pub fn leave_keyrings() -> Result<()> {
    match sys::join_new_session_keyring() {
        Err(errno) if errno.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        result => result.doing(|| "keyctl KEYCTL_JOIN_SESSION_KEYRING"),
    }
}

/// The change of uid made `/proc/self` root's; this process's own files are needed again.
fn stay_seen() -> Result<()> {
    prctl::set_dumpable(true).doing(|| "prctl PR_SET_DUMPABLE 1")
}

fn become_id(id: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    setresgid(gid, gid, gid).doing(|| format!("setresgid {id}"))?;
    setresuid(uid, uid, uid).doing(|| format!("setresuid {id}"))
}
