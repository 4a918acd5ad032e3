//! What a launcher and a zygote have in common: forking jobs into cells and telling of their end.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, killpg, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::enter::{Confinement, JobFds, place_fds};
use crate::error::{Context, Result};
use crate::sealed::ToLoad;
use crate::spec::Slot;
use crate::sys::{self, Forked};
use crate::weaker::Plan;
use crate::wire::{End, IntoCgroup, Notice, Span, Wire, exactly};

/// The tag on the result pipe of a job that could not be confined; a message follows.
pub const FAILED: u8 = b'F';

/// The tag on the result pipe of a job that could not be confined for want of something that the host is short of; a
/// message follows.
pub const SHORT: u8 = b'S';

/// Forks jobs and waits for them. One thread only.
pub struct Forker {
    confinement: Confinement,
    own_pids: OwnedFd,
    jobs: HashMap<Pid, Slot>,
    leaders: HashSet<Pid>,
    child_ended: SignalFd,
}

/// What a fork returned: the parent's view, or the place of the child.
pub enum Started {
    /// In the parent: a pidfd of the job's process.
    Parent(OwnedFd),
    /// In the job's process, which has to [`NewJob::take`] its place and nothing else.
    Job(NewJob),
}

/// A job's process before it is confined.
pub struct NewJob {
    slot: (Slot, Span),
    cell: OwnedFd,
    fds: JobFds,
    doors: Vec<OwnedFd>,
}

/// What [`Forker::wait`] waited for.
pub enum Event {
    /// There is something to read on the wire.
    Order,
    /// A child has ended.
    Child,
}

impl Forker {
    /// Prepares a profile's confinement and listens for the ends of children.
    ///
    /// # Errors
    /// The step that failed.
    pub fn new(plan: Plan) -> Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGCHLD);
        signals.thread_block().doing(|| "block SIGCHLD")?;
        // A job that stops and continues itself without end would otherwise keep this process busy.
        let ends_only = SigAction::new(SigHandler::SigDfl, SaFlags::SA_NOCLDSTOP, SigSet::empty());
        // SAFETY: SIG_DFL is no function, so there is nothing that could be unsafe in a handler.
        unsafe { sigaction(Signal::SIGCHLD, &ends_only) }.doing(|| "sigaction SIGCHLD")?;
        let child_ended =
            SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).doing(|| "signalfd")?;
        let own_pids = open_namespace("pid")?;
        Ok(Self {
            confinement: Confinement::prepare(plan)?,
            own_pids,
            jobs: HashMap::new(),
            leaders: HashSet::new(),
            child_ended,
        })
    }

    /// The profile's confinement.
    #[must_use]
    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    /// Puts of the jobs' filter in force what they have in common with this process, which runs nothing of theirs.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn confine_ahead(&mut self) -> Result<()> {
        self.confinement.begin()
    }

    /// Waits for an order or for the end of a child; a child's end first.
    ///
    /// # Errors
    /// The call that failed.
    pub fn wait(&self, wire: &Wire) -> Result<Event> {
        loop {
            let mut waited = [
                PollFd::new(self.child_ended.as_fd(), PollFlags::POLLIN),
                PollFd::new(wire.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut waited, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result.doing(|| "poll")?,
            };
            return Ok(if waited[0].any().unwrap_or(true) { Event::Child } else { Event::Order });
        }
    }

    /// Forks the slot's job into its cell with the descriptors of an [`Order::Start`](crate::wire::Order).
    ///
    /// `fork` makes the process: its id in this PID namespace and a pidfd, or the child.
    ///
    /// # Errors
    /// The step that failed.
    pub fn start(
        &mut self,
        (slot, span): (Slot, Span),
        into: IntoCgroup,
        mut fds: Vec<OwnedFd>,
        fork: impl FnOnce(Option<&OwnedFd>) -> Result<Forked>,
    ) -> Result<Started> {
        let mut doors = fds.split_off(fds.len().min(6));
        let cgroup = if into == IntoCgroup::Born { doors.pop() } else { None };
        let [cell, stdin, stdout, stderr, result, returns] = exactly(fds)?;
        setns(&cell, CloneFlags::CLONE_NEWPID).doing(|| "setns the cell's PID namespace")?;
        match fork(cgroup.as_ref()) {
            Ok(Forked::Child) => Ok(Started::Job(NewJob {
                slot: (slot, span),
                cell,
                fds: [stdin, stdout, stderr, result, returns],
                doors,
            })),
            forked => {
                // A cell can only be made from the namespace that this process itself is in.
                setns(&self.own_pids, CloneFlags::CLONE_NEWPID).doing(|| "setns the own PID namespace")?;
                let Forked::Parent { pid, pidfd } = forked? else { unreachable!("the child was dealt with") };
                self.jobs.insert(pid, slot);
                Ok(Started::Parent(pidfd))
            }
        }
    }

    /// From now on this child, which leads a session of its own, takes what it has started with it when it ends.
    pub fn has_forked(&mut self, leader: Pid) {
        self.leaders.insert(leader);
    }

    /// Tells the supervisor of every job that has ended; returns which other children have. Among these are the inits of
    /// cells, which the supervisor watches through their pidfds.
    ///
    /// # Errors
    /// The call that failed.
    pub fn reap(&mut self, wire: &Wire) -> Result<Vec<(Pid, End)>> {
        let mut others = Vec::new();
        while self.child_ended.read_signal().doing(|| "read signalfd")?.is_some() {}
        loop {
            let (pid, end) = match self.next_end() {
                Ok(WaitStatus::Exited(pid, code)) => (pid, End::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, End::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(others),
                Ok(_) => continue,
                Err(errno) => return Err(errno).doing(|| "waitpid"),
            };
            match self.jobs.remove(&pid) {
                Some(slot) => wire.send(&Notice::Exited(slot, end), &[]).doing(|| "tell of a job's end")?,
                None => others.push((pid, end)),
            }
        }
    }

    /// Reaps the next child that has ended, if there is one.
    fn next_end(&mut self) -> nix::Result<WaitStatus> {
        if self.leaders.is_empty() {
            return waitpid(None, Some(WaitPidFlag::WNOHANG));
        }
        // A leader's group is ended while its number is still taken by the leader: once that is reaped, it may be another's.
        let seen = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT)?;
        let Some(pid) = seen.pid() else { return Ok(WaitStatus::StillAlive) };
        // Jobs of it are in sessions of their own.
        if self.leaders.remove(&pid) {
            let _ = killpg(pid, Signal::SIGKILL);
        }
        waitpid(pid, None)
    }
}

impl NewJob {
    /// Makes this process the job: its descriptors, with what its interpreter loads, its cgroup, its
    /// confinement. On an error the supervisor has been told and the process must end.
    ///
    /// # Errors
    /// The step that failed.
    pub fn take(self, confinement: &Confinement, to_load: Option<ToLoad<'_>>) -> Result<()> {
        let confined = place_fds(self.fds)
            .and_then(|()| walk_in(&self.doors))
            .and_then(|()| SigSet::empty().thread_set_mask().doing(|| "unblock signals"))
            .and_then(|()| confinement.enter(self.slot, &self.cell, to_load));
        // Its number may be another's by now: all from 5 up were closed.
        std::mem::forget((self.cell, self.doors));
        if let Err(error) = &confined {
            report_failure(if error.is_shortage() { SHORT } else { FAILED }, &error.to_string());
        }
        confined
    }
}

/// Writes why a job could not be confined or begun to its result pipe, number 3: [`FAILED`] or [`SHORT`].
pub fn report_failure(tag: u8, message: &str) {
    let mut frame = vec![tag];
    frame.extend((message.len() as u64).to_be_bytes());
    frame.extend(message.as_bytes());
    // SAFETY: number 3 is the result pipe, and is not closed by this borrow.
    let result = unsafe { BorrowedFd::borrow_raw(3) };
    let _ = nix::unistd::write(result, &frame);
}

/// Forks with nothing but a pidfd, into a cgroup where the supervisor gave one.
///
/// # Errors
/// The kernel's errno.
///
/// # Safety
/// The process has one thread.
pub unsafe fn fork_plain(cgroup: Option<&OwnedFd>) -> Result<Forked> {
    // SAFETY: the caller vouches for the one thread.
    unsafe { sys::clone3(0, cgroup) }.doing(|| "clone3 a job")
}

/// Moves this process, which has one thread, into its control groups: `cgroups(7)`.
fn walk_in(doors: &[OwnedFd]) -> Result<()> {
    doors.iter().try_for_each(|door| nix::unistd::write(door, b"0").map(drop).doing(|| "enter the cgroup"))
}

/// Opens one of this process's namespaces.
pub(crate) fn open_namespace(kind: &str) -> Result<OwnedFd> {
    let path = format!("/proc/self/ns/{kind}");
    std::fs::File::open(&path).map(OwnedFd::from).doing(|| format!("open {path}"))
}
