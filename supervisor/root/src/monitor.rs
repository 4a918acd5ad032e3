//! What stays root beside the engine: a process of few lines that does what only root may, and nothing that the policy does
//! not name.
//!
//! It serves the one that started it, over two connections that nobody else has, and ends when that does. What the engine
//! could have of it if it were taken over is in docs/security.md.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use cloister_program::{clipped, open_policy};
use cloister_sandbox::cgroup::{Doors, Layout, Tree, Version, open_door};
use cloister_sandbox::devices::Devices;
use cloister_sandbox::process::{self, FIRST_TO_GO, LAST_TO_GO};
use cloister_sandbox::spec::{IdRange, Uid};
use cloister_sandbox::wire::{Wire, exactly};
use cloister_sandbox::{Context, Error, Result, credentials, overlay};
use cloister_terms::Policy;
use nix::unistd::{Pid, getppid};
use serde::{Deserialize, Serialize};

use crate::asked::{Asked, Shown, Told};
use crate::confine::{self, KEPT_BY_MONITOR};
use crate::powers::peer_of;
use crate::reader::{NoPolicy, Reader, taken_in};

/// What it is told first of all. Carries the connection for policies, and the one in force.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) policy: PathBuf,
    pub(crate) group: String,
    pub(crate) layout: Layout,
    pub(crate) ids: IdRange,
    pub(crate) engine: Uid,
    /// Where device nodes are, and how many sets.
    pub(crate) devices: Option<(PathBuf, u32)>,
    /// The socket, if it is ours to remove.
    pub(crate) socket: Option<PathBuf>,
}

/// Serves the engine until that has ended; its connection is standard input.
pub fn run() -> ExitCode {
    let served = io::stdin().as_fd().try_clone_to_owned().doing(|| "take the engine's connection").and_then(serve);
    served
        .inspect_err(|error| eprintln!("cloister-supervisor: monitor: {error}"))
        .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn serve(connection: OwnedFd) -> Result<()> {
    confine::keep(&KEPT_BY_MONITOR).map_err(|error| Error::Peer(format!("give up capabilities: {error}")))?;
    let wire = Wire::from_fd(connection);
    let Some((watch, carried)) = wire.receive::<Watch>().doing(|| "hear what to watch over")? else { return Ok(()) };
    let [policies, answer] = exactly(carried)?;
    let tree = Tree::of(watch.layout.clone(), watch.group.clone(), Doors::own());
    let reader = Reader::find().map_err(|error| Error::Peer(error.to_string()))?;
    let devices = watch.devices.clone().map(|(directory, sets)| Devices::of(directory, sets));
    let monitor = Monitor { watch, tree, devices, parent: getppid(), reader, shown: Mutex::default() };
    monitor.remember(&taken_in(answer).map_err(|error| Error::Peer(error.to_string()))?);
    let policies = Wire::from_fd(policies);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            answer_each(&policies, |asked, _| monitor.read(asked));
            // The engine would wait for ever. It ends with this process.
            std::process::exit(1)
        });
        answer_each(&wire, |asked, carried| monitor.act(asked, carried));
        // A policy that is being read is nobody's any more.
        monitor.reader.give_up();
        std::process::exit(0)
    })
}

/// Answers until the other end is closed, or was served for the last time.
fn answer_each(wire: &Wire, mut act: impl FnMut(Asked, Vec<OwnedFd>) -> Result<Done>) {
    while let Ok(Some((asked, carried))) = wire.receive::<Asked>() {
        let ends = matches!(asked, Asked::End);
        let done = act(asked, carried);
        let is_last = ends && done.is_ok();
        let (told, fds) = done.unwrap_or_else(|error| (Told::Failed(error.to_string()), None));
        let fds: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        if wire.send(&told, &fds).is_err() || is_last {
            return;
        }
    }
}

/// How much of what is wrong with a policy is told, in bytes: each may take six in a message.
const MOST_WORDS: usize = 24 * 1024;

/// What came of it, and what is carried.
type Done = (Told, Option<OwnedFd>);

struct Monitor {
    watch: Watch,
    tree: Tree,
    devices: Option<Devices>,
    /// The engine, which has started this.
    parent: Pid,
    reader: Reader,
    /// What the policies name that were read so far.
    shown: Mutex<Vec<Shown>>,
}

impl Monitor {
    fn act(&self, asked: Asked, carried: Vec<OwnedFd>) -> Result<Done> {
        let done = |()| (Told::Done, None);
        match asked {
            Asked::MapIds => self.map_ids().map(done),
            Asked::Door(path) => self.open_door(&path).map(|door| (Told::Done, Some(door))),
            Asked::Adopt(process) => self.adopt(process).map(done),
            Asked::Peer => {
                let [socket] = exactly(carried)?;
                Ok((Told::Peer(peer_of(&socket).doing(|| "getsockopt SO_PEERCRED")?), None))
            }
            Asked::Interpreter(shown) => self.open_interpreter(&shown).map(|file| (Told::Done, file)),
            Asked::OrderOfGoing(process, adjustment) => self.set_order_of_going(process, adjustment).map(done),
            Asked::Policy => Err(Error::Peer("policies are asked for over the other connection".to_owned())),
            Asked::End => {
                self.end();
                Ok(done(()))
            }
        }
    }

    /// The engine's own id, which is root of its namespace, and those of launchers and jobs, as they are: no other is there.
    fn map_ids(&self) -> Result<()> {
        let Watch { ids, engine, .. } = &self.watch;
        credentials::map_all(self.parent, &[(Uid(0), IdRange { base: *engine, count: 1 }), (ids.base, *ids)])
    }

    /// Version 2 asks who moves, and lets who has the groups; so nothing is opened there that could move what is not below them.
    fn open_door(&self, path: &Path) -> Result<OwnedFd> {
        if self.tree.version() == Version::V1 && self.tree.has_door(path) {
            return open_door(path);
        }
        Err(Error::Peer(format!("{} is no file by which processes enter groups of version 1", path.display())))
    }

    fn adopt(&self, process: u32) -> Result<()> {
        let parent = process::parent(process).and_then(|parent| i32::try_from(parent).ok());
        // This one is a child of the engine's too.
        if process != std::process::id() && parent == Some(self.parent.as_raw()) {
            return self.tree.adopt_launcher(process);
        }
        Err(Error::Peer(format!("process {process} is none of the engine's")))
    }

    fn open_interpreter(&self, shown: &Shown) -> Result<Option<OwnedFd>> {
        if !self.shown.lock().unwrap_or_else(PoisonError::into_inner).contains(shown) {
            return Err(Error::Peer(format!("no profile has the interpreter {}", shown.interpreter.display())));
        }
        Ok(overlay::open_interpreter(&shown.interpreter, &shown.mounts).map(OwnedFd::from))
    }

    fn set_order_of_going(&self, number: u32, adjustment: i16) -> Result<()> {
        let Watch { ids, .. } = &self.watch;
        let is_jobs = process::owner(number).is_some_and(|owner| ids.base < owner && owner.0 - ids.base.0 < ids.count);
        if is_jobs && [FIRST_TO_GO, LAST_TO_GO].contains(&adjustment) {
            return process::set_order_of_going(number, adjustment);
        }
        Err(Error::Peer(format!("process {number} is no job's, or {adjustment} no order of going")))
    }

    /// Has the policy read again: of what its profiles show, interpreters may be opened from then on.
    fn read(&self, asked: Asked) -> Result<Done> {
        let Asked::Policy = asked else {
            return Err(Error::Peer("only policies are asked for over this connection".to_owned()));
        };
        let path = &self.watch.policy;
        let read = || -> Result<OwnedFd, NoPolicy> {
            let answer = self.reader.read(open_policy(path)?, path)?;
            self.remember(&answer.policy()?);
            Ok(answer.file()?.into())
        };
        Ok(match read() {
            Ok(answer) => (Told::Done, Some(answer)),
            Err(why) => (Told::NoPolicy(clipped(&why.to_string(), MOST_WORDS), why.is_of_the_file()), None),
        })
    }

    fn remember(&self, policy: &Policy) {
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for profile in policy.profiles.values() {
            let runtime = &policy.runtimes[&profile.runtime];
            let mounts = runtime.mounts.iter().chain(&profile.filesystem.read_only).cloned().collect();
            let shown = Shown { interpreter: runtime.interpreter.clone(), mounts };
            if !all.contains(&shown) {
                all.push(shown);
            }
        }
    }

    /// Removes what was made at the start.
    fn end(&self) {
        self.reader.give_up();
        let groups = self.tree.remove();
        let nodes = self.devices.as_ref().map(Devices::remove);
        for error in [Some(groups), nodes].into_iter().flatten().filter_map(Result::err) {
            eprintln!("cloister-supervisor: what was made is not removed: {error}");
        }
        if let Some(socket) = &self.watch.socket {
            let _ = fs::remove_file(socket);
        }
    }
}
