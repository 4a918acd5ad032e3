//! One session, from outside of its interpreter.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use cloister_protocol::{JobId, SessionEnd, SessionInfo, SessionState, SessionUsage, Tenant};
use tokio::sync::watch;

use crate::job::bounds::Bounds;
use crate::job::locks::Holders;
use crate::job::outcome::Outcome;
use crate::job::session::{Interpreter, Reins};
use crate::job::slots::Lent;

/// What a session has. Dropped, all of it is ended.
#[derive(Debug)]
pub struct Held {
    /// Its interpreter.
    pub interpreter: Interpreter,
    // Behind it: the slot that there is one more of is the interpreter's.
    pub(super) _lent: Lent,
}

/// Has nothing of a session run any more, once nobody else has it in hand.
pub async fn let_go(held: &tokio::sync::Mutex<Option<Held>>) {
    // For as long as it takes: who comes meanwhile waits for the same.
    end(&mut *held.lock().await).await;
}

/// The same, for who has it in hand.
pub async fn end(held: &mut Option<Held>) {
    if let Some(Held { interpreter, _lent }) = held.take() {
        interpreter.end().await;
    }
}

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
    pub held: Arc<tokio::sync::Mutex<Option<Held>>>,
    /// What reaches its cell that runs.
    pub reins: Arc<Reins>,
    opened: (Instant, SystemTime),
    idle: Duration,
    noted: Mutex<Noted>,
    over: watch::Sender<Option<SessionEnd>>,
}

#[derive(Debug)]
struct Noted {
    state: SessionState,
    /// Cells and orders that wait for their turn, or have it.
    asked: usize,
    cells: u64,
    usage: SessionUsage,
    memory: u64,
    /// Since when nothing is asked of it.
    since: Instant,
}

/// That something is asked of a session, until this is dropped.
#[derive(Debug)]
pub struct Asking(Arc<Session>);

impl Drop for Asking {
    fn drop(&mut self) {
        let mut noted = self.0.noted();
        (noted.asked, noted.since) = (noted.asked - 1, Instant::now());
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
        let now = Instant::now();
        let noted = Noted {
            state: SessionState::Opening,
            asked: 0,
            cells: 0,
            usage: SessionUsage::default(),
            memory: 0,
            since: now,
        };
        Arc::new(Self {
            id,
            tenant,
            profile: profile.to_owned(),
            bounds,
            layers,
            held: Arc::default(),
            reins: Arc::default(),
            opened: (now, SystemTime::now()),
            idle: idle.map_or(longest, |asked| asked.min(longest)),
            noted: Mutex::new(noted),
            over: watch::Sender::new(None),
        })
    }

    /// It is open, and holds so much memory.
    pub fn set_open(&self, memory: u64) {
        let mut noted = self.noted();
        (noted.state, noted.memory, noted.since) = (SessionState::Idle, memory, Instant::now());
    }

    /// Notes that something is asked of it, if no more than so much is by now.
    pub fn ask(self: &Arc<Self>, most: usize) -> Result<Asking, usize> {
        let mut noted = self.noted();
        if noted.asked > most {
            return Err(noted.asked);
        }
        noted.asked += 1;
        Ok(Asking(Arc::clone(self)))
    }

    /// Whether it holds too many of these record locks, at rest.
    #[must_use]
    pub fn holds_too_many(&self, locks: &Holders) -> bool {
        let held = self.held.try_lock();
        held.is_ok_and(|held| held.as_ref().is_some_and(|held| held.interpreter.holds_too_many(locks)))
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
        self.noted().memory
    }

    /// Since when nothing is asked of it; `None` while something is.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let noted = self.noted();
        (noted.asked == 0 && noted.state == SessionState::Idle).then_some(noted.since)
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
        let since = if noted.asked == 0 { noted.since.elapsed() } else { Duration::ZERO };
        let lifetime = self.bounds.sessions.lifetime;
        SessionInfo {
            session: self.id,
            profile: self.profile.clone(),
            state: noted.state,
            cells: noted.cells,
            opened: humantime::format_rfc3339_seconds(self.opened.1).to_string(),
            idle_s: self.idle.as_secs(),
            idle_left_s: self.idle.saturating_sub(since).as_secs(),
            lifetime_left_s: lifetime.saturating_sub(self.opened.0.elapsed()).as_secs(),
            memory_bytes: noted.memory,
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
