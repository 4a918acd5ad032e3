//! Those who wait for one of something, and those that wait for somebody: fair between tenants, not between requests.
//!
//! What comes goes to the tenant who has fewest in service, and among those to whoever has been passed over longest, so
//! that one who sends a hundred waits behind itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use cloister_protocol::Tenant;
use tokio::sync::oneshot;

/// Things of a kind, and those who wait for one.
#[derive(Debug)]
pub struct Line<T, E> {
    state: Mutex<State<T, E>>,
}

#[derive(Debug)]
struct State<T, E> {
    /// Nobody waits while there are any. The oldest first.
    there: VecDeque<T>,
    tickets: u64,
    tenants: HashMap<Tenant, Own<T, E>>,
    /// Tenants who have somebody waiting, who was passed over longest first.
    turns: VecDeque<Tenant>,
}

/// What one tenant has.
#[derive(Debug)]
struct Own<T, E> {
    in_service: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Result<T, E>>)>,
}

/// One in service for a tenant, for as long as this lives.
#[derive(Debug)]
pub struct InService<T, E> {
    line: Arc<Line<T, E>>,
    tenant: Tenant,
}

/// One who waits in the line; dropped, he leaves it, and what had come for him goes to the next.
#[derive(Debug)]
pub struct Wait<T, E> {
    line: Arc<Line<T, E>>,
    tenant: Tenant,
    ticket: u64,
    called: oneshot::Receiver<Result<T, E>>,
}

impl<T, E> Line<T, E> {
    /// Nobody waits and nothing is there.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let state = State { there: VecDeque::new(), tickets: 0, tenants: HashMap::new(), turns: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// How many are there for whoever comes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().there.len()
    }

    /// Whether somebody waits.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        !self.lock().turns.is_empty()
    }

    /// One that is there already.
    #[must_use]
    pub fn take(self: &Arc<Self>, tenant: Tenant) -> Option<(T, InService<T, E>)> {
        let mut state = self.lock();
        let thing = state.there.pop_front()?;
        state.own(tenant).in_service += 1;
        Some((thing, InService { line: Arc::clone(self), tenant }))
    }

    /// Counts one in service that was not had from here.
    #[must_use]
    pub fn serve(self: &Arc<Self>, tenant: Tenant) -> InService<T, E> {
        self.lock().own(tenant).in_service += 1;
        InService { line: Arc::clone(self), tenant }
    }

    /// Joins the line: what comes is had with [`Wait::come`].
    #[must_use]
    pub fn enter(self: &Arc<Self>, tenant: Tenant) -> Wait<T, E> {
        let (call, called) = oneshot::channel();
        let mut state = self.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        if let Some(thing) = state.there.pop_front() {
            state.own(tenant).in_service += 1;
            let _ = call.send(Ok(thing));
        } else {
            let own = state.own(tenant);
            own.waiting.push_back((ticket, call));
            if own.waiting.len() == 1 {
                state.turns.push_back(tenant);
            }
        }
        Wait { line: Arc::clone(self), tenant, ticket, called }
    }

    /// Gives one to whoever is next; it comes back if nobody waits.
    pub fn give(&self, thing: T) -> Option<T> {
        self.lock().call(Ok(thing)).and_then(Result::ok)
    }

    /// The same, and if nobody waits it is kept. Of more than `most` the oldest comes back.
    pub fn keep(&self, thing: T, most: usize) -> Option<T> {
        let mut state = self.lock();
        let thing = state.call(Ok(thing)).and_then(Result::ok)?;
        state.there.push_back(thing);
        if state.there.len() > most { state.there.pop_front() } else { None }
    }

    /// Tells whoever is next why there is nothing.
    pub fn fail(&self, error: E) {
        let _ = self.lock().call(Err(error));
    }

    /// All that are there.
    pub fn drain(&self) -> Vec<T> {
        self.lock().there.drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl<T, E> State<T, E> {
    fn own(&mut self, tenant: Tenant) -> &mut Own<T, E> {
        self.tenants.entry(tenant).or_insert_with(|| Own { in_service: 0, waiting: VecDeque::new() })
    }

    /// Hands it to whoever is next, past those who have gone meanwhile.
    fn call(&mut self, mut what: Result<T, E>) -> Option<Result<T, E>> {
        loop {
            let serving = |tenant: &Tenant| self.tenants.get(tenant).map_or(0, |own| own.in_service);
            // The first of those that are equal.
            let Some((at, _)) = self.turns.iter().enumerate().min_by_key(|(_, tenant)| serving(tenant)) else {
                return Some(what);
            };
            let tenant = self.turns.remove(at).expect("a position in it");
            let own = self.tenants.get_mut(&tenant).expect("who has a turn has a line");
            let (_, call) = own.waiting.pop_front().expect("who has a turn has somebody waiting");
            if !own.waiting.is_empty() {
                self.turns.push_back(tenant);
            }
            let serves = what.is_ok();
            match call.send(what) {
                Ok(()) => {
                    own.in_service += usize::from(serves);
                    return None;
                }
                Err(back) => what = back,
            }
        }
    }

    /// Forgets a tenant who has nothing here any more.
    fn tidy(&mut self, tenant: Tenant) {
        if self.tenants.get(&tenant).is_some_and(|own| own.in_service == 0 && own.waiting.is_empty()) {
            self.tenants.remove(&tenant);
        }
    }

    fn served(&mut self, tenant: Tenant) {
        if let Some(own) = self.tenants.get_mut(&tenant) {
            own.in_service -= 1;
        }
        self.tidy(tenant);
    }
}

impl<T, E> Wait<T, E> {
    /// Waits for what comes. May be dropped and called again until something has.
    ///
    /// # Errors
    /// Why there is nothing.
    pub async fn come(&mut self) -> Result<(T, InService<T, E>), E> {
        let came = (&mut self.called).await.expect("the line holds the other end until it has called");
        came.map(|thing| (thing, InService { line: Arc::clone(&self.line), tenant: self.tenant }))
    }
}

impl<T, E> Drop for Wait<T, E> {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let own = state.own(self.tenant);
        let waited = own.waiting.len();
        own.waiting.retain(|(ticket, _)| *ticket != self.ticket);
        if waited > 0 && own.waiting.is_empty() {
            state.turns.retain(|tenant| *tenant != self.tenant);
        }
        // Called just before it gave up.
        if let Ok(Ok(thing)) = self.called.try_recv() {
            state.served(self.tenant);
            if let Some(Ok(thing)) = state.call(Ok(thing)) {
                state.there.push_front(thing);
            }
        }
        state.tidy(self.tenant);
    }
}

impl<T, E> Drop for InService<T, E> {
    fn drop(&mut self) {
        self.line.lock().served(self.tenant);
    }
}

#[cfg(test)]
mod tests;
