//! The supervisor's handle on a launcher and on the zygotes that it starts.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use cloister_sandbox::spec::{IdRange, Spec};
use cloister_sandbox::wire::{Brought, Order, Wire};
use tokio::process::{Child, Command};

use crate::link::connection::Connection;
use crate::link::launcher_error::LauncherError;

/// The hidden subcommand under which this program is a launcher's guard.
pub const SUBCOMMAND: &str = "launcher";

/// How a launcher's guard is started: as this program, with these arguments.
#[derive(Clone, Debug)]
pub struct Guard(Vec<String>);

impl Default for Guard {
    fn default() -> Self {
        Self(vec![SUBCOMMAND.to_owned()])
    }
}

impl Guard {
    /// With arguments of the program's own behind the subcommand.
    #[must_use]
    pub fn with(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut guard = Self::default();
        guard.0.extend(arguments);
        guard
    }
}

/// What a launcher is started with.
#[derive(Debug, Default)]
pub struct Brings {
    /// What its cold jobs load.
    pub library: Option<OwnedFd>,
    /// The interpreter, where only root may read it.
    pub interpreter: Option<OwnedFd>,
}

/// How long a launcher may take to confine itself.
const LAUNCHER_TIME: Duration = Duration::from_secs(30);

/// How long a zygote, or a child that is started ahead of its request, may take to import what its profile asks for.
pub const IMPORT_TIME: Duration = Duration::from_secs(120);

/// How long one may take that is forked from another for what requests ask for.
const GROWTH_TIME: Duration = Duration::from_secs(30);

/// A running launcher. Dropping it kills it and every sandbox below it.
#[derive(Debug)]
pub struct Launcher {
    connection: Connection,
    pid: u32,
    _guard: Child,
}

impl Launcher {
    /// Starts a launcher and waits until it is confined. `adopt` is given the process id before
    /// anything is started below it.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn start(
        guard: &Guard,
        spec: Spec,
        ids: IdRange,
        brings: Brings,
        adopt: impl FnOnce(u32) -> cloister_sandbox::Result<()>,
    ) -> Result<Self, LauncherError> {
        let (ours, theirs) = Wire::pair()?;
        let guard = Command::new("/proc/self/exe")
            .env_clear()
            .args(&guard.0)
            .stdin(theirs.into_fd())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = guard.id().ok_or(LauncherError::Dead)?;
        adopt(pid)?;
        let Brings { library, interpreter } = brings;
        let brought = Brought { library: library.is_some(), interpreter: interpreter.is_some() };
        let fds: Vec<_> = [library, interpreter].into_iter().flatten().collect();
        let first = Order::SetUp(Box::new(spec), ids, brought);
        let connection = Connection::open(ours, &first, &fds, LAUNCHER_TIME).await?;
        Ok(Self { connection, pid, _guard: guard })
    }

    /// Starts a zygote and waits until it has imported what it should.
    ///
    /// # Errors
    /// What the zygote could not do, such as import a module. One that takes too long is ended.
    pub async fn zygote(
        &self,
        spec: Spec,
        command: &[String],
        environment: &[String],
        library: BorrowedFd<'_>,
    ) -> Result<Connection, LauncherError> {
        let (ours, theirs) = Wire::pair()?;
        let fds = [theirs.as_fd().as_raw_fd(), library.as_raw_fd()];
        self.connection.send(&Order::Zygote(command.to_vec(), environment.to_vec()), &fds).await?;
        drop(theirs);
        imported(ours, spec, IMPORT_TIME).await
    }

    /// The wire to it.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The process id of its guard.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

/// Has a zygote fork another, and waits until that has imported these modules too, those of them that are modules. They may
/// take so much memory, in bytes.
///
/// # Errors
/// What it could not do, such as import a module. One that takes too long is ended.
pub async fn grow(
    from: &Connection,
    spec: Spec,
    modules: Vec<String>,
    memory: u64,
) -> Result<Connection, LauncherError> {
    let (ours, theirs) = Wire::pair()?;
    from.send(&Order::Grow(modules, memory), &[theirs.as_fd().as_raw_fd()]).await?;
    drop(theirs);
    // Where the zygote itself is gone, the imports have done nothing.
    imported(ours, spec, GROWTH_TIME).await.map_err(|error| if from.is_alive() { error } else { LauncherError::Dead })
}

/// Waits until the zygote at the other end has imported what it should.
async fn imported(ours: Wire, spec: Spec, within: Duration) -> Result<Connection, LauncherError> {
    let serve = Order::Serve(Box::new(spec.inside()));
    Connection::open(ours, &serve, &[], within).await.map_err(|error| match error {
        LauncherError::Dead | LauncherError::Io(_) => {
            LauncherError::Refused("the interpreter ended while it imported".to_owned())
        }
        error => error,
    })
}
