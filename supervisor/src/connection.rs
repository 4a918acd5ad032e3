//! A wire to a launcher or a zygote: gives it orders and hands its answers to those who wait for them.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_sandbox::spec::Slot;
use cloister_sandbox::wire::{End, Entry, Notice, Order, Wire, exactly};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::watch::watch;

/// Why a launcher or zygote did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// It could not be started or spoken to.
    #[error("speak to a launcher: {0}")]
    Io(#[from] io::Error),
    /// It tried, and the kernel refused something.
    #[error("{0}")]
    Refused(String),
    /// It is dead, and with it every sandbox it had.
    #[error("the launcher of the profile died, and with it the script's sandbox; try again")]
    Dead,
    /// It did not become ready.
    #[error("it was not ready within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// It is there and does nothing.
    #[error("it said nothing for {} seconds", .0.as_secs())]
    Silent(Duration),
}

/// Our end of a wire. Dropping it tells the other end to go.
#[derive(Debug)]
pub struct Connection {
    wire: Arc<AsyncFd<Wire>>,
    waiting: Arc<Mutex<Waiting>>,
    reader: Option<tokio::task::AbortHandle>,
}

/// Who waits for which answer. A slot has one order under way at most.
#[derive(Debug, Default)]
struct Waiting {
    dead: bool,
    answers: HashMap<Slot, oneshot::Sender<Result<OwnedFd, LauncherError>>>,
    ends: HashMap<Slot, oneshot::Sender<End>>,
    pong: Option<oneshot::Sender<()>>,
}

impl Connection {
    /// Sends the first order and waits until the other end is ready.
    ///
    /// # Errors
    /// What the other end could not do.
    pub async fn open(wire: Wire, first: &Order, within: Duration) -> Result<Self, LauncherError> {
        rustix::io::ioctl_fionbio(&wire, true).map_err(io::Error::from)?;
        let mut connection = Self { wire: Arc::new(watch(wire)?), waiting: Arc::default(), reader: None };
        connection.send(first, &[]).await?;
        let ready = tokio::time::timeout(within, receive(&connection.wire)).await;
        match ready.map_err(|_| LauncherError::TooSlow(within))?? {
            Some((Notice::Ready, _)) => {}
            Some((Notice::Failed(_, why), _)) => return Err(LauncherError::Refused(why)),
            _ => return Err(LauncherError::Dead),
        }
        let reader = tokio::spawn(dispatch(Arc::clone(&connection.wire), Arc::clone(&connection.waiting)));
        connection.reader = Some(reader.abort_handle());
        Ok(connection)
    }

    /// Builds the slot's cell; a pidfd of its init. Launchers only.
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
        entry: Entry,
        doors: &[OwnedFd],
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        let (tell_end, end) = oneshot::channel();
        self.lock().ends.insert(slot, tell_end);
        let numbers: Vec<_> = std::iter::once(cell).chain(&fds).chain(doors).map(AsRawFd::as_raw_fd).collect();
        let pidfd = self.order(&Order::Start(slot, entry), slot, &numbers).await?;
        Ok((pidfd, end))
    }

    /// Sends an order that has no answer on this wire.
    ///
    /// # Errors
    /// When the other end cannot be spoken to.
    pub async fn send(&self, order: &Order, fds: &[i32]) -> io::Result<()> {
        loop {
            let mut ready = self.wire.writable().await?;
            if let Ok(sent) = ready.try_io(|wire| wire.get_ref().send(order, fds)) {
                return sent;
            }
        }
    }

    /// Waits until the other end has said that it carries out orders, behind all that it was given before.
    ///
    /// # Errors
    /// When it says nothing in time, or is dead.
    pub async fn ping(&self, within: Duration) -> Result<(), LauncherError> {
        let (tell, answer) = oneshot::channel();
        self.lock().pong = Some(tell);
        let asked = async {
            self.send(&Order::Ping, &[]).await?;
            answer.await.map_err(|_| LauncherError::Dead)
        };
        tokio::time::timeout(within, asked).await.map_err(|_| LauncherError::Silent(within))?
    }

    /// Whether it can still be asked for anything.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.lock().dead
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

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The reader holds the other reference to the wire, which must close with this one.
        if let Some(reader) = &self.reader {
            reader.abort();
        }
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
    tracing::warn!(why, "a launcher or zygote is gone");
    let mut waiting = lock(&waiting);
    waiting.dead = true;
    waiting.answers.clear();
    waiting.ends.clear();
    waiting.pong = None;
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
        Notice::Pong => {
            let _ = waiting.pong.take().map(|tell| tell.send(()));
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

/// A step of the sandbox's own that failed on this side.
pub fn refused(error: cloister_sandbox::Error) -> LauncherError {
    LauncherError::Refused(error.to_string())
}
