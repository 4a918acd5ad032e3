//! A cell: the namespaces and the root file system of one job, and the init that holds them.
//!
//! The init is a copy of the small launcher, not of an interpreter, which makes it cheap. It adopts
//! what the job orphans and otherwise sleeps, with no capability and a filter that lets it do
//! nothing else. Its end is the end of every process in the cell: `pid_namespaces(7)`.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, sethostname};
use seccompiler::BpfProgram;

use crate::error::{Context, Error, Result};
use crate::kept::Kept;
use crate::overlay::Tree;
use crate::spec::{Slot, Spec};
use crate::sys::{self, Forked};
use crate::weaker::{Layer, Plan};
use crate::{cell_root, credentials, seccomp};

/// The namespaces that a cell's init is born into. The network namespace is the slot's, inherited
/// from the launcher's thread, and so is that of IPC where it is kept; where the slot's mounts are kept it copies them itself. The cgroup
/// namespace is the job's own doing, once it is in its cgroup.
const NAMESPACES: libc::c_int = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;

/// A cell that is complete.
pub struct Cell {
    /// Refers to its init.
    pub init: OwnedFd,
    /// The root of its own file system on which the job's files are. It outlives the cell, and so, until it is
    /// closed, do the files and the memory that they take.
    pub files: OwnedFd,
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

/// Builds a cell. Nothing of a job has run in it yet.
///
/// # Errors
/// The step that failed, in the launcher or in the init.
pub fn build(spec: &Plan, plans: &Plans, kept: Option<BorrowedFd<'_>>, slot: Slot) -> Result<Cell> {
    let namespaces = plans.namespaces & if kept.is_some() { !libc::CLONE_NEWNS } else { !0 };
    let (mut told, tell) = std::io::pipe().doing(|| "pipe")?;
    // SAFETY: a launcher has one thread.
    match unsafe { sys::clone3(namespaces, None) }.doing(|| "clone3 a cell's init")? {
        Forked::Child => init(spec, plans, (kept, slot), tell),
        Forked::Parent { pid, pidfd } => {
            drop(tell);
            let mut said = String::new();
            told.read_to_string(&mut said).doing(|| "read from a cell's init")?;
            let opened = match said.strip_prefix(COMPLETE) {
                Some("") => open_files(spec, pid),
                failure => Err(failed(failure.unwrap_or(&said))),
            };
            match opened {
                Ok(files) => Ok(Cell { init: pidfd, files }),
                Err(error) => {
                    let _ = kill(pid, Signal::SIGKILL);
                    Err(error)
                }
            }
        }
    }
}

/// What an init said that did not become one.
fn failed(said: &str) -> Error {
    match said.strip_prefix(SHORT) {
        Some(why) => Error::Short(format!("build a cell: {why}")),
        None => Error::Peer(format!("build a cell: {said}")),
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

/// What the init says in front of a failure for want of something that the host is short of.
const SHORT: char = '\u{5}';

fn init(spec: &Plan, plans: &Plans, (kept, slot): (Option<BorrowedFd<'_>>, Slot), mut tell: std::io::PipeWriter) -> ! {
    let prepared = (|| {
        if !spec.leaves_out(Layer::UtsNamespace) {
            sethostname(&spec.hostname).doing(|| format!("sethostname {}", spec.hostname))?;
        }
        match kept {
            Some(kept) => cell_root::enter_copy_of(kept, spec, &plans.trees, slot)?,
            None => cell_root::enter_cell_root(spec, &plans.trees, slot)?,
        }
        // Orphans are reaped by the kernel when nobody asks for them: wait(2), SIGCHLD ignored.
        // SAFETY: SIG_IGN is no function, so there is nothing that could be unsafe in a handler.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.doing(|| "ignore SIGCHLD")?;
        SigSet::empty().thread_set_mask().doing(|| "unblock signals")?;
        write!(tell, "{COMPLETE}").doing(|| "tell the launcher")
    })();
    let confined = prepared.and_then(|()| {
        // SAFETY: what owned a descriptor is never used again, but for the pipe's, which is put where it stays.
        unsafe { sys::place_fd(tell.as_raw_fd(), 0) }.doing(|| "dup2 to 0")?;
        // SAFETY: as above.
        tell = unsafe { std::io::PipeWriter::from_raw_fd(0) };
        // SAFETY: as above.
        unsafe { sys::close_from(1) }.doing(|| "close_range")?;
        credentials::lay_down_capabilities()?;
        // Left dumpable: whoever joins the cell through its pidfd is asked for PTRACE_MODE_READ,
        // setns(2). A job has another uid, no capability and no ptrace.
        credentials::forgo_new_privileges()?;
        seccomp::apply(&plans.waiting)
    });
    if let Err(error) = confined {
        let mark = if error.is_shortage() { SHORT.to_string() } else { String::new() };
        let _ = write!(tell, "{mark}{error}");
        sys::exit_now(1);
    }
    // The filter still lets this be closed; so the launcher hears of a cell that is confined, or of why it is not.
    drop(tell);
    loop {
        nix::unistd::pause();
    }
}
