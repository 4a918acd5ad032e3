//! What a job is written of its calls: what they came to, and that nobody has returned to them in time.

use std::future::pending;

use cloister_protocol::ToolFailure;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::Calls;
use crate::job::frames::{FrameWriter, framed};

/// What the script is told of a call to which nobody has returned.
#[derive(Serialize)]
struct Unreturned<'a> {
    call: u32,
    error: ToolFailure<'a>,
    reason: &'static str,
}

impl Calls {
    /// Writes what calls come to, and gives up those that nobody returns to, for as long as the job runs.
    pub async fn write_to(&self, line: &mut FrameWriter) {
        tokio::join!(self.write_what_returns(line), self.give_up_in_time());
    }

    async fn write_what_returns(&self, line: &mut FrameWriter) {
        loop {
            let next = self.lock().unread.pop_front();
            let Some(reply) = next else {
                self.returned.notified().await;
                continue;
            };
            let bytes = reply.len() as u64;
            if line.write(reply).await.is_err() {
                self.lock().close();
                return pending().await;
            }
            self.lock().unread_bytes -= bytes;
            self.read.notify_waiters();
        }
    }

    async fn give_up_in_time(&self) {
        loop {
            let first = self.lock().open.values().min().copied();
            match first {
                None => self.waits.notified().await,
                Some(until) => {
                    sleep_until(until).await;
                    self.give_up_those_that_are_due();
                }
            }
        }
    }

    fn give_up_those_that_are_due(&self) {
        let now = Instant::now();
        let mut table = self.lock();
        let due: Vec<_> = table.open.iter().filter(|(_, until)| **until <= now).map(|(number, _)| *number).collect();
        let wait = self.limits.wait.as_secs_f64();
        let message = format!("nobody has returned to this call within {wait} s, which is the profile's tools.wait");
        for call in due {
            table.open.remove(&call);
            table.told.unanswered += 1;
            let told = Unreturned { call, error: ToolFailure { message: &message }, reason: "timeout" };
            table.put(framed(&told));
        }
        if table.open.is_empty() {
            self.turned.notify_one();
        }
        self.returned.notify_one();
    }
}
