//! Places: who may have a job now, and who is next. Fair between tenants, not between requests.
//!
//! A tenant is whom the gateway says that a request is for: a key, or an address. Those who wait are let in in turn,
//! one of each tenant, so one that sends a hundred waits behind itself. Two shares are for others: half of the waiting
//! room, and of the places the last eighth, which a tenant gets only while it has no other. So a flood neither fills
//! the queue nor delays one who comes now and then.
//!
//! A place is held while a job runs. What is left of its answer then is [`Unread`] until its reader has taken all of
//! it: who leaves too much unread waits until it is read, and others go on. This is the only owner of either.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_protocol::Tenant;
use tokio::sync::oneshot::{self, Receiver, Sender};

/// How many answers may be unread at once while there is room in bytes: each has a connection.
pub const MOST_UNREAD: u32 = 1024;

/// The part of what may be unread, in answers and in bytes, that one tenant may hold and still be let in.
const TENANTS_PART: u64 = 8;

/// The places, those who wait for one, and the answers that are not read yet.
#[derive(Debug)]
pub struct Places(Mutex<State>);

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

#[derive(Debug)]
struct State {
    room: Room,
    tickets: u64,
    running: u32,
    waiting: u32,
    unread: Held,
    lines: HashMap<Tenant, Line>,
    /// Tenants who have somebody waiting, whose turn is next first.
    turns: VecDeque<Tenant>,
}

/// What one tenant has.
#[derive(Debug, Default)]
struct Line {
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

impl Places {
    /// As many as there is room for.
    #[must_use]
    pub fn new(room: Room) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            room,
            tickets: 0,
            running: 0,
            waiting: 0,
            unread: Held::default(),
            lines: HashMap::new(),
            turns: VecDeque::new(),
        })))
    }

    /// From now on with other numbers. Who has a place keeps it, and who waits goes on waiting.
    pub fn resize(self: &Arc<Self>, room: Room) {
        let mut state = self.state();
        state.room = room;
        state.call();
    }

    /// How busy it all is.
    #[must_use]
    pub fn load(&self) -> Load {
        let state = self.state();
        let Held { count: unread, bytes: unread_bytes } = state.unread;
        let Room { slots, queue, .. } = state.room;
        Load { busy: state.running, slots, waiting: state.waiting, queue, unread, unread_bytes }
    }

    /// A place for this tenant: at once, or in turn.
    ///
    /// # Errors
    /// [`Overloaded`]; at once when nobody else can be made to wait.
    pub async fn enter(self: &Arc<Self>, tenant: Tenant) -> Result<Place, Overloaded> {
        let (mut turn, patience) = {
            let mut state = self.state();
            if state.has_place(tenant) && state.lines.get(&tenant).is_none_or(|line| line.waiting.is_empty()) {
                state.admit(tenant);
                return Ok(Place { places: Arc::clone(self), tenant });
            }
            (self.wait(&mut state, tenant)?, state.room.queue_wait)
        };
        match tokio::time::timeout(patience, &mut turn.called).await {
            Ok(_) => Ok(turn.place()),
            Err(_) if self.state().is_read_enough(tenant) => Err(Overloaded::WaitedTooLong),
            Err(_) => Err(Overloaded::Unread),
        }
    }

    fn wait(self: &Arc<Self>, state: &mut State, tenant: Tenant) -> Result<Turn, Overloaded> {
        if state.waiting >= state.room.queue {
            return Err(Overloaded::QueueFull);
        }
        let share = state.room.queue.div_ceil(2);
        let line = state.lines.entry(tenant).or_default();
        if u32::try_from(line.waiting.len()).is_ok_and(|waiting| waiting >= share) {
            return Err(Overloaded::Share);
        }
        if line.waiting.is_empty() {
            state.turns.push_back(tenant);
        }
        let (call, called) = oneshot::channel();
        state.tickets += 1;
        state.waiting += 1;
        line.waiting.push_back((state.tickets, call));
        Ok(Turn { places: Arc::clone(self), tenant, ticket: state.tickets, called })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    /// Whether this tenant may have one of the places that are free.
    fn has_place(&self, tenant: Tenant) -> bool {
        let free = self.room.slots.saturating_sub(self.running);
        // Of a few places none is kept free: there the next that is left is for who has none.
        let reserved = if self.room.slots >= 8 { self.room.slots.div_ceil(8) } else { 0 };
        let has_none = self.lines.get(&tenant).is_none_or(|line| line.running == 0);
        (free > reserved || free > 0 && has_none) && self.is_read_enough(tenant)
    }

    /// Whether what is unread leaves room for another answer of this tenant. There is so much room beyond the budget
    /// as all slots may fill at once, and it is for those alone who leave nothing unread.
    fn is_read_enough(&self, tenant: Tenant) -> bool {
        let Room { slots, answers, largest, .. } = self.room;
        let (all, own) = (self.unread, self.lines.get(&tenant).map(|line| line.unread).unwrap_or_default());
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
        self.lines.entry(tenant).or_default().running += 1;
    }

    /// Lets in whom the free places are for: first who has none, if any is kept for such.
    fn call(&mut self) {
        while let Some(next) = self.next() {
            let tenant = self.turns.remove(next).expect("a position in it");
            let line = self.lines.get_mut(&tenant).expect("who has a turn has a line");
            let (_, call) = line.waiting.pop_front().expect("who has a turn has somebody waiting");
            if !line.waiting.is_empty() {
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
        let has_none = |tenant: &Tenant| self.lines.get(tenant).is_none_or(|line| line.running == 0);
        let first = |pass: &dyn Fn(&Tenant) -> bool| {
            self.turns.iter().position(|tenant| pass(tenant) && self.has_place(*tenant))
        };
        few.then(|| first(&has_none)).flatten().or_else(|| first(&|_| true))
    }

    /// Forgets a tenant who has nothing here any more.
    fn tidy(&mut self, tenant: Tenant) {
        let idle = |line: &Line| line.running == 0 && line.unread.count == 0 && line.waiting.is_empty();
        if self.lines.get(&tenant).is_some_and(idle) {
            self.lines.remove(&tenant);
        }
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
        let mut state = self.places.state();
        state.unread.count += 1;
        state.unread.bytes += bytes;
        let line = state.lines.entry(self.tenant).or_default();
        line.unread.count += 1;
        line.unread.bytes += bytes;
        drop(state);
        Unread { places: Arc::clone(&self.places), tenant: self.tenant, bytes }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.running -= 1;
        if let Some(line) = state.lines.get_mut(&self.tenant) {
            line.running -= 1;
        }
        state.call();
        state.tidy(self.tenant);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.unread.count -= 1;
        state.unread.bytes -= self.bytes;
        if let Some(line) = state.lines.get_mut(&self.tenant) {
            line.unread.count -= 1;
            line.unread.bytes -= self.bytes;
        }
        state.call();
        state.tidy(self.tenant);
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
        let mut state = self.places.state();
        let line = state.lines.get_mut(&self.tenant);
        let waits = line.and_then(|line| {
            let at = line.waiting.iter().position(|(ticket, _)| *ticket == self.ticket)?;
            line.waiting.remove(at)?;
            Some(line.waiting.is_empty())
        });
        match waits {
            Some(was_last) => {
                state.waiting -= 1;
                if was_last {
                    state.turns.retain(|tenant| *tenant != self.tenant);
                }
                state.tidy(self.tenant);
            }
            // Called just before it gave up: the place goes on to the next.
            None => {
                drop(state);
                drop(Place { places: Arc::clone(&self.places), tenant: self.tenant });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use cloister_protocol::Tenant;

    use super::{MOST_UNREAD, Overloaded, Place, Places, Room};

    type Entering = Pin<Box<dyn Future<Output = Result<Place, Overloaded>>>>;

    const ROOM: Room = Room { slots: 1, queue: 100, queue_wait: Duration::from_secs(3600), answers: 800, largest: 50 };

    fn places(slots: u32, queue: u32) -> Arc<Places> {
        Places::new(Room { slots, queue, ..ROOM })
    }

    /// Enters, and comes back after the first step.
    fn enter(places: &Arc<Places>, tenant: u128) -> (Entering, Poll<Result<Place, Overloaded>>) {
        let places = Arc::clone(places);
        let mut entering: Entering = Box::pin(async move { places.enter(Tenant::new(tenant)).await });
        let step = poll(&mut entering);
        (entering, step)
    }

    fn poll(entering: &mut Entering) -> Poll<Result<Place, Overloaded>> {
        entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn admitted(step: Poll<Result<Place, Overloaded>>) -> Place {
        match step {
            Poll::Ready(Ok(place)) => place,
            other => panic!("not let in: {other:?}"),
        }
    }

    fn refused(step: Poll<Result<Place, Overloaded>>) -> Overloaded {
        match step {
            Poll::Ready(Err(reason)) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn lengths(places: &Places) -> (u32, u32) {
        let load = places.load();
        (load.busy, load.waiting)
    }

    #[tokio::test]
    async fn a_flood_waits_behind_itself() {
        let places = places(1, 100);
        let place = admitted(enter(&places, 1).1);
        let mut flood: Vec<_> = (0..40).map(|_| enter(&places, 1).0).collect();
        let (mut late, step) = enter(&places, 2);
        assert!(step.is_pending());
        drop(place);
        // Forty came before it, and it is next as soon as one of them has had the place.
        let first = admitted(poll(&mut flood[0]));
        assert!(poll(&mut late).is_pending());
        drop(first);
        let late = admitted(poll(&mut late));
        assert!(poll(&mut flood[1]).is_pending());
        drop(late);
        drop(admitted(poll(&mut flood[1])));
    }

    #[tokio::test]
    async fn the_last_places_are_for_who_has_none() {
        let places = places(8, 100);
        let flood: Vec<_> = (0..7).map(|_| admitted(enter(&places, 1).1)).collect();
        let (mut more, step) = enter(&places, 1);
        assert!(step.is_pending());
        let other = admitted(enter(&places, 2).1);
        assert!(enter(&places, 3).1.is_pending(), "there are eight places");
        drop(other);
        assert!(poll(&mut more).is_pending(), "the last place is not for who has seven");
        drop(flood);
        admitted(poll(&mut more));
    }

    #[tokio::test]
    async fn of_a_few_places_none_is_kept_and_the_next_is_for_who_has_none() {
        let places = places(2, 100);
        let mut flood: Vec<_> = (0..2).map(|_| admitted(enter(&places, 1).1)).collect();
        let (mut more, _) = enter(&places, 1);
        let (mut other, _) = enter(&places, 2);
        flood.pop();
        assert!(poll(&mut more).is_pending(), "it came first and has one");
        admitted(poll(&mut other));
        admitted(poll(&mut more));
    }

    #[tokio::test]
    async fn more_places_let_in_who_waits_and_fewer_let_who_has_one_keep_it() {
        let places = places(1, 100);
        let one = admitted(enter(&places, 1).1);
        let (mut second, step) = enter(&places, 2);
        assert!(step.is_pending());
        places.resize(Room { slots: 3, ..ROOM });
        let two = admitted(poll(&mut second));
        let three = admitted(enter(&places, 3).1);
        places.resize(ROOM);
        let (mut late, step) = enter(&places, 4);
        assert!(step.is_pending());
        drop((one, two));
        assert!(poll(&mut late).is_pending(), "the one place is taken");
        drop(three);
        admitted(poll(&mut late));
        assert_eq!(lengths(&places), (0, 0));
    }

    #[tokio::test]
    async fn nobody_fills_the_queue_alone() {
        let places = places(1, 10);
        let _place = admitted(enter(&places, 1).1);
        let _flood: Vec<_> = (0..5).map(|_| enter(&places, 1).0).collect();
        assert_eq!(refused(enter(&places, 1).1), Overloaded::Share);
        let _others: Vec<_> = (2..7).map(|tenant| enter(&places, tenant).0).collect();
        assert_eq!(refused(enter(&places, 7).1), Overloaded::QueueFull);
        assert_eq!(lengths(&places), (1, 10));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let places = places(1, 10);
        let place = admitted(enter(&places, 1).1);
        let (leaves, _) = enter(&places, 2);
        let (called, _) = enter(&places, 3);
        let (mut stays, _) = enter(&places, 4);
        drop(leaves);
        assert_eq!(lengths(&places), (1, 2));
        drop(place);
        // It was called and leaves before it hears of it.
        drop(called);
        drop(admitted(poll(&mut stays)));
        assert_eq!(lengths(&places), (0, 0));
        assert!(places.state().lines.is_empty() && places.state().turns.is_empty());
        admitted(enter(&places, 5).1);
    }

    #[tokio::test]
    async fn a_wait_has_its_end() {
        let places = Places::new(Room { queue_wait: Duration::from_millis(10), ..ROOM });
        let place = admitted(enter(&places, 1).1);
        assert_eq!(places.enter(Tenant::new(2)).await.expect_err("no place"), Overloaded::WaitedTooLong);
        let unread = place.unread(100);
        drop(place);
        assert_eq!(places.enter(Tenant::new(1)).await.expect_err("too much"), Overloaded::Unread);
        drop(unread);
        assert_eq!(lengths(&places), (0, 0));
    }

    #[tokio::test]
    async fn who_leaves_an_eighth_unread_waits_and_others_go_on() {
        let places = places(4, 10);
        let place = admitted(enter(&places, 1).1);
        let (one, two) = (place.unread(60), place.unread(40));
        drop(place);
        let (mut more, step) = enter(&places, 1);
        assert!(step.is_pending(), "100 of 800 are an eighth");
        drop(admitted(enter(&places, 2).1));
        assert!(poll(&mut more).is_pending());
        drop(two);
        admitted(poll(&mut more));
        drop(one);
        assert_eq!((places.load().unread, places.load().unread_bytes), (0, 0));
        assert!(places.state().lines.is_empty());
    }

    #[tokio::test]
    async fn what_may_be_unread_is_bounded_whoever_asks() {
        let places = places(4, 10);
        // What no share keeps from filling up: each of these begins with nothing unread.
        let mut held = Vec::new();
        for tenant in 0..20 {
            let step = enter(&places, tenant).1;
            if step.is_pending() {
                break;
            }
            held.push(admitted(step).unread(50));
        }
        // The budget of 800, and 50 for each of four slots.
        assert_eq!((held.len(), places.load().unread_bytes), (20, 1000));
        let (mut late, step) = enter(&places, 99);
        assert!(step.is_pending());
        held.pop();
        drop(admitted(poll(&mut late)));
        held.clear();
        let many: Vec<_> =
            (0..u128::from(MOST_UNREAD)).map(|tenant| admitted(enter(&places, tenant).1).unread(0)).collect();
        assert!(enter(&places, 5000).1.is_pending());
        drop(many);
        assert!(places.state().lines.is_empty());
    }
}
