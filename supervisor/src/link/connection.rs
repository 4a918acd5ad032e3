//! A wire to a launcher or a zygote: gives it orders and hands its answers to those who wait for them.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use cloister_sandbox::spec::Slot;
use cloister_sandbox::wire::{End, Holds, IntoCgroup, Notice, Order, Span, Wire, exactly};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::link::activity::Activity;
use crate::link::event_loop::watch_to_write;
use crate::link::job_fds::JobFds;
use crate::link::launcher_error::LauncherError;
use crate::link::replies::{Replies, Reply};
use crate::link::silence::{self, LONGEST_DUE, SILENCE};

/// Our end of a wire. Dropping it tells the other end to go.
#[derive(Debug)]
pub struct Connection {
    wire: Arc<AsyncFd<Wire>>,
    replies: Arc<Replies>,
    /// The process at the other end.
    process: Option<OwnedFd>,
    activity: Option<Activity>,
    /// What a zygote said that it takes and has.
    pub holds: Holds,
    reader: Option<tokio::task::AbortHandle>,
}

impl Connection {
    /// Sends the first order, with what it carries, and waits until the other end is ready.
    ///
    /// # Errors
    /// What the other end could not do.
    pub async fn open(wire: Wire, first: &Order, carried: &[OwnedFd], within: Duration) -> Result<Self, LauncherError> {
        rustix::io::ioctl_fionbio(&wire, true).map_err(io::Error::from)?;
        let (wire, replies) = (Arc::new(watch_to_write(wire, true)?), Arc::<Replies>::default());
        let holds = Holds::default();
        let mut connection = Self { wire, replies, process: None, activity: None, holds, reader: None };
        // One that has failed before it was sent this has still said why.
        let carried: Vec<_> = carried.iter().map(AsRawFd::as_raw_fd).collect();
        let sent = connection.send(first, &carried).await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput) {
            // It was not sent at all, so that nothing would ever come.
            return Err(sent.err().map_or(LauncherError::Dead, LauncherError::Io));
        }
        let ready = tokio::time::timeout(within, connection.greet()).await;
        ready.map_err(|_| LauncherError::TooSlow(within))??;
        sent?;
        let reader = tokio::spawn(dispatch(Arc::clone(&connection.wire), Arc::clone(&connection.replies)));
        connection.reader = Some(reader.abort_handle());
        Ok(connection)
    }

    /// Waits until the other end has said who it is and that it is ready.
    async fn greet(&mut self) -> Result<(), LauncherError> {
        loop {
            match receive(&self.wire).await? {
                Some((Notice::Begun, fds)) => {
                    let [process] = exactly(fds)?;
                    self.activity = Activity::of(&process);
                    self.process = Some(process);
                }
                Some((Notice::Holds(holds), _)) => self.holds = holds,
                Some((Notice::Ready, _)) => return Ok(()),
                Some((Notice::Failed(_, why), _)) => return Err(LauncherError::Refused(why)),
                Some((Notice::Short(_, why), _)) => return Err(LauncherError::Short(why)),
                _ => return Err(LauncherError::Dead),
            }
        }
    }

    /// CPU time that the process at the other end has used, in microseconds.
    pub fn cpu(&self) -> u64 {
        self.activity.as_ref().map_or(0, Activity::cpu)
    }

    /// Builds the slot's cell; a pidfd of its init, and the file system that its job's files are on. Launchers only.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn cell(&self, slot: Slot) -> Result<[OwnedFd; 2], LauncherError> {
        Ok(exactly(self.order(&Order::Cell(slot), slot, &[], None).await?)?)
    }

    /// Starts a job's process in the slot's cell: its pidfd, and its end when it comes.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn start_job(
        &self,
        (slot, span): (Slot, Span),
        cell: &OwnedFd,
        fds: JobFds,
        into: IntoCgroup,
        doors: &[OwnedFd],
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        self.begin_job(&Order::Start(slot, into, span), slot, cell, fds, doors).await
    }

    /// The same, forked from a zygote. The job enters its control group by the doors.
    ///
    /// # Errors
    /// What the zygote could not do.
    pub async fn fork_job(
        &self,
        (slot, span): (Slot, Span),
        cell: &OwnedFd,
        fds: JobFds,
        doors: &[OwnedFd],
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        self.begin_job(&Order::Fork(slot, span), slot, cell, fds, doors).await
    }

    async fn begin_job(
        &self,
        order: &Order,
        slot: Slot,
        cell: &OwnedFd,
        fds: JobFds,
        doors: &[OwnedFd],
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        let (tell_end, end) = oneshot::channel();
        let numbers: Vec<_> =
            std::iter::once(cell).chain(fds.in_order()).chain(doors).map(AsRawFd::as_raw_fd).collect();
        let fds = self.order(order, slot, &numbers, Some(tell_end)).await?;
        let [pidfd] = exactly(fds)?;
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
        let answer = self.replies.expect_pong()?;
        let asked = async {
            self.send(&Order::Ping, &[]).await?;
            answer.await.map_err(|_| LauncherError::Dead)
        };
        tokio::time::timeout(within, asked).await.map_err(|_| LauncherError::NoPong(within))?
    }

    /// Ends the process at the other end if it does not answer in time and does nothing either. One that is dead is
    /// no matter.
    pub async fn end_if_silent(&self, within: Duration) {
        let before = self.activity.as_ref().map(Activity::so_far);
        if let Err(LauncherError::NoPong(_)) = self.ping(within).await {
            let rests = |activity: &Activity| before == Some(activity.so_far()) && !activity.waits();
            if self.activity.as_ref().is_none_or(rests) || self.due_for() >= LONGEST_DUE {
                self.give_up();
            }
        }
    }

    /// Whether it can still be asked for anything.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.replies.is_alive()
    }

    /// Whether it was ended because it did not answer.
    #[must_use]
    pub fn hung(&self) -> bool {
        self.replies.hung()
    }

    /// Completes once the other end hangs. For whoever waits for something that only the other end can do.
    async fn silence(&self) {
        silence::lasts(&self.replies, self.activity.as_ref()).await;
    }

    /// How long an answer has been due while nothing was heard.
    fn due_for(&self) -> Duration {
        self.replies.due_for()
    }

    /// Ends the process at the other end if it hangs; it is asked something for as long as this is waited for.
    pub async fn end_if_hung(&self) {
        loop {
            tokio::time::sleep(SILENCE).await;
            tokio::select! {
                pong = self.ping(LONGEST_DUE) => match pong {
                    Ok(()) => {}
                    Err(LauncherError::NoPong(_)) => return self.give_up(),
                    Err(_) => return,
                },
                () = self.silence() => return self.give_up(),
            }
        }
    }

    /// Ends the process at the other end, which hangs. Everyone who waits for it is told that it is dead.
    pub fn give_up(&self) {
        tracing::error!(seconds = self.due_for().as_secs(), "a launcher or zygote hangs; ended");
        self.kill();
        self.replies.give_up();
    }

    fn kill(&self) {
        if let Some(process) = &self.process {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }

    async fn order(&self, order: &Order, slot: Slot, fds: &[i32], tell_end: Option<oneshot::Sender<End>>) -> Reply {
        let answer = self.replies.expect(slot, tell_end)?;
        let answered = async {
            // One that has just died is told of here, before its wire is seen to be closed.
            self.send(order, fds).await.map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LauncherError::Dead,
                _ => error.into(),
            })?;
            answer.await.unwrap_or(Err(LauncherError::Dead))
        };
        tokio::select! {
            answer = answered => answer,
            () = self.silence() => {
                self.give_up();
                Err(LauncherError::Silent)
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The reader holds the other reference to the wire, which must close with this one.
        if let Some(reader) = &self.reader {
            reader.abort();
        }
        self.kill(); // It goes by itself when its wire closes, unless it hangs, or imports for too long.
    }
}

/// Hands the launcher's notices to those who wait for them, until it is gone.
async fn dispatch(wire: Arc<AsyncFd<Wire>>, replies: Arc<Replies>) {
    let why = loop {
        match receive(&wire).await {
            Ok(Some((notice, fds))) => replies.deliver(notice, fds),
            Ok(None) => break "it closed its socket".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    tracing::warn!(why, "a launcher or zygote is gone");
    replies.forget_all();
}

async fn receive(wire: &AsyncFd<Wire>) -> io::Result<Option<(Notice, Vec<OwnedFd>)>> {
    loop {
        let mut ready = wire.readable().await?;
        match ready.try_io(|wire| wire.get_ref().receive()) {
            // It ended without having read all that it was sent. Told once, ahead of what it said before.
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Ok(received) => return received,
            Err(_) => {}
        }
    }
}
