//! A session goes on from its checkpoint: what a cell that cost it its process has left is ended, and the copy from before it is woken.

use cloister_protocol::Checkpoint as Rest;
use cloister_sandbox::process::FIRST_TO_GO;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

use crate::job::processes::{end_all_but, has_ended};
use crate::job::session::far_end::empty;
use crate::job::session::hearing::read_rest;
use crate::job::session::interpreter::{Checkpoint, Interpreter, SETTLING};

impl Interpreter {
    /// Ends all that is left of a cell, and has the checkpoint go on. Whether that was possible, and what is not as it was.
    pub(super) async fn restore(&mut self, take_printed: &(dyn Fn() + Sync)) -> (bool, Vec<String>) {
        let not_kept = not_kept(&self.rest, self.others);
        let Some(checkpoint) = self.checkpoint.take().filter(|checkpoint| !has_ended(&checkpoint.process)) else {
            return (false, Vec::new());
        };
        if !end_all_but(self.cell.cgroup(), Some(checkpoint.number)).await || has_ended(&checkpoint.process) {
            return (false, Vec::new());
        }
        take_printed();
        if !self.forget_what_was_said() {
            return (false, Vec::new());
        }
        let Checkpoint { process, number } = checkpoint;
        (self.process, self.number, self.ended) = (process, number, None);
        let woken = async {
            self.cell.set_order_of_going(number, FIRST_TO_GO).ok()?;
            self.wake.write_all(&[1]).await.ok()?;
            read_rest(&mut self.reports, self.bounds.result_bytes).await
        };
        let Some(rest) = tokio::time::timeout(SETTLING, woken).await.ok().flatten() else { return (false, Vec::new()) };
        self.come_to_rest(rest).await;
        (true, not_kept)
    }

    /// What is in the socket and the pipe is a dead process's. Whether that came to an end: not where somebody writes still.
    fn forget_what_was_said(&mut self) -> bool {
        self.line.forget();
        let mut chunk = [0; 4096];
        let unread = self.unread.forget();
        // What was read ahead goes with the reader.
        let pipe = self.reports.get_ref();
        let reports = empty(|| rustix::io::read(pipe, &mut chunk));
        let held = self.reports.buffer().len();
        self.reports.consume(held);
        unread && reports
    }
}

/// What a restore does not bring back, in words.
pub(super) fn not_kept(rest: &Rest, others: u32) -> Vec<String> {
    let of = |count: u32, one: &str, many: &str| match count {
        0 => None,
        1 => Some(one.to_owned()),
        count => Some(format!("{count} {many}")),
    };
    let threads = rest.threads.iter().map(|name| format!("the thread {name}"));
    let more = rest.count.saturating_sub(u32::try_from(rest.threads.len()).unwrap_or(u32::MAX));
    threads
        .chain(of(more, "one more thread", "more threads"))
        .chain(of(rest.native, "a thread of native code", "threads of native code"))
        .chain(of(others, "a child process", "child processes"))
        .collect()
}
