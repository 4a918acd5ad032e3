//! Who may use the supervisor now, and who is next: fair between tenants, not between requests.
//!
//! A tenant is a key, or the address of one who needs none. Those who wait are let in in turn, one
//! of each tenant, so one that sends a hundred waits behind itself. Two shares are for others:
//! half of the waiting room, and of the places the last eighth, which a tenant gets only while it
//! has no other. So a flood neither fills the queue nor delays one who comes now and then.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::keys::KeyId;

/// Who shares are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tenant {
    /// The holder of a key.
    Key(KeyId),
    /// Whoever comes from an address, where no keys are needed.
    Address(IpAddr),
}

impl Tenant {
    /// The tenant at an address. Of an IPv6 address the first half counts: the rest is its holder's to choose.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
            address => address,
        })
    }

    /// The tenant as the supervisor is told of it. Keys and addresses never meet: a gateway asks for keys, or it does not.
    pub fn number(self) -> cloister_protocol::Tenant {
        cloister_protocol::Tenant::new(match self {
            Self::Key(key) => key.number().into(),
            Self::Address(IpAddr::V6(address)) => address.into(),
            Self::Address(IpAddr::V4(address)) => address.to_ipv6_mapped().into(),
        })
    }
}

/// Places at the supervisor, and those who wait for one.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    waiting: usize,
    patience: Duration,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// As many wait as may.
    #[error("all places are taken and the queue is full; try again shortly")]
    Full,
    /// As many of the same tenant wait as may.
    #[error("too many of your requests wait already; try again shortly")]
    Share,
    /// None came free in time.
    #[error("no place came free in time; try again shortly")]
    Late,
}

/// A place at the supervisor. Dropping it lets the next in.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    tenant: Tenant,
}

#[derive(Debug, Default)]
struct State {
    places: usize,
    tickets: u64,
    running: usize,
    waiting: usize,
    lines: HashMap<Tenant, Line>,
    /// Tenants who have somebody waiting, whose turn is next first.
    turns: VecDeque<Tenant>,
}

/// What one tenant has.
#[derive(Debug, Default)]
struct Line {
    running: usize,
    waiting: VecDeque<(u64, Sender<()>)>,
}

impl Queue {
    /// `places` at once, `waiting` for up to `patience`.
    pub fn new(places: NonZeroUsize, waiting: usize, patience: Duration) -> Arc<Self> {
        let state = State { places: places.get(), ..State::default() };
        Arc::new(Self { state: Mutex::new(state), waiting, patience })
    }

    /// From now on with another number of places. Who has one keeps it.
    pub fn resize(&self, places: usize) {
        let mut state = self.lock();
        state.places = places;
        self.call(&mut state);
    }

    /// A place for this tenant: at once, or in turn.
    ///
    /// # Errors
    /// [`NoPlace`]; at once when nobody else can be made to wait.
    pub async fn enter(self: &Arc<Self>, tenant: Tenant) -> Result<Place, NoPlace> {
        let mut turn = {
            let mut state = self.lock();
            if state.has_place(tenant) && state.lines.get(&tenant).is_none_or(|line| line.waiting.is_empty()) {
                state.admit(tenant);
                return Ok(Place { queue: Arc::clone(self), tenant });
            }
            self.wait(&mut state, tenant)?
        };
        match tokio::time::timeout(self.patience, &mut turn.called).await {
            Ok(_) => Ok(turn.place()),
            Err(_) => Err(NoPlace::Late),
        }
    }

    /// How many may have a place.
    pub fn places(&self) -> usize {
        self.lock().places
    }

    /// How many have a place, and how many wait.
    pub fn lengths(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting)
    }

    fn wait(self: &Arc<Self>, state: &mut State, tenant: Tenant) -> Result<Turn, NoPlace> {
        if state.waiting >= self.waiting {
            return Err(NoPlace::Full);
        }
        let line = state.lines.entry(tenant).or_default();
        if line.waiting.len() >= self.waiting.div_ceil(2) {
            return Err(NoPlace::Share);
        }
        if line.waiting.is_empty() {
            state.turns.push_back(tenant);
        }
        let (call, called) = oneshot::channel();
        state.tickets += 1;
        state.waiting += 1;
        line.waiting.push_back((state.tickets, call));
        Ok(Turn { queue: Arc::clone(self), tenant, ticket: state.tickets, called })
    }

    /// Lets in whom the free places are for.
    fn call(&self, state: &mut State) {
        while let Some(next) = state.turns.iter().position(|tenant| state.has_place(*tenant)) {
            let tenant = state.turns.remove(next).expect("a position in it");
            let line = state.lines.get_mut(&tenant).expect("who has a turn has a line");
            let (_, call) = line.waiting.pop_front().expect("who has a turn has somebody waiting");
            if !line.waiting.is_empty() {
                state.turns.push_back(tenant);
            }
            state.waiting -= 1;
            state.admit(tenant);
            // Whoever waited gives the place back if it is no longer wanted.
            let _ = call.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether this tenant may have one of the places that are free.
    fn has_place(&self, tenant: Tenant) -> bool {
        let free = self.places.saturating_sub(self.running);
        let reserved = if self.places > 1 { self.places.div_ceil(8) } else { 0 };
        free > reserved || free > 0 && self.lines.get(&tenant).is_none_or(|line| line.running == 0)
    }

    fn admit(&mut self, tenant: Tenant) {
        self.running += 1;
        self.lines.entry(tenant).or_default().running += 1;
    }

    /// Forgets a tenant who has nothing here any more.
    fn tidy(&mut self, tenant: Tenant) {
        if self.lines.get(&tenant).is_some_and(|line| line.running == 0 && line.waiting.is_empty()) {
            self.lines.remove(&tenant);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.running -= 1;
        if let Some(line) = state.lines.get_mut(&self.tenant) {
            line.running -= 1;
        }
        self.queue.call(&mut state);
        state.tidy(self.tenant);
    }
}

/// A turn in the queue, given up when the wait ends in whatever way.
struct Turn {
    queue: Arc<Queue>,
    tenant: Tenant,
    ticket: u64,
    called: Receiver<()>,
}

impl Turn {
    /// The place that it was called for.
    fn place(mut self) -> Place {
        // The ticket is no longer in the line, and nothing is left to be received.
        self.ticket = 0;
        Place { queue: Arc::clone(&self.queue), tenant: self.tenant }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ticket == 0 {
            return;
        }
        let mut state = self.queue.lock();
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
                drop(Place { queue: Arc::clone(&self.queue), tenant: self.tenant });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::IpAddr;
    use std::num::NonZeroUsize;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::{NoPlace, Place, Queue, Tenant};

    type Entering = Pin<Box<dyn Future<Output = Result<Place, NoPlace>>>>;

    fn queue(places: usize, waiting: usize) -> Arc<Queue> {
        Queue::new(NonZeroUsize::new(places).expect("not zero"), waiting, Duration::from_secs(3600))
    }

    fn tenant(number: u8) -> Tenant {
        Tenant::at(IpAddr::from([127, 0, 0, number]))
    }

    /// Enters, and comes back after the first step.
    fn enter(queue: &Arc<Queue>, number: u8) -> (Entering, Poll<Result<Place, NoPlace>>) {
        let queue = Arc::clone(queue);
        let mut entering: Entering = Box::pin(async move { queue.enter(tenant(number)).await });
        let step = poll(&mut entering);
        (entering, step)
    }

    fn poll(entering: &mut Entering) -> Poll<Result<Place, NoPlace>> {
        entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn admitted(step: Poll<Result<Place, NoPlace>>) -> Place {
        match step {
            Poll::Ready(Ok(place)) => place,
            other => panic!("not let in: {other:?}"),
        }
    }

    fn refused(step: Poll<Result<Place, NoPlace>>) -> NoPlace {
        match step {
            Poll::Ready(Err(reason)) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_flood_waits_behind_itself() {
        let queue = queue(1, 100);
        let place = admitted(enter(&queue, 1).1);
        let mut flood: Vec<_> = (0..40).map(|_| enter(&queue, 1).0).collect();
        let (mut late, step) = enter(&queue, 2);
        assert!(step.is_pending());
        drop(place);
        // One of the flood was first in line; the other tenant is next, forty before it or not.
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
        let queue = queue(8, 100);
        let flood: Vec<_> = (0..7).map(|_| admitted(enter(&queue, 1).1)).collect();
        let (mut more, step) = enter(&queue, 1);
        assert!(step.is_pending());
        let other = admitted(enter(&queue, 2).1);
        assert!(enter(&queue, 3).1.is_pending(), "there are eight places");
        drop(other);
        assert!(poll(&mut more).is_pending(), "the last place is not for who has seven");
        drop(flood);
        admitted(poll(&mut more));
    }

    #[tokio::test]
    async fn more_places_let_in_who_waits_and_fewer_let_who_has_one_keep_it() {
        let queue = queue(1, 100);
        let one = admitted(enter(&queue, 1).1);
        let (mut second, step) = enter(&queue, 2);
        assert!(step.is_pending());
        queue.resize(3);
        let two = admitted(poll(&mut second));
        let three = admitted(enter(&queue, 3).1);
        queue.resize(1);
        let (mut late, step) = enter(&queue, 4);
        assert!(step.is_pending());
        drop((one, two));
        assert!(poll(&mut late).is_pending(), "the one place is taken");
        drop(three);
        admitted(poll(&mut late));
        assert_eq!((queue.places(), queue.lengths()), (1, (0, 0)));
    }

    #[tokio::test]
    async fn nobody_fills_the_queue_alone() {
        let queue = queue(1, 10);
        let _place = admitted(enter(&queue, 1).1);
        let _flood: Vec<_> = (0..5).map(|_| enter(&queue, 1).0).collect();
        assert_eq!(refused(enter(&queue, 1).1), NoPlace::Share);
        let _others: Vec<_> = (2..7).map(|number| enter(&queue, number).0).collect();
        assert_eq!(refused(enter(&queue, 7).1), NoPlace::Full);
        assert_eq!(queue.lengths(), (1, 10));
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_behind() {
        let queue = queue(1, 10);
        let place = admitted(enter(&queue, 1).1);
        let (leaves, _) = enter(&queue, 2);
        let (called, _) = enter(&queue, 3);
        let (mut stays, _) = enter(&queue, 4);
        drop(leaves);
        assert_eq!(queue.lengths(), (1, 2));
        drop(place);
        // It was called and leaves before it hears of it.
        drop(called);
        drop(admitted(poll(&mut stays)));
        assert_eq!(queue.lengths(), (0, 0));
        assert!(queue.lock().lines.is_empty() && queue.lock().turns.is_empty());
        admitted(enter(&queue, 5).1);
    }

    #[tokio::test]
    async fn a_wait_has_its_end() {
        let queue = Queue::new(NonZeroUsize::MIN, 10, Duration::from_millis(10));
        let _place = admitted(enter(&queue, 1).1);
        assert_eq!(queue.enter(tenant(2)).await.expect_err("no place"), NoPlace::Late);
        assert_eq!(queue.lengths(), (1, 0));
    }

    #[test]
    fn one_who_holds_many_addresses_is_one_tenant() {
        let at = |text: &str| Tenant::at(text.parse().expect("an address"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
