//! The start: what has to be made as root is made, and then this process is root no more and becomes the engine.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cloister_program::log::{self, NoJournal};
use cloister_program::open_policy;
use cloister_sandbox::cgroup::Tree;
use cloister_sandbox::devices::Devices;
use cloister_sandbox::spec::{IdRange, Uid};
use cloister_sandbox::wire::Wire;
use cloister_sandbox::{credentials, sys};
use nix::sched::{CloneFlags, unshare};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::fexecve;

use crate::args::Serve;
use crate::asked::Asked;
use crate::begin::{Made, VARIABLE, hand_on};
use crate::claim::{Claim, ClaimError};
use crate::confine::{self, KEPT, NotConfined, NotRoot, require_root};
use crate::devices;
use crate::library::Library;
use crate::line::Line;
use crate::monitor::Watch;
use crate::needs::{has_loopback, id_range};
use crate::open_files::{TooFewFiles, allow_open_files, allow_processes};
use crate::program::{NoProgram, Program};
use crate::reader::{Answer, NoPolicy, Reader};
use crate::{manager, socket};

/// The program that serves.
const ENGINE: &str = "cloister-engine";

/// The hidden subcommand under which this program stays root.
const MONITOR: &str = "monitor";

/// What kept the daemon from starting: each is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no log.
    #[error(transparent)]
    Log(#[from] NoJournal),
    /// It takes root.
    #[error(transparent)]
    NotRoot(#[from] NotRoot),
    /// There is no policy.
    #[error(transparent)]
    Policy(#[from] NoPolicy),
    /// The program that serves is not there.
    #[error(transparent)]
    NoEngine(#[from] NoProgram),
    /// It may not have as many open files as it needs.
    #[error(transparent)]
    Files(#[from] TooFewFiles),
    /// It is not confined.
    #[error(transparent)]
    NotConfined(#[from] NotConfined),
    /// A step of the sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] cloister_sandbox::Error),
    /// The policy's directory cannot be watched.
    #[error("watch the directory of {path} for changes (--reload-on-change): {1}", path = .0.display())]
    Watch(PathBuf, io::Error),
    /// The socket cannot be listened on.
    #[error("listen on {path}: {1}", path = .0.display())]
    Socket(PathBuf, io::Error),
    /// Others have its ids.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// It cannot give up being root.
    #[error("{0}: {1}")]
    Engine(&'static str, Box<dyn std::error::Error + Send + Sync>),
}

/// Makes what the engine needs, and becomes it: comes back only with what kept it from that.
///
/// # Errors
/// [`ServeError`]. What was made is gone by then.
pub fn serve(arguments: &Serve) -> Result<Infallible, ServeError> {
    log::start(arguments.log_format, |filter| filter)?;
    require_root()?;
    // What whoever started this has left open is nobody's below, nor are his keys.
    sys::close_on_exec_from(3).step("close what is open")?;
    credentials::leave_keyrings()?;
    let (reader, engine, path) = (Reader::find()?, Program::beside(ENGINE)?, &arguments.common.policy);
    let answer = reader.read(open_policy(path).map_err(NoPolicy::from)?, path)?;
    let policy = answer.policy()?;
    allow_open_files(&policy)?;
    allow_processes();
    // From here on something is there to be removed: who asks for an end is heard by the engine.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    signals.thread_block().map_err(io::Error::from).step("hold signals back")?;
    let watched = arguments.reload_on_change.then(|| watch(path)).transpose();
    let watched = watched.map_err(|error| ServeError::Watch(path.clone(), error))?;
    let manager = manager::connect().unwrap_or_else(|error| {
        tracing::warn!(%error, "tell the service manager");
        None
    });
    let devices = devices::make(&policy, &arguments.cgroup)?;
    confine::confine(has_loopback(&policy))?;
    let failed = |error| ServeError::Socket(arguments.socket.clone(), error);
    let passed = socket::passed().map_err(failed)?;
    let is_own = passed.is_none();
    let listener =
        passed.map_or_else(|| socket::listen(&arguments.socket, &arguments.gateway_uid), Ok).map_err(failed)?;
    let socket = Socket(is_own.then(|| arguments.socket.clone()));
    let claim = take_claim(arguments, id_range(&policy))?;
    let tree = Tree::create(&arguments.cgroup)?;
    let made = All { claim, tree, devices, listener, socket, watched, manager, answer };
    made.become_engine(arguments, &engine)
}

/// A socket of our own, which goes with a start that comes to nothing.
struct Socket(Option<PathBuf>);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = self.0.as_ref().map(std::fs::remove_file);
    }
}

/// The policy's ids, or the first behind them that nobody has where this supervisor is to live beside others.
fn take_claim(arguments: &Serve, ids: IdRange) -> Result<Claim, ClaimError> {
    if arguments.beside { Claim::first_free(ids.base.0, ids.count) } else { Claim::take(ids) }
}

/// Watches the directory of a file: `inotify(7)`. A ConfigMap changes by a link beside the file that is exchanged (`..data`), an
/// editor's file by one that is moved into its place.
fn watch(file: &Path) -> io::Result<OwnedFd> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let changes = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR;
    inotify.add_watch(directory, changes)?;
    inotify.as_fd().try_clone_to_owned()
}

/// All that was made.
struct All {
    claim: Claim,
    tree: Tree,
    devices: Option<Devices>,
    listener: UnixListener,
    socket: Socket,
    watched: Option<OwnedFd>,
    manager: Option<UnixDatagram>,
    answer: Answer,
}

/// Names a step that failed.
trait Step<T> {
    fn step(self, name: &'static str) -> Result<T, ServeError>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Step<T> for Result<T, E> {
    fn step(self, name: &'static str) -> Result<T, ServeError> {
        self.map_err(|error| ServeError::Engine(name, error.into()))
    }
}

impl All {
    /// The last of the ids is the engine's own; the others are those of launchers and jobs.
    fn ids(&self) -> (IdRange, Uid) {
        let IdRange { base, count } = self.claim.ids();
        (IdRange { base, count: count - 1 }, Uid(base.0 + count - 1))
    }

    /// Comes back only with what kept it from that.
    fn become_engine(self, arguments: &Serve, program: &Program) -> Result<Infallible, ServeError> {
        let (ids, engine) = self.ids();
        self.hand_over(ids, engine).step("hand over what was made")?;
        let answer = OwnedFd::from(self.answer.file().step("keep the policy")?);
        let watch = self.watch(arguments).step("find the policy")?;
        let (lines, life) = start_monitor(&watch, answer.try_clone().step("keep the policy")?)?;
        let monitor = Line::new(lines[0].try_clone().step("keep a connection")?);
        let library = Library::find();
        let begun = enter_own_namespace(&monitor).and_then(|()| {
            let made = self.made(watch, [&answer, &lines[0], &lines[1], &life], &library);
            let text = made.and_then(|made| made.file()).step("hand on what was made")?;
            execute(program, text.as_raw_fd())
        });
        // This process is root no more, and so cannot remove it.
        begun.inspect_err(|_| _ = monitor.ask(&Asked::End, None))
    }

    fn hand_over(&self, ids: IdRange, engine: Uid) -> cloister_sandbox::Result<()> {
        self.tree.hand_over(engine)?;
        self.tree.delegate_to(ids.base)?;
        self.devices.as_ref().map_or(Ok(()), |devices| devices.let_in(engine))
    }

    /// What the monitor is to watch over.
    fn watch(&self, arguments: &Serve) -> io::Result<Watch> {
        let (ids, engine) = self.ids();
        Ok(Watch {
            policy: std::path::absolute(&arguments.common.policy)?,
            group: arguments.cgroup.clone(),
            layout: self.tree.layout().clone(),
            ids,
            engine,
            devices: self.devices.as_ref().map(|devices| (devices.directory().to_owned(), devices.sets())),
            socket: self.socket.0.as_ref().map(std::path::absolute).transpose()?,
        })
    }

    /// What the engine begins with, all that is open of it left open.
    fn made(&self, watch: Watch, [answer, line, policies, life]: [&OwnedFd; 4], library: &Library) -> io::Result<Made> {
        // What nobody else may take stays taken for as long as the process that has taken it is there.
        let holds = [Some(self.claim.hold()), self.tree.hold(), self.devices.as_ref().and_then(Devices::hold)];
        Ok(Made {
            ids: watch.ids,
            group: watch.group,
            layout: watch.layout,
            devices: watch.devices,
            owns_socket: self.socket.0.is_some(),
            listener: hand_on(self.listener.as_fd())?,
            watched: self.watched.as_ref().map(|watched| hand_on(watched.as_fd())).transpose()?,
            manager: self.manager.as_ref().map(|manager| hand_on(manager.as_fd())).transpose()?,
            library: library.file().map(hand_on).transpose()?,
            answer: hand_on(answer.as_fd())?,
            lines: [hand_on(line.as_fd())?, hand_on(policies.as_fd())?],
            life: hand_on(life.as_fd())?,
            holds: holds.into_iter().flatten().map(hand_on).collect::<Result<_, _>>()?,
        })
    }
}

/// Starts what stays root, with its connections to this process, and what ends with it.
fn start_monitor(watch: &Watch, answer: OwnedFd) -> Result<([OwnedFd; 2], OwnedFd), ServeError> {
    let step = "start what stays root";
    let (line, its_line) = Wire::pair().step(step)?;
    let (policies, its_policies) = Wire::pair().step(step)?;
    let (life, its_life) = io::pipe().step(step)?;
    let mut monitor = Command::new("/proc/self/exe");
    monitor.arg0("cloister-supervisor").arg(MONITOR).env_clear().current_dir("/").process_group(0);
    // It says nothing there: when it ends, so does this.
    monitor.stdin(its_line.into_fd()).stdout(Stdio::from(OwnedFd::from(its_life))).spawn().step(step)?;
    line.send(watch, &[its_policies.as_raw_fd(), answer.as_raw_fd()]).step(step)?;
    Ok(([line.into_fd(), policies.into_fd()], life.into()))
}

/// Makes this process root of a user namespace that has few ids, and of nothing else: `user_namespaces(7)`.
fn enter_own_namespace(line: &Line) -> Result<(), ServeError> {
    let step = "give up being root";
    unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from).step(step)?;
    line.ask(&Asked::MapIds, None).step(step)?;
    credentials::become_namespace_root().step(step)?;
    confine::keep(&KEPT).step(step)
}

/// Becomes the program, with this one's arguments and environment. Signals that are held back stay so.
fn execute(program: &Program, begin: i32) -> Result<Infallible, ServeError> {
    let step = "start the engine";
    let text = |text: Vec<u8>| CString::new(text).map_err(io::Error::from);
    let arguments = std::env::args_os().skip(1).map(OsStringExt::into_vec);
    let arguments: Result<Vec<_>, _> =
        [ENGINE.to_owned().into_bytes()].into_iter().chain(arguments).map(text).collect();
    let own = format!("{VARIABLE}={begin}").into_bytes();
    let pair =
        |(name, value): (std::ffi::OsString, std::ffi::OsString)| [name.into_vec(), value.into_vec()].join(&b'=');
    let environment: Result<Vec<_>, _> = std::env::vars_os().map(pair).chain([own]).map(text).collect();
    fexecve(program.file(), &arguments.step(step)?, &environment.step(step)?).step(step)
}
