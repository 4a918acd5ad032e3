//! The interpreter of a session, between two cells.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::{Checkpoint as Rest, ExecuteRequest, JobId, Stream};
use cloister_sandbox::process::{self, FIRST_TO_GO, LAST_TO_GO};
use cloister_sandbox::wire::End;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::oneshot::Receiver;

use crate::job::bounds::Bounds;
use crate::job::cell::{Cell, has_ended};
use crate::job::conversation::Conversation;
use crate::job::denial::Rules;
use crate::job::frames::FrameWriter;
use crate::job::message::{encode, feed_all};
use crate::job::outcome::{OfCell, Outcome, usage};
use crate::job::output::Output;
use crate::job::output_files::Left;
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::{Pipes, Prepared, pump};
use crate::job::report::{Hearing, NotReady, Said};
use crate::job::session::hearing::{Shown, SoFar, read_cell, read_rest};
use crate::job::session::leftovers::{end_all_but, hold, stop};
use crate::job::session::messages;
use crate::job::session::reins::Reins;
use crate::job::session::watched::Watched;
use crate::job::verdict::{self, Stop, Stopped};
use crate::link::event_loop::watch;

/// How long an interpreter may take until it is at rest again: it has a copy of itself to make.
const SETTLING: Duration = Duration::from_secs(10);

/// How much of what it says is read at once.
const REPORT: usize = 1024;

/// The session is over: nothing of it can go on.
#[derive(Debug)]
pub struct Over;

/// A session's interpreter and the cell that it is in. Dropped, all of it is ended.
#[derive(Debug)]
pub struct Interpreter {
    session: JobId,
    pub(super) cell: Cell,
    process: AsyncFd<OwnedFd>,
    /// Its number on the host.
    number: u32,
    /// How it ends, where somebody will tell.
    ended: Option<Receiver<End>>,
    /// What wakes the checkpoint.
    wake: pipe::Sender,
    output: [Arc<pipe::Receiver>; 2],
    pub(super) reports: BufReader<pipe::Receiver>,
    pub(super) line: FrameWriter,
    /// The other end of the line.
    unread: OwnedFd,
    checkpoint: Option<Checkpoint>,
    rest: Rest,
    cells: u64,
    pub(super) bounds: Bounds,
    rules: Arc<Rules>,
    reins: Arc<Reins>,
}

/// The copy that goes on if a cell takes the interpreter with it.
#[derive(Debug)]
struct Checkpoint {
    process: AsyncFd<OwnedFd>,
    number: u32,
}

impl Interpreter {
    /// Has a process begin a session, with the files that its request brings.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn open(
        prepared: Prepared,
        (session, request): (JobId, &ExecuteRequest),
        bounds: Bounds,
        rules: Arc<Rules>,
        reins: Arc<Reins>,
    ) -> Result<Self, PrepareError> {
        let Prepared { mut cell, pipes, process, ended, .. } = prepared;
        let Pipes { stdin: mut wake, stdout, stderr, result, returns, unread } = pipes;
        let number = process::number(process.get_ref().as_fd()).ok_or(NotReady::Ended)?;
        cell.be_freezable(number)?;
        process::set_order_of_going(number, FIRST_TO_GO)?;
        let message = encode(request, &bounds, cell.begin(request));
        let mut reports = BufReader::with_capacity(REPORT, result);
        let begun = async {
            let (rest, ()) =
                tokio::join!(read_rest(&mut reports, bounds.result_bytes), feed_all(&mut wake, &message, request));
            rest
        };
        let rest = tokio::time::timeout(SETTLING, begun).await.ok().flatten().ok_or(NotReady::Ended)?;
        let mut interpreter = Self {
            session,
            cell,
            process,
            number,
            ended: Some(ended),
            wake,
            output: [Arc::new(stdout), Arc::new(stderr)],
            reports,
            line: FrameWriter::new(returns),
            unread: unread.expect("a session's pipes have it"),
            checkpoint: None,
            rest: Rest::default(),
            cells: 0,
            bounds,
            rules,
            reins,
        };
        interpreter.come_to_rest(rest).await;
        Ok(interpreter)
    }

    /// How many cells have begun in it.
    #[must_use]
    pub fn cells(&self) -> u64 {
        self.cells
    }

    /// Memory that it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.cell.cgroup().memory().unwrap_or(0)
    }

    /// What its cells are held to.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Runs a cell to its outcome; meanwhile the conversation has what it prints and calls. It is not to be dropped before its end.
    /// Afterwards [`settle`](Self::settle) is due, unless the session is over.
    ///
    /// # Errors
    /// When its control group can no longer be read.
    pub async fn run(
        &mut self,
        request: &ExecuteRequest,
        conversation: &Conversation,
    ) -> Result<Outcome, PrepareError> {
        self.cells += 1;
        let (bounds, Conversation { printed, calls }) = (self.bounds, conversation);
        let ahead = self.cell.restart_count()?;
        let oom = self.cell.cgroup().oom_event()?.map(watch).transpose()?;
        let stdout = Output::new(Arc::clone(&self.output[0]), bounds.stdout_bytes, Arc::clone(&printed.stdout));
        let stderr = Output::new(Arc::clone(&self.output[1]), bounds.stderr_bytes, Arc::clone(&printed.stderr));
        let take_printed = || {
            stdout.read_available();
            stderr.read_available();
        };
        let message = messages::cell(self.cells, request, &bounds);
        let shown = Shown::new(bounds.result_bytes);
        let wall = request.timeout_ms.map_or(bounds.wall, |asked| bounds.wall.min(Duration::from_millis(asked)));
        let reins = Arc::clone(&self.reins);
        let running = reins.hold(self.process.get_ref().as_fd())?;
        self.cell.cgroup().freeze(false)?;
        let started = Instant::now();
        let stop = {
            let hearing = Hearing { calls, before: &take_printed };
            let said = read_cell(&mut self.reports, bounds.result_bytes, &shown, hearing);
            let watched = Watched {
                cell: &self.cell,
                process: &self.process,
                ended: self.ended.as_mut(),
                oom: oom.as_ref(),
                bounds: &bounds,
                wall,
                calls,
                reins: &self.reins,
                interrupt_wait: bounds.sessions.interrupt_wait,
            };
            let line = &mut self.line;
            let talk = async {
                if line.write(message).await.is_ok() && calls.may_be() {
                    calls.write_to(line).await;
                }
            };
            tokio::select! {
                biased;
                stop = watched.stops(said) => stop,
                never = pump(talk, &stdout, &stderr) => match never {},
            }
        };
        drop(running);
        calls.set_ended();
        calls.end_round(self.cell.cgroup().cpu().ok());
        let ran = started.elapsed().saturating_sub(calls.waited());
        let lives = matches!(&stop, Stop::Said(Said::Result(_) | Said::CellError(_) | Said::NoForm));
        let used = self.cell.cgroup().usage()?;
        let restored = if lives { None } else { Some(self.restore(&take_printed).await) };
        take_printed();
        let no_form = matches!(&stop, Stop::Said(Said::NoForm));
        let stopped = Stopped { stop, heard: Default::default(), program: false };
        let (mut verdict, mut beside) = verdict::of(stopped, &used, &bounds).await;
        if let Err(failure) = &mut verdict {
            self.rules.explain(failure, &used);
        }
        let ((stdout, cut_stdout), (stderr, cut_stderr)) = (stdout.into_text().await, stderr.into_text().await);
        let cut = [(cut_stdout, Stream::Stdout), (cut_stderr, Stream::Stderr)];
        let SoFar { display, value, more, .. } = shown.into_all();
        if more {
            beside.notes.push("more was displayed than the profile's result_bytes, or than 1000 things".to_owned());
        }
        let (restored, not_kept) = restored.unzip();
        let of_cell = OfCell {
            session: self.session,
            number: self.cells,
            value: value.map(|value| (value.text(), value)),
            no_form,
            display,
            restored,
            not_kept: not_kept.unwrap_or_default(),
        };
        Ok(Outcome {
            verdict,
            stdout,
            stderr,
            truncated: cut.into_iter().filter_map(|(cut, stream)| cut.then_some(stream)).collect(),
            left: Left::default(),
            beside,
            usage: usage(ran, &used, calls.told()),
            used,
            ahead,
            of_cell: Some(of_cell),
        })
    }

    /// Waits until the interpreter is at rest behind a cell, and stops it.
    ///
    /// # Errors
    /// [`Over`], when it does not come to that and there is no checkpoint.
    pub async fn settle(&mut self) -> Result<(), Over> {
        let rest = tokio::time::timeout(SETTLING, read_rest(&mut self.reports, self.bounds.result_bytes)).await;
        match rest.ok().flatten() {
            Some(rest) => self.come_to_rest(rest).await,
            None if self.restore(&|| {}).await.0 => {}
            None => return Err(Over),
        }
        Ok(())
    }

    /// Takes note of the checkpoint, and stops all.
    async fn come_to_rest(&mut self, rest: Rest) {
        self.checkpoint = rest.pid.and_then(|pid| self.find(pid));
        self.rest = rest;
        stop(self.cell.cgroup()).await;
    }

    /// The process that has this number inside: the one that the interpreter says is its checkpoint.
    fn find(&self, pid: u32) -> Option<Checkpoint> {
        let all = self.cell.cgroup().processes().ok()?;
        let is_it = |number: &u32| *number != self.number && process::number_inside(*number) == Some(pid);
        let number = all.into_iter().find(is_it)?;
        let process = hold(number)?;
        // What is held has that number: it was not another's meanwhile.
        if !is_it(&number) || process::set_order_of_going(number, LAST_TO_GO).is_err() {
            return None;
        }
        Some(Checkpoint { process, number })
    }

    /// Ends all that is left of a cell, and has the checkpoint go on. Whether that was possible, and what is not as it was.
    async fn restore(&mut self, take_printed: &(dyn Fn() + Sync)) -> (bool, Vec<String>) {
        let not_kept = not_kept(&self.rest);
        let Some(checkpoint) = self.checkpoint.take().filter(|checkpoint| !has_ended(&checkpoint.process)) else {
            return (false, Vec::new());
        };
        if !end_all_but(self.cell.cgroup(), checkpoint.number).await || has_ended(&checkpoint.process) {
            return (false, Vec::new());
        }
        take_printed();
        self.forget_what_was_said();
        let Checkpoint { process, number } = checkpoint;
        (self.process, self.number, self.ended) = (process, number, None);
        let woken = async {
            process::set_order_of_going(number, FIRST_TO_GO).ok()?;
            self.wake.write_all(&[1]).await.ok()?;
            read_rest(&mut self.reports, self.bounds.result_bytes).await
        };
        let Some(rest) = tokio::time::timeout(SETTLING, woken).await.ok().flatten() else { return (false, Vec::new()) };
        self.come_to_rest(rest).await;
        (true, not_kept)
    }

    /// What is in the pipes is a dead process's.
    fn forget_what_was_said(&mut self) {
        self.line.forget();
        let mut chunk = [0; 4096];
        let _ = rustix::io::ioctl_fionbio(&self.unread, true);
        while rustix::io::read(&self.unread, &mut chunk).is_ok_and(|read| read > 0) {}
        let _ = rustix::io::ioctl_fionbio(&self.unread, false);
        // What was read ahead goes with the reader.
        let pipe = self.reports.get_ref();
        while rustix::io::read(pipe, &mut chunk).is_ok_and(|read| read > 0) {}
        let held = self.reports.buffer().len();
        self.reports.consume(held);
    }
}

/// What a restore does not bring back, in words.
fn not_kept(rest: &Rest) -> Vec<String> {
    let of = |count: u32, one: &str, many: &str| match count {
        0 => None,
        1 => Some(one.to_owned()),
        count => Some(format!("{count} {many}")),
    };
    let threads = rest.threads.iter().map(|name| format!("the thread {name}"));
    let more = rest.count.saturating_sub(u32::try_from(rest.threads.len()).unwrap_or(u32::MAX));
    threads
        .chain(of(more, "one more thread", "more threads"))
        .chain(of(rest.native, "a thread of native code", "threads of native code"))
        .chain(of(rest.children, "a child process", "child processes"))
        .collect()
}

impl Interpreter {
    /// Whether a copy is there that would go on.
    #[must_use]
    pub fn has_checkpoint(&self) -> bool {
        self.checkpoint.as_ref().is_some_and(|checkpoint| !has_ended(&checkpoint.process))
    }
}
