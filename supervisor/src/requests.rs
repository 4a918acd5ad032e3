//! A request to run a job: given a place, read, run, and answered. Its body is not read before it has a place, so that
//! who waits costs a connection and no more: until then the gateway keeps it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_program::Taken;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    Answer, EXPLAIN_HEADER, ErrorCode, ExecuteRequest, Failure, ID_HEADER, JobId, TENANT_HEADER, Tenant,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, TRAILER};
use hyper::{Request, Response};
use tokio::sync::oneshot;

use crate::answers::{self, AnswerBody, LARGE, Parts};
use crate::connections::Connection;
use crate::output::Printed;
use crate::places::Place;
use crate::server::{Body, Server, boxed, id_value, refuse, respond};
use crate::stats;
use crate::stream::{self, Reader, Teller};

/// The largest body that is read at all. The gateway's own bound is far lower.
const LARGEST_BODY: usize = 128 * 1024 * 1024;

/// How long a body may take to come: the gateway has it whole.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Who asks for what, as far as the header says.
#[derive(Debug)]
pub struct Asked {
    /// The request's id.
    pub id: JobId,
    tenant: Tenant,
    explain: bool,
    streamed: bool,
    since: Instant,
}

/// A request that has a place, and was read whole.
#[derive(Debug)]
struct Wanted {
    asked: Asked,
    request: ExecuteRequest,
    place: Place,
    queued: Duration,
    memory: Taken,
}

/// What became of a streamed request: its job begins, with the layers in force if they were asked for, or never will.
type Begun = Result<Option<String>, Failure>;

impl Asked {
    /// Reads the header.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        Self {
            id: header(ID_HEADER).and_then(JobId::parse).unwrap_or_else(JobId::random),
            tenant: header(TENANT_HEADER).and_then(Tenant::parse).unwrap_or_default(),
            explain: header(EXPLAIN_HEADER) == Some("1"),
            streamed: header(ACCEPT.as_str()) == Some(EVENT_STREAM),
            since: Instant::now(),
        }
    }
}

impl Server {
    /// Runs a job, once there is a place for it.
    pub(crate) async fn execute(
        self: Arc<Self>,
        asked: Asked,
        body: Incoming,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        let (id, since) = (asked.id, asked.since);
        match self.want(asked, body, connection).await {
            Ok(wanted) if wanted.asked.streamed => self.stream(wanted, connection).await,
            Ok(wanted) => self.run(wanted, connection).await,
            Err(error) => {
                log(id, None, &Answer::Refused { error: &error, id }, since);
                respond(id, &Answer::Refused { error: &error, id })
            }
        }
    }

    async fn want(&self, asked: Asked, body: Incoming, connection: &Connection) -> Result<Wanted, Failure> {
        if !self.is_ready() {
            return Err(Failure::new(ErrorCode::Unavailable, "the sandbox is being checked; try again shortly"));
        }
        let place = tokio::select! {
            place = self.service.enter(asked.tenant) => place?,
            () = connection.left() => return Err(Failure::new(ErrorCode::Unavailable, "whoever asked has left")),
        };
        let queued = asked.since.elapsed();
        let mut memory = self.memory.open();
        let read = tokio::time::timeout(BODY_TIME, read(body, &mut memory)).await;
        let late = |_| Failure::new(ErrorCode::RequestTimeout, "the body did not arrive in time");
        let request = parse(read.map_err(late)??).await?;
        Ok(Wanted { asked, request, place, queued, memory })
    }

    async fn run(&self, wanted: Wanted, connection: &Arc<Connection>) -> Response<Body> {
        let Wanted { asked: Asked { id, explain, since, .. }, request, place, queued, memory } = wanted;
        let (layers, outcome) = match self.service.admit(&place, &request) {
            Err(failure) => (None, Err(failure)),
            Ok(admitted) => (explain.then(|| admitted.explain()), admitted.run(&request).await),
        };
        let rest = since.elapsed().saturating_sub(queued);
        let mut response = match outcome {
            Err(error) => {
                let answer = Answer::Refused { error: &error, id };
                log(id, Some(&request), &answer, since);
                let mut response = respond(id, &answer);
                stats::tell(response.headers_mut(), &answer, queued, rest);
                response
            }
            Ok(outcome) => {
                // The job is dead: its place is free, and what it left is counted until it was taken.
                let unread = place.unread(answers::held(&outcome));
                drop(place);
                let answer = outcome.answer(id);
                log(id, Some(&request), &answer, since);
                let (mut response, status) = (Response::new(()), answer.status());
                *response.status_mut() = status.try_into().expect("every code has a valid status");
                let headers = response.headers_mut();
                stats::tell(headers, &answer, queued, rest);
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(ID_HEADER, id_value(id));
                drop((request, memory));
                let body = AnswerBody::new(Parts::of(outcome, id).await, unread);
                response.map(|()| boxed(connection.answer(body)))
            }
        };
        explained(&mut response, layers);
        response
    }

    /// Answers with a stream once the job begins, and with a refusal as ever if it does not. All is done in a task that
    /// ends when the answer is dropped, so neither job nor deadline depends on how it is read.
    async fn stream(self: &Arc<Self>, wanted: Wanted, connection: &Arc<Connection>) -> Response<Body> {
        let (id, since, queued) = (wanted.asked.id, wanted.asked.since, wanted.queued);
        let (teller, events) = stream::channel();
        let (begin, begun) = oneshot::channel();
        let server = Arc::clone(self);
        let streamed = async move {
            tokio::select! {
                () = teller.left() => {}
                () = server.run_streamed(wanted, begin, &teller) => {}
            }
        };
        {
            let mut streams = self.streams();
            while streams.try_join_next().is_some() {}
            streams.spawn(streamed);
        }
        let rest = || since.elapsed().saturating_sub(queued);
        let layers = match begun.await {
            Ok(Ok(layers)) => layers,
            Ok(Err(error)) => {
                let answer = Answer::Refused { error: &error, id };
                let mut response = respond(id, &answer);
                stats::tell(response.headers_mut(), &answer, queued, rest());
                return response;
            }
            Err(_) => return refuse(id, ErrorCode::Internal, "the stream's task ended"),
        };
        let mut response = Response::new(boxed(connection.answer(events)));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(TRAILER, HeaderValue::from_static(stats::TRAILERS));
        headers.insert(ID_HEADER, id_value(id));
        stats::tell_start(headers, queued, rest());
        explained(&mut response, layers);
        response
    }

    async fn run_streamed(&self, wanted: Wanted, begin: oneshot::Sender<Begun>, teller: &Teller) {
        let Wanted { asked: Asked { id, explain, since, .. }, request, place, memory, .. } = wanted;
        let started = async {
            let admitted = self.service.admit(&place, &request)?;
            let layers = explain.then(|| admitted.explain());
            Ok((admitted.start().await?, layers))
        };
        let (started, layers) = match started.await {
            Ok(started) => started,
            Err(failure) => {
                log(id, Some(&request), &Answer::Refused { error: &failure, id }, since);
                let _ = begin.send(Err(failure));
                return;
            }
        };
        let _ = begin.send(Ok(layers));
        let printed = Printed::default();
        let mut reader = Reader::new(&printed);
        let outcome = teller.follow(started.run(&request, &printed), &mut reader).await;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                drop(place);
                let answer = Answer::Refused { error: &error, id };
                log(id, Some(&request), &answer, since);
                teller.give_up(reader, &answer, stats::trailers(&answer)).await;
                return;
            }
        };
        let _unread = place.unread(answers::held(&outcome));
        drop(place);
        let answer = outcome.answer(id);
        log(id, Some(&request), &answer, since);
        let trailers = stats::trailers(&answer);
        drop((request, memory));
        teller.tell_rest(reader, &outcome.stdout, &outcome.stderr).await;
        teller.finish(Parts::of(outcome, id).await.into_event(), trailers).await;
    }
}

/// Tells the layers in force, if they were asked for.
fn explained<B>(response: &mut Response<B>, layers: Option<String>) {
    if let Some(Ok(layers)) = layers.map(|layers| HeaderValue::from_str(&layers)) {
        response.headers_mut().insert(EXPLAIN_HEADER, layers);
    }
}

/// Reads a body whole, as long as there is memory for it.
async fn read(mut body: Incoming, memory: &mut Taken) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = |error| Failure::new(ErrorCode::InvalidRequest, format!("the body did not arrive whole: {error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.len() + data.len() > LARGEST_BODY {
            return Err(Failure::new(ErrorCode::TooLarge, format!("the body is larger than {LARGEST_BODY} bytes")));
        }
        if !memory.take(data.len()) {
            return Err(Failure::new(ErrorCode::Unavailable, "too many large bodies at once; try again shortly"));
        }
        bytes.extend_from_slice(&data);
    }
    // That it was asked for leaves this process before anything is done with it, also where it had come unasked: what
    // dies from here on is not said never to have begun.
    tokio::task::yield_now().await;
    Ok(bytes)
}

/// Parses a body; beside the event loop, if it is a large one.
async fn parse(body: Vec<u8>) -> Result<ExecuteRequest, Failure> {
    let request = if body.len() < LARGE {
        ExecuteRequest::parse(&body)
    } else {
        let parse = move || ExecuteRequest::parse(&body);
        tokio::task::spawn_blocking(parse).await.expect("parsing does not panic")
    };
    request.map_err(|error| Failure::new(ErrorCode::InvalidRequest, error.to_string()))
}

/// One line a job: what became of it, never what it was.
fn log(id: JobId, request: Option<&ExecuteRequest>, answer: &Answer<'_>, started: Instant) {
    let profile = request.map(|request| request.profile.as_deref().unwrap_or("default"));
    let milliseconds = started.elapsed().as_millis();
    match answer {
        Answer::Returned { usage, .. } => {
            tracing::info!(%id, profile, outcome = "returned", cpu_ms = usage.cpu_ms, milliseconds, "a job returned");
        }
        Answer::Failed { error, usage, .. } => {
            tracing::info!(%id, profile, outcome = ?error.code, cpu_ms = usage.cpu_ms, milliseconds, "a job failed");
        }
        Answer::Refused { error, .. } if error.code == ErrorCode::Internal => {
            tracing::error!(%id, profile, cause = error.message, milliseconds, "a bug of ours");
        }
        Answer::Refused { error, .. } => {
            tracing::info!(%id, profile, outcome = ?error.code, cause = error.message, milliseconds, "a request was refused");
        }
    }
}
