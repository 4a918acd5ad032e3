//! What each tenant has of the places, of the queue and of what may be unread, and who is next. Nothing waits here.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use cloister_protocol::Tenant;
use tokio::sync::oneshot::{self, Receiver, Sender};

pub use cloister_supervisor::open_files::MOST_UNREAD;

/// The part of what may be unread, in answers and in bytes, that one tenant may hold and still be let in.
const TENANTS_PART: u64 = 8;

/// How many there may be of each.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Jobs at once.
    pub slots: u32,
    /// Requests that wait.
    pub queue: u32,
    /// How long one waits.
    pub queue_wait: Duration,
    /// What unread answers may hold, in bytes, before those who have some wait.
    pub answers: u64,
    /// What the largest answer may hold.
    pub largest: u64,
}

/// What there is to do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Requests whose jobs run.
    pub busy: u32,
    /// Requests whose jobs may run at once.
    pub slots: u32,
    /// Requests that wait for a slot.
    pub waiting: u32,
    /// Requests that may.
    pub queue: u32,
    /// Answers that are not read yet.
    pub unread: u32,
    /// What these hold, in bytes.
    pub unread_bytes: u64,
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// As many wait as may.
    #[error("every slot is busy and the queue is full; try again shortly")]
    QueueFull,
    /// As many of the same tenant wait as may.
    #[error("too many of your requests wait already; try again shortly")]
    Share,
    /// None became free in time.
    #[error("no slot became free in time; try again shortly")]
    WaitedTooLong,
    /// None became free in time for one who does not read what it asked for.
    #[error("too much of your earlier answers is not read yet, and until it is no further job is begun")]
    Unread,
}

/// Who has what, and who waits.
#[derive(Debug)]
pub struct Shares {
    /// How many there may be of each.
    pub room: Room,
    tickets: u64,
    running: u32,
    waiting: u32,
    unread: Held,
    tenants: HashMap<Tenant, Own>,
    /// Tenants who have somebody waiting, whose turn is next first.
    turns: VecDeque<Tenant>,
}

/// What one tenant has.
#[derive(Debug, Default)]
struct Own {
    running: u32,
    unread: Held,
    waiting: VecDeque<(u64, Sender<()>)>,
}

/// Answers that are not read yet.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    count: u32,
    bytes: u64,
}

impl Shares {
    /// Nobody has anything.
    #[must_use]
    pub fn new(room: Room) -> Self {
        Self {
            room,
            tickets: 0,
            running: 0,
            waiting: 0,
            unread: Held::default(),
            tenants: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// How busy it all is.
    #[must_use]
    pub fn load(&self) -> Load {
        let Held { count: unread, bytes: unread_bytes } = self.unread;
        let Room { slots, queue, .. } = self.room;
        Load { busy: self.running, slots, waiting: self.waiting, queue, unread, unread_bytes }
    }

    /// Lets this tenant in, if there is a place for it and none of its own waits; whether it did.
    pub fn let_in(&mut self, tenant: Tenant) -> bool {
        let lets = self.has_place(tenant) && self.tenants.get(&tenant).is_none_or(|own| own.waiting.is_empty());
        if lets {
            self.admit(tenant);
        }
        lets
    }

    /// A ticket for the queue, and what tells that it was called.
    ///
    /// # Errors
    /// When the queue is full, for all or for this tenant.
    pub fn queue(&mut self, tenant: Tenant) -> Result<(u64, Receiver<()>), Overloaded> {
        if self.waiting >= self.room.queue {
            return Err(Overloaded::QueueFull);
        }
        let share = self.room.queue.div_ceil(2);
        let own = self.tenants.entry(tenant).or_default();
        if u32::try_from(own.waiting.len()).is_ok_and(|waiting| waiting >= share) {
            return Err(Overloaded::Share);
        }
        if own.waiting.is_empty() {
            self.turns.push_back(tenant);
        }
        let (call, called) = oneshot::channel();
        self.tickets += 1;
        self.waiting += 1;
        own.waiting.push_back((self.tickets, call));
        Ok((self.tickets, called))
    }

    /// Takes a ticket back; whether it had not been called.
    pub fn withdraw(&mut self, tenant: Tenant, ticket: u64) -> bool {
        let own = self.tenants.get_mut(&tenant);
        let waits = own.and_then(|own| {
            let at = own.waiting.iter().position(|(other, _)| *other == ticket)?;
            own.waiting.remove(at)?;
            Some(own.waiting.is_empty())
        });
        let Some(was_last) = waits else { return false };
        self.waiting -= 1;
        if was_last {
            self.turns.retain(|other| *other != tenant);
        }
        self.tidy(tenant);
        true
    }

    /// Takes a place back, and lets in who is next.
    pub fn leave(&mut self, tenant: Tenant) {
        self.running -= 1;
        if let Some(own) = self.tenants.get_mut(&tenant) {
            own.running -= 1;
        }
        self.call();
        self.tidy(tenant);
    }

    /// Counts an answer that is not read yet.
    pub fn hold(&mut self, tenant: Tenant, bytes: u64) {
        self.unread.count += 1;
        self.unread.bytes += bytes;
        let own = self.tenants.entry(tenant).or_default();
        own.unread.count += 1;
        own.unread.bytes += bytes;
    }

    /// It has been read, or will never be.
    pub fn read(&mut self, tenant: Tenant, bytes: u64) {
        self.unread.count -= 1;
        self.unread.bytes -= bytes;
        if let Some(own) = self.tenants.get_mut(&tenant) {
            own.unread.count -= 1;
            own.unread.bytes -= bytes;
        }
        self.call();
        self.tidy(tenant);
    }

    /// Whether nobody has anything.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.tenants.is_empty() && self.turns.is_empty()
    }

    /// Whether this tenant may have one of the places that are free.
    fn has_place(&self, tenant: Tenant) -> bool {
        let free = self.room.slots.saturating_sub(self.running);
        // Of a few places none is kept free: there the next that is left is for who has none.
        let reserved = if self.room.slots >= 8 { self.room.slots.div_ceil(8) } else { 0 };
        let has_none = self.tenants.get(&tenant).is_none_or(|own| own.running == 0);
        (free > reserved || free > 0 && has_none) && self.is_read_enough(tenant)
    }

    /// Whether what is unread leaves room for another answer of this tenant. There is so much room beyond the budget
    /// as all slots may fill at once, and it is for those alone who leave nothing unread.
    #[must_use]
    pub fn is_read_enough(&self, tenant: Tenant) -> bool {
        let Room { slots, answers, largest, .. } = self.room;
        let (all, own) = (self.unread, self.tenants.get(&tenant).map(|own| own.unread).unwrap_or_default());
        if own.count == 0 {
            let burst = u64::from(slots).saturating_mul(largest);
            return all.bytes < answers.saturating_add(burst) && all.count < MOST_UNREAD;
        }
        let within = |held: Held, part: u64| {
            held.bytes < answers / part && u64::from(held.count) < u64::from(MOST_UNREAD / 2) / part
        };
        within(all, 1) && within(own, TENANTS_PART)
    }

    fn admit(&mut self, tenant: Tenant) {
        self.running += 1;
        self.tenants.entry(tenant).or_default().running += 1;
    }

    /// Lets in whom the free places are for: first who has none, if any is kept for such.
    pub fn call(&mut self) {
        while let Some(next) = self.next() {
            let tenant = self.turns.remove(next).expect("a position in it");
            let own = self.tenants.get_mut(&tenant).expect("who has a turn has a line");
            let (_, call) = own.waiting.pop_front().expect("who has a turn has somebody waiting");
            if !own.waiting.is_empty() {
                self.turns.push_back(tenant);
            }
            self.waiting -= 1;
            self.admit(tenant);
            // Whoever waited gives the place back if it is no longer wanted.
            let _ = call.send(());
        }
    }

    fn next(&self) -> Option<usize> {
        if self.running >= self.room.slots {
            return None;
        }
        let few = self.room.slots < 8;
        let has_none = |tenant: &Tenant| self.tenants.get(tenant).is_none_or(|own| own.running == 0);
        let first = |pass: &dyn Fn(&Tenant) -> bool| {
            self.turns.iter().position(|tenant| pass(tenant) && self.has_place(*tenant))
        };
        few.then(|| first(&has_none)).flatten().or_else(|| first(&|_| true))
    }

    /// Forgets a tenant who has nothing here any more.
    fn tidy(&mut self, tenant: Tenant) {
        let idle = |own: &Own| own.running == 0 && own.unread.count == 0 && own.waiting.is_empty();
        if self.tenants.get(&tenant).is_some_and(idle) {
            self.tenants.remove(&tenant);
        }
    }
}
