//! A cell: the namespaces and the root file system of one job, and the init that holds them.
//!
//! The init is a copy of the small launcher, not of an interpreter, which makes it cheap. It adopts
//! what the job orphans and otherwise sleeps, with no capability and a filter that lets it do
//! nothing else. Its end is the end of every process in the cell: `pid_namespaces(7)`.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, sethostname};
use seccompiler::BpfProgram;

use crate::error::{Context, Error, Result};
use crate::kept::Kept;
use crate::overlay::Tree;
use crate::slot_namespaces::{Found, Namespaces};
use crate::spec::{Slot, Spec};
use crate::sys::{self, Forked};
use crate::weaker::{Layer, Plan};
use crate::{cell_root, credentials, seccomp};

/// The namespaces that a cell's init is born into. It goes into the slot's own of network and users, and into that of IPC where it
/// is kept; where the slot's mounts are kept it copies them. The cgroup namespace is the job's own doing, once it is in its cgroup.
const NAMESPACES: libc::c_int = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;

/// A cell that is complete.
pub struct Cell {
    /// Refers to its init.
    pub init: OwnedFd,
    /// The root of its own file system on which the job's files are. It outlives the cell, and so, until it is
    /// closed, do the files and the memory that they take.
    pub files: OwnedFd,
    /// What its init has found of a job before.
    pub found: Found,
}

/// What all cells of a profile are built from, worked out once.
pub struct Plans {
    /// What they show of the launcher's root.
    pub trees: Vec<Tree>,
    /// Their init's filter.
    waiting: BpfProgram,
    /// What their init is born into.
    namespaces: libc::c_int,
}

impl Plans {
    /// For cells that show this.
    ///
    /// # Errors
    /// When the filter cannot be compiled.
    pub(crate) fn new(plan: &Plan, kept: &Kept, trees: Vec<Tree>) -> Result<Self> {
        let ipc = if kept.keeps_ipc() { 0 } else { libc::CLONE_NEWIPC };
        Ok(Self { trees, waiting: seccomp::compile_waiting()?, namespaces: plan.namespaces(NAMESPACES | ipc) })
    }
}

/// Where an init finds the pipe by which it tells of itself; behind it lie its slot's [`Namespaces`]. A launcher puts both there, and whatever
/// else it has open no init has a copy of: there are some for each slot, and to close them would take longer than all else.
const TELL: RawFd = 5;

/// The first number that is none of an init's.
const FIRST_OTHER: RawFd = TELL + 1 + Namespaces::MOST;

/// Takes the numbers at which descriptors are put for an init, so that nothing else comes to lie there.
///
/// # Errors
/// The call that failed.
///
/// # Safety
/// Nothing in this process owns a descriptor from 5 to 9.
pub(crate) unsafe fn reserve_numbers() -> Result<()> {
    (TELL..FIRST_OTHER).try_for_each(|number| {
        // SAFETY: as the caller vouches.
        unsafe { sys::place_fd_until_exec(libc::STDERR_FILENO, number) }.doing(|| format!("dup3 to {number}"))
    })
}

/// Builds a cell. Nothing of a job has run in it yet.
///
/// # Errors
/// The step that failed, in the launcher or in the init.
///
/// # Safety
/// The process has one thread, and has reserved the numbers that an init's descriptors have.
pub(crate) unsafe fn build(spec: &Plan, plans: &Plans, namespaces: &Namespaces<'_>, slot: Slot) -> Result<Cell> {
    let born_into = plans.namespaces & if namespaces.mounts.is_some() { !libc::CLONE_NEWNS } else { !0 };
    let (mut told, tell) = std::io::pipe().doing(|| "pipe")?;
    let put = |from: RawFd, to| {
        // SAFETY: the number is reserved.
        unsafe { sys::place_fd_until_exec(from, to) }.doing(|| format!("dup3 to {to}"))
    };
    put(tell.as_raw_fd(), TELL)?;
    namespaces.put((TELL + 1).., put)?;
    // SAFETY: as the caller vouches. The descriptors are both processes' until the init has a table of its own, and neither opens or
    // closes one before.
    match unsafe { sys::clone3(born_into | libc::CLONE_FILES, None) }.doing(|| "clone3 a cell's init")? {
        Forked::Child => init(spec, plans, namespaces, slot),
        Forked::Parent { pid, pidfd } => {
            let said = has_said_something(&told, &pidfd).and_then(|()| {
                drop(tell);
                put(libc::STDERR_FILENO, TELL)?;
                let mut said = String::new();
                told.read_to_string(&mut said).doing(|| "read from a cell's init")?;
                Ok(said)
            });
            let opened = said.and_then(|said| {
                let (found, said) =
                    said.strip_prefix(IN_IPC).map_or((Found::Nothing, &*said), |rest| (Found::InIpc, rest));
                match said.strip_prefix(COMPLETE) {
                    Some("") => Ok((open_files(spec, pid)?, found)),
                    failure => Err(Error::told("build a cell", failure.unwrap_or(said))),
                }
            });
            match opened {
                Ok((files, found)) => Ok(Cell { init: pidfd, files, found }),
                Err(error) => {
                    let _ = kill(pid, Signal::SIGKILL);
                    Err(error)
                }
            }
        }
    }
}

/// Waits until an init has said something, which it does not before its descriptors are its own, or has ended.
fn has_said_something(told: &PipeReader, init: &OwnedFd) -> Result<()> {
    loop {
        let mut waited = [told.as_fd(), init.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop).doing(|| "poll"),
        }
    }
}

/// Opens the file system of the job's files, which only the cell's processes see, by way of its init. That is
/// still ours alone, waited for by nobody else, so that its id is its own.
fn open_files(spec: &Spec, init: Pid) -> Result<OwnedFd> {
    let (root, _) = spec.own_file_system(&spec.out).expect("a job may write where it leaves its files");
    let path = format!("/proc/{init}/root{}", root.display());
    nix::fcntl::open(path.as_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .doing(|| format!("open {path}"))
}

/// What the init says when the cell is built. It holds once the pipe is closed and nothing has followed, for then the
/// init is confined too.
const COMPLETE: char = '\u{6}';

/// What it says in front of that where it has found something in the slot's IPC namespace.
const IN_IPC: char = '\u{7}';

fn init(spec: &Plan, plans: &Plans, namespaces: &Namespaces<'_>, slot: Slot) -> ! {
    // SAFETY: nothing that owns one of the others is used or dropped in this process.
    let own = unsafe { sys::close_from_alone(FIRST_OTHER) }.doing(|| "close_range");
    // SAFETY: the launcher has put it there for this process.
    let mut tell = unsafe { PipeWriter::from_raw_fd(TELL) };
    // SAFETY: as above.
    let namespaces = unsafe { namespaces.from((TELL + 1)..) };
    let prepared = own.and_then(|()| {
        if namespaces.enter(spec)? == Found::InIpc {
            write!(tell, "{IN_IPC}").doing(|| "tell the launcher")?;
        }
        if !spec.leaves_out(Layer::UtsNamespace) {
            sethostname(&spec.hostname).doing(|| format!("sethostname {}", spec.hostname))?;
        }
        match namespaces.mounts {
            Some(kept) => cell_root::enter_copy_of(kept, spec, &plans.trees, slot)?,
            None => cell_root::enter_cell_root(spec, &plans.trees, slot)?,
        }
        // Orphans are reaped by the kernel when nobody asks for them: wait(2), SIGCHLD ignored.
        // SAFETY: SIG_IGN is no function, so there is nothing that could be unsafe in a handler.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.doing(|| "ignore SIGCHLD")?;
        SigSet::empty().thread_set_mask().doing(|| "unblock signals")?;
        write!(tell, "{COMPLETE}").doing(|| "tell the launcher")
    });
    let confined = prepared.and_then(|()| {
        // Whoever joins the cell finds it by way of this process.
        if let Some(users) = namespaces.users {
            setns(users, CloneFlags::CLONE_NEWUSER).doing(|| "setns the slot's user namespace")?;
        }
        // SAFETY: what owned a descriptor is never used again, but for the pipe's, which is put where it stays.
        unsafe { sys::place_fd(tell.as_raw_fd(), 0) }.doing(|| "dup2 to 0")?;
        // SAFETY: as above.
        tell = unsafe { PipeWriter::from_raw_fd(0) };
        // SAFETY: as above.
        unsafe { sys::close_from(1) }.doing(|| "close_range")?;
        credentials::lay_down_capabilities()?;
        // Left dumpable: whoever joins the cell through its pidfd is asked for PTRACE_MODE_READ,
        // setns(2). A job has another uid, no capability and no ptrace.
        credentials::forgo_new_privileges()?;
        seccomp::apply(&plans.waiting)
    });
    if let Err(error) = confined {
        let _ = tell.write_all(error.to_tell().as_bytes());
        sys::exit_now(1);
    }
    // The filter still lets this be closed; so the launcher hears of a cell that is confined, or of why it is not.
    drop(tell);
    loop {
        nix::unistd::pause();
    }
}
