//! What a session is asked to do with its files, which its interpreter does: confined as any cell, by the paths that it sees.

use std::time::Duration;

use cloister_protocol::report::{Report, order_failure};
use cloister_protocol::{ErrorCode, Failure, JobId, SessionFiles};
use serde::Serialize;

use crate::job::frames::framed;
use crate::job::session::hearing::{Reply, read_reply};
use crate::job::session::interpreter::{Interpreter, Over};
use crate::job::session::watched::stopped_between;

/// How long an order may take.
const ORDER_TIME: Duration = Duration::from_secs(10);

/// How many bytes of JSON the cells of a session may be that is exported.
const MOST_CELL_BYTES: u64 = 4 * 1024 * 1024;

/// Something to do with a session's files, or with what made it.
#[derive(Debug)]
pub enum Order {
    /// To put one there.
    Put(String, Vec<u8>),
    /// To give the content of one.
    Get(String),
    /// To say which there are.
    List,
    /// To remove one.
    Delete(String),
    /// To remove the files of branches that are over, of the same session that was opened once.
    Forget(Vec<JobId>),
    /// To give what made it: its cells, and its files if they are asked for.
    Export {
        /// Whether they are.
        files: bool,
    },
}

/// What an order came to.
#[derive(Debug)]
pub enum Replied {
    /// It is done.
    Done,
    /// What is in a file.
    Content(Vec<u8>),
    /// Which files there are.
    Files(SessionFiles),
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Message<'a> {
    #[serde(untagged)]
    Put { put: &'a str, size: u64 },
    #[serde(untagged)]
    Get { get: &'a str, most: u64 },
    #[serde(untagged)]
    List { list: bool },
    #[serde(untagged)]
    Delete { delete: &'a str },
    #[serde(untagged)]
    Forget { gone: &'a [JobId] },
    #[serde(untagged)]
    Export { export: bool, most: u64, most_cells: u64 },
}

impl Order {
    /// The longest that may come back as content where files of so many bytes may be given.
    fn longest(&self, most: u64) -> u64 {
        match self {
            // As JSON, in which files are written in base64, and their paths beside them.
            Self::Export { .. } => most.saturating_mul(2).saturating_add(2 * MOST_CELL_BYTES),
            _ => most,
        }
    }

    /// The frame that says it, with what follows. A file of more bytes than this is not given.
    fn written(&self, most: u64) -> Vec<u8> {
        match self {
            Self::Put(path, content) => {
                let mut frame = framed(&Message::Put { put: path, size: content.len() as u64 });
                frame.extend_from_slice(content);
                frame
            }
            Self::Get(path) => framed(&Message::Get { get: path, most }),
            Self::List => framed(&Message::List { list: true }),
            Self::Delete(path) => framed(&Message::Delete { delete: path }),
            Self::Forget(branches) => framed(&Message::Forget { gone: branches }),
            Self::Export { files } => framed(&Message::Export { export: *files, most, most_cells: MOST_CELL_BYTES }),
        }
    }
}

impl Interpreter {
    /// Has the interpreter carry out an order, in between two cells. One that does not in time is taken for dead, and the checkpoint goes
    /// on in its place. It is not to be dropped before its end.
    ///
    /// # Errors
    /// [`Over`] when nothing of the session can go on; within, why it was not carried out.
    pub async fn carry_out(&mut self, order: &Order) -> Result<Result<Replied, Failure>, Over> {
        let most = self.bounds.files_out_bytes;
        let ready = self.cell.restart_count().and_then(|_| self.cell.cgroup().step_up());
        if ready.and_then(|()| self.cell.cgroup().freeze(false)).is_err() {
            return Err(Over);
        }
        let done = async {
            let (written, reply) =
                tokio::join!(self.line.write(order.written(most)), read_reply(&mut self.reports, order.longest(most)));
            written.ok().and(reply)
        };
        let reply = tokio::select! {
            reply = tokio::time::timeout(ORDER_TIME, done) => reply.ok().flatten(),
            () = stopped_between(&self.cell, &self.bounds) => None,
        };
        let Some(reply) = reply else {
            let (restored, _) = self.restore(&|| {}).await;
            let message = "the session's process did not do it: it has ended, or says what nobody understands";
            return if restored { Ok(Err(Failure::new(ErrorCode::Killed, message))) } else { Err(Over) };
        };
        self.come_to_a_stop().await?;
        Ok(read(order, reply).await)
    }
}

async fn read(order: &Order, reply: Reply) -> Result<Replied, Failure> {
    match (order, reply) {
        (Order::List, Reply::Done(said)) => {
            let read = move || SessionFiles::read(&said).map(Replied::Files);
            // A thousand paths may be long.
            tokio::task::spawn_blocking(read).await.expect("reading does not panic").ok_or_else(garbled)
        }
        (Order::Put(..) | Order::Delete(_) | Order::Forget(_), Reply::Done(_)) => Ok(Replied::Done),
        // A request for a session, as it is to be hoped: who reads it looks at that as at any other.
        (Order::Get(_) | Order::Export { .. }, Reply::Content(content)) => Ok(Replied::Content(content)),
        (_, Reply::Failed(said)) => Err(told(&said)),
        _ => Err(garbled()),
    }
}

/// What a session says of an order that it has not carried out.
pub(super) fn told(said: &[u8]) -> Failure {
    match order_failure(said) {
        Report::Failure(failure) => failure,
        _ => garbled(),
    }
}

fn garbled() -> Failure {
    Failure::new(ErrorCode::Exception, "what the session says of its files cannot be understood")
}
