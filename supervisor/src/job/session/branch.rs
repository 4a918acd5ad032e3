//! A copy of a session's process, on its way to be one of its own.

use std::io;
use std::sync::Arc;

use cloister_protocol::{Checkpoint as Rest, ErrorCode, Failure, JobId};
use tokio::io::BufReader;
use tokio::net::unix::pipe;

use crate::job::cell::Cell;
use crate::job::frames::FrameWriter;
use crate::job::prepare_error::PrepareError;
use crate::job::prepared::Pipes;
use crate::job::processes::has_ended;
use crate::job::session::interpreter::{Checkpoint, Interpreter, REPORT};
use crate::job::session::reins::Reins;

/// A copy that has yet to be woken, and the cell that it is to be in.
pub(super) struct Copied {
    pub(super) cell: Cell,
    pub(super) pipes: Pipes,
    pub(super) process: Checkpoint,
    pub(super) of: (JobId, Arc<Reins>),
}

/// Takes the copies, which are stopped, each into its cell.
///
/// # Errors
/// Why there are none.
pub(super) async fn take_in_all(begun: &mut [Copied]) -> Result<(), Failure> {
    for Copied { cell, process, .. } in begun {
        // Else its number may be another's.
        if has_ended(&process.process) {
            return Err(killed("the session is not forked: a copy of its process has ended"));
        }
        cell.take_in_stopped(process.number).map_err(|error| PrepareError::Slot(error).told())?;
        // To each hierarchy of version 1 it is written.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// That there are no branches, for something has ended.
pub(super) fn killed(message: &str) -> Failure {
    Failure::new(ErrorCode::Killed, message)
}

impl Interpreter {
    /// The interpreter that it is of then.
    ///
    /// # Errors
    /// The event loop's refusal of a pipe.
    pub(super) fn branch(&self, Copied { cell, pipes, process, of: (session, reins) }: Copied) -> io::Result<Self> {
        let Pipes { stdin, stdout, stderr, result, returns, unread } = pipes;
        let Checkpoint { process, number } = process;
        let (wake, line) = (pipe::Sender::from_owned_fd_unchecked(stdin)?, FrameWriter::new(returns)?);
        Ok(Self {
            session,
            cell,
            process,
            number,
            // It is nobody's child.
            ended: None,
            wake,
            output: [Arc::new(stdout), Arc::new(stderr)],
            reports: BufReader::with_capacity(REPORT, result),
            line,
            unread: unread.expect("a session's pipes have it").into(),
            checkpoint: None,
            rest: Rest::default(),
            others: 0,
            cells: self.cells,
            bounds: self.bounds,
            rules: Arc::clone(&self.rules),
            reins,
        })
    }
}
