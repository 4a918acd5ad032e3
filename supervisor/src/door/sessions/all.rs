//! All sessions of a node.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use cloister_protocol::{ErrorCode, Failure, Interrupted, JobId, SessionEnd, SessionInfo, Tenant};

use crate::door::sessions::ended::Ended;
use crate::door::sessions::room::SessionRoom;
use crate::door::sessions::session::{Session, let_go};

/// All sessions of a node.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    open: HashMap<JobId, Arc<Session>>,
    ended: Ended,
}

/// Of so many sessions the last are for tenants that have none.
const SHARE_OF_OTHERS: u32 = 8;

impl Known {
    /// If all hold more than this: of the sessions of whoever holds most, the one that is longest without a cell.
    fn longest_idle_beyond(&self, memory: u64) -> Option<Arc<Session>> {
        let mut held = HashMap::<Tenant, u64>::new();
        for session in self.open.values() {
            *held.entry(session.tenant).or_default() += session.memory();
        }
        if held.values().sum::<u64>() <= memory {
            return None;
        }
        let idle = self.open.values().filter_map(|session| Some((session.idle_since()?, session)));
        let most = idle.min_by_key(|(since, session)| (Reverse(held[&session.tenant]), *since));
        most.map(|(_, session)| Arc::clone(session))
    }

    /// How much is asked of all sessions of a tenant.
    fn asked(&self, tenant: Tenant) -> usize {
        self.open.values().filter(|session| session.tenant == tenant).map(|session| session.asked()).sum()
    }
}

impl Sessions {
    /// The sessions of a tenant, the oldest first.
    #[must_use]
    pub fn of(&self, tenant: Tenant) -> Vec<SessionInfo> {
        let mut own: Vec<_> =
            self.known().open.values().filter(|session| session.tenant == tenant).map(|own| own.info()).collect();
        own.sort_by(|one, other| {
            (&one.opened, &one.session.to_string()).cmp(&(&other.opened, &other.session.to_string()))
        });
        own
    }

    /// A session of a tenant's that is open.
    ///
    /// # Errors
    /// 410 when it is over, and 404 when there never was one: the same whether or not another tenant has one by that id.
    pub fn find(&self, id: JobId, tenant: Tenant) -> Result<Arc<Session>, Failure> {
        let known = self.known();
        if let Some(session) = known.open.get(&id).filter(|session| session.tenant == tenant) {
            return Ok(Arc::clone(session));
        }
        Err(known.ended.get(id, tenant).map_or_else(|| nowhere(id), ended))
    }

    /// Interrupts the cell that runs in a session.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn interrupt(&self, id: JobId, tenant: Tenant) -> Result<Interrupted, Failure> {
        let session = self.find(id, tenant)?;
        Ok(Interrupted { interrupted: session.reins.interrupt() })
    }

    /// Takes one in that is to be opened, if there is room for it.
    ///
    /// # Errors
    /// Which bound is reached.
    pub fn take_in(&self, session: &Arc<Session>, room: SessionRoom) -> Result<(), Failure> {
        let full = |message: String| Err(Failure::new(ErrorCode::Overloaded, message));
        let mut known = self.known();
        let most = session.bounds.sessions.most;
        let is_alike = |other: &&Arc<Session>| other.tenant == session.tenant && other.profile == session.profile;
        if known.open.values().filter(is_alike).count() >= usize_of(most) {
            return full(format!(
                "{most} sessions of the profile {:?} are open, which is its sessions.most for a key: close one, or wait until one is over",
                session.profile
            ));
        }
        let SessionRoom { sessions, memory, .. } = room;
        let own = known.open.values().filter(|other| other.tenant == session.tenant).count();
        if own > 0 && own >= usize_of(sessions - sessions / SHARE_OF_OTHERS) {
            return full(format!(
                "{own} sessions of yours are open on this node, and the last of its policy's supervisor.sessions are for others: close one"
            ));
        }
        if known.open.len() >= usize_of(sessions) {
            return full(format!(
                "{sessions} sessions are open on this node, which is its policy's supervisor.sessions: try again later"
            ));
        }
        if known.open.values().map(|session| session.memory()).sum::<u64>() >= memory {
            return full(
                "the open sessions hold all the memory that the node has for them, sessions_memory: try again later"
                    .to_owned(),
            );
        }
        if known.open.contains_key(&session.id) {
            return Err(Failure::new(ErrorCode::InvalidRequest, "the request's id is that of a session that is open"));
        }
        known.open.insert(session.id, Arc::clone(session));
        Ok(())
    }

    /// Ends a session of a tenant's, and waits until nothing of it runs any more.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn close(&self, id: JobId, tenant: Tenant) -> Result<(), Failure> {
        let session = self.find(id, tenant)?;
        self.end(&session, SessionEnd::Closed);
        let_go(&session.held).await;
        Ok(())
    }

    /// Ends a session. What it holds is let go of at once, or by who has it: they are told.
    pub fn end(&self, session: &Arc<Session>, end: SessionEnd) {
        if !session.set_over(end) {
            return;
        }
        {
            let mut known = self.known();
            known.open.remove(&session.id);
            known.ended.note(session.id, session.tenant, end, Instant::now());
        }
        let info = session.info();
        tracing::info!(session = %session.id, profile = session.profile, end = end.name(), cells = info.cells, cpu_ms = info.usage.cpu_ms, "a session is over");
        let held = Arc::clone(&session.held);
        tokio::spawn(async move { let_go(&held).await });
    }

    /// How much is asked of all sessions of a tenant: cells and orders that wait for their turn, or have it.
    #[must_use]
    pub fn asked(&self, tenant: Tenant) -> usize {
        self.known().asked(tenant)
    }

    /// Ends those that are longest without a cell, of whoever holds most, for as long as all hold more than they may.
    pub fn keep_within(&self, memory: u64) {
        loop {
            let longest = self.known().longest_idle_beyond(memory);
            let Some(longest) = longest else { return };
            self.end(&longest, SessionEnd::Memory);
        }
    }

    /// Ends all, for the node goes, and waits until nothing of them runs any more.
    pub async fn end_all(&self) {
        let open: Vec<_> = self.known().open.values().cloned().collect();
        if open.is_empty() {
            return;
        }
        tracing::info!(open = open.len(), "stopping: the sessions that are open end");
        for session in &open {
            self.end(session, SessionEnd::NodeGoing);
        }
        for session in &open {
            let_go(&session.held).await;
        }
    }

    /// How many are open, and what they hold, in bytes.
    #[must_use]
    pub fn count(&self) -> (u32, u64) {
        let known = self.known();
        let memory = known.open.values().map(|session| session.memory()).sum();
        (u32::try_from(known.open.len()).unwrap_or(u32::MAX), memory)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

/// What is told of a session that is over.
#[must_use]
pub fn ended(end: SessionEnd) -> Failure {
    let why = match end {
        SessionEnd::Closed => "it was closed",
        SessionEnd::Idle => {
            "no cell came for as long as it stays without one: its idle_s, at most the profile's sessions.idle"
        }
        SessionEnd::Lifetime => "it was there for as long as any may be, the profile's sessions.lifetime",
        SessionEnd::Memory => {
            "all sessions together held more than sessions_memory, and it was the one longest without a cell of whoever held most; or it held \
             too many record locks"
        }
        SessionEnd::Crashed => "a cell cost it its process, and nothing was there that could go on",
        SessionEnd::Reload => "a reload took its profile away",
        SessionEnd::NodeGoing => "its node goes",
        SessionEnd::NodeRestarted => "its node began anew",
    };
    Failure::session_ended(end, format!("the session is over: {why}; open another"))
}

fn nowhere(id: JobId) -> Failure {
    let message = format!(
        "there is no session {id} of yours here: it never was, it was over more than a day ago, or its node began anew since"
    );
    Failure::new(ErrorCode::NotFound, message)
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
