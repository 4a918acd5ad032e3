//! A request whose answer is a stream, or may become one: its job is told of while it runs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_program::Taken;
use cloister_protocol::{Answer, ErrorCode, ExecuteRequest, Failure, JobId};
use tokio::sync::mpsc;

use crate::door::answers::{self, Parts};
use crate::door::asked::{Asked, Wanted};
use crate::door::conversations::{Conversations, Conversing};
use crate::door::engine::Engine;
use crate::door::events::{Reader, Teller};
use crate::door::job_log::log;
use crate::door::places::Place;
use crate::door::runs::Runs;
use crate::door::timing;
use crate::job::conversation::Conversation;
use crate::job::outcome::Outcome;

/// What a request came to, and what it held until then.
#[derive(Debug)]
pub struct Came {
    /// What became of its job, or why there was none or nobody knows.
    pub outcome: Result<Outcome, Failure>,
    /// What it asked for.
    pub request: ExecuteRequest,
    /// Where it ran.
    pub place: Arc<Place>,
    /// What its body takes.
    pub memory: Taken,
}

/// A job that runs while this is polled, and that whoever sent it may hear of. Dropping it kills the job, or interrupts the cell.
pub struct Heard {
    /// Its id.
    pub id: JobId,
    /// How long each of its calls waits for what it returns, if it can make any.
    pub returns_within: Option<Duration>,
    since: Instant,
    whole: bool,
    conversation: Conversation,
    heard: mpsc::Receiver<Vec<u8>>,
    job: Pin<Box<dyn Future<Output = Came> + Send>>,
    _conversing: Option<Conversing>,
}

impl Heard {
    /// Has a request's sandbox ready, or its turn in a session; with the layers in force if they were asked for.
    ///
    /// # Errors
    /// Why it cannot run.
    pub async fn begin(
        (engine, conversations): (&Engine, &Arc<Conversations>),
        wanted: Wanted,
    ) -> Result<(Self, Option<String>), (Failure, ExecuteRequest)> {
        let Wanted {
            asked: Asked { id, tenant, explain, runtime, whole, since, .. },
            request,
            place,
            turn,
            memory,
            ..
        } = wanted;
        let (runs, layers) = match Runs::of(engine, (&request, &place, turn), (runtime.as_deref(), explain)).await {
            Ok(ready) => ready,
            Err(failure) => return Err((failure, request)),
        };
        let tools = runs.bounds().tools;
        let (conversation, heard) = Conversation::new(&request, tools, !whole);
        let returns_within = conversation.calls.may_be().then_some(tools.wait);
        let conversing = returns_within.map(|_| conversations.begin(id, tenant, Arc::clone(&conversation.calls)));
        if matches!(conversing, Some(None)) {
            return Err((twice(), request));
        }
        let said = conversation.clone();
        let job = Box::pin(async move {
            let outcome = runs.run(&request, &said, &place).await;
            Came { outcome, request, place, memory }
        });
        let begun =
            Self { id, returns_within, since, whole, conversation, heard, job, _conversing: conversing.flatten() };
        Ok((begun, layers))
    }

    /// Where the answer is to be whole, what the job calls first, which makes a stream of it, or what it came to; else there is something
    /// to tell at once.
    pub async fn call_or_end(&mut self) -> Result<Option<Vec<u8>>, Came> {
        if !self.whole {
            return Ok(None);
        }
        tokio::select! {
            biased;
            came = &mut self.job => Err(came),
            call = self.heard.recv() => Ok(call),
        }
    }

    /// Tells what it prints and calls, after a first call if there was one, and what became of it.
    pub async fn tell(self, teller: &Teller, first: Option<Vec<u8>>) {
        let Self { id, since, whole, conversation, heard, job, .. } = self;
        if let Some(call) = first {
            teller.send(call).await;
        }
        let mut reader = Reader::new(&conversation.printed, heard, whole);
        let Came { outcome, request, place, memory } = teller.follow(job, &mut reader).await;
        match outcome {
            Err(error) => {
                drop(place);
                let answer = Answer::Refused { error: &error, id };
                log(id, Some(&request), &answer, since);
                teller.give_up(reader, &answer, timing::trailers(&answer)).await;
            }
            Ok(outcome) => {
                let _unread = place.unread(answers::held(&outcome));
                drop(place);
                log(id, Some(&request), &outcome.answer(id), since);
                drop((request, memory));
                let trailers = timing::trailers(&outcome.answer(id));
                teller.tell_rest(reader, &outcome.stdout, &outcome.stderr).await;
                teller.finish(Parts::of(outcome, id).await.into_event(), trailers).await;
            }
        }
    }
}

fn twice() -> Failure {
    Failure::new(ErrorCode::InvalidRequest, "the request's id is that of a job that runs, and calls tools")
}
