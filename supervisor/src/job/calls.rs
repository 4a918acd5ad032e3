//! A job's calls of tools: told to whoever sent it, and returned to through a pipe of its own.
//!
//! A call is a stranger's bytes, and so is what it returns: both are read into their parts outside of this, and go on as they are
//! written. What is kept here is bounded by the profile: which calls are open, until when, and what has been returned and not yet
//! been written. A job that does not read waits for itself.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_program::Taken;
use cloister_protocol::{Call, Calls as Told, Return, Returned, Tool, ToolFailure, event};
use cloister_terms::{Bytes, ToolLimits};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::link::event_loop::LARGE;

/// What a call has beside its arguments at most, in bytes.
const BESIDE: u64 = 1024;

/// Answers of ours that a job has not read, beyond which no more of its calls are read.
const MOST_UNREAD: usize = 16;

/// Without tools nothing of this is asked for.
const NONE: ToolLimits = ToolLimits { wait: Duration::ZERO, total: Duration::ZERO, most: 0, bytes: Bytes(0) };

/// The calls of one job.
#[derive(Debug)]
pub struct Calls {
    tools: HashSet<String>,
    limits: ToolLimits,
    table: Mutex<Table>,
    asked: mpsc::Sender<Vec<u8>>,
    /// A first call is open, or none is any more.
    turned: Notify,
    /// There is something to write, or another time at which there will be.
    news: Notify,
    /// Something was written.
    written: Notify,
}

#[derive(Debug, Default)]
struct Table {
    last: u32,
    /// The calls that wait, and until when.
    open: BTreeMap<u32, Instant>,
    unwritten: VecDeque<Reply>,
    told: Told,
    waited: Duration,
}

/// What is written to a job, with what it takes of memory until it is.
#[derive(Debug)]
struct Reply {
    bytes: Vec<u8>,
    _memory: Option<Arc<Taken>>,
}

/// What the script is told of a call to which nobody has returned.
#[derive(Serialize)]
struct Unreturned<'a> {
    call: u32,
    error: ToolFailure<'a>,
    reason: &'static str,
}

impl Calls {
    /// The calls of a job with these tools, and where whoever sent it hears of them: an event a call.
    #[must_use]
    pub fn new(tools: &[Tool], limits: ToolLimits) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (asked, heard) = mpsc::channel(1);
        let tools = tools.iter().map(|tool| tool.name.clone()).collect();
        let (turned, news, written) = Default::default();
        (Self { tools, limits, table: Mutex::default(), asked, turned, news, written }, heard)
    }

    /// Those of a job that has no tools.
    #[must_use]
    pub fn none() -> Self {
        Self::new(&[], NONE).0
    }

    /// Whether the job has any tools.
    #[must_use]
    pub fn may_be(&self) -> bool {
        !self.tools.is_empty()
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
        let is_large = payload.len() >= LARGE;
        let read = move || Call::read(&payload).map(|call| (event::call(&call), call.call, call.tool));
        let read =
            if is_large { tokio::task::spawn_blocking(read).await.expect("reading does not panic") } else { read() };
        let Some((event, number, _)) = read.filter(|(_, _, tool)| self.tools.contains(tool)) else { return false };
        let is_one_too_many = {
            let mut table = self.lock();
            // The runner counts them, and writes them one after the other.
            if number != table.last + 1 {
                return false;
            }
            table.last = number;
            table.told.number = number;
            let is_one_too_many = number > self.limits.most;
            if is_one_too_many {
                table.told.refused += 1;
            } else {
                table.open.insert(number, Instant::now() + self.limits.wait);
                if table.open.len() == 1 {
                    self.turned.notify_one();
                }
            }
            is_one_too_many
        };
        if is_one_too_many {
            while self.lock().unwritten.len() >= MOST_UNREAD {
                self.written.notified().await;
            }
            let most = self.limits.most;
            self.put(
                refused(
                    number,
                    &format!("a job may call tools {most} times, which is the profile's tools.most"),
                    "most",
                ),
                None,
            );
        } else {
            self.news.notify_one();
            // A reader who has left has the job ended.
            let _ = self.asked.send(event).await;
        }
        true
    }

    /// Takes what a call came to.
    ///
    /// # Errors
    /// Why it is not taken, for whoever returned it.
    pub fn take(&self, one: &Return, memory: &Arc<Taken>) -> Result<(), String> {
        let number = one.call;
        if let Returned::Value(value) = &one.returned
            && value.get().len() as u64 > self.limits.bytes.0
        {
            let (size, most) = (value.get().len(), self.limits.bytes.0);
            return Err(format!(
                "the value is {size} bytes of JSON, above the profile's tools.bytes of {most}: return another, or an error"
            ));
        }
        let mut table = self.lock();
        if table.open.remove(&number).is_none() {
            return Err(if number > table.last {
                format!("there is no call {number}")
            } else {
                format!("call {number} has been returned to, or its time is over")
            });
        }
        match one.returned {
            Returned::Value(_) => table.told.returned += 1,
            Returned::Error(_) => table.told.failed += 1,
        }
        if table.open.is_empty() {
            self.turned.notify_one();
        }
        drop(table);
        self.put(framed(one), Some(Arc::clone(memory)));
        Ok(())
    }

    /// Writes what calls come to, for as long as the job runs.
    pub async fn write_to(&self, mut pipe: pipe::Sender) {
        loop {
            let (next, until) = self.next();
            match (next, until) {
                (Some(reply), _) => {
                    if pipe.write_all(&reply.bytes).await.is_err() {
                        // It has closed its end, and hears of none any more.
                        return pending().await;
                    }
                    self.written.notify_one();
                }
                (None, Some(until)) => tokio::select! {
                    () = self.news.notified() => {}
                    () = sleep_until(until) => self.give_up_those_that_are_due(),
                },
                (None, None) => self.news.notified().await,
            }
        }
    }

    fn next(&self) -> (Option<Reply>, Option<Instant>) {
        let mut table = self.lock();
        (table.unwritten.pop_front(), table.open.values().min().copied())
    }

    fn give_up_those_that_are_due(&self) {
        let now = Instant::now();
        let mut table = self.lock();
        let due: Vec<_> = table.open.iter().filter(|(_, until)| **until <= now).map(|(number, _)| *number).collect();
        for number in due {
            table.open.remove(&number);
            table.told.unanswered += 1;
            let wait = self.limits.wait.as_secs_f64();
            let message =
                format!("nobody has returned to this call within {wait} s, which is the profile's tools.wait");
            table.unwritten.push_back(Reply { bytes: refused(number, &message, "timeout"), _memory: None });
        }
        if table.open.is_empty() {
            self.turned.notify_one();
        }
    }

    fn put(&self, bytes: Vec<u8>, memory: Option<Arc<Taken>>) {
        self.lock().unwritten.push_back(Reply { bytes, _memory: memory });
        self.news.notify_one();
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

    /// Counts time that the job waited for them.
    pub fn add_waited(&self, time: Duration) {
        self.lock().waited += time;
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

fn refused(call: u32, message: &str, reason: &'static str) -> Vec<u8> {
    framed(&Unreturned { call, error: ToolFailure { message }, reason })
}

/// JSON with its length in front.
fn framed(what: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(what).expect("strings, numbers and JSON that was parsed");
    [&(json.len() as u64).to_be_bytes()[..], &json].concat()
}
