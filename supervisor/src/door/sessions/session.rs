//! One session, from outside of its interpreter.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use cloister_protocol::{JobId, SessionEnd, SessionInfo, SessionState, SessionUsage, Tenant};
use tokio::sync::watch;

use crate::door::sessions::noted::Noted;
use crate::job::bounds::Bounds;
use crate::job::locks::Holders;
use crate::job::outcome::Outcome;
use crate::job::session::{Interpreter, Reins};

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Its profile.
    pub profile: String,
    /// What its cells are held to.
    pub bounds: Bounds,
    /// The layers in force, for who asks for them.
    pub layers: String,
    /// Its interpreter, held by whoever does something with it; `None` before it is there, and when the session is over.
    pub held: Arc<tokio::sync::Mutex<Option<Interpreter>>>,
    /// What reaches its cell that runs.
    pub reins: Arc<Reins>,
    opened: (Instant, SystemTime),
    idle: Duration,
    /// Of a branch, the session that it was forked from, and the one that was opened: with that it ends.
    branch_of: Option<(JobId, Arc<Session>)>,
    noted: Mutex<Noted>,
    over: watch::Sender<Option<SessionEnd>>,
}

/// That something is asked of a session, until this is dropped.
#[derive(Debug)]
pub struct Asking(Arc<Session>);

impl Drop for Asking {
    fn drop(&mut self) {
        let mut noted = self.0.noted();
        (noted.asked, noted.since) = (noted.asked - 1, Instant::now());
        drop(noted);
        self.0.in_root(|root| (root.asked_of_branches, root.since) = (root.asked_of_branches - 1, Instant::now()));
    }
}

impl Session {
    /// One that is being opened.
    #[must_use]
    pub fn new(
        (id, tenant): (JobId, Tenant),
        (profile, layers): (&str, String),
        bounds: Bounds,
        idle: Option<Duration>,
    ) -> Arc<Self> {
        let longest = bounds.sessions.idle;
        Arc::new(Self {
            id,
            tenant,
            profile: profile.to_owned(),
            bounds,
            layers,
            held: Arc::default(),
            reins: Arc::default(),
            opened: (Instant::now(), SystemTime::now()),
            idle: idle.map_or(longest, |asked| asked.min(longest)),
            branch_of: None,
            noted: Mutex::new(Noted::opening(0)),
            over: watch::Sender::new(None),
        })
    }

    /// A branch of it that is being opened, and stays no longer than it may. It goes on counting cells where this is.
    #[must_use]
    pub fn branch(self: &Arc<Self>) -> Arc<Self> {
        let root = self.branch_of.as_ref().map_or_else(|| Arc::clone(self), |(_, root)| Arc::clone(root));
        Arc::new(Self {
            id: self.id.beside(),
            tenant: self.tenant,
            profile: self.profile.clone(),
            bounds: self.bounds,
            layers: self.layers.clone(),
            held: Arc::default(),
            reins: Arc::default(),
            opened: (root.opened.0, SystemTime::now()),
            idle: self.idle,
            branch_of: Some((self.id, root)),
            noted: Mutex::new(Noted::opening(self.noted().cells)),
            over: watch::Sender::new(None),
        })
    }

    /// Whether it was forked from a session, or from a branch of that.
    #[must_use]
    pub fn is_branch_of(&self, root: JobId) -> bool {
        self.branch_of.as_ref().is_some_and(|(_, of)| of.id == root)
    }

    /// What is done with a branch is done with what it came from, which it ends with.
    fn in_root(&self, note: impl FnOnce(&mut Noted)) {
        if let Some((_, root)) = &self.branch_of {
            note(&mut root.noted());
        }
    }

    /// The session that was opened: itself, or what it comes from.
    fn root(&self) -> &Self {
        self.branch_of.as_ref().map_or(self, |(_, root)| root)
    }

    /// Nothing of it runs any more: of a branch, files may be there that are to go.
    pub fn note_gone(&self) {
        self.in_root(|root| root.note_gone(self.id));
    }

    /// Branches whose files are to go, of all that come from where it does.
    #[must_use]
    pub fn take_gone(&self) -> Vec<JobId> {
        mem::take(&mut self.root().noted().gone)
    }

    /// It is open, with this interpreter.
    pub fn set_open(&self, interpreter: &Interpreter) {
        let mut noted = self.noted();
        (noted.state, noted.memory, noted.since) = (SessionState::Idle, interpreter.memory(), Instant::now());
        if self.branch_of.is_none() {
            noted.residue = interpreter.residue();
        }
    }

    /// Notes that something is asked of it, if no more than so much is by now.
    pub fn ask(self: &Arc<Self>, most: usize) -> Result<Asking, usize> {
        let mut noted = self.noted();
        if noted.asked > most {
            return Err(noted.asked);
        }
        noted.asked += 1;
        drop(noted);
        self.in_root(|root| root.asked_of_branches += 1);
        Ok(Asking(Arc::clone(self)))
    }

    /// Whether it holds too many of these record locks, at rest.
    #[must_use]
    pub fn holds_too_many(&self, locks: &Holders) -> bool {
        let held = self.held.try_lock();
        held.is_ok_and(|held| held.as_ref().is_some_and(|held| held.holds_too_many(locks)))
    }

    /// How much is asked of it.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.noted().asked
    }

    /// Whether it is still being opened.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.noted().state == SessionState::Opening
    }

    /// So much CPU time was used for it beside its cells.
    pub fn spend(&self, cpu: Duration) {
        self.noted().usage.cpu_ms += cpu.as_secs_f64() * 1000.0;
    }

    /// A cell begins.
    pub fn begin_cell(&self) {
        let mut noted = self.noted();
        (noted.state, noted.cells) = (SessionState::Running, noted.cells + 1);
    }

    /// A cell has ended, with this outcome if it has one.
    pub fn end_cell(&self, outcome: Option<&Outcome>) {
        let mut noted = self.noted();
        noted.state = SessionState::Idle;
        if let Some(outcome) = outcome {
            noted.usage.cells += 1;
            noted.usage.cpu_ms += outcome.usage.cpu_ms;
            noted.usage.wall_ms += outcome.usage.wall_ms;
        }
    }

    /// It is at rest, and holds so much memory.
    pub fn rest(&self, memory: u64) {
        self.noted().memory = memory;
    }

    /// Memory that it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.noted().held()
    }

    /// Since when nothing is asked of it; `None` while something is.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let noted = self.noted();
        (noted.asked == 0 && noted.asked_of_branches == 0 && noted.state == SessionState::Idle).then_some(noted.since)
    }

    /// Has it looked at again what branches that are over have left, of all that come from where it does.
    pub fn look_again(&self) {
        self.root().noted().residue.look_again();
    }

    /// How many branches of it are over and still take room, for others have memory that they had, or what they were handed.
    #[must_use]
    pub fn residues(&self) -> usize {
        self.noted().residue.parts()
    }

    /// How readily it is ended where memory is short: [`Noted::dispensable`].
    #[must_use]
    pub fn dispensable(&self) -> Option<(u8, Instant)> {
        self.noted().dispensable()
    }

    /// What its time alone ends it with, if it is over; else when to look again.
    pub fn due(&self, now: Instant) -> Result<SessionEnd, Instant> {
        let last = self.opened.0 + self.bounds.sessions.lifetime;
        let idle = self.idle_since().unwrap_or(now) + self.idle;
        match (last <= now, idle <= now) {
            (true, _) => Ok(SessionEnd::Lifetime),
            (_, true) => Ok(SessionEnd::Idle),
            _ => Err(last.min(idle)),
        }
    }

    /// It is over, for the first reason that is told. Whether this was that.
    pub fn set_over(&self, end: SessionEnd) -> bool {
        self.over.send_if_modified(|over| {
            let first = over.is_none();
            *over = over.or(Some(end));
            first
        })
    }

    /// What ended it, if it is over.
    #[must_use]
    pub fn ended(&self) -> Option<SessionEnd> {
        *self.over.borrow()
    }

    /// Completes when it is over.
    pub async fn over(&self) -> SessionEnd {
        let mut over = self.over.subscribe();
        let end = over.wait_for(Option::is_some).await.expect("it is kept as long as this");
        end.expect("waited for")
    }

    /// As it is told of.
    #[must_use]
    pub fn info(&self) -> SessionInfo {
        let noted = self.noted();
        let since = if noted.asked + noted.asked_of_branches == 0 { noted.since.elapsed() } else { Duration::ZERO };
        let lifetime = self.bounds.sessions.lifetime;
        SessionInfo {
            session: self.id,
            profile: self.profile.clone(),
            branch_of: self.branch_of.as_ref().map(|(from, _)| *from),
            state: noted.state,
            cells: noted.cells,
            opened: humantime::format_rfc3339_seconds(self.opened.1).to_string(),
            idle_s: self.idle.as_secs(),
            idle_left_s: self.idle.saturating_sub(since).as_secs(),
            lifetime_left_s: lifetime.saturating_sub(self.opened.0.elapsed()).as_secs(),
            memory_bytes: noted.held(),
            usage: SessionUsage {
                cpu_ms: thousandths(noted.usage.cpu_ms),
                wall_ms: thousandths(noted.usage.wall_ms),
                ..noted.usage
            },
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().expect("nothing panics while it holds this lock")
    }
}

/// Sums are told as exactly as what they are sums of.
fn thousandths(sum: f64) -> f64 {
    (sum * 1000.0).round() / 1000.0
}
