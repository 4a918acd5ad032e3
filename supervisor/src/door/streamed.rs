//! A request whose answer is a stream: its job is told of while it runs.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{Answer, ErrorCode, Failure, JobId};
use tokio::sync::{mpsc, oneshot};

use crate::door::answers::{self, Parts};
use crate::door::asked::{Asked, Wanted};
use crate::door::conversations::{Conversations, Conversing};
use crate::door::engine::Engine;
use crate::door::events::{Reader, Teller};
use crate::door::job_log::log;
use crate::door::places::Unread;
use crate::door::runs::Runs;
use crate::door::timing;
use crate::job::conversation::Conversation;
use crate::job::outcome::Outcome;

/// What became of a streamed request, with the layers in force if they were asked for; or that its job never began, or was lost
/// before there was anything to tell of it.
pub type Begun = Result<(Begin, Option<String>), Failure>;

/// What there is to tell first.
#[derive(Debug)]
pub enum Begin {
    /// A stream; and how long each of the job's calls waits for what it returns, if it can make any.
    Stream(Option<Duration>),
    /// All of it, of a job whose answer is to be whole and that has called nothing.
    Answer(Box<Outcome>, Unread),
}

/// Runs a request's job, and tells what it prints and calls, and what became of it.
pub async fn run(
    (engine, conversations): (&Engine, &Arc<Conversations>),
    mut wanted: Wanted,
    mut begin: oneshot::Sender<Begun>,
    teller: &Teller,
) {
    let began = begin_conversation(engine, conversations, &mut wanted).await;
    let Wanted { asked: Asked { id, whole, since, .. }, request, place, memory, .. } = wanted;
    let (runs, mut layers, conversation, mut heard, _conversing) = match began {
        Ok(began) => began,
        Err(failure) => {
            log(id, Some(&request), &Answer::Refused { error: &failure, id }, since);
            let _ = begin.send(Err(failure));
            return;
        }
    };
    let stream = Begin::Stream(conversation.calls.may_be().then(|| runs.bounds().tools.wait));
    let (outcome, streamed) = {
        let mut job = pin!(runs.run(&request, &conversation, &place));
        // Where the answer is to be whole, the first call makes a stream of it.
        let first = if whole { call_or_end(&mut job, &mut heard).await } else { Ok(None) };
        match first {
            Err(outcome) => (outcome, None),
            Ok(call) => {
                let _ = begin.send(Ok((stream, layers.clone())));
                (begin, layers) = (oneshot::channel().0, None);
                if let Some(call) = call {
                    teller.send(call).await;
                }
                let mut reader = Reader::new(&conversation.printed, heard, whole);
                (teller.follow(job, &mut reader).await, Some(reader))
            }
        }
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            drop(place);
            let answer = Answer::Refused { error: &error, id };
            log(id, Some(&request), &answer, since);
            match streamed {
                Some(reader) => teller.give_up(reader, &answer, timing::trailers(&answer)).await,
                None => drop(begin.send(Err(error))),
            }
            return;
        }
    };
    let unread = place.unread(answers::held(&outcome));
    drop(place);
    log(id, Some(&request), &outcome.answer(id), since);
    let Some(reader) = streamed else {
        let _ = begin.send(Ok((Begin::Answer(Box::new(outcome), unread), layers)));
        return;
    };
    drop((request, memory));
    tell_last(teller, reader, outcome, id).await;
}

/// What a job calls first, or what it came to.
async fn call_or_end<T>(
    job: &mut (impl Future<Output = T> + Unpin),
    heard: &mut mpsc::Receiver<Vec<u8>>,
) -> Result<Option<Vec<u8>>, T> {
    tokio::select! {
        biased;
        outcome = job => Err(outcome),
        call = heard.recv() => Ok(call),
    }
}

/// Tells the rest of what was printed, and then the answer.
async fn tell_last(teller: &Teller, reader: Reader, outcome: Outcome, id: JobId) {
    let trailers = timing::trailers(&outcome.answer(id));
    teller.tell_rest(reader, &outcome.stdout, &outcome.stderr).await;
    teller.finish(Parts::of(outcome, id).await.into_event(), trailers).await;
}

/// What a request has whose job is about to begin: its sandbox, the layers in force if they were asked for, and its conversation, with
/// where its calls are heard of.
type Beginning = (Runs, Option<String>, Conversation, mpsc::Receiver<Vec<u8>>, Option<Conversing>);

async fn begin_conversation(
    engine: &Engine,
    conversations: &Arc<Conversations>,
    Wanted { asked: Asked { id, tenant, explain, runtime, whole, .. }, request, place, turn, .. }: &mut Wanted,
) -> Result<Beginning, Failure> {
    let (runs, layers) = Runs::of(engine, (request, place, turn.take()), (runtime.as_deref(), *explain)).await?;
    let (conversation, heard) = Conversation::new(request, runs.bounds().tools, !*whole);
    let conversing = match conversation.calls.may_be() {
        true => Some(conversations.begin(*id, *tenant, Arc::clone(&conversation.calls)).ok_or_else(twice)?),
        false => None,
    };
    Ok((runs, layers, conversation, heard, conversing))
}

fn twice() -> Failure {
    Failure::new(ErrorCode::InvalidRequest, "the request's id is that of a job that runs, and calls tools")
}
