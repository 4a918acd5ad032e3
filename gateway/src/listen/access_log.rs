//! One request and its answer: its id, its line in the access log, and what its connection is doing meanwhile.
//!
//! It lives from the request's header to the last byte of the answer, or to the moment the client
//! leaves, and says so when it is dropped. Never a word of a script or of what it printed.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use cloister_protocol::{EXECUTE_PATH, JobId, SESSIONS_PATH};
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Method, Request, StatusCode};

use crate::admission::caller::{Holder, Permit};
use crate::admission::client_address::TrustedProxies;
use crate::api::refusal::{Because, name};
use crate::api::streamed::StreamOutcome;
use crate::going::Going;
use crate::listen::activity::Activity;
use crate::listen::trace_context::Trace;
use crate::metrics::{Metrics, Outcome};
use crate::usage::meter::Meter;

/// How much of a path is logged: it is a stranger's text.
const LOGGED_PATH: usize = 100;

/// Where a request comes from, and what it asks for.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Who sent it: the peer, or whom a trusted proxy names.
    pub client: IpAddr,
    /// What its connection is doing.
    pub activity: Activity,
    peer: SocketAddr,
    /// The node's number, if it has one.
    node: Option<u8>,
    going: Going,
    metrics: Arc<Metrics>,
    method: Method,
    path: String,
    trace: Option<Trace>,
}

/// A request that is being dealt with.
#[derive(Debug)]
pub struct Access {
    /// The request's id.
    pub id: JobId,
    /// Where it comes from.
    pub origin: Origin,
    is_job: bool,
    started: Instant,
    answer: Option<Given>,
    bytes: u64,
    whole: bool,
}

/// What is logged of an answer.
#[derive(Debug)]
struct Given {
    status: StatusCode,
    outcome: Outcome,
    because: Option<Because>,
    holder: Option<Holder>,
    /// Of a streamed answer, whose outcome is told at its end.
    stream_outcome: Option<StreamOutcome>,
    /// Of a job's answer; whoever holds it last tells what the job used.
    meter: Option<Meter>,
    _permit: Option<Permit>,
}

impl Given {
    fn outcome(&self) -> Outcome {
        self.stream_outcome.as_ref().map_or(self.outcome, StreamOutcome::outcome)
    }

    fn because(&self) -> Option<&str> {
        let told = self.because.as_ref().or_else(|| self.stream_outcome.as_ref()?.because());
        told.map(|because| because.0.as_str())
    }
}

impl Access {
    /// Begins with a request's header.
    pub fn begin<B>(
        peer: SocketAddr,
        proxies: &TrustedProxies,
        (activity, going, node): (&Activity, &Going, Option<u8>),
        metrics: &Arc<Metrics>,
        request: &Request<B>,
    ) -> Self {
        let client = proxies.client(peer.ip(), request.headers());
        let trace = Trace::of(request.headers());
        let path = request.uri().path().chars().take(LOGGED_PATH).collect();
        let method = request.method().clone();
        let is_job = method == Method::POST && is_execute(request.uri().path());
        let (activity, going, metrics) = (activity.clone(), going.clone(), Arc::clone(metrics));
        Self::of(Origin { client, activity, peer, node, going, metrics, method, path, trace }, is_job)
    }

    /// Begins with a job of a conversation that such a request has opened.
    pub fn of_conversation(origin: Origin) -> Self {
        Self::of(origin, true)
    }

    fn of(origin: Origin, is_job: bool) -> Self {
        origin.activity.enter();
        let (id, started) = (JobId::of_node(origin.node), Instant::now());
        let (answer, bytes, whole) = (None, 0, false);
        Self { id, origin, is_job, started, answer, bytes, whole }
    }

    /// Names the answer and follows it on its way.
    pub fn answer(mut self, mut response: Response) -> Response<LoggedBody> {
        name(&mut response, self.id);
        let Origin { activity, going, .. } = &self.origin;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // What comes of the connection is another protocol's.
        } else if activity.is_multiplexed() {
            // One request of many has no say over the connection (RFC 9113, 8.2.2).
            response.headers_mut().remove(CONNECTION);
        } else {
            if going.is_told() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if response.headers().contains_key(CONNECTION) {
                activity.leave_unread();
            }
        }
        let extensions = response.extensions_mut();
        let outcome = extensions.remove().unwrap_or(Outcome::Served);
        let (because, holder, stream_outcome) = (extensions.remove(), extensions.remove(), extensions.remove());
        let (meter, _permit) = (extensions.remove(), extensions.remove());
        self.answer =
            Some(Given { status: response.status(), outcome, because, holder, stream_outcome, meter, _permit });
        self.origin.activity.move_on(self.id, 0);
        self.whole = response.body().is_end_stream();
        response.map(|body| LoggedBody { body, access: self })
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.origin.activity.leave(self.id, self.whole);
        let Self { id, origin: Origin { peer, client, method, path, metrics, trace, .. }, bytes, .. } = self;
        let trace = trace.as_ref().map(tracing::field::display);
        let time = self.started.elapsed();
        let milliseconds = time.as_micros() as f64 / 1000.0;
        let outcome = self.answer.as_ref().map_or(Outcome::Abandoned, Given::outcome);
        let key = self.answer.as_ref().and_then(|answer| answer.holder.as_ref()).map(|holder| holder.0.name());
        metrics.count(outcome, key, self.is_job.then_some(time));
        let Some(answer) = &self.answer else {
            tracing::info!(%id, %peer, %client, %method, ?path, trace, milliseconds, "the client left before its answer");
            return;
        };
        if let Some(meter) = &answer.meter {
            meter.sent(*bytes);
        }
        let status = answer.status.as_u16();
        let code = outcome.code().map(tracing::field::debug);
        let because = answer.because();
        // A stream has begun well, whatever became of it.
        let told = outcome.code().map_or(status, |code| code.status().max(status));
        if told >= 500 {
            tracing::error!(%id, %peer, %client, key, %method, ?path, trace, status, code, bytes, milliseconds, because, "answered");
        } else if outcome == Outcome::Abandoned {
            tracing::info!(%id, %peer, %client, key, %method, ?path, trace, status, bytes, milliseconds, "the client left before the end of its answer");
        } else {
            tracing::info!(%id, %peer, %client, key, %method, ?path, trace, status, code, bytes, milliseconds, because, "answered");
        }
    }
}

/// Whether a path runs scripts, or cells of a session.
fn is_execute(path: &str) -> bool {
    let session = path.strip_prefix(SESSIONS_PATH).and_then(|path| path.strip_prefix('/')?.strip_suffix(EXECUTE_PATH));
    path == EXECUTE_PATH || session.is_some_and(|session| !session.contains('/'))
}

/// A response's body that is counted as it goes.
#[derive(Debug)]
pub struct LoggedBody {
    body: Body,
    access: Access,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.access.bytes += bytes;
                self.access.origin.activity.move_on(self.access.id, bytes);
                self.access.whole = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.access.whole = true,
            Poll::Ready(Some(Err(_))) => {}
            Poll::Pending => self.access.origin.activity.rest(self.access.id),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
