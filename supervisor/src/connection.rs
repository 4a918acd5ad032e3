//! A wire to a launcher or a zygote: gives it orders and hands its answers to those who wait for them.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cloister_sandbox::spec::Slot;
use cloister_sandbox::wire::{End, Entry, Notice, Order, Wire, exactly};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::pulse::Pulse;
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
    /// The host is short of processes, memory or files.
    #[error("this node is short of something at the moment: {0}; try again shortly")]
    Short(String),
    /// It is dead, and with it every sandbox it had.
    #[error("the launcher or zygote of the profile died, and with it the script's sandbox; try again")]
    Dead,
    /// It did not become ready.
    #[error("it was not ready within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    /// It was ready once and hangs.
    #[error("the process that starts this profile's scripts did not answer and was replaced; try again")]
    Silent,
    /// It did not answer when it was asked whether it is there.
    #[error("it did not answer for {} seconds", .0.as_secs())]
    NoPong(Duration),
}

/// How long an answer may be due while nothing at all is heard from the other end, and it does nothing either. It
/// answers in milliseconds, and each answer, to whomever, shows that it works off what it was asked.
const SILENCE: Duration = Duration::from_secs(10);

/// How long an answer may be due whatever the other end does: one that waits for a processor or for a lock of the
/// kernel's hangs no more than whoever it waits for, but it does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often one that is silent is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Our end of a wire. Dropping it tells the other end to go.
#[derive(Debug)]
pub struct Connection {
    wire: Arc<AsyncFd<Wire>>,
    waiting: Arc<Mutex<Waiting>>,
    /// The process at the other end.
    process: Option<OwnedFd>,
    pulse: Option<Pulse>,
    reader: Option<tokio::task::AbortHandle>,
}

/// Who waits for which answer. A slot has one order under way at most.
#[derive(Debug)]
struct Waiting {
    dead: bool,
    hung: bool,
    /// Since when an answer is due and nothing was heard.
    due: Option<Instant>,
    answers: HashMap<Slot, Asked>,
    ends: HashMap<Slot, oneshot::Sender<End>>,
    pongs: Vec<oneshot::Sender<()>>,
}

/// An order under way: whom to tell that it was carried out, and whom to tell of the job's end.
#[derive(Debug)]
struct Asked {
    tell: oneshot::Sender<Result<Vec<OwnedFd>, LauncherError>>,
    tell_end: Option<oneshot::Sender<End>>,
}

impl Connection {
    /// Sends the first order and waits until the other end is ready.
    ///
    /// # Errors
    /// What the other end could not do.
    pub async fn open(wire: Wire, first: &Order, within: Duration) -> Result<Self, LauncherError> {
        rustix::io::ioctl_fionbio(&wire, true).map_err(io::Error::from)?;
        let waiting = Waiting {
            dead: false,
            hung: false,
            due: None,
            answers: HashMap::new(),
            ends: HashMap::new(),
            pongs: Vec::new(),
        };
        let (wire, waiting) = (Arc::new(watch(wire)?), Arc::new(Mutex::new(waiting)));
        let mut connection = Self { wire, waiting, process: None, pulse: None, reader: None };
        // One that has failed before it was sent this has still said why.
        let sent = connection.send(first, &[]).await;
        if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidInput) {
            // It was not sent at all, so that nothing would ever come.
            return Err(sent.err().map_or(LauncherError::Dead, LauncherError::Io));
        }
        let ready = tokio::time::timeout(within, connection.greet()).await;
        ready.map_err(|_| LauncherError::TooSlow(within))??;
        sent?;
        let reader = tokio::spawn(dispatch(Arc::clone(&connection.wire), Arc::clone(&connection.waiting)));
        connection.reader = Some(reader.abort_handle());
        Ok(connection)
    }

    /// Waits until the other end has said who it is and that it is ready.
    async fn greet(&mut self) -> Result<(), LauncherError> {
        loop {
            match receive(&self.wire).await? {
                Some((Notice::Begun, fds)) => {
                    let [process] = exactly(fds).map_err(refused)?;
                    self.pulse = Pulse::of(&process);
                    self.process = Some(process);
                }
                Some((Notice::Ready, _)) => return Ok(()),
                Some((Notice::Failed(_, why), _)) => return Err(LauncherError::Refused(why)),
                Some((Notice::Short(_, why), _)) => return Err(LauncherError::Short(why)),
                _ => return Err(LauncherError::Dead),
            }
        }
    }

    /// Builds the slot's cell; a pidfd of its init, and the file system that its job's files are on. Launchers only.
    ///
    /// # Errors
    /// What the launcher could not do.
    pub async fn cell(&self, slot: Slot) -> Result<[OwnedFd; 2], LauncherError> {
        exactly(self.order(&Order::Cell(slot), slot, &[], None).await?).map_err(refused)
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
        self.begin_job(&Order::Start(slot, entry), slot, cell, fds, doors).await
    }

    /// The same, forked from a zygote. The job enters its control group by the doors.
    ///
    /// # Errors
    /// What the zygote could not do.
    pub async fn fork_job(
        &self,
        slot: Slot,
        cell: &OwnedFd,
        fds: [OwnedFd; 4],
        doors: &[OwnedFd],
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        self.begin_job(&Order::Fork(slot), slot, cell, fds, doors).await
    }

    async fn begin_job(
        &self,
        order: &Order,
        slot: Slot,
        cell: &OwnedFd,
        fds: [OwnedFd; 4],
        doors: &[OwnedFd],
    ) -> Result<(OwnedFd, oneshot::Receiver<End>), LauncherError> {
        let (tell_end, end) = oneshot::channel();
        let numbers: Vec<_> = std::iter::once(cell).chain(&fds).chain(doors).map(AsRawFd::as_raw_fd).collect();
        let fds = self.order(order, slot, &numbers, Some(tell_end)).await?;
        let [pidfd] = exactly(fds).map_err(refused)?;
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
        {
            let mut waiting = self.lock();
            if waiting.dead {
                return Err(LauncherError::Dead);
            }
            waiting.pongs.push(tell);
            waiting.due.get_or_insert_with(Instant::now);
        }
        let asked = async {
            self.send(&Order::Ping, &[]).await?;
            answer.await.map_err(|_| LauncherError::Dead)
        };
        tokio::time::timeout(within, asked).await.map_err(|_| LauncherError::NoPong(within))?
    }

    /// Ends the process at the other end if it does not answer in time and does nothing either. One that is dead is
    /// no matter.
    pub async fn end_if_silent(&self, within: Duration) {
        let before = self.pulse.as_ref().map(Pulse::beat);
        if let Err(LauncherError::NoPong(_)) = self.ping(within).await {
            let rests = self.pulse.as_ref().is_none_or(|pulse| before == Some(pulse.beat()) && !pulse.waits());
            if rests || self.due_for() >= PATIENCE {
                self.give_up();
            }
        }
    }

    /// Whether it can still be asked for anything.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.lock().dead
    }

    /// Whether it was ended because it did not answer.
    #[must_use]
    pub fn hung(&self) -> bool {
        self.lock().hung
    }

    /// Completes once the other end hangs: an answer is due, nothing was heard for long, and nothing was done
    /// meanwhile. For whoever waits for something that only the other end can do.
    pub async fn silence(&self) {
        let (mut since, mut beat) = (Instant::now(), None);
        loop {
            // Not looked at before, for nearly all answers come in milliseconds.
            tokio::time::sleep(LOOK).await;
            let (due, now) = (self.due_for(), self.pulse.as_ref().map(Pulse::beat));
            if due < LOOK || now != beat || self.pulse.as_ref().is_some_and(Pulse::waits) {
                (since, beat) = (Instant::now(), now);
            }
            if since.elapsed() >= SILENCE - LOOK || due >= PATIENCE {
                return;
            }
        }
    }

    /// How long an answer has been due while nothing was heard.
    fn due_for(&self) -> Duration {
        self.lock().due.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Ends the process at the other end if it hangs; it is asked something for as long as this is waited for.
    pub async fn end_if_hung(&self) {
        loop {
            tokio::time::sleep(SILENCE).await;
            tokio::select! {
                pong = self.ping(PATIENCE) => match pong {
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
        let mut waiting = self.lock();
        waiting.hung |= !waiting.dead;
        waiting.forget_all();
    }

    fn kill(&self) {
        if let Some(process) = &self.process {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }

    async fn order(
        &self,
        order: &Order,
        slot: Slot,
        fds: &[i32],
        tell_end: Option<oneshot::Sender<End>>,
    ) -> Result<Vec<OwnedFd>, LauncherError> {
        let (tell, answer) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.dead {
                return Err(LauncherError::Dead);
            }
            waiting.answers.insert(slot, Asked { tell, tell_end });
            waiting.due.get_or_insert_with(Instant::now);
        }
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
        // It goes by itself when its wire closes, unless it hangs, or imports for too long.
        self.kill();
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
    lock(&waiting).forget_all();
}

impl Waiting {
    /// There will be no more answers: whoever waits for one sees its channel close.
    fn forget_all(&mut self) {
        self.dead = true;
        self.due = None;
        self.answers.clear();
        self.ends.clear();
        self.pongs.clear();
    }
}

fn deliver(waiting: &Mutex<Waiting>, notice: Notice, fds: Vec<OwnedFd>) {
    let mut waiting = lock(waiting);
    hand_over(&mut waiting, notice, fds);
    // From now on for what is still due, if anything is.
    let due = !waiting.answers.is_empty() || !waiting.pongs.is_empty();
    waiting.due = due.then(Instant::now);
}

fn hand_over(waiting: &mut Waiting, notice: Notice, fds: Vec<OwnedFd>) {
    let (slot, answer) = match notice {
        Notice::Cell(slot) | Notice::Started(slot) => (slot, Ok(fds)),
        Notice::Failed(Some(slot), why) => (slot, Err(LauncherError::Refused(why))),
        Notice::Short(Some(slot), why) => (slot, Err(LauncherError::Short(why))),
        Notice::Exited(slot, end) => {
            if let Some(tell) = waiting.ends.remove(&slot) {
                let _ = tell.send(end);
            }
            return;
        }
        Notice::Pong => {
            for tell in waiting.pongs.drain(..) {
                let _ = tell.send(());
            }
            return;
        }
        Notice::Begun | Notice::Ready | Notice::Failed(None, _) | Notice::Short(None, _) => {
            tracing::error!(?notice, "a launcher said what it was not asked");
            return;
        }
    };
    if let Some(Asked { tell, tell_end }) = waiting.answers.remove(&slot) {
        // Only from here on is an end that of this job, and not of the one that had the slot before.
        if let (Ok(_), Some(tell_end)) = (&answer, tell_end) {
            waiting.ends.insert(slot, tell_end);
        }
        let _ = tell.send(answer);
    }
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

/// A step of the sandbox's own that failed on this side.
pub fn refused(error: cloister_sandbox::Error) -> LauncherError {
    if error.is_shortage() {
        LauncherError::Short(error.to_string())
    } else {
        LauncherError::Refused(error.to_string())
    }
}
