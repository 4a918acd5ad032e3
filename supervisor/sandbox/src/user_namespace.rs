//! The user namespace of a slot's jobs, which one job after the other is in: `user_namespaces(7)`.
//!
//! It owns none of a job's other namespaces (they belong to the launcher's), so that even a full capability set in it would have power
//! over nothing. Root does not exist in it, and no further one can be made below. Nothing in it can be changed by a job, and what is
//! counted in it goes with who is counted, so that it is made once a slot and not for each job.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::credentials::map_all;
use crate::error::{Context, Error, Result};
use crate::spec::{IdRange, JOB_ID, Slot, Uid};
use crate::sys::{self, Forked, exit_now};

/// What bounds the namespaces below one, written by who is in it: `/proc/sys/user`, `namespaces(7)`.
const MOST_BELOW: &str = "/proc/sys/user/max_user_namespaces";

/// Makes it: a process goes there ahead of all jobs, and ends when it has what it is for. With `closed`, none can be made below.
///
/// # Errors
/// The step that failed, here or there.
///
/// # Safety
/// The process has one thread.
pub(crate) unsafe fn make(slot: Slot, closed: bool) -> Result<OwnedFd> {
    let (told, tell) = std::io::pipe().doing(|| "pipe")?;
    let (held, hold) = std::io::pipe().doing(|| "pipe")?;
    // SAFETY: as the caller vouches.
    match unsafe { sys::clone3(0, None) }.doing(|| "clone3 for a user namespace")? {
        Forked::Child => {
            drop((told, hold));
            be_there(closed, tell, held)
        }
        Forked::Parent { pid, .. } => {
            drop((tell, held));
            let made = from_outside(pid, slot, told);
            drop(hold);
            waitpid(pid, None).doing(|| "wait for who made a user namespace")?;
            made
        }
    }
}

/// In the process that goes there: says why it could not, or nothing.
fn be_there(closed: bool, mut tell: PipeWriter, mut held: PipeReader) -> ! {
    let made = unshare(CloneFlags::CLONE_NEWUSER).doing(|| "unshare CLONE_NEWUSER").and_then(|()| {
        if closed { fs::write(MOST_BELOW, "0").doing(|| format!("write 0 to {MOST_BELOW}")) } else { Ok(()) }
    });
    if let Err(error) = made {
        let _ = tell.write_all(error.to_tell().as_bytes());
    }
    drop(tell);
    let _ = held.read(&mut [0]);
    exit_now(0)
}

/// Maps the slot's id there, and opens it.
fn from_outside(there: Pid, slot: Slot, mut told: PipeReader) -> Result<OwnedFd> {
    let mut said = String::new();
    told.read_to_string(&mut said).doing(|| "read from who makes a user namespace")?;
    if !said.is_empty() {
        return Err(Error::told("make a user namespace", &said));
    }
    let path = format!("/proc/{there}/setgroups");
    fs::write(&path, "deny").doing(|| format!("write {path} (deny)"))?;
    map_all(there, &[(Uid(JOB_ID), IdRange { base: Uid(slot.id()), count: 1 })])?;
    let path = format!("/proc/{there}/ns/user");
    File::open(&path).map(OwnedFd::from).doing(|| format!("open {path}"))
}
