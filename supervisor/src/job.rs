//! One job, from an empty slot to an empty slot. The states are types: a [`Prepared`] job waits for
//! its request, [`Prepared::run`] consumes it, and what is left is torn down whatever happened.

use std::io;
use std::iter::once;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::{Answer, ExecuteRequest, Failure, InputFile, JobId, OutputFile, Stream, Usage};
use cloister_sandbox::cgroup::{self, Limits};
use cloister_sandbox::spec::Spec;
use cloister_sandbox::wire::{End, Entry};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Signal, pidfd_send_signal};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::connection::LauncherError;
use crate::files::{JobFiles, Left};
use crate::forkers::Forkers;
use crate::output::{Output, Printed};
use crate::prepare_error::PrepareError;
use crate::profile::Bounds;
use crate::report::{self, NotReady, Said};
use crate::slots::{Lease, Slots};
use crate::verdict::{self, Stop};
use crate::watch::{watch, watch_or_return};

/// How long an interpreter may take to start; its imports are not the script's time.
pub const START_TIME: Duration = Duration::from_secs(30);

/// How long a job runs before it leaves a busy machine to those that have just begun. Most have ended by then, and pay
/// nothing for it.
const LONG: Duration = Duration::from_millis(200);

/// How long a dead job's last words may take. They are in the pipe by then, or will never be.
const AFTERMATH: Duration = Duration::from_secs(1);

/// A job's process, confined and waiting for its request.
#[derive(Debug)]
pub struct Prepared {
    sandbox: Sandbox,
    stdin: pipe::Sender,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
    result: pipe::Receiver,
    process: AsyncFd<OwnedFd>,
    ended: oneshot::Receiver<End>,
    oom: Option<AsyncFd<OwnedFd>>,
}

/// What a job came to.
#[derive(Debug)]
pub struct Outcome {
    /// The result's JSON, or why there is none.
    pub verdict: Result<Box<RawValue>, Failure>,
    /// What was printed.
    pub stdout: String,
    /// What was printed to standard error.
    pub stderr: String,
    /// What is not here whole.
    pub truncated: Vec<Stream>,
    /// What the job left in `out`.
    pub files: Vec<OutputFile>,
    /// What was used.
    pub usage: Usage,
    /// What the kernel counted.
    pub used: cgroup::Usage,
}

impl Outcome {
    /// The answer that tells it.
    #[must_use]
    pub fn answer(&self, id: JobId) -> Answer<'_> {
        let Self { stdout, stderr, truncated, files, usage, .. } = self;
        let usage = *usage;
        match &self.verdict {
            Ok(result) => Answer::Returned { id, result, stdout, stderr, truncated, files, usage },
            Err(error) => Answer::Failed { id, error, stdout, stderr, truncated, files, usage },
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
        limits: Limits,
        mut lease: Lease,
        slots: &Arc<Slots>,
        within: Duration,
    ) -> Result<Self, PrepareError> {
        if let Err(error) = lease.cgroup.reset(limits) {
            slots.lose(lease);
            return Err(PrepareError::Slot(error));
        }
        let (cell, files) = match forkers.launcher.connection().cell(lease.slot).await {
            Ok([cell, files]) => (cell, JobFiles::new(files, spec)),
            Err(error) => {
                slots.release(lease);
                return Err(error.into());
            }
        };
        let cell = match watch_or_return(cell) {
            Ok(cell) => cell,
            Err((cell, error)) => {
                // Nothing of a job has been in it.
                let _ = pidfd_send_signal(&cell, Signal::KILL);
                slots.release(lease);
                return Err(error.into());
            }
        };
        let (slots, forkers) = (Arc::clone(slots), forkers.clone());
        let sandbox = Sandbox { inner: Some((lease, cell)), files: Some(files), slots, forkers };
        match tokio::time::timeout(within, Self::start(sandbox)).await {
            Ok(prepared) => prepared,
            Err(_) => Err(PrepareError::TooSlow(within)),
        }
    }

    async fn start(sandbox: Sandbox) -> Result<Self, PrepareError> {
        let forkers = &sandbox.forkers;
        let (stdin_theirs, stdin) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let stdin = pipe::Sender::from_owned_fd(stdin)?;
        let ([stdout, stderr, mut result], theirs) = output_pipes()?;
        let [stdout_theirs, stderr_theirs, result_theirs] = theirs;
        let (lease, cell) = sandbox.parts();
        let fds = [stdin_theirs, stdout_theirs, stderr_theirs, result_theirs];
        let (slot, launcher) = (lease.slot, forkers.launcher.connection());
        // A cold job is born in its group where that is possible; a warm one is forked by the C library,
        // which knows nothing of groups.
        let begun = match (&forkers.zygote, lease.cgroup.start_directory()) {
            (Some(zygote), _) => zygote.fork_job(slot, cell.get_ref(), fds, lease.cgroup.doors()).await,
            (None, Some(directory)) => {
                launcher.start_job(slot, cell.get_ref(), fds, Entry::Born, std::slice::from_ref(directory)).await
            }
            (None, None) => launcher.start_job(slot, cell.get_ref(), fds, Entry::Walks, lease.cgroup.doors()).await,
        };
        let (process, mut ended) = begun?;
        if let Some(recorder) = &forkers.recorder {
            recorder.attach(process.as_fd()).await.map_err(PrepareError::Recorder)?;
        }
        let process = watch(process)?;
        let oom = lease.cgroup.oom_event()?.map(watch).transpose()?;
        match report::wait_until_ready(&mut result).await {
            Ok(()) => Ok(Self { sandbox, stdin, stdout, stderr, result, process, ended, oom }),
            Err(NotReady::Ended) => match (&mut ended).await {
                Err(_) => Err(LauncherError::Dead.into()),
                Ok(_) if lease.cgroup.usage()?.oom_kills > 0 => Err(PrepareError::TooLittleMemory),
                Ok(_) => Err(NotReady::Ended.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Whether its process still waits: asked of the kernel, for the news of its end may be on its way.
    pub fn is_alive(&mut self) -> bool {
        // Readable once it has ended: pidfd_open(2).
        let mut polled = [PollFd::new(self.process.get_ref().as_fd(), PollFlags::POLLIN)];
        let runs = matches!(poll(&mut polled, PollTimeout::ZERO), Ok(0));
        runs && matches!(self.ended.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    /// Hands the request over and waits for the verdict; meanwhile `printed` shows what comes. Dropping the future kills
    /// the job.
    ///
    /// # Errors
    /// When the job's control group can no longer be read, or its launcher died.
    pub async fn run(
        self,
        request: &ExecuteRequest,
        bounds: &Bounds,
        printed: &Printed,
    ) -> Result<Outcome, PrepareError> {
        let Self { mut sandbox, mut stdin, stdout, stderr, mut result, process, mut ended, oom } = self;
        let mut stdout = Output::new(stdout, bounds.stdout_bytes, Arc::clone(&printed.stdout));
        let mut stderr = Output::new(stderr, bounds.stderr_bytes, Arc::clone(&printed.stderr));
        sandbox.parts_mut().0.cgroup.restart_count()?;
        let wall = request.timeout_ms.map_or(bounds.wall, |asked| bounds.wall.min(Duration::from_millis(asked)));
        let message = encode(request, bounds, sandbox.files_directory());

        let started = Instant::now();
        let (lease, cell) = sandbox.parts();
        let stop = {
            let feed = async move {
                // A script need not read its input; the pipe breaking then is no failure.
                let input = request.stdin.as_deref().unwrap_or_default().as_bytes();
                for part in once(&*message).chain(request.files.iter().map(InputFile::bytes)).chain(once(input)) {
                    let _ = stdin.write_all(part).await;
                }
            };
            let mut pump = pin!(async {
                tokio::join!(feed, stdout.read_to_end(), stderr.read_to_end());
                std::future::pending::<()>().await;
            });
            let mut report = pin!(report::read(&mut result, bounds.result_bytes));
            let (mut silent, mut orphaned) = (false, false);
            let mut deadline = pin!(tokio::time::sleep(wall));
            let mut cpu_time = pin!(cpu_time_used_up(&lease.cgroup, bounds));
            let mut memory = pin!(out_of_memory(oom.as_ref()));
            let mut long = pin!(tokio::time::sleep(LONG));
            let mut stepped_back = false;
            let mut locks = pin!(sandbox.slots.locks.too_many(&lease.cgroup));
            let stop = loop {
                tokio::select! {
                    biased;
                    said = &mut report, if !silent => match said {
                        // A script may close the pipe and go on; its end will say what became of it.
                        Said::Nothing => silent = true,
                        said => break Stop::Said(said),
                    },
                    () = &mut deadline => break Stop::WallTime(wall),
                    () = &mut cpu_time => break Stop::CpuTime,
                    () = &mut memory => break Stop::OutOfMemory,
                    () = &mut locks => break Stop::TooManyLocks,
                    end = &mut ended, if !orphaned => match end {
                        Ok(end) => break Stop::Ended(end),
                        // Only the zygote may have died: the job goes on below the launcher, and what it reports is as
                        // true as ever. Nobody could tell how it ended without a report, though.
                        Err(_) => orphaned = true,
                    },
                    () = dead(&process), if orphaned => {
                        if !silent && let Some(said) = last_words(&mut report).await {
                            break Stop::Said(said);
                        }
                        kill(lease, cell);
                        sandbox.gone().await;
                        return Err(LauncherError::Dead.into());
                    }
                    () = &mut long, if !stepped_back => {
                        stepped_back = true;
                        // If it cannot, others wait for longer; its end tells what is wrong with the group.
                        let _ = lease.cgroup.step_back();
                    }
                    () = &mut pump => unreachable!("the pump never ends"),
                }
            };
            // In front of the answer, whatever it is: nothing of the job goes on after it. What is killed neither returns to
            // its program nor makes another process, so that who is alone then stays so: copy_process() in `kernel/fork.c`.
            let _ = pidfd_send_signal(process.get_ref().as_fd(), Signal::KILL);
            let alone = matches!(stop, Stop::Said(_)) && lease.cgroup.has_one_task();
            kill(lease, cell);
            // What a job that is alone wrote is in the pipes, its report came last of it, and what its process takes to go is
            // the kernel's time. Files are read, and others of the job may still write: then all are waited for. After a
            // report there is in most cases one process, whose end is quicker told than that of its cell.
            if !(alone && sandbox.left_nothing()) {
                let gone = async {
                    if matches!(stop, Stop::Said(_)) {
                        dead(&process).await;
                        if lease.cgroup.is_empty() {
                            return;
                        }
                    }
                    sandbox.gone().await;
                };
                tokio::select! {
                    () = gone => {}
                    () = &mut pump => unreachable!("the pump never ends"),
                }
            }
            match stop {
                Stop::Ended(end) if !silent => last_words(&mut report).await.map_or(Stop::Ended(end), Stop::Said),
                stop => stop,
            }
        };
        stdout.read_available();
        stderr.read_available();
        let used = sandbox.parts().0.cgroup.usage()?;
        let usage = usage(started.elapsed(), &used);
        let left = sandbox.end(bounds).await;
        let mut truncated = Vec::new();
        let (stdout, cut) = stdout.into_text().await;
        truncated.extend(cut.then_some(Stream::Stdout));
        let (stderr, cut) = stderr.into_text().await;
        truncated.extend(cut.then_some(Stream::Stderr));
        truncated.extend(left.truncated.then_some(Stream::Files));
        Ok(Outcome {
            verdict: verdict::of(stop, &used, bounds).await,
            stdout,
            stderr,
            truncated,
            files: left.files,
            usage,
            used,
        })
    }
}

/// A cell and the slot it is in. Dropped, it is killed, and the slot is free once all in it is dead.
#[derive(Debug)]
struct Sandbox {
    inner: Option<(Lease, AsyncFd<OwnedFd>)>,
    /// The job's files. Their memory is the slot's: it is free only when they are gone.
    files: Option<JobFiles>,
    slots: Arc<Slots>,
    /// Kept until all is dead: the process that forked a job is the one that can tell of its end.
    forkers: Forkers,
}

impl Sandbox {
    fn parts(&self) -> (&Lease, &AsyncFd<OwnedFd>) {
        let (lease, cell) = self.inner.as_ref().expect("taken only by drop");
        (lease, cell)
    }

    /// Where the files of a request are put.
    fn files_directory(&self) -> &Path {
        self.files.as_ref().expect("taken only at the end").directory()
    }

    /// Whether the job has left no file that would be returned.
    fn left_nothing(&self) -> bool {
        self.files.as_ref().is_none_or(JobFiles::is_empty)
    }

    /// Waits until nothing in the cell runs any more.
    async fn gone(&self) {
        all_dead(self.parts().1, &self.forkers).await;
    }

    /// Takes what the job left, once all in the cell are dead. What is begun goes to its end even if nobody waits
    /// for it any more, for the slot is not free before.
    async fn end(mut self, bounds: &Bounds) -> Left {
        let Some(files) = self.files.take_if(|files| !files.is_empty()) else {
            // Closed now, it is the cell's end that frees the rest.
            drop(self.files.take_if(|files| files.is_light()));
            return Left::default();
        };
        let (bounds, (tell, told)) = (*bounds, oneshot::channel());
        tokio::spawn(async move {
            let collect = move || tell.send(files.collect(&bounds)).is_ok();
            let _ = tokio::task::spawn_blocking(collect).await;
            drop(self);
        });
        told.await.unwrap_or(Left { truncated: true, ..Left::default() })
    }

    fn parts_mut(&mut self) -> (&mut Lease, &AsyncFd<OwnedFd>) {
        let (lease, cell) = self.inner.as_mut().expect("taken only by drop");
        (lease, cell)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let Some((lease, cell)) = self.inner.take() else { return };
        kill(&lease, &cell);
        let (slots, forkers) = (Arc::clone(&self.slots), self.forkers.clone());
        let files = self.files.take();
        tokio::spawn(async move {
            all_dead(&cell, &forkers).await;
            sweep();
            // Freed beside the event loop, which much of it would keep.
            if let Some(files) = files {
                let _ = tokio::task::spawn_blocking(|| drop(files)).await;
            }
            give_back(&slots, lease);
        });
    }
}

/// What a dead job had reported, if it had.
async fn last_words(report: impl Future<Output = Said>) -> Option<Said> {
    // The result pipe's other end may be on its way between sockets that nobody holds.
    sweep();
    tokio::time::timeout(AFTERMATH, report).await.ok().filter(|said| !matches!(said, Said::Nothing))
}

/// Makes the kernel look for sockets that hold one another and so, and with them whatever else was sent,
/// outlive their job. Closing any Unix socket does: `net/unix/garbage.c`.
fn sweep() {
    let _ = std::os::unix::net::UnixStream::pair();
}

/// A slot is used again only when its control group is seen to be empty.
fn give_back(slots: &Arc<Slots>, lease: Lease) {
    if lease.cgroup.is_empty() {
        slots.release(lease);
    } else {
        slots.lose(lease);
    }
}

/// Waits for the end of the process that a pidfd refers to, `pidfd_open(2)`. If that is the cell's
/// init, nothing in the cell runs any more: the kernel ends the whole PID namespace before it,
/// `pid_namespaces(7)`.
async fn dead(process: &AsyncFd<OwnedFd>) {
    let _ = process.readable().await;
}

/// Waits until nothing in the cell runs any more, past those who forked it, should they hang.
async fn all_dead(cell: &AsyncFd<OwnedFd>, forkers: &Forkers) {
    tokio::select! {
        () = dead(cell) => {}
        () = forkers.end_if_hung() => unreachable!("there is always someone to wait for"),
    }
}

/// Begins the end of everything in the cell.
fn kill(lease: &Lease, cell: &AsyncFd<OwnedFd>) {
    let _ = pidfd_send_signal(cell.get_ref().as_fd(), Signal::KILL);
    lease.cgroup.kill();
}

/// Ends when the group has used its CPU time. Looks again only when it could have, at full speed.
async fn cpu_time_used_up(cgroup: &cgroup::SlotCgroup, bounds: &Bounds) {
    while let Ok(used) = cgroup.cpu() {
        let Some(left) = bounds.cpu.checked_sub(used).filter(|left| !left.is_zero()) else { return };
        let soonest = left.mul_f64(1000.0 / f64::from(bounds.millicpus));
        tokio::time::sleep(soonest.max(Duration::from_millis(1))).await;
    }
}

async fn out_of_memory(event: Option<&AsyncFd<OwnedFd>>) {
    match event {
        Some(event) => {
            let _ = event.readable().await;
        }
        None => std::future::pending().await,
    }
}

/// The runner's message, which is what comes first through a job's standard input: before the content of the
/// files, one behind the other, and the script's own input.
fn encode(request: &ExecuteRequest, bounds: &Bounds, directory: &Path) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Message<'a> {
        script: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        args: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kwargs: Option<&'a RawValue>,
        result_bytes: u64,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        files: Vec<(PathBuf, usize)>,
    }
    let body = serde_json::to_vec(&Message {
        script: &request.script,
        args: request.args.as_deref(),
        kwargs: request.kwargs.as_deref(),
        result_bytes: bounds.result_bytes,
        files: request.files.iter().map(|file| (directory.join(file.path()), file.bytes().len())).collect(),
    })
    .expect("strings and JSON that was parsed");
    let mut message = (body.len() as u64).to_be_bytes().to_vec();
    message.extend(body);
    message
}

fn output_pipes() -> io::Result<([pipe::Receiver; 3], [OwnedFd; 3])> {
    let one = || -> io::Result<_> {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok((pipe::Receiver::from_owned_fd(ours)?, theirs))
    };
    let (one, two, three) = (one()?, one()?, one()?);
    Ok(([one.0, two.0, three.0], [one.1, two.1, three.1]))
}

fn usage(wall: Duration, used: &cgroup::Usage) -> Usage {
    let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    Usage { wall_ms: milliseconds(wall), cpu_ms: milliseconds(used.cpu), memory_peak_bytes: used.memory_peak.0 }
}
