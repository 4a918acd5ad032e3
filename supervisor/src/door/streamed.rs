//! A request whose answer is a stream: its job is told of while it runs.

use cloister_protocol::{Answer, Failure};
use tokio::sync::oneshot;

use crate::door::answers::{self, Parts};
use crate::door::asked::{Asked, Wanted};
use crate::door::engine::Engine;
use crate::door::events::{Reader, Teller};
use crate::door::job_log::log;
use crate::door::timing;
use crate::job::output::Printed;

/// What became of a streamed request: its job begins, with the layers in force if they were asked for, or never will.
pub type Begun = Result<Option<String>, Failure>;

/// Runs a request's job, and tells what it prints and what became of it.
pub async fn run(engine: &Engine, wanted: Wanted, begin: oneshot::Sender<Begun>, teller: &Teller) {
    let Wanted { asked: Asked { id, explain, runtime, since, .. }, request, place, memory, .. } = wanted;
    let ready = async {
        let admitted = engine.admit(&place, &request, runtime.as_deref())?;
        let layers = explain.then(|| admitted.explain());
        Ok((admitted.ready().await?, layers))
    };
    let (ready, layers) = match ready.await {
        Ok(ready) => ready,
        Err(failure) => {
            log(id, Some(&request), &Answer::Refused { error: &failure, id }, since);
            let _ = begin.send(Err(failure));
            return;
        }
    };
    let _ = begin.send(Ok(layers));
    let printed = Printed::default();
    let mut reader = Reader::new(&printed);
    let outcome = match teller.follow(ready.run(&request, &printed), &mut reader).await {
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
