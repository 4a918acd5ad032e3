//! Places: how many requests have a job at once, and who waits for one. A reload changes the numbers while they are in use.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets as many requests in as may run at once, keeps some waiting, and turns the rest away.
#[derive(Debug)]
pub struct Door {
    places: Arc<Semaphore>,
    state: Mutex<DoorState>,
}

#[derive(Debug)]
struct DoorState {
    /// Places there should be.
    slots: u32,
    /// Places that are taken away when those who have them leave.
    surplus: u32,
    queue: u32,
    queue_wait: Duration,
    waiting: u32,
}

/// What a [`Door`] has to do at the moment.
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
}

/// Why a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// As many wait as may.
    #[error("every slot is busy and the queue is full; try again shortly")]
    QueueFull,
    /// None became free in time.
    #[error("no slot became free in time; try again shortly")]
    WaitedTooLong,
}

impl Door {
    /// Lets `slots` in at once and `queue` wait for up to `queue_wait`.
    #[must_use]
    pub fn new(slots: u32, queue: u32, queue_wait: Duration) -> Self {
        let state = DoorState { slots, surplus: 0, queue, queue_wait, waiting: 0 };
        Self { places: Arc::new(Semaphore::new(count(slots))), state: Mutex::new(state) }
    }

    /// From now on with other numbers. Who is in stays in, and who waits goes on waiting.
    pub fn resize(&self, slots: u32, queue: u32, queue_wait: Duration) {
        let mut state = self.state();
        (state.queue, state.queue_wait) = (queue, queue_wait);
        let before = std::mem::replace(&mut state.slots, slots);
        if slots > before {
            let spared = state.surplus.min(slots - before);
            state.surplus -= spared;
            self.places.add_permits(count(slots - before - spared));
        } else {
            let gone = self.places.forget_permits(count(before - slots));
            state.surplus += before - slots - u32::try_from(gone).expect("no more than was asked for");
        }
    }

    /// How many requests are in, and how many wait.
    #[must_use]
    pub fn load(&self) -> Load {
        let state = self.state();
        let free = u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX);
        let taken = (state.slots + state.surplus).saturating_sub(free);
        Load { busy: taken, slots: state.slots, waiting: state.waiting, queue: state.queue }
    }

    /// A place: at once, or in turn. Dropping it lets the next in.
    ///
    /// # Errors
    /// [`Overloaded`], at once when the queue is full.
    pub async fn enter(&self) -> Result<Place<'_>, Overloaded> {
        let place = |permit| Place { door: self, permit: Some(permit) };
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place(permit));
        }
        let turn = Turn::take(self)?;
        let queue_wait = self.state().queue_wait;
        let permit = tokio::time::timeout(queue_wait, Arc::clone(&self.places).acquire_owned())
            .await
            .map_err(|_| Overloaded::WaitedTooLong)?
            .expect("the semaphore is never closed");
        drop(turn);
        Ok(place(permit))
    }

    fn state(&self) -> MutexGuard<'_, DoorState> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// A place behind the door, for as long as it is held.
#[derive(Debug)]
pub struct Place<'a> {
    door: &'a Door,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.door.state();
        if state.surplus > 0 {
            state.surplus -= 1;
            self.permit.take().into_iter().for_each(OwnedSemaphorePermit::forget);
        }
    }
}

/// A turn in the queue, given up when the wait ends in whatever way.
struct Turn<'a>(&'a Door);

impl<'a> Turn<'a> {
    fn take(door: &'a Door) -> Result<Self, Overloaded> {
        let mut state = door.state();
        if state.waiting >= state.queue {
            return Err(Overloaded::QueueFull);
        }
        state.waiting += 1;
        Ok(Self(door))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).expect("32 bits fit")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Door, Overloaded};

    const AT_ONCE: Duration = Duration::ZERO;

    #[tokio::test]
    async fn a_door_made_narrower_takes_places_as_they_are_left_and_wider_gives_them_back() {
        let door = Door::new(3, 0, AT_ONCE);
        let (one, two) = (door.enter().await.expect("free"), door.enter().await.expect("free"));
        door.resize(1, 0, AT_ONCE);
        drop(one);
        assert_eq!(door.enter().await.err(), Some(Overloaded::QueueFull));
        drop(two);
        let one = door.enter().await.expect("the one that is left");
        assert!(door.enter().await.is_err());
        door.resize(2, 0, AT_ONCE);
        let two = door.enter().await.expect("the second, which is back");
        door.resize(1, 0, AT_ONCE);
        door.resize(3, 0, AT_ONCE);
        let three = door.enter().await.expect("as many as were asked for last");
        assert!(door.enter().await.is_err());
        drop((one, two, three));
    }
}
