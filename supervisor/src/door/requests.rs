//! A request to run a job: given a place, read, run, and answered. Its body is not read before it has a place, so that
//! who waits costs a connection and no more: until then the gateway keeps it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cloister_program::Budget;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    Answer, Busy, ErrorCode, ExecuteRequest, Failure, ID_HEADER, JobId, RETURNS_WITHIN_HEADER, Tenant,
};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, TRAILER};
use hyper::{Response, StatusCode};
use tokio::task::JoinSet;

use crate::door::answers::{self, AnswerBody, Parts};
use crate::door::asked::{Asked, Wanted};
use crate::door::body;
use crate::door::connections::Connection;
use crate::door::conversations::Conversations;
use crate::door::engine::Engine;
use crate::door::job_log::log;
use crate::door::places::Place;
use crate::door::response::{Body, boxed, explained, id_value, json, refuse, respond};
use crate::door::runs::Runs;
use crate::door::sessions::{Sessions, Turn};
use crate::door::streamed::{Came, Heard};
use crate::door::{events, timing};
use crate::job::conversation::Conversation;

/// What the bodies of all requests may take together, from their first byte to their job's end: as much as the shipped
/// gateway lets arrive. It is there for a gateway that somebody has taken over.
const ALL_BODIES: usize = 256 * 1024 * 1024;

/// What is told of a job whose calls nobody would hear of.
const UNHEARD: &str = "a job with tools is answered with events: send Accept: text/event-stream";

/// All requests to run jobs.
#[derive(Debug)]
pub struct Requests {
    pub(super) engine: Arc<Engine>,
    pub(super) memory: Arc<Budget>,
    ready: AtomicBool,
    streams: Mutex<JoinSet<()>>,
    conversations: Arc<Conversations>,
    pub(super) sessions: Arc<Sessions>,
}

impl Requests {
    /// None is served before [`Requests::set_ready`].
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        let (memory, ready) = (Budget::new(ALL_BODIES), AtomicBool::new(false));
        Self {
            engine,
            memory,
            ready,
            streams: Mutex::default(),
            conversations: Arc::default(),
            sessions: Arc::default(),
        }
    }

    /// From now on jobs are run.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether jobs are run.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Gives up what is still streamed, for nobody is left who would read it, and ends all sessions.
    pub async fn end(&self) {
        let mut streams = std::mem::take(&mut *self.streams());
        streams.shutdown().await;
        self.sessions.end_all().await;
    }

    /// Runs a job, once there is a place for it; of a supervisor that is ready.
    pub async fn execute(&self, asked: Asked, body: Incoming, connection: &Arc<Connection>) -> Response<Body> {
        let (id, since) = (asked.id, asked.since);
        match self.want(asked, body, connection).await {
            Ok(wanted) if wanted.asked.streamed => self.stream(wanted, connection).await,
            Ok(wanted) if !wanted.request.tools.is_empty() => refuse(id, ErrorCode::InvalidRequest, UNHEARD),
            Ok(wanted) => self.run(wanted, connection).await,
            Err(error) => {
                log(id, None, &Answer::Refused { error: &error, id }, since);
                respond(id, &Answer::Refused { error: &error, id })
            }
        }
    }

    /// Takes what calls of a job came to.
    pub async fn take_returns(&self, id: JobId, tenant: Tenant, body: Incoming) -> Response<Body> {
        let mut memory = self.memory.open();
        let told = async {
            let returns = body::receive_returns(body, &mut memory).await?;
            self.conversations.take(id, tenant, &returns).await
        };
        match told.await {
            Ok(told) => json(StatusCode::OK, id, serde_json::to_vec(&told).expect("numbers and strings")),
            Err(error) => respond(id, &Answer::Refused { error: &error, id }),
        }
    }

    async fn want(&self, asked: Asked, body: Incoming, connection: &Connection) -> Result<Wanted, Failure> {
        let turn = async {
            let Some((session, busy)) = asked.session else { return Ok(None) };
            self.turn((session, asked.tenant), busy).await.map(Some)
        };
        let (turn, place) = self.enter(asked.tenant, turn, connection).await?;
        let queued = asked.since.elapsed();
        let mut memory = self.memory.open();
        let mut request = body::receive(body, &mut memory).await?;
        if let Some(turn) = &turn {
            request.profile = Some(turn.profile().to_owned());
        }
        Ok(Wanted { asked, request, place, turn, queued, memory })
    }

    /// Waits for a turn, and then for a place, for as long as somebody is there who asked.
    pub(super) async fn enter<T>(
        &self,
        tenant: Tenant,
        turn: impl Future<Output = Result<T, Failure>>,
        connection: &Connection,
    ) -> Result<(T, Arc<Place>), Failure> {
        let entered = async { Ok((turn.await?, Arc::new(self.engine.enter(tenant).await?))) };
        tokio::select! {
            entered = entered => entered,
            () = connection.left() => Err(Failure::new(ErrorCode::Unavailable, "whoever asked has left")),
        }
    }

    /// Waits for a turn in a session of a tenant's, within the policy in force.
    pub(super) async fn turn(&self, session: (JobId, Tenant), busy: Busy) -> Result<Turn, Failure> {
        self.sessions.turn(session, busy, self.engine.in_force().sessions()).await
    }

    async fn run(&self, wanted: Wanted, connection: &Arc<Connection>) -> Response<Body> {
        let Wanted { asked: Asked { id, explain, runtime, since, .. }, request, place, turn, queued, memory } = wanted;
        let (layers, outcome) =
            match Runs::of(&self.engine, (&request, &place, turn), (runtime.as_deref(), explain)).await {
                Err(failure) => (None, Err(failure)),
                Ok((runs, layers)) => (layers, runs.run(&request, &Conversation::alone(), &place).await),
            };
        let mut response = whole(id, Came { outcome, request, place, memory }, (since, queued), connection).await;
        explained(&mut response, layers);
        response
    }

    /// Answers with a stream once there is anything to tell, and as ever if there is not. What is told is told by a task that ends when
    /// the answer is dropped, so neither job nor deadline depends on how it is read.
    async fn stream(&self, wanted: Wanted, connection: &Arc<Connection>) -> Response<Body> {
        let (id, since, queued) = (wanted.asked.id, wanted.asked.since, wanted.queued);
        let (mut heard, layers) = match Heard::begin((&self.engine, &self.conversations), wanted).await {
            Ok(begun) => begun,
            Err((error, request)) => return refused(id, &error, &request, (since, queued)),
        };
        // Until there is anything to tell the job runs here, as for any other answer: most of what can call has ended by then.
        let mut response = match heard.call_or_end().await {
            Err(came) => {
                // Nobody returns to its calls any more.
                drop(heard);
                whole(id, came, (since, queued), connection).await
            }
            Ok(call) => {
                let (teller, body) = events::channel();
                let mut response = Response::new(boxed(connection.answer(body)));
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
                headers.insert(TRAILER, HeaderValue::from_static(timing::TRAILERS));
                headers.insert(ID_HEADER, id_value(id));
                timing::tell_start(headers, queued, since.elapsed().saturating_sub(queued));
                if let Some(within) = heard.returns_within {
                    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                    headers.insert(RETURNS_WITHIN_HEADER, HeaderValue::from(within));
                }
                self.spawn(async move {
                    tokio::select! {
                        () = teller.left() => {}
                        () = heard.tell(&teller, call) => {}
                    }
                });
                response
            }
        };
        explained(&mut response, layers);
        response
    }

    fn spawn(&self, stream: impl Future<Output = ()> + Send + 'static) {
        let mut streams = self.streams();
        while streams.try_join_next().is_some() {}
        streams.spawn(stream);
    }

    fn streams(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.streams.lock().expect("nothing panics while it holds this lock")
    }
}

/// An answer that is all there, of a job that is over.
async fn whole(id: JobId, came: Came, times: (Instant, Duration), connection: &Arc<Connection>) -> Response<Body> {
    let Came { outcome, request, place, memory } = came;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return refused(id, &error, &request, times),
    };
    let rest = rest_of(times);
    // The job is dead: its place is free, and what it left is counted until it was taken.
    let unread = place.unread(answers::held(&outcome));
    drop(place);
    log(id, Some(&request), &outcome.answer(id), times.0);
    drop((request, memory));
    let answer = outcome.answer(id);
    let (mut response, status) = (Response::new(()), answer.status());
    *response.status_mut() = status.try_into().expect("every code has a valid status");
    let headers = response.headers_mut();
    timing::tell(headers, &answer, times.1, rest);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ID_HEADER, id_value(id));
    let body = AnswerBody::new(Parts::of(outcome, id).await, unread);
    response.map(|()| boxed(connection.answer(body)))
}

/// An answer that nothing ran, or that nobody knows what became of it.
fn refused(id: JobId, error: &Failure, request: &ExecuteRequest, times: (Instant, Duration)) -> Response<Body> {
    let (answer, rest) = (Answer::Refused { error, id }, rest_of(times));
    log(id, Some(request), &answer, times.0);
    let mut response = respond(id, &answer);
    timing::tell(response.headers_mut(), &answer, times.1, rest);
    response
}

/// What has gone by since a request came, but for the time that it had no place.
fn rest_of((since, queued): (Instant, Duration)) -> Duration {
    since.elapsed().saturating_sub(queued)
}
