//! One job, from an empty slot to an empty slot. The states are types: a [`Prepared`] job waits for
//! its request, [`Prepared::run`] consumes it, and what is left is torn down whatever happened.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::{Entry, ExecuteRequest, Stream};
use cloister_sandbox::cgroup::Limits;
use cloister_sandbox::spec::Spec;
use cloister_sandbox::wire::{End, IntoCgroup, Span};
use rustix::fs::{Mode, fchmod};
use rustix::io::ioctl_fionbio;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::BufReader;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::job::bounds::Bounds;
use crate::job::calls::Calls;
use crate::job::cell::Cell;
use crate::job::conversation::Conversation;
use crate::job::frames::FrameWriter;
use crate::job::message::{encode, feed};
use crate::job::outcome::{Outcome, usage};
use crate::job::prepare_error::PrepareError;
use crate::job::processes::has_ended;
use crate::job::report::{self, Ahead, Hearing, NotReady};
use crate::job::running::Running;
use crate::job::slots::{Lease, Slots};
use crate::job::streams::Streams;
use crate::job::verdict::{self, Stopped};
use crate::link::event_loop::watch;
use crate::link::forkers::Forkers;
use crate::link::job_fds::JobFds;
use crate::link::launcher_error::LauncherError;

/// How long an interpreter may take to start; its imports are not the script's time.
pub const START_TIME: Duration = Duration::from_secs(30);

/// How much of a job's report is read at once: most are shorter.
const REPORT: usize = 1024;

/// A job's process, confined and waiting for its request.
#[derive(Debug)]
pub struct Prepared {
    pub(super) cell: Cell,
    pub(super) pipes: Pipes,
    pub(super) process: AsyncFd<OwnedFd>,
    pub(super) ended: oneshot::Receiver<End>,
    pub(super) oom: Option<AsyncFd<OwnedFd>>,
}

/// A job's process that has begun to confine itself, and starts its interpreter then.
#[derive(Debug)]
pub struct Begun {
    cell: Cell,
    pipes: Pipes,
    process: OwnedFd,
    ended: oneshot::Receiver<End>,
}

/// Our ends of a job's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
    pub(super) result: pipe::Receiver,
    pub(super) returns: OwnedFd,
    /// The other end of that, of a session: what a dead cell has not read is nobody's.
    pub(super) unread: Option<OwnedFd>,
}

impl Begun {
    /// Builds a sandbox in the leased slot and starts a process in it.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub async fn new(
        forkers: &Forkers,
        spec: &Spec,
        limits: Limits,
        lease: Lease,
        slots: &Arc<Slots>,
    ) -> Result<Self, PrepareError> {
        Self::start(Cell::build(forkers, spec, limits, lease, slots).await?, Span::Job).await
    }

    async fn start(cell: Cell, span: Span) -> Result<Self, PrepareError> {
        let (pipes, theirs) = Pipes::new(span)?;
        let (process, ended) = begin((&cell, span), theirs).await?;
        Ok(Self { cell, pipes, process, ended })
    }

    /// Its process, a pidfd.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Waits until the interpreter is there.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn ready(self) -> Result<Prepared, PrepareError> {
        let Self { cell, mut pipes, process, mut ended } = self;
        let process = watch(process)?;
        let oom = cell.cgroup().oom_event()?.map(watch).transpose()?;
        match report::wait_until_ready(&mut pipes.result).await {
            Ok(()) => Ok(Prepared { cell, pipes, process, ended, oom }),
            Err(NotReady::Ended) => match (&mut ended).await {
                Err(_) => Err(LauncherError::Dead.into()),
                Ok(_) if cell.cgroup().usage()?.oom_kills > 0 => Err(PrepareError::TooLittleMemory),
                Ok(_) => Err(NotReady::Ended.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

impl Prepared {
    /// Builds a sandbox in the leased slot and starts an interpreter in it, which has to be ready in time. Must run to its
    /// end: what the launcher was asked for would otherwise come to nobody.
    ///
    /// # Errors
    /// The step that failed. The slot goes back to the others then, or is replaced if it was what failed.
    pub async fn new(
        forkers: &Forkers,
        spec: &Spec,
        (limits, span): (Limits, Span),
        lease: Lease,
        slots: &Arc<Slots>,
        within: Duration,
    ) -> Result<Self, PrepareError> {
        let cell = Cell::build(forkers, spec, limits, lease, slots).await?;
        let ready = async { Begun::start(cell, span).await?.ready().await };
        tokio::time::timeout(within, ready).await.unwrap_or(Err(PrepareError::TooSlow(within)))
    }
    /// Whether its process still waits: asked of the kernel, for the news of its end may be on its way.
    pub fn is_alive(&mut self) -> bool {
        !has_ended(&self.process) && matches!(self.ended.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    /// Hands the request over and waits for the verdict; meanwhile the conversation has what it prints and calls. Dropping the future kills
    /// the job.
    ///
    /// # Errors
    /// When the job's control group can no longer be read, the event loop takes no more, or its launcher died.
    pub async fn run(
        self,
        request: &ExecuteRequest,
        bounds: &Bounds,
        conversation: &Conversation,
    ) -> Result<Outcome, PrepareError> {
        let Self { mut cell, pipes, process, ended, oom } = self;
        let Pipes { stdin, stdout, stderr, result, returns, unread: _ } = pipes;
        let Conversation { printed, calls, .. } = conversation;
        // Ahead of the request: what calls return is never lost for want of a way to the job.
        let returns = calls.may_be().then(|| FrameWriter::new(returns)).transpose()?;
        let mut result = BufReader::with_capacity(REPORT, result);
        let ahead = Ahead::default();
        let streams = Streams::new([stdout, stderr].map(Arc::new), bounds, printed);
        let ahead_of_it = cell.restart_count()?;
        let wall = bounds.wall_of(request);
        let message = encode(request, bounds, cell.begin(request));

        let take_printed = || streams.take_printed();
        let started = Instant::now();
        let stop = {
            let mut running = Running { cell: &mut cell, process: &process, oom: oom.as_ref(), bounds, wall, calls };
            let mut report =
                pin!(report::read(&mut result, bounds.result_bytes, &ahead, Hearing { calls, before: &take_printed }));
            let talk = async { tokio::join!(feed(stdin, &message, request), answer(calls, returns)) };
            let pump = streams.pump(talk);
            tokio::select! {
                biased;
                stop = running.watch_to_its_end(ended, &mut report) => stop.ok_or(LauncherError::Dead)?,
                never = pump => match never {},
            }
        };
        take_printed();
        let stopped = Stopped { stop, heard: ahead.into_heard(), program: request.entry == Entry::Program };
        if calls.may_be() {
            calls.end_round(cell.cgroup().cpu().ok());
        }
        calls.let_go();
        let ran = started.elapsed().saturating_sub(calls.waited());
        let outcome = collect(cell, stopped, (ran, calls), streams, bounds).await?;
        Ok(Outcome { ahead: ahead_of_it, ..outcome })
    }
}

impl Pipes {
    /// All of ours: what is written to first.
    pub(super) fn ends(&self) -> [BorrowedFd<'_>; 5] {
        let Self { stdin, stdout, stderr, result, returns, .. } = self;
        [returns.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), result.as_fd()]
    }

    pub(super) fn new(span: Span) -> io::Result<(Self, JobFds)> {
        let receiver = |pair: io::Result<(OwnedFd, OwnedFd)>| -> io::Result<_> {
            let (ours, theirs) = pair?;
            ioctl_fionbio(&ours, true)?;
            // Nothing to ask of a pipe that was made here.
            Ok((pipe::Receiver::from_owned_fd_unchecked(ours)?, theirs))
        };
        // A session has no input: what wakes its copy is nothing to be opened. Nor is what it prints to be read by anybody there, who could
        // keep the pipe so and not be seen: see `Handed`.
        let ((stdin_theirs, stdin), outputs) = match span {
            Span::Job => (pipe_to_open(TO_ALL)?, TO_ALL),
            Span::Session => (pipe_with(PipeFlags::CLOEXEC)?, TO_WRITE),
        };
        ioctl_fionbio(&stdin, true)?;
        let (stdout, stdout_theirs) = receiver(pipe_to_open(outputs))?;
        let (stderr, stderr_theirs) = receiver(pipe_to_open(outputs))?;
        // Nobody has a reason to open these by a path.
        let (result, result_theirs) = receiver(pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from))?;
        let (returns_theirs, returns) = match span {
            Span::Job => pipe_with(PipeFlags::CLOEXEC)?,
            Span::Session => one_way_socket()?,
        };
        ioctl_fionbio(&returns, true)?;
        let unread = (span == Span::Session).then(|| returns_theirs.try_clone()).transpose()?;
        let theirs = JobFds {
            stdin: stdin_theirs,
            stdout: stdout_theirs,
            stderr: stderr_theirs,
            result: result_theirs,
            returns: returns_theirs,
        };
        Ok((Self { stdin, stdout, stderr, result, returns, unread }, theirs))
    }
}

/// Who may open a pipe again, and to what: `chmod(2)`.
const TO_ALL: u32 = 0o666;
const TO_WRITE: u32 = 0o222;

/// A pipe that whoever has an end of it can open again, as `/dev/stdin` or `/proc/self/fd/1`: the pipe is the supervisor's account's,
/// and an id of its own would be refused. Nobody else comes by it, for no other path leads there.
fn pipe_to_open(mode: u32) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fchmod(&read, Mode::from_raw_mode(mode))?;
    Ok((read, write))
}

/// A socket to read from, and one to write to, which takes descriptors too: a session that is forked is handed those of its branches.
/// Nothing can be sent the other way.
fn one_way_socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let (theirs, ours) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    shutdown(&ours, Shutdown::Read)?;
    Ok((theirs, ours))
}

/// Starts the job's process: a pidfd, and its end when it comes.
async fn begin((cell, span): (&Cell, Span), fds: JobFds) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
    let (slot, group, forkers) = (cell.slot(), cell.cgroup(), cell.forkers());
    let init = cell.init().expect("what is a part of another cell begins with a process of that");
    let launcher = forkers.launcher.connection();
    // A cold job is born in its group where that is possible; a warm one is forked by the C library,
    // which knows nothing of groups.
    match (&forkers.zygote, group.start_directory()) {
        (Some(zygote), _) => zygote.fork_job((slot, span), init, fds, group.doors()).await,
        (None, Some(directory)) => {
            launcher.start_job((slot, span), init, fds, IntoCgroup::Born, std::slice::from_ref(directory)).await
        }
        (None, None) => launcher.start_job((slot, span), init, fds, IntoCgroup::Walks, group.doors()).await,
    }
}

/// Writes what its calls of tools come to, to a job that can make any.
async fn answer(calls: &Calls, returns: Option<FrameWriter>) {
    if let Some(mut returns) = returns {
        calls.write_to(&mut returns).await;
    }
}

/// Takes what a job that is dead has left, and says what it came to.
async fn collect(
    cell: Cell,
    stopped: Stopped,
    (ran, calls): (Duration, &Calls),
    streams: Streams,
    bounds: &Bounds,
) -> Result<Outcome, PrepareError> {
    let used = cell.cgroup().usage()?;
    let usage = usage(ran, &used, calls.told());
    let left = cell.end(bounds).await;
    let (stdout, stderr, mut truncated) = streams.into_text().await;
    truncated.extend(left.truncated.then_some(Stream::Files));
    let (verdict, beside) = verdict::of(stopped, &used, bounds).await;
    Ok(Outcome { verdict, stdout, stderr, truncated, left, beside, usage, used, ahead: Duration::ZERO, of_cell: None })
}
