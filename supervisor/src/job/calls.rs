//! A job's calls of tools: told to whoever sent it, and returned to through a pipe of its own.
//!
//! A call is a stranger's bytes, and so is what it returns: both are read into their parts outside of this, and go on as they are
//! written. What is kept here is bounded by the profile: which calls are open, until when, and what has been returned and is not yet
//! read. A job that does not read waits for itself, and calls that nobody returns to fail in time, whether or not it reads.

mod writing;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use cloister_protocol::{Call, Calls as Told, Return, Returned, Tools, event};
use cloister_terms::{Bytes, ToolLimits};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::job::call_table::Table;
use crate::job::frames::framed;
use crate::link::event_loop::LARGE;

/// What a call has beside its arguments at most, in bytes.
const BESIDE: u64 = 1024;

/// How many of the largest values a job may leave unread, before it is given no more.
pub const MOST_UNREAD: u64 = 4;

/// As much may be unread whatever they are.
const LEAST_UNREAD: u64 = 256 * 1024;

/// How long it is waited for a job to read of what there is.
const ROOM: Duration = Duration::from_secs(1);

/// Without tools nothing of this is asked for.
const NONE: ToolLimits = ToolLimits { wait: Duration::ZERO, total: Duration::ZERO, most: 0, bytes: Bytes(0) };

/// The calls of one job.
#[derive(Debug)]
pub struct Calls {
    any: bool,
    /// As they were sent, until the job's end is told.
    tools: Mutex<Tools>,
    /// What they are called, once something is.
    names: OnceLock<HashSet<String>>,
    limits: ToolLimits,
    table: Mutex<Table>,
    asked: mpsc::Sender<Vec<u8>>,
    /// A first call is open, or none is any more.
    turned: Notify,
    /// There is something to write.
    returned: Notify,
    /// There is another time at which a call is given up.
    waits: Notify,
    /// The job has read some of it.
    read: Notify,
    /// The job is dead.
    ended: Notify,
}

/// Why what a call came to is not taken.
#[derive(Debug)]
pub struct Untaken {
    /// In words.
    pub message: String,
    /// Whether the same may be returned again.
    pub again: bool,
}

impl Calls {
    /// The calls of a job with these tools, and where whoever sent it hears of them: an event a call.
    #[must_use]
    pub fn new(tools: Tools, limits: ToolLimits) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (asked, heard) = mpsc::channel(1);
        let (any, tools) = (!tools.is_empty(), Mutex::new(tools));
        let (names, table) = Default::default();
        let (turned, returned, waits, read, ended) = Default::default();
        (Self { any, tools, names, limits, table, asked, turned, returned, waits, read, ended }, heard)
    }

    /// Those of a job that has no tools.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Tools::default(), NONE).0
    }

    /// Whether the job has any tools.
    #[must_use]
    pub fn may_be(&self) -> bool {
        self.any
    }

    /// The longest that a call may be, in bytes.
    #[must_use]
    pub fn longest(&self) -> u64 {
        if self.may_be() { self.limits.bytes.0.saturating_add(BESIDE) } else { 0 }
    }

    /// What all of them may wait, together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.limits.total
    }

    /// Takes what a job has written as a call, and passes it on when there is room for it; `false` for what the runner would not
    /// write.
    pub async fn hear(&self, payload: Vec<u8>) -> bool {
        // The runner makes no more of them.
        if self.lock().told.number >= self.limits.most {
            return false;
        }
        let is_large = payload.len() >= LARGE;
        let read = move || Call::read(&payload).map(|call| (event::call(&call), call.call, call.tool));
        let read =
            if is_large { tokio::task::spawn_blocking(read).await.expect("reading does not panic") } else { read() };
        let Some((event, number, tool)) = read else { return false };
        if !self.names().await.contains(&tool) {
            return false;
        }
        {
            let mut table = self.lock();
            // It counts them, and one that an exception has kept from being written has taken its number with it.
            if number <= table.last {
                return false;
            }
            table.last = number;
            table.told.number += 1;
            table.open.insert(number, Instant::now() + self.limits.wait);
            if table.open.len() == 1 {
                self.turned.notify_one();
                self.waits.notify_one();
            }
        }
        self.tell(event).await;
        true
    }

    fn given(&self) -> MutexGuard<'_, Tools> {
        self.tools.lock().expect("nothing panics while it holds this lock")
    }

    /// All that the job has said is heard: what it was given takes no memory any more, however long its answer is read.
    pub fn let_go(&self) {
        *self.given() = Tools::default();
    }

    /// What may be called.
    async fn names(&self) -> &HashSet<String> {
        if let Some(names) = self.names.get() {
            return names;
        }
        let tools = self.given().clone();
        let is_large = tools.text().is_some_and(|text| text.len() >= LARGE);
        let read = move || tools.names();
        let names =
            if is_large { tokio::task::spawn_blocking(read).await.expect("reading does not panic") } else { read() };
        self.names.get_or_init(|| names)
    }

    /// Tells whoever sent it an event. A reader who has left has the job ended; and what a dead job has told waits in front of its last
    /// words.
    pub async fn tell(&self, event: Vec<u8>) {
        tokio::select! {
            biased;
            () = self.ended() => {}
            _ = self.asked.send(event) => {}
        }
    }

    /// The job is dead, and who hears of its calls is not waited for any more.
    pub fn set_ended(&self) {
        self.lock().ended = true;
        self.ended.notify_one();
    }

    async fn ended(&self) {
        if !self.lock().ended {
            self.ended.notified().await;
        }
    }

    /// Takes what a call came to; of a job that reads, once it has read of what there is.
    ///
    /// # Errors
    /// Why it is not taken, for whoever returned it.
    pub async fn take(&self, one: &Return) -> Result<(), Untaken> {
        let until = Instant::now() + ROOM;
        loop {
            let read = self.read.notified();
            match self.take_now(one) {
                Err(Untaken { again: true, .. }) if Instant::now() < until => {
                    let _ = tokio::time::timeout_at(until, read).await;
                }
                taken => return taken,
            }
        }
    }

    fn take_now(&self, one: &Return) -> Result<(), Untaken> {
        let (number, most) = (one.call, self.limits.bytes.0);
        let never = |message: String| Err(Untaken { message, again: false });
        let size = match &one.returned {
            Returned::Value(value) => value.get().len() as u64,
            Returned::Error(message) => message.len() as u64,
        };
        if size > most && matches!(one.returned, Returned::Value(_)) {
            return never(format!(
                "the value is {size} bytes of JSON, above the profile's tools.bytes of {most}: return another, or an error"
            ));
        }
        let mut table = self.lock();
        if table.open.get(&number).is_none_or(|until| *until <= Instant::now()) {
            return never(if number > table.last {
                format!("there is no call {number}")
            } else {
                format!("call {number} has been returned to, or its time is over")
            });
        }
        if table.closed {
            return never("the script has closed the descriptor that what calls return is read from".to_owned());
        }
        if table.unread_bytes > 0 && table.unread_bytes + size > (MOST_UNREAD * most).max(LEAST_UNREAD) {
            let message = "the job has not read what its calls returned before: return to this one again".to_owned();
            return Err(Untaken { message, again: true });
        }
        table.open.remove(&number);
        match one.returned {
            Returned::Value(_) => table.told.returned += 1,
            Returned::Error(_) => table.told.failed += 1,
        }
        if table.open.is_empty() {
            self.turned.notify_one();
        }
        table.put(framed(one));
        self.returned.notify_one();
        Ok(())
    }

    /// The calls that wait.
    #[must_use]
    pub fn open(&self) -> Vec<u32> {
        self.lock().open.keys().copied().collect()
    }

    /// Whether any waits.
    #[must_use]
    pub fn any_open(&self) -> bool {
        !self.lock().open.is_empty()
    }

    /// Completes when a first one waits, or none any more; also if that was before.
    pub async fn turned(&self) {
        self.turned.notified().await;
    }

    /// From now on it is counted what the job waits, that has used so much of processors' time.
    pub fn begin_round(&self, used: Option<Duration>) {
        self.lock().round = Some((Instant::now(), used));
    }

    /// Counts what the job has waited since; what it has computed meanwhile, that has used so much of processors' time by now.
    /// If the kernel does not tell, all of it was computed: the job's end will say why.
    pub fn end_round(&self, used: Option<Duration>) -> Duration {
        let mut table = self.lock();
        let Some((since, before)) = table.round.take() else { return Duration::ZERO };
        let passed = since.elapsed();
        let computed = before.zip(used).map_or(passed, |(before, used)| used.saturating_sub(before)).min(passed);
        table.waited += passed - computed;
        computed
    }

    /// How long the job waited for them.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.lock().waited
    }

    /// What they came to, once the job has ended; nothing, if it could make none.
    #[must_use]
    pub fn told(&self) -> Option<Told> {
        let table = self.lock();
        let unanswered = table.told.unanswered + u32::try_from(table.open.len()).unwrap_or(u32::MAX);
        let waited_ms = (table.waited.as_secs_f64() * 1e6).round() / 1e3;
        self.may_be().then_some(Told { unanswered, waited_ms, ..table.told })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics while it holds this lock")
    }
}
