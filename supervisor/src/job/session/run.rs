//! A cell runs in a session's interpreter, to its outcome.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_protocol::ExecuteRequest;
use cloister_sandbox::cgroup;

use crate::job::calls::Calls;
use crate::job::conversation::Conversation;
use crate::job::outcome::{OfCell, Outcome, usage};
use crate::job::output_files::Left;
use crate::job::prepare_error::PrepareError;
use crate::job::report::{Hearing, Said};
use crate::job::session::hearing::{Shown, SoFar, read_cell};
use crate::job::session::interpreter::Interpreter;
use crate::job::session::messages;
use crate::job::session::watched::Watched;
use crate::job::streams::Streams;
use crate::job::verdict::{self, Stop, Stopped};
use crate::link::event_loop::watch;

/// A cell that is next in its session.
#[derive(Debug)]
pub struct Next {
    message: Vec<u8>,
    wall: Duration,
}

/// How a cell stopped.
struct Ran {
    stop: Stop,
    shown: Shown,
    /// For how long it ran, without what it waited for its calls.
    time: Duration,
    used: cgroup::Usage,
    ahead: Duration,
}

impl Interpreter {
    /// The request's cell as the next one.
    #[must_use]
    pub fn next(&mut self, request: &ExecuteRequest) -> Next {
        self.cells += 1;
        Next { message: messages::cell(self.cells, request, &self.bounds), wall: self.bounds.wall_of(request) }
    }

    /// Runs a cell to its outcome; meanwhile the conversation has what it prints and calls. It is not to be dropped before its end.
    /// Afterwards [`settle`](Self::settle) is due, unless the session is over.
    ///
    /// # Errors
    /// When its control group can no longer be read.
    pub async fn run(&mut self, next: Next, conversation: &Conversation) -> Result<Outcome, PrepareError> {
        let Conversation { printed, calls, .. } = conversation;
        let streams = Streams::new(self.output.clone(), &self.bounds, printed);
        let unsafe_because = self.no_way_back();
        let ran = self.watch(next, &streams, conversation).await?;
        let lives = matches!(&ran.stop, Stop::Said(Said::Result(_) | Said::CellError(_) | Said::NoForm));
        let restored = if lives { None } else { Some(self.restore(&|| streams.take_printed()).await) };
        streams.take_printed();
        let mut outcome = self.judge(ran, streams, calls).await;
        outcome.beside.notes.extend(unsafe_because);
        if let (Some((restored, not_kept)), Some(cell)) = (restored, &mut outcome.of_cell) {
            (cell.restored, cell.not_kept) = (Some(restored), not_kept);
        }
        Ok(outcome)
    }

    /// Runs it until something stops it.
    async fn watch(
        &mut self,
        next: Next,
        streams: &Streams,
        Conversation { calls, shows, .. }: &Conversation,
    ) -> Result<Ran, PrepareError> {
        let Next { message, wall } = next;
        let bounds = self.bounds;
        let ahead = self.cell.restart_count()?;
        self.cell.cgroup().step_up()?;
        let oom = self.cell.cgroup().oom_event()?.map(watch).transpose()?;
        let shown = Shown::new(bounds.result_bytes, shows.then(|| Arc::clone(calls)));
        let reins = Arc::clone(&self.reins);
        let running = reins.hold(self.process.get_ref().as_fd())?;
        self.cell.cgroup().freeze(false)?;
        let started = Instant::now();
        let stop = {
            let take_printed = || streams.take_printed();
            let hearing = Hearing { calls, before: &take_printed };
            let said = read_cell(&mut self.reports, bounds.result_bytes, &shown, hearing);
            let watched = Watched {
                cell: &self.cell,
                process: &self.process,
                ended: &mut self.ended,
                oom: oom.as_ref(),
                bounds: &bounds,
                wall,
                calls,
                reins: &self.reins,
            };
            let line = &mut self.line;
            let talk = async {
                if line.write(message).await.is_ok() && calls.may_be() {
                    calls.write_to(line).await;
                }
            };
            tokio::select! {
                biased;
                stop = watched.stops(said) => stop,
                never = streams.pump(talk) => match never {},
            }
        };
        drop(running);
        calls.set_ended();
        calls.end_round(self.cell.cgroup().cpu().ok());
        calls.let_go();
        let time = started.elapsed().saturating_sub(calls.waited());
        Ok(Ran { stop, shown, time, used: self.cell.cgroup().usage()?, ahead })
    }

    /// Says what it came to.
    async fn judge(&self, ran: Ran, streams: Streams, calls: &Calls) -> Outcome {
        let Ran { stop, shown, time, used, ahead } = ran;
        let no_form = matches!(&stop, Stop::Said(Said::NoForm));
        let stopped = Stopped { stop, heard: Default::default(), program: false };
        let (mut verdict, mut beside) = verdict::of(stopped, &used, &self.bounds).await;
        if let Err(failure) = &mut verdict {
            self.rules.explain(failure, &used);
        }
        let (stdout, stderr, truncated) = streams.into_text().await;
        let SoFar { display, value, more, .. } = shown.into_all();
        if more {
            beside.notes.push("more was displayed than the profile's result_bytes, or than 1000 things".to_owned());
        }
        let of_cell = OfCell {
            session: self.session,
            number: self.cells,
            value: value.map(|value| (value.text(), value)),
            no_form,
            display,
            restored: None,
            not_kept: Vec::new(),
        };
        Outcome {
            verdict,
            stdout,
            stderr,
            truncated,
            left: Left::default(),
            beside,
            usage: usage(time, &used, calls.told()),
            used,
            ahead,
            of_cell: Some(of_cell),
        }
    }

    /// That nothing would bring the session back from the cell that is next, if so, and why.
    fn no_way_back(&self) -> Option<String> {
        if self.has_checkpoint() {
            return None;
        }
        let why = self.rest.why.as_deref().unwrap_or("no copy of its process could be put aside");
        Some(format!("a cell that costs the session its process ends it, as things are: {why}"))
    }
}
