//! The one who answers for a recorded job's filter, and keeps what the job asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_policy::seccomp::Syscall;
use cloister_policy::{Access, PathRule};
use cloister_sandbox::paths::{Asks, PATHS, PathArgument};
use cloister_sandbox::recorder::{Call, Listener};
use cloister_sandbox::spec::Spec;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use tokio::io::unix::AsyncFd;

use super::judge::{Judge, Judgement};
use cloister_engine::job::denial::plain;
use cloister_engine::link::event_loop::watch;

/// How many calls are answered before others have a turn, the job's deadline for one.
const AT_A_STRETCH: usize = 32;

/// Names in `/proc` that lead whoever opens them to himself, `proc(5)`: for this process they are another.
const OWN: [&str; 2] = ["/proc/self", "/proc/thread-self"];

/// How many different paths are kept.
const MOST_PATHS: usize = 4096;

/// Arguments that say what a call is for: a rule for these alone is less than the whole call.
const SELECTORS: [(&str, &[usize]); 7] = [
    ("fcntl", &[1]),
    ("getsockopt", &[1, 2]),
    ("ioctl", &[1]),
    ("prctl", &[0]),
    ("setsockopt", &[1, 2]),
    ("socket", &[0]),
    ("socketpair", &[0]),
];

/// A call with those of its arguments that say what it is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The call.
    pub call: Syscall,
    /// Which argument, and its lower 32 bits.
    pub selected: Vec<(usize, u32)>,
}

/// What was wanted of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// Whether it is there, and what.
    Know,
    /// What is in it.
    Read,
    /// To run it.
    Run,
}

/// What a job asked for beyond its profile.
#[derive(Debug, Default)]
pub struct Seen {
    /// Calls with how often they were made.
    pub calls: BTreeMap<(Judgement, Use), u64>,
    /// Paths that are on the host and not in the sandbox.
    pub missing: BTreeMap<PathBuf, BTreeSet<Want>>,
    /// Paths outside of the job's own file systems that were to be changed.
    pub written: BTreeSet<PathBuf>,
    /// Paths that the sandbox has, at which a rule of the profile does not grant this.
    pub closed: BTreeMap<PathBuf, Access>,
    /// What kept the record from being complete.
    pub incomplete: Option<String>,
}

/// Answers and keeps.
#[derive(Debug)]
pub struct Recorder {
    judge: Judge,
    path_rules: Vec<PathRule>,
    writable: Vec<PathBuf>,
    script_runs: AtomicBool,
    seen: Mutex<Seen>,
}

impl Recorder {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(judge: Judge, spec: &Spec) -> Self {
        let writable = spec.writable().map(|(path, _)| path.to_owned()).collect();
        Self {
            judge,
            path_rules: spec.path_rules.clone(),
            writable,
            script_runs: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    /// Takes the listener of a process whose filter is about to be in force, and answers from then on.
    ///
    /// # Errors
    /// When the process cannot be looked into. That it has ended is told elsewhere.
    pub async fn attach(self: Arc<Self>, process: BorrowedFd<'_>) -> io::Result<()> {
        // Nothing tells of the moment at which there is a listener; the process waits in its exec from then on.
        let listener = loop {
            match Listener::of(process) {
                Ok(Some(listener)) => break listener,
                Ok(None) => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
                Err(error) => return Err(error),
            }
        };
        tokio::spawn(self.serve(watch(listener)?));
        Ok(())
    }

    /// From now on paths are kept: before, they were the interpreter's own.
    pub fn begin_script(&self) {
        self.script_runs.store(true, Ordering::Relaxed);
    }

    /// What was seen.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nothing panics while it holds this lock")
    }

    async fn serve(self: Arc<Self>, listener: AsyncFd<Listener>) {
        while let Ok(mut ready) = listener.readable().await {
            match self.answer_some(listener.get_ref()) {
                Ok(true) => {}
                Ok(false) => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
                Err(error) => {
                    self.seen().incomplete = Some(format!("answer a call of the job: {error}"));
                    return;
                }
            }
            drop(ready);
            tokio::task::yield_now().await;
        }
    }

    /// Answers calls that wait; whether there may be more.
    fn answer_some(&self, listener: &Listener) -> io::Result<bool> {
        for _ in 0..AT_A_STRETCH {
            let Some(call) = listener.receive()? else { return Ok(false) };
            let (judgement, reply) = self.judge.judge(call.number, call.arguments);
            if judgement != Judgement::Allowed {
                self.keep_call(judgement, &call);
            }
            if self.script_runs.load(Ordering::Relaxed) {
                PATHS
                    .iter()
                    .filter(|path| path.number == call.number)
                    .for_each(|path| self.keep_path(listener, &call, path));
            }
            listener.reply(&call, reply)?;
        }
        Ok(true)
    }

    /// What is wanted and not granted by the rules in whose place of what is usual the path is.
    fn closed(&self, call: &Call, asks: Asks, path: &Path, found: Option<FileType>) -> Option<Access> {
        let mut rules = self.path_rules.iter().filter(|rule| path.starts_with(&rule.path)).peekable();
        rules.peek()?;
        let access = needed(call, asks, found)?;
        (!rules.any(|rule| rule.access.contains(&access))).then_some(access)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the kernel looks at these bits alone")]
    fn keep_call(&self, judgement: Judgement, made: &Call) {
        let Some(call) = Syscall::by_number(made.number) else { return };
        let selectors = SELECTORS.iter().find(|(name, _)| *name == call.name()).map_or(&[][..], |(_, at)| at);
        let selected = selectors.iter().map(|&at| (at, made.arguments[at] as u32)).collect();
        *self.seen().calls.entry((judgement, Use { call, selected })).or_default() += 1;
    }

    fn keep_path(&self, listener: &Listener, call: &Call, argument: &PathArgument) {
        let Some(path) = absolute(call, argument).filter(|_| listener.waits(call)) else { return };
        let own = self.writable.iter().any(|own| path.starts_with(own))
            || path.starts_with("/dev")
            || OWN.iter().any(|own| path.starts_with(own));
        let found = find_inside(call, &path);
        if let Some(access) = self.closed(call, argument.asks, &path, found) {
            let mut seen = self.seen();
            if seen.closed.len() < MOST_PATHS {
                seen.closed.insert(path.clone(), access);
            }
        }
        let want = match wanted(call, argument.asks) {
            Some(want) => want,
            None => {
                let mut seen = self.seen();
                if !own && seen.written.len() < MOST_PATHS {
                    seen.written.insert(path);
                }
                return;
            }
        };
        if !own && found.is_none() && path.exists() {
            let mut seen = self.seen();
            if seen.missing.len() < MOST_PATHS {
                seen.missing.entry(path).or_default().insert(want);
            } else {
                seen.incomplete = Some(format!("it asked for more than {MOST_PATHS} paths"));
            }
        }
    }
}

/// What Landlock has to grant for this, if anything.
fn needed(call: &Call, asks: Asks, found: Option<FileType>) -> Option<Access> {
    match wanted(call, asks) {
        None => Some(Access::Write),
        // What is not there is not closed either.
        Some(_) if found.is_none() => None,
        Some(Want::Run) => Some(Access::Execute),
        Some(Want::Read) if found == Some(FileType::Directory) => Some(Access::List),
        Some(Want::Read) => Some(Access::Read),
        Some(Want::Know) => None,
    }
}

/// What is wanted of a path; none if it is to be changed.
#[expect(clippy::cast_possible_truncation, reason = "the flags are an int")]
fn wanted(call: &Call, asks: Asks) -> Option<Want> {
    const CHANGES: u64 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64;
    match asks {
        Asks::Know => Some(Want::Know),
        Asks::Run => Some(Want::Run),
        Asks::Write => None,
        Asks::Flags(at) if u64::from(call.arguments[at] as u32) & CHANGES != 0 => None,
        Asks::Flags(_) => Some(Want::Read),
    }
}

/// The path that a call names, from the root of its sandbox.
#[expect(clippy::cast_possible_truncation, reason = "a descriptor is an int")]
fn absolute(call: &Call, argument: &PathArgument) -> Option<PathBuf> {
    let path = call.path(argument.path).filter(|path| !path.as_os_str().is_empty())?;
    if path.is_absolute() {
        return Some(plain(&path));
    }
    let directory = match argument.directory.map(|at| call.arguments[at] as i32) {
        None | Some(libc::AT_FDCWD) => "cwd".to_owned(),
        Some(fd) => format!("fd/{fd}"),
    };
    let from = std::fs::read_link(format!("/proc/{}/{directory}", call.thread)).ok()?;
    from.is_absolute().then(|| plain(&from.join(path)))
}

/// What the caller's root file system has at this path, links followed as they lead in there.
fn find_inside(call: &Call, path: &Path) -> Option<FileType> {
    let Ok(root) = std::fs::File::open(format!("/proc/{}/root", call.thread)) else { return Some(FileType::Unknown) };
    match openat2(root, path, OFlags::PATH, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(found) => fstat(found).ok().map(|status| FileType::from_raw_mode(status.st_mode)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => None,
        Err(_) => Some(FileType::Unknown),
    }
}
