//! The policy, as a process without privileges has read it.
//!
//! A file that people write is read by a parser of thousands of lines, and this process has root's power. So it opens the
//! file, for only root may be able to, and hands it to the operator's program, started as an id that nobody has; that
//! checks it, looks at the host with the eyes of a job, and answers with what it comes to. The answer is bounded, read into
//! the policy's own types and looked at again. It must never be put in force when that process ends, hangs or babbles.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloister_program::Untrusted;
use cloister_terms::{Policy, READERS, Uid, Unsound};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::id_map::IdMap;
use crate::program::{NoProgram, Program};

/// The program, beside this one.
const PROGRAM: &str = "cloister";

/// The hidden subcommand of its `policy` that reads for this process.
pub const RESOLVE: &str = "resolve";

/// How long it may take: it looks through what the policy shows, which may be on a slow disk.
const TIME: Duration = Duration::from_secs(60);

/// The most that is taken of what it answers, in bytes: thousands of profiles, each with all its calls.
const LONGEST_ANSWER: u64 = 16 << 20;

/// The most that is taken of what it says is wrong.
const LONGEST_WORDS: u64 = 256 * 1024;

/// Whom it is started as: an id that nobody has.
pub fn reader() -> Uid {
    let map = IdMap::own();
    READERS.into_iter().find(|reader| map.has_one(*reader)).unwrap_or(READERS[0])
}

/// Why there is no policy. Each is a sentence for a person, or more of them.
#[derive(Debug, thiserror::Error)]
pub enum NoPolicy {
    /// The file is not gone by.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It has mistakes, in the words of the one who read it.
    #[error("{0}")]
    Mistakes(String),
    /// The program that reads it is not there.
    #[error("read the policy: {0}")]
    NoProgram(#[from] NoProgram),
    /// It cannot be started.
    #[error("read the policy: start {PROGRAM} as {1}: {0}")]
    Unstarted(io::Error, Uid),
    /// It has not ended in time.
    #[error("read the policy: {PROGRAM} has not read it within {} seconds: is there a file system that hangs?", TIME.as_secs())]
    TooSlow,
    /// It has said more than a policy can be.
    #[error("read the policy: it comes to more than {LONGEST_ANSWER} bytes: has it too many profiles?")]
    TooMuch,
    /// It has ended without an answer.
    #[error("read the policy: {PROGRAM} ended without an answer ({0})")]
    Ended(ExitStatus),
    /// It has answered something else.
    #[error("read the policy: what {PROGRAM} answered is none ({0}): are both programs of one version?")]
    Garbled(#[from] serde_json::Error),
    /// It has answered what must not be.
    #[error("read the policy: what {PROGRAM} answered must not be put in force: {0}")]
    Unsound(#[from] Unsound),
    /// What it says cannot be heard.
    #[error("read the policy: listen to {PROGRAM}: {0}")]
    Deaf(#[from] io::Error),
}

impl NoPolicy {
    /// Whether it is the file that is at fault.
    pub(crate) fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::Mistakes(_))
    }
}

/// The program that reads policies.
#[derive(Debug)]
pub struct Reader {
    program: Program,
    /// Held while one is read.
    turn: Mutex<()>,
    /// Whether none is to be read any more.
    is_over: AtomicBool,
    /// The process that reads now.
    now: Mutex<Option<OwnedFd>>,
}

impl Reader {
    /// The one beside this process's own program.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn find() -> Result<Self, NoPolicy> {
        Ok(Self {
            program: Program::beside(PROGRAM)?,
            turn: Mutex::default(),
            is_over: AtomicBool::default(),
            now: Mutex::default(),
        })
    }

    /// Has a policy read, and waits for that.
    ///
    /// # Errors
    /// [`NoPolicy`].
    pub fn read(&self, file: File, name: &Path) -> Result<Answer, NoPolicy> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, until) = (reader(), Instant::now() + TIME);
        let mut child = Command::new(self.program.path());
        child.arg0(PROGRAM).env_clear().current_dir("/").args(["policy", RESOLVE, "--name"]);
        // Its own directory is another, and what lies beside the file is found by this.
        child.arg(std::path::absolute(name)?).stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        child.uid(reader.0).gid(reader.0).process_group(0);
        let mut child = Started(child.spawn().map_err(|error| NoPolicy::Unstarted(error, reader))?);
        let process = pidfd_open(Pid::from_child(&child.0), PidfdFlags::empty()).map_err(io::Error::from)?;
        *self.now() = process.try_clone().ok();
        if self.is_over.load(Ordering::SeqCst) {
            return Err(NoPolicy::TooSlow);
        }
        let said = child.all(until).and_then(|said| is_ready(&process, until).map(|()| said));
        *self.now() = None;
        let ([answer, words], ended) = (said?, child.0.wait()?);
        if ended.success() {
            return Ok(Answer(answer));
        }
        match String::from_utf8_lossy(&words).trim_end() {
            "" => Err(NoPolicy::Ended(ended)),
            _ if ended.code().is_none() => Err(NoPolicy::Ended(ended)),
            words => Err(NoPolicy::Mistakes(words.to_owned())),
        }
    }

    /// Ends what reads, if something does, and waits until it is gone.
    pub(crate) fn give_up(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(process) = self.now().take() {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        let _gone = self.turn.lock();
    }

    fn now(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process that reads, which ends with this.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // One that has been waited for is nobody's any more, which the library knows.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Started {
    /// All that it says, on its output and as its errors.
    fn all(&mut self, until: Instant) -> Result<[Vec<u8>; 2], NoPolicy> {
        let (answer, words) = (self.0.stdout.take(), self.0.stderr.take());
        let mut pipes = [(answer.map(OwnedFd::from), LONGEST_ANSWER), (words.map(OwnedFd::from), LONGEST_WORDS)];
        let mut said = [Vec::new(), Vec::new()];
        while pipes.iter().any(|(pipe, _)| pipe.is_some()) {
            let ready = which(&pipes.each_ref().map(|(pipe, _)| pipe.as_ref().map(AsFd::as_fd)), until)?;
            for (((pipe, most), said), _) in pipes.iter_mut().zip(&mut said).zip(ready).filter(|(_, ready)| *ready) {
                let Some(open) = pipe.as_ref() else { continue };
                let mut some = vec![0; PIECE];
                match rustix::io::read(open, &mut some).map_err(io::Error::from)? {
                    0 => *pipe = None,
                    count => said.extend_from_slice(&some[..count]),
                }
                if said.len() as u64 > *most {
                    return Err(NoPolicy::TooMuch);
                }
            }
        }
        Ok(said)
    }
}

/// How much is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Waits until there is something to read from one of these, and says of which.
fn which<const N: usize>(fds: &[Option<BorrowedFd<'_>>; N], until: Instant) -> Result<[bool; N], NoPolicy> {
    let mut polled: Vec<_> = fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let left = until.saturating_duration_since(Instant::now());
    let left = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX);
    if poll(&mut polled, left).map_err(io::Error::from)? == 0 {
        return Err(NoPolicy::TooSlow);
    }
    let mut ready = polled.iter().map(|polled| polled.any().unwrap_or(true));
    Ok(fds.map(|fd| fd.is_some() && ready.next().unwrap_or(false)))
}

/// Waits until there is something to read from it, as there is from a process that has ended: `pidfd_open(2)`.
fn is_ready(fd: &OwnedFd, until: Instant) -> Result<(), NoPolicy> {
    which(&[Some(fd.as_fd())], until).map(drop)
}

/// What the program has answered, as it came.
#[derive(Debug)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// The policy that it is. It may be long: not for an event loop that others need.
    ///
    /// # Errors
    /// When it is none, or one that must not be put in force.
    pub fn policy(&self) -> Result<Policy, NoPolicy> {
        let policy: Policy = serde_json::from_slice(&self.0)?;
        policy.check()?;
        Ok(policy)
    }

    /// As a file without a name, for a process that is to put it in force.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn file(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create("policy", MemfdFlags::CLOEXEC)?);
        file.write_all(&self.0)?;
        Ok(file)
    }
}

/// The policy in such a file, which others may read at the same time.
pub(crate) fn taken_in(file: OwnedFd) -> Result<Policy, NoPolicy> {
    let file = File::from(file);
    let size = file.metadata()?.len().min(LONGEST_ANSWER);
    let mut answer = vec![0; usize::try_from(size).expect("it is bounded")];
    file.read_exact_at(&mut answer, 0)?;
    Answer(answer).policy()
}
