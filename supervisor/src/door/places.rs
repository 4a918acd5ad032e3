//! Places: who may have a job now, and who is next. Fair between tenants, not between requests.
//!
//! A tenant is whom the gateway says that a request is for: a key, or an address. Those who wait are let in in turn,
//! one of each tenant, so one that sends a hundred waits behind itself. Two shares are for others: half of the waiting
//! room, and of the places the last eighth, which a tenant gets only while it has no other. So a flood neither fills
//! the queue nor delays one who comes now and then.
//!
//! A place is held while a job runs. What is left of its answer then is [`Unread`] until its reader has taken all of
//! it: who leaves too much unread waits until it is read, and others go on. This is the only owner of either.

use std::sync::{Arc, Mutex, MutexGuard};

use cloister_protocol::Tenant;
use tokio::sync::oneshot::Receiver;

use crate::door::shares::{Load, Overloaded, Room, Shares};

/// The places, those who wait for one, and the answers that are not read yet.
#[derive(Debug)]
pub struct Places(Mutex<Shares>);

/// A place. Dropping it lets the next in.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    tenant: Tenant,
}

/// What is left of an answer, counted until this is dropped.
#[derive(Debug)]
pub struct Unread {
    places: Arc<Places>,
    tenant: Tenant,
    bytes: u64,
}

impl Places {
    /// As many as there is room for.
    #[must_use]
    pub fn new(room: Room) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Shares::new(room))))
    }

    /// From now on with other numbers. Who has a place keeps it, and who waits goes on waiting.
    pub fn resize(self: &Arc<Self>, room: Room) {
        let mut shares = self.shares();
        shares.room = room;
        shares.call();
    }

    /// How busy it all is.
    #[must_use]
    pub fn load(&self) -> Load {
        self.shares().load()
    }

    /// A place for this tenant: at once, or in turn.
    ///
    /// # Errors
    /// [`Overloaded`]; at once when nobody else can be made to wait.
    pub async fn enter(self: &Arc<Self>, tenant: Tenant) -> Result<Place, Overloaded> {
        let (mut turn, longest) = {
            let mut shares = self.shares();
            if shares.let_in(tenant) {
                return Ok(Place { places: Arc::clone(self), tenant });
            }
            let (ticket, called) = shares.queue(tenant)?;
            (Turn { places: Arc::clone(self), tenant, ticket, called }, shares.room.queue_wait)
        };
        match tokio::time::timeout(longest, &mut turn.called).await {
            Ok(_) => Ok(turn.place()),
            Err(_) if self.shares().is_read_enough(tenant) => Err(Overloaded::WaitedTooLong),
            Err(_) => Err(Overloaded::Unread),
        }
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Place {
    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// An answer of the job in this place, of which so many bytes are held until it is read.
    #[must_use]
    pub fn unread(&self, bytes: u64) -> Unread {
        self.places.shares().hold(self.tenant, bytes);
        Unread { places: Arc::clone(&self.places), tenant: self.tenant, bytes }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.shares().leave(self.tenant);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.places.shares().read(self.tenant, self.bytes);
    }
}

/// A turn in the queue, given up when the wait ends in whatever way.
struct Turn {
    places: Arc<Places>,
    tenant: Tenant,
    ticket: u64,
    called: Receiver<()>,
}

impl Turn {
    /// The place that it was called for.
    fn place(mut self) -> Place {
        // The ticket is no longer in the line, and nothing is left to be received.
        self.ticket = 0;
        Place { places: Arc::clone(&self.places), tenant: self.tenant }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ticket == 0 {
            return;
        }
        if !self.places.shares().withdraw(self.tenant, self.ticket) {
            // Called just before it gave up: the place goes on to the next.
            drop(Place { places: Arc::clone(&self.places), tenant: self.tenant });
        }
    }
}

#[cfg(test)]
mod tests;
