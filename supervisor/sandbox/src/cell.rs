//! A cell: the namespaces and the root file system of one job, and the init that holds them.
//!
//! The init is a copy of the small launcher, not of an interpreter, which makes it cheap. It adopts
//! what the job orphans and otherwise sleeps, with no capability and a filter that lets it do
//! nothing else. Its end is the end of every process in the cell: `pid_namespaces(7)`.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, sethostname};

use crate::overlay::Tree;
use crate::spec::{Slot, Spec};
use crate::sys::{self, Forked};
use crate::{Context, Error, Result, credentials, root, seccomp};

/// The namespaces that a cell's init is born into. The network namespace is the slot's, inherited
/// from the launcher's thread; the cgroup namespace is the job's own doing, once it is in its cgroup.
const NAMESPACES: libc::c_int = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// A cell that is complete.
pub struct Cell {
    /// Refers to its init.
    pub init: OwnedFd,
    /// The root of its own file system on which the job's files are. It outlives the cell, and so, until it is
    /// closed, do the files and the memory that they take.
    pub files: OwnedFd,
}

/// Builds a cell. Nothing of a job has run in it yet.
///
/// # Errors
/// The step that failed, in the launcher or in the init.
pub fn build(spec: &Spec, trees: &[Tree], slot: Slot) -> Result<Cell> {
    let (mut told, tell) = std::io::pipe().doing(|| "pipe")?;
    // SAFETY: a launcher has one thread.
    match unsafe { sys::clone3(NAMESPACES, None) }.doing(|| "clone3 a cell's init")? {
        Forked::Child => init(spec, trees, slot, tell),
        Forked::Parent { pid, pidfd } => {
            drop(tell);
            let mut failure = String::new();
            told.read_to_string(&mut failure).doing(|| "read from a cell's init")?;
            match failure.strip_suffix(COMPLETE) {
                Some(_) => match open_files(spec, pid) {
                    Ok(files) => Ok(Cell { init: pidfd, files }),
                    Err(error) => {
                        let _ = kill(pid, Signal::SIGKILL);
                        Err(error)
                    }
                },
                None => Err(Error::Peer(format!("build a cell: {failure}"))),
            }
        }
    }
}

/// Opens the file system of the job's files, which only the cell's processes see, by way of its init. That is
/// still ours alone, waited for by nobody else, so that its id is its own.
fn open_files(spec: &Spec, init: Pid) -> Result<OwnedFd> {
    let root = root::writable_root(&spec.out).expect("a job may write where it leaves its files");
    let path = format!("/proc/{init}/root{}", root.display());
    nix::fcntl::open(path.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .doing(|| format!("open {path}"))
}

/// What the init says when all went well; anything else is the failure.
const COMPLETE: char = '\u{6}';

fn init(spec: &Spec, trees: &[Tree], slot: Slot, mut tell: std::io::PipeWriter) -> ! {
    let prepared = (|| {
        sethostname(&spec.hostname).doing(|| format!("sethostname {}", spec.hostname))?;
        root::enter_cell_root(spec, trees, slot)?;
        // Orphans are reaped by the kernel when nobody asks for them: wait(2), SIGCHLD ignored.
        // SAFETY: SIG_IGN is no function, so there is nothing that could be unsafe in a handler.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.doing(|| "ignore SIGCHLD")?;
        SigSet::empty().thread_set_mask().doing(|| "unblock signals")?;
        seccomp::compile_waiting()
    })();
    let filter = match prepared {
        Ok(filter) => filter,
        Err(error) => {
            let _ = write!(tell, "{error}");
            sys::exit_now(1);
        }
    };
    let _ = write!(tell, "{COMPLETE}");
    std::mem::forget(tell);
    // SAFETY: what owned a descriptor is never used again: from here this process only sleeps.
    let confined = unsafe { sys::close_from(0) }
        .doing(|| "close_range")
        .and_then(|()| credentials::lay_down_capabilities())
        // Left dumpable: whoever joins the cell through its pidfd is asked for PTRACE_MODE_READ,
        // setns(2). A job has another uid, no capability and no ptrace.
        .and_then(|()| credentials::forgo_new_privileges())
        .and_then(|()| seccomp::apply(&filter));
    if confined.is_err() {
        sys::exit_now(1);
    }
    loop {
        nix::unistd::pause();
    }
}
