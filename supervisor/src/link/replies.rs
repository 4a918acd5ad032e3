//! Who waits for which answer of a launcher or a zygote, and since when one is due.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cloister_sandbox::spec::Slot;
use cloister_sandbox::wire::{End, Notice};
use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::link::launcher_error::LauncherError;

/// What is expected of the other end. A slot has one order under way at most.
#[derive(Debug, Default)]
pub struct Replies(Mutex<State>);

/// What an order comes to: the descriptors that were made, or why there are none.
pub type Reply = Result<Vec<OwnedFd>, LauncherError>;

#[derive(Debug, Default)]
struct State {
    dead: bool,
    hung: bool,
    /// Since when an answer is due and nothing was heard.
    due: Option<Instant>,
    orders: HashMap<Slot, Ordered>,
    ends: HashMap<Slot, Sender<End>>,
    pongs: Vec<Sender<()>>,
}

/// An order under way: whom to tell that it was carried out, and whom to tell of the job's end.
#[derive(Debug)]
struct Ordered {
    tell: Sender<Reply>,
    tell_end: Option<Sender<End>>,
}

impl Replies {
    /// An order for this slot is about to be sent; its job's end goes to `tell_end`.
    ///
    /// # Errors
    /// When the other end is dead.
    pub fn expect(&self, slot: Slot, tell_end: Option<Sender<End>>) -> Result<Receiver<Reply>, LauncherError> {
        let (tell, answer) = oneshot::channel();
        self.alive()?.orders.insert(slot, Ordered { tell, tell_end });
        Ok(answer)
    }

    /// It is about to be asked whether it carries out orders.
    ///
    /// # Errors
    /// When it is dead.
    pub fn expect_pong(&self) -> Result<Receiver<()>, LauncherError> {
        let (tell, answer) = oneshot::channel();
        self.alive()?.pongs.push(tell);
        Ok(answer)
    }

    /// Whether it can still be asked for anything.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.state().dead
    }

    /// Whether it was given up while it lived.
    #[must_use]
    pub fn hung(&self) -> bool {
        self.state().hung
    }

    /// How long an answer has been due while nothing was heard.
    #[must_use]
    pub fn due_for(&self) -> Duration {
        self.state().due.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// There will be no more answers, for it is dead: whoever waits for one sees its channel close.
    pub fn forget_all(&self) {
        self.state().forget_all();
    }

    /// The same, for it hangs.
    pub fn give_up(&self) {
        let mut state = self.state();
        state.hung |= !state.dead;
        state.forget_all();
    }

    /// Hands what the other end says to whoever waits for it.
    pub fn deliver(&self, notice: Notice, fds: Vec<OwnedFd>) {
        let mut state = self.state();
        state.hand_over(notice, fds);
        // From now on for what is still due, if anything is.
        let due = !state.orders.is_empty() || !state.pongs.is_empty();
        state.due = due.then(Instant::now);
    }

    /// For one more answer that is due from now on.
    fn alive(&self) -> Result<MutexGuard<'_, State>, LauncherError> {
        let mut state = self.state();
        if state.dead {
            return Err(LauncherError::Dead);
        }
        state.due.get_or_insert_with(Instant::now);
        Ok(state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn forget_all(&mut self) {
        self.dead = true;
        self.due = None;
        self.orders.clear();
        self.ends.clear();
        self.pongs.clear();
    }

    fn hand_over(&mut self, notice: Notice, fds: Vec<OwnedFd>) {
        let (slot, reply) = match notice {
            Notice::Cell(slot) | Notice::Started(slot) => (slot, Ok(fds)),
            Notice::Failed(Some(slot), why) => (slot, Err(LauncherError::Refused(why))),
            Notice::Short(Some(slot), why) => (slot, Err(LauncherError::Short(why))),
            Notice::Exited(slot, end) => {
                if let Some(tell) = self.ends.remove(&slot) {
                    let _ = tell.send(end);
                }
                return;
            }
            Notice::Pong => {
                for tell in self.pongs.drain(..) {
                    let _ = tell.send(());
                }
                return;
            }
            Notice::Begun | Notice::Holds(_) | Notice::Ready | Notice::Failed(None, _) | Notice::Short(None, _) => {
                tracing::error!(?notice, "a launcher said what it was not asked");
                return;
            }
        };
        if let Some(Ordered { tell, tell_end }) = self.orders.remove(&slot) {
            // Only from here on is an end that of this job, and not of the one that had the slot before.
            if let (Ok(_), Some(tell_end)) = (&reply, tell_end) {
                self.ends.insert(slot, tell_end);
            }
            let _ = tell.send(reply);
        }
    }
}
