//! The supervisor's end of a launcher: starts it, gives it orders, hands out its answers.
//!
//! A launcher that dies fails what was asked of it and is replaced when next needed.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use cloister_sandbox::launcher::start_fds;
use cloister_sandbox::spec::{IdRange, Slot, Spec};
use cloister_sandbox::wire::{End, Notice, Order, Wire, exactly};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use crate::watch::watch;

/// The hidden subcommand under which this program is a launcher's guard.
pub const SUBCOMMAND: &str = "launcher";

/// Why a launcher did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// It could not be started or spoken to.
    #[error("speak to a launcher: {0}")]
    Io(#[from] io::Error),
    /// It tried, and the kernel refused something.
    #[error("{0}")]
    Refused(String),
    /// It is dead, and with it every sandbox it had.
    #[error("the launcher of the profile died; its sandboxes died with it")]
    Dead,
}

/// A running launcher. Dropping it kills it and every sandbox below it.
#[derive(Debug)]
pub struct Launcher {
    wire: Arc<AsyncFd<Wire>>,
    waiting: Arc<Mutex<Waiting>>,
    pid: u32,
    _guard: Child,
}

/// Who waits for which answer. A slot has one order under way at most.
#[derive(Debug, Default)]
struct Waiting {
    dead: bool,
    answers: HashMap<Slot, oneshot::Sender<Result<OwnedFd, LauncherError>>>,
    ends: HashMap<Slot, oneshot::Sender<End>>,
}

impl Launcher {
    /// Starts a launcher and waits until it is confined. `adopt` is given the process id before
    /// anything is started below it.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn start(
        spec: Spec,
        ids: IdRange,
        adopt: impl FnOnce(u32) -> cloister_sandbox::Result<()>,
    ) -> Result<Self, LauncherError> {
        let (ours, theirs) = Wire::pair().map_err(refused)?;
        let guard = Command::new("/proc/self/exe")
            .arg(SUBCOMMAND)
            .env_clear()
            .stdin(theirs.into_fd())
            .stdout(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = guard.id().ok_or(LauncherError::Dead)?;
        adopt(pid).map_err(refused)?;
        set_nonblocking(&ours)?;
        let wire = Arc::new(watch(ours)?);
        let launcher = Self { wire, waiting: Arc::default(), pid, _guard: guard };
        launcher.send(&Order::SetUp(Box::new(spec), ids), &[]).await?;
        match receive(&launcher.wire).await? {
            Some((Notice::Ready, _)) => {}
            Some((Notice::Failed(_, why), _)) => return Err(LauncherError::Refused(why)),
            _ => return Err(LauncherError::Dead),
        }
        tokio::spawn(dispatch(Arc::clone(&launcher.wire), Arc::clone(&launcher.waiting)));
        Ok(launcher)
    }

    /// Builds the slot's cell; a pidfd of its init.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn cell(&self, slot: Slot) -> Result<OwnedFd, LauncherError> {
        self.order(&Order::Cell(slot), slot, &[]).await
    }

    /// Starts a job's process in the slot's cell: its pidfd, and its end when it comes.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn start_job(
        &self,
        slot: Slot,
        cell: &OwnedFd,
        fds: [OwnedFd; 4],
        cgroup: Option<&OwnedFd>,
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        let (tell_end, end) = oneshot::channel();
        self.lock().ends.insert(slot, tell_end);
        let numbers =
            start_fds(cell.as_raw_fd(), fds.each_ref().map(AsRawFd::as_raw_fd), cgroup.map(AsRawFd::as_raw_fd));
        let pidfd = self.order(&Order::Start(slot), slot, &numbers).await?;
        Ok((pidfd, end))
    }

    /// Whether it can still be asked for anything.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.lock().dead
    }

    /// The process id of its guard.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    async fn order(&self, order: &Order, slot: Slot, fds: &[i32]) -> Result<OwnedFd, LauncherError> {
        let (tell, answer) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.dead {
                return Err(LauncherError::Dead);
            }
            waiting.answers.insert(slot, tell);
        }
        self.send(order, fds).await?;
        answer.await.unwrap_or(Err(LauncherError::Dead))
    }

    async fn send(&self, order: &Order, fds: &[i32]) -> io::Result<()> {
        loop {
            let mut ready = self.wire.writable().await?;
            if let Ok(sent) = ready.try_io(|wire| wire.get_ref().send(order, fds)) {
                return sent;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().expect("nothing panics while it holds this lock")
}

/// Hands the launcher's notices to those who wait for them, until it is gone.
async fn dispatch(wire: Arc<AsyncFd<Wire>>, waiting: Arc<Mutex<Waiting>>) {
    let why = loop {
        match receive(&wire).await {
            Ok(Some((notice, fds))) => deliver(&waiting, notice, fds),
            Ok(None) => break "it closed its socket".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    tracing::warn!(why, "a launcher is gone");
    let mut waiting = lock(&waiting);
    waiting.dead = true;
    waiting.answers.clear();
    waiting.ends.clear();
}

fn deliver(waiting: &Mutex<Waiting>, notice: Notice, fds: Vec<OwnedFd>) {
    let mut waiting = lock(waiting);
    let (slot, answer) = match notice {
        Notice::Cell(slot) | Notice::Started(slot) => (slot, exactly::<1>(fds).map(|[pidfd]| pidfd).map_err(refused)),
        Notice::Failed(Some(slot), why) => (slot, Err(LauncherError::Refused(why))),
        Notice::Exited(slot, end) => {
            if let Some(tell) = waiting.ends.remove(&slot) {
                let _ = tell.send(end);
            }
            return;
        }
        Notice::Ready | Notice::Failed(None, _) => {
            tracing::error!(?notice, "a launcher said what it was not asked");
            return;
        }
    };
    if let Some(tell) = waiting.answers.remove(&slot) {
        let _ = tell.send(answer);
    }
}

async fn receive(wire: &AsyncFd<Wire>) -> io::Result<Option<(Notice, Vec<OwnedFd>)>> {
    loop {
        let mut ready = wire.readable().await?;
        if let Ok(received) = ready.try_io(|wire| wire.get_ref().receive()) {
            return received;
        }
    }
}

fn set_nonblocking(wire: &Wire) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(wire, true)?)
}

fn refused(error: cloister_sandbox::Error) -> LauncherError {
    LauncherError::Refused(error.to_string())
}
