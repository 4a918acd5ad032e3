//! The launcher of a profile: a small process with one thread from which every cell and every cold
//! job of the profile is cloned.
//!
//! It runs no untrusted code and is confined itself: root only of a user namespace of unprivileged
//! host ids, in a root file system that holds the runtime and nothing of the host. It is the first
//! process of a PID namespace, so its death is the death of every sandbox below it, and it is killed
//! by the kernel when the supervisor dies.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::enter::{Confinement, JobFds, place_fds};
use crate::spec::{Slot, Spec};
use crate::sys::{self, Forked};
use crate::wire::{End, Notice, Order, Wire, exactly};
use crate::{Context, Error, Result, cell, credentials, root};

/// The namespaces that a launcher is born into.
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The byte on a job's standard input that lets it begin: it is in its cgroup now.
pub const GATE: u8 = b'g';

/// The tag on the result pipe of a job that could not be confined; a message follows.
pub const FAILED: u8 = b'F';

/// The body of the process that the supervisor starts for a profile, its control socket at standard
/// input: clones the launcher into its namespaces, maps its ids (which needs the host's privileges
/// that it still has), and stays as the parent whose death the launcher does not survive.
///
/// # Errors
/// The step that failed before the launcher was on its own.
pub fn guard() -> Result<()> {
    die_with_parent()?;
    // Number 3 is a job's result pipe later: nothing of ours may come to lie there.
    // SAFETY: at the start of a process only 0, 1 and 2 are open.
    unsafe { sys::place_fd(libc::STDERR_FILENO, 3) }.doing(|| "dup2 to 3")?;
    // SAFETY: the supervisor passes its control socket as our standard input; nothing else owns it.
    let wire = Wire::from_fd(unsafe { OwnedFd::from_raw_fd(libc::STDIN_FILENO) });
    let Some((Order::SetUp(spec, ids), _)) = wire.receive().doing(|| "receive the profile")? else {
        return Err(Error::Peer("the supervisor sent no profile".to_owned()));
    };
    let (mut mapped, mut tell_mapped) = io::pipe().doing(|| "pipe")?;
    // SAFETY: this process has one thread.
    match unsafe { sys::clone3(NAMESPACES, None) }.doing(|| "clone3 the launcher")? {
        Forked::Child => {
            drop(tell_mapped);
            let ended = mapped.read_exact(&mut [0]).doing(|| "wait for ids").and_then(|()| run(&wire, *spec));
            if let Err(error) = &ended {
                let _ = wire.send(&Notice::Failed(None, error.to_string()), &[]);
            }
            sys::exit_now(i32::from(ended.is_err()));
        }
        Forked::Parent { pid, .. } => {
            drop(wire);
            let told = credentials::map_ids(pid, ids)
                .and_then(|()| tell_mapped.write_all(&[0]).doing(|| "tell the launcher of its ids"));
            drop(tell_mapped);
            waitpid(pid, None).doing(|| "wait for the launcher")?;
            told
        }
    }
}

fn run(wire: &Wire, spec: Spec) -> Result<()> {
    die_with_parent()?;
    credentials::become_namespace_root()?;
    // The change of ids cleared it: prctl(2), PR_SET_PDEATHSIG.
    die_with_parent()?;
    root::enter_launcher_root(&spec)?;
    credentials::forgo_new_privileges()?;
    let mut launcher = Launcher::new(spec)?;
    wire.send(&Notice::Ready, &[]).doing(|| "tell the supervisor")?;
    launcher.serve(wire)
}

fn die_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).doing(|| "prctl PR_SET_PDEATHSIG")
}

struct Launcher {
    confinement: Confinement,
    command: Vec<CString>,
    environment: Vec<CString>,
    /// One network namespace a slot, made when first needed and reused: two jobs never share one at
    /// a time, and an empty namespace without interfaces keeps nothing from one job to the next.
    networks: HashMap<Slot, OwnedFd>,
    own_pids: OwnedFd,
    jobs: HashMap<Pid, Slot>,
    child_ended: SignalFd,
}

impl Launcher {
    fn new(spec: Spec) -> Result<Self> {
        let strings = |texts: &[String]| {
            texts
                .iter()
                .map(|text| CString::new(text.as_str()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| Error::layer("the interpreter's command", error))
        };
        let (command, environment) = (strings(&spec.command)?, strings(&spec.environment)?);
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_block().doing(|| "block SIGCHLD")?;
        let child_ended =
            SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).doing(|| "signalfd")?;
        Ok(Self {
            confinement: Confinement::prepare(spec)?,
            command,
            environment,
            networks: HashMap::new(),
            own_pids: open_namespace("pid")?,
            jobs: HashMap::new(),
            child_ended,
        })
    }

    /// Carries out orders until the supervisor closes its end.
    fn serve(&mut self, wire: &Wire) -> Result<()> {
        loop {
            let mut waited = [
                PollFd::new(wire.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.child_ended.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waited, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result.doing(|| "poll")?,
            };
            let [order, ended] = waited.map(|fd| fd.any().unwrap_or(true));
            if ended {
                self.reap(wire)?;
            }
            if order && !self.obey(wire)? {
                return Ok(());
            }
        }
    }

    /// One order; false when there will be no more.
    fn obey(&mut self, wire: &Wire) -> Result<bool> {
        let Some((order, fds)) = wire.receive().doing(|| "receive an order")? else { return Ok(false) };
        let (slot, outcome) = match order {
            Order::Cell(slot) => (slot, self.build_cell(slot).map(|pidfd| (Notice::Cell(slot), pidfd))),
            Order::Start(slot) => (slot, self.start(slot, fds).map(|pidfd| (Notice::Started(slot), pidfd))),
            Order::SetUp(..) => return Err(Error::Peer("the profile was sent twice".to_owned())),
        };
        match outcome {
            Ok((notice, pidfd)) => wire.send(&notice, &[pidfd.as_raw_fd()]),
            Err(error) => wire.send(&Notice::Failed(Some(slot), error.to_string()), &[]),
        }
        .doing(|| "answer the supervisor")?;
        Ok(true)
    }

    fn build_cell(&mut self, slot: Slot) -> Result<OwnedFd> {
        match self.networks.get(&slot) {
            Some(network) => setns(network, CloneFlags::CLONE_NEWNET).doing(|| "setns the slot's network")?,
            None => {
                unshare(CloneFlags::CLONE_NEWNET).doing(|| "unshare CLONE_NEWNET")?;
                self.networks.insert(slot, open_namespace("net")?);
            }
        }
        cell::build(self.confinement.spec(), slot).map(|(_, pidfd)| pidfd)
    }

    fn start(&mut self, slot: Slot, mut fds: Vec<OwnedFd>) -> Result<OwnedFd> {
        let cgroup = if fds.len() == 6 { fds.pop() } else { None };
        let [cell, stdin, stdout, stderr, result] = exactly(fds)?;
        setns(&cell, CloneFlags::CLONE_NEWPID).doing(|| "setns the cell's PID namespace")?;
        // SAFETY: a launcher has one thread.
        let forked = unsafe { sys::clone3(0, cgroup.as_ref()) }.doing(|| "clone3 a job");
        match forked {
            Ok(Forked::Child) => self.become_job(slot, &cell, [stdin, stdout, stderr, result]),
            forked => {
                // A cell can only be made from the namespace that this process itself is in.
                setns(&self.own_pids, CloneFlags::CLONE_NEWPID).doing(|| "setns the own PID namespace")?;
                let Forked::Parent { pid, pidfd } = forked? else { unreachable!("the child does not return") };
                self.jobs.insert(pid, slot);
                Ok(pidfd)
            }
        }
    }

    /// In the new process: nothing here returns, and no descriptor is given back.
    fn become_job(&self, slot: Slot, cell: &OwnedFd, fds: JobFds) -> ! {
        let confined = place_fds(fds)
            .and_then(|()| await_gate())
            .and_then(|()| SigSet::empty().thread_set_mask().doing(|| "unblock signals"))
            .and_then(|()| self.confinement.enter(slot, cell));
        let error = match confined {
            Err(error) => error.to_string(),
            Ok(()) => {
                let command: Vec<&CStr> = self.command.iter().map(CString::as_c_str).collect();
                let environment: Vec<&CStr> = self.environment.iter().map(CString::as_c_str).collect();
                let errno = sys::execve(command[0], &command, &environment);
                format!("execve {}: {errno}", command[0].to_string_lossy())
            }
        };
        report_failure(&error);
        sys::exit_now(127)
    }

    fn reap(&mut self, wire: &Wire) -> Result<()> {
        while self.child_ended.read_signal().doing(|| "read signalfd")?.is_some() {}
        loop {
            let (pid, end) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, End::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, End::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) => continue,
                Err(errno) => return Err(errno).doing(|| "waitpid"),
            };
            // Others are the inits of cells, which the supervisor watches through their pidfds.
            if let Some(slot) = self.jobs.remove(&pid) {
                wire.send(&Notice::Exited(slot, end), &[]).doing(|| "tell of a job's end")?;
            }
        }
    }
}

/// Waits until the supervisor has put this process into its cgroup.
///
/// # Errors
/// When the supervisor went away or sent something else.
pub fn await_gate() -> Result<()> {
    let mut byte = [0];
    // SAFETY: number 0 is open (it was just placed) and is not closed by this borrow.
    let stdin = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
    match nix::unistd::read(stdin, &mut byte).doing(|| "wait for the cgroup")? {
        1 if byte[0] == GATE => Ok(()),
        _ => Err(Error::Peer("the supervisor went away".to_owned())),
    }
}

/// Writes why a job could not be confined to its result pipe, number 3.
pub fn report_failure(message: &str) {
    let mut frame = vec![FAILED];
    frame.extend((message.len() as u64).to_be_bytes());
    frame.extend(message.as_bytes());
    // SAFETY: number 3 is the result pipe, and is not closed by this borrow.
    let result = unsafe { std::os::fd::BorrowedFd::borrow_raw(3) };
    let _ = nix::unistd::write(result, &frame);
}

fn open_namespace(kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/self/ns/{kind}");
    std::fs::File::open(&path).map(OwnedFd::from).doing(|| format!("open {path}"))
}

/// The numbers of the descriptors of a [`Order::Start`] message, in its order.
#[must_use]
pub fn start_fds(cell: RawFd, job: [RawFd; 4], cgroup: Option<RawFd>) -> Vec<RawFd> {
    std::iter::once(cell).chain(job).chain(cgroup).collect()
}
