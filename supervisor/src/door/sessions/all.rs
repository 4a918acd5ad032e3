//! All sessions of a node.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use cloister_protocol::{ErrorCode, Failure, Interrupted, JobId, SessionEnd, SessionInfo, Tenant};

use crate::door::sessions::ended::Ended;
use crate::door::sessions::held::let_go;
use crate::door::sessions::room::SessionRoom;
use crate::door::sessions::session::Session;

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
        let idle = self.open.values().filter_map(|session| Some((session.dispensable()?, session)));
        let most = idle.min_by_key(|(idle, session)| (Reverse(held[&session.tenant]), *idle));
        most.map(|(_, session)| Arc::clone(session))
    }

    /// Whether there is room for so many as this, or which bound is reached.
    fn check_room(&self, session: &Session, wanted: usize, room: SessionRoom) -> Result<(), String> {
        let SessionRoom { sessions, memory, .. } = room;
        let most = session.bounds.sessions.most;
        let (mut alike, mut own, mut all, mut closed) = (0, 0, 0, 0);
        for other in self.open.values() {
            // Branches that are closed take room for as long as others have memory of theirs, or what they were spoken to by.
            let takes = 1 + other.residues();
            let is_own = other.tenant == session.tenant;
            all += takes;
            own += if is_own { takes } else { 0 };
            alike += if is_own && other.profile == session.profile { takes } else { 0 };
            closed += if is_own { takes - 1 } else { 0 };
        }
        let closed = match closed {
            0 => String::new(),
            closed => format!(", {closed} of them closed branches of which others still have memory or descriptors"),
        };
        let more = if wanted == 1 { "one more".to_owned() } else { format!("{wanted} more") };
        if alike + wanted > usize_of(most) {
            return Err(format!(
                "with {more} there would be more sessions of the profile {:?} than its sessions.most for a key, {most}, and {alike} are there{closed}: \
                 close one, or wait until one is over",
                session.profile
            ));
        }
        if own + wanted > usize_of(sessions - sessions / SHARE_OF_OTHERS).max(1) {
            return Err(format!(
                "with {more} there would be more sessions of yours on this node than may be, for the last of its policy's supervisor.sessions \
                 are for others, and {own} are there{closed}: close one"
            ));
        }
        if all + wanted > usize_of(sessions) {
            return Err(format!(
                "with {more} there would be more sessions on this node than its policy's supervisor.sessions, {sessions}, and {all} are \
                 open: try again later"
            ));
        }
        if self.open.values().map(|session| session.memory()).sum::<u64>() >= memory {
            return Err(
                "the open sessions hold all the memory that the node has for them, sessions_memory: try again later"
                    .to_owned(),
            );
        }
        Ok(())
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
        Err(known.ended.get(id, tenant, Instant::now()).map_or_else(|| nowhere(id), ended))
    }

    /// Interrupts the cell that runs in a session.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn interrupt(&self, id: JobId, tenant: Tenant) -> Result<Interrupted, Failure> {
        let session = self.find(id, tenant)?;
        Ok(Interrupted { interrupted: session.reins.interrupt() })
    }

    /// Takes some in that are to be opened, alike in profile and tenant, if there is room for all of them.
    ///
    /// # Errors
    /// Which bound is reached.
    pub fn take_in(&self, sessions: &[Arc<Session>], room: SessionRoom) -> Result<(), Failure> {
        let Some(session) = sessions.first() else { return Ok(()) };
        let mut known = self.known();
        known.check_room(session, sessions.len(), room).map_err(|full| Failure::new(ErrorCode::Overloaded, full))?;
        if sessions.iter().any(|session| known.open.contains_key(&session.id)) {
            return Err(Failure::new(ErrorCode::InvalidRequest, "the request's id is that of a session that is open"));
        }
        known.open.extend(sessions.iter().map(|session| (session.id, Arc::clone(session))));
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
            // Nobody was told of one that was never open.
            if !session.is_opening() {
                known.ended.note(session.id, session.tenant, end, Instant::now());
            }
        }
        // Nothing of them outlives it: they are in its cell.
        let branches: Vec<_> =
            self.known().open.values().filter(|other| other.is_branch_of(session.id)).cloned().collect();
        branches.iter().for_each(|branch| self.end(branch, SessionEnd::RootEnded));
        let info = session.info();
        tracing::info!(session = %session.id, profile = session.profile, end = end.name(), cells = info.cells, cpu_ms = info.usage.cpu_ms, "a session is over");
        let session = Arc::clone(session);
        tokio::spawn(async move {
            let_go(&session.held).await;
            session.note_gone();
        });
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
        SessionEnd::RootEnded => "it was a branch, and the session that it came from is over",
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
