//! A request whose answer is a stream: its job is told of while it runs.

use std::sync::Arc;
use std::time::Duration;

use cloister_protocol::{Answer, ErrorCode, Failure};
use tokio::sync::oneshot;

use crate::door::answers::{self, Parts};
use crate::door::asked::{Asked, Wanted};
use crate::door::conversations::Conversations;
use crate::door::engine::Engine;
use crate::door::events::{Reader, Teller};
use crate::door::job_log::log;
use crate::door::timing;
use crate::job::conversation::Conversation;

/// What became of a streamed request: its job begins, or never will.
pub type Begun = Result<Begin, Failure>;

/// What is told of a job that begins.
#[derive(Debug)]
pub struct Begin {
    /// The layers in force.
    pub layers: Option<String>,
    /// How long each of its calls waits for what it returns, if it can make any.
    pub returns_within: Option<Duration>,
}

/// Runs a request's job, and tells what it prints and calls, and what became of it.
pub async fn run(
    (engine, conversations): (&Engine, &Arc<Conversations>),
    wanted: Wanted,
    begin: oneshot::Sender<Begun>,
    teller: &Teller,
) {
    let Wanted { asked: Asked { id, tenant, explain, whole, runtime, since, .. }, request, place, memory, .. } = wanted;
    let ready = async {
        let admitted = engine.admit(&place, &request, runtime.as_deref())?;
        let layers = explain.then(|| admitted.explain());
        let ready = admitted.ready().await?;
        let (conversation, heard) = Conversation::new(&request, ready.bounds().tools);
        let conversing = match conversation.calls.may_be() {
            true => Some(conversations.begin(id, tenant, Arc::clone(&conversation.calls)).ok_or_else(twice)?),
            false => None,
        };
        Ok((ready, layers, conversation, heard, conversing))
    };
    let (ready, layers, conversation, heard, _conversing) = match ready.await {
        Ok(ready) => ready,
        Err(failure) => {
            log(id, Some(&request), &Answer::Refused { error: &failure, id }, since);
            let _ = begin.send(Err(failure));
            return;
        }
    };
    let returns_within = conversation.calls.may_be().then(|| ready.bounds().tools.wait);
    let _ = begin.send(Ok(Begin { layers, returns_within }));
    let mut reader = Reader::new(&conversation.printed, heard, whole);
    let outcome = match teller.follow(ready.run(&request, &conversation), &mut reader).await {
        Ok(outcome) => outcome,
        Err(error) => {
            drop(place);
            let error = error.told_after_start();
            let answer = Answer::Refused { error: &error, id };
            log(id, Some(&request), &answer, since);
            teller.give_up(reader, &answer, timing::trailers(&answer)).await;
            return;
        }
    };
    let _unread = place.unread(answers::held(&outcome));
    drop(place);
    let answer = outcome.answer(id);
    log(id, Some(&request), &answer, since);
    let trailers = timing::trailers(&answer);
    drop((request, memory));
    teller.tell_rest(reader, &outcome.stdout, &outcome.stderr).await;
    teller.finish(Parts::of(outcome, id).await.into_event(), trailers).await;
}

fn twice() -> Failure {
    Failure::new(ErrorCode::InvalidRequest, "the request's id is that of a job that runs, and calls tools")
}
