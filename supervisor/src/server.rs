//! The supervisor's door: HTTP/1.1 on a Unix socket, for the gateway and root alone.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use cloister_program::{Budget, Taken};
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    Answer, EXECUTE_PATH, EXPLAIN_HEADER, ErrorCode, ExecuteRequest, Failure, ID_HEADER, JobId, OVER_PATH, READY_PATH,
    STATS_PATH, TENANT_HEADER, Tenant,
};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, TRAILER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::output::Printed;
use crate::places::Load;
use crate::reload::ReloadState;
use crate::running::{MOST_WAITERS, Running};
use crate::service::Service;

use crate::stats;
use crate::stream::{self, Events, Reader, Teller};

/// The largest body that is read at all. The gateway's own bound is far lower.
const LARGEST_BODY: usize = 128 * 1024 * 1024;

/// What the bodies of all requests may take together, from their first byte to their answer's: as much as all that
/// the shipped gateway lets arrive. It is there for a gateway that somebody has taken over.
const ALL_BODIES: usize = 256 * 1024 * 1024;

/// Connections beside those of requests that run or wait: kept ones, and questions.
const SPARE_CONNECTIONS: usize = 128;

/// What a connection may hold of bytes not yet dealt with.
const BUFFER: usize = 64 * 1024;

/// What is sent to one connection too many before it is closed unread.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Who may speak to the supervisor, and what is behind it.
#[derive(Debug)]
pub struct Server {
    service: Arc<Service>,
    ready: Arc<AtomicBool>,
    reload: Mutex<Option<ReloadState>>,
    peers: Vec<u32>,
    memory: Arc<Budget>,
    running: Arc<Running>,
    streams: Mutex<JoinSet<()>>,
}

/// An answer that is whole, or one that is told as it comes.
type Body = Either<Full<Bytes>, Events>;

/// A request to run a job, and what is wished for beside its result.
#[derive(Debug)]
struct Wanted {
    id: JobId,
    tenant: Tenant,
    request: ExecuteRequest,
    explain: bool,
    since: Instant,
    _memory: Taken,
}

/// What became of a streamed request: its job begins, with the layers in force if they were asked for, or never will.
type Begun = Result<Option<String>, Failure>;

impl Server {
    /// Serves root and the given host ids.
    #[must_use]
    pub fn new(service: Arc<Service>, peers: Vec<u32>) -> Self {
        Self {
            service,
            ready: Arc::new(AtomicBool::new(false)),
            reload: Mutex::new(None),
            peers,
            memory: Budget::new(ALL_BODIES),
            running: Arc::default(),
            streams: Mutex::default(),
        }
    }

    /// From now on `/readyz` says so.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// From now on `/readyz` tells this of the last reload; `None` when there is nothing to tell.
    pub fn set_reload(&self, state: Option<ReloadState>) {
        *self.reload.lock().expect("nothing panics while it holds this lock") = state;
    }

    fn reload(&self) -> Option<ReloadState> {
        self.reload.lock().expect("nothing panics while it holds this lock").clone()
    }

    /// Accepts until `stop`, then lets what runs come to its end within its own limits.
    pub async fn serve(self: Arc<Self>, listener: UnixListener, stop: impl Future<Output = ()>) {
        let connections = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let stream = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::error!(%error, "accept a connection");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            if let Err(peer) = self.admit(&stream) {
                tracing::warn!(peer, "a stranger connected to the socket; closed");
                continue;
            }
            if connections.count() >= self.most_connections() {
                tracing::warn!(
                    connections = connections.count(),
                    "as many connections as may be; one more was refused"
                );
                let _ = stream.try_write(TOO_MANY);
                continue;
            }
            let server = Arc::clone(&self);
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            let mut protocol = hyper::server::conn::http1::Builder::new();
            let connection = protocol.max_buf_size(BUFFER).serve_connection(TokioIo::new(stream), service);
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
        }
        drop(listener);
        connections.shutdown().await;
        // Nobody is left who would read them.
        let mut streams = std::mem::take(&mut *self.streams());
        streams.shutdown().await;
    }

    fn streams(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.streams.lock().expect("nothing panics while it holds this lock")
    }

    /// One for each request that may run or wait, those that wait for the end of streamed ones, and some beside.
    fn most_connections(&self) -> usize {
        let Load { slots, queue, .. } = self.service.load();
        usize::try_from(u64::from(slots) + u64::from(queue))
            .unwrap_or(usize::MAX)
            .saturating_add(SPARE_CONNECTIONS + MOST_WAITERS)
    }

    /// Checks who is at the other end: `unix(7)`, `SO_PEERCRED`.
    fn admit(&self, stream: &UnixStream) -> Result<(), u32> {
        let peer = stream.peer_cred().map(|peer| peer.uid()).unwrap_or(u32::MAX);
        if peer == 0 || self.peers.contains(&peer) { Ok(()) } else { Err(peer) }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let id = header(ID_HEADER).and_then(JobId::parse).unwrap_or_else(JobId::random);
        let tenant = header(TENANT_HEADER).and_then(Tenant::parse).unwrap_or_default();
        let explain = header(EXPLAIN_HEADER) == Some("1");
        let streamed = header(ACCEPT.as_str()) == Some(EVENT_STREAM);
        let response = match (request.method(), request.uri().path()) {
            (&Method::POST, EXECUTE_PATH) => match self.read(id, tenant, explain, request.into_body()).await {
                Ok(wanted) if streamed => return self.stream(wanted).await,
                Ok(wanted) => self.execute(wanted).await,
                Err(refusal) => *refusal,
            },
            (&Method::GET, READY_PATH) => self.readiness(id),
            (&Method::GET, STATS_PATH) => {
                json(StatusCode::OK, id, serde_json::to_vec(&self.service.stats()).expect("names and numbers"))
            }
            (&Method::GET, OVER_PATH) => {
                self.running.over(id).await;
                json(StatusCode::OK, id, b"{}".to_vec())
            }
            (_, EXECUTE_PATH) => {
                let mut response = refuse(id, ErrorCode::MethodNotAllowed, "use POST");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                response
            }
            _ => refuse(id, ErrorCode::NotFound, "no such path"),
        };
        response.map(Either::Left)
    }

    fn readiness(&self, id: JobId) -> Response<Full<Bytes>> {
        if !self.ready.load(Ordering::Relaxed) {
            return refuse(id, ErrorCode::Unavailable, "the sandbox is being checked");
        }
        if let Err(why) = self.service.health() {
            return refuse(id, ErrorCode::Unavailable, why);
        }
        let told = Readiness { status: "ok", policy: &self.service.digest()[..12], reload: self.reload() };
        json(StatusCode::OK, id, serde_json::to_vec(&told).expect("strings only"))
    }

    async fn read(
        &self,
        id: JobId,
        tenant: Tenant,
        explain: bool,
        body: Incoming,
    ) -> Result<Wanted, Box<Response<Full<Bytes>>>> {
        let since = Instant::now();
        let refuse = |code, message: &str| Box::new(refuse(id, code, message));
        if !self.ready.load(Ordering::Relaxed) {
            return Err(refuse(ErrorCode::Unavailable, "the sandbox is being checked; try again shortly"));
        }
        let mut memory = self.memory.open();
        let body = read(body, &mut memory).await.map_err(|error| refuse(error.code, &error.message))?;
        let request = ExecuteRequest::parse(&body);
        let request = request.map_err(|error| refuse(ErrorCode::InvalidRequest, &error.to_string()))?;
        Ok(Wanted { id, tenant, request, explain, since, _memory: memory })
    }

    async fn execute(&self, wanted: Wanted) -> Response<Full<Bytes>> {
        let Wanted { id, tenant, request, explain, since, _memory } = wanted;
        let (layers, outcome) = match self.service.admit(tenant, &request).await {
            Err(failure) => (None, Err(failure)),
            Ok(admitted) => (explain.then(|| admitted.explain()), admitted.run(&request).await),
        };
        let answer = match &outcome {
            Err(error) => Answer::Refused { error, id },
            Ok(outcome) => outcome.answer(id),
        };
        log(id, &request, &answer, since);
        let mut response = tell(id, &answer, since);
        explained(&mut response, layers);
        response
    }

    /// Answers with a stream once the job begins, and with a refusal as ever if it does not. All is done in a task that
    /// ends when the answer is dropped, so neither job nor deadline depends on how it is read.
    async fn stream(self: &Arc<Self>, wanted: Wanted) -> Response<Body> {
        let (id, since) = (wanted.id, wanted.since);
        let (teller, events) = stream::channel();
        let (begin, begun) = oneshot::channel();
        let server = Arc::clone(self);
        let streamed = async move {
            tokio::select! {
                () = teller.left() => {}
                () = server.run_streamed(&wanted, begin, &teller) => {}
            }
        };
        {
            let mut streams = self.streams();
            while streams.try_join_next().is_some() {}
            streams.spawn(streamed);
        }
        let layers = match begun.await {
            Ok(Ok(layers)) => layers,
            Ok(Err(error)) => return tell(id, &Answer::Refused { error: &error, id }, since).map(Either::Left),
            Err(_) => return refuse(id, ErrorCode::Internal, "the stream's task ended").map(Either::Left),
        };
        let mut response = Response::new(Either::Right(events));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(TRAILER, HeaderValue::from_static(stats::TRAILERS));
        headers.insert(ID_HEADER, id_value(id));
        stats::tell_start(headers, since.elapsed());
        explained(&mut response, layers);
        response
    }

    async fn run_streamed(&self, wanted: &Wanted, begin: oneshot::Sender<Begun>, teller: &Teller) {
        let Wanted { id, tenant, request, explain, since, .. } = wanted;
        let started = async {
            let admitted = self.service.admit(*tenant, request).await?;
            let layers = explain.then(|| admitted.explain());
            Ok((admitted.start().await?, layers))
        };
        let (started, layers) = match started.await {
            Ok(started) => started,
            Err(failure) => {
                log(*id, request, &Answer::Refused { error: &failure, id: *id }, *since);
                let _ = begin.send(Err(failure));
                return;
            }
        };
        let runs = self.running.begin(*id);
        let _ = begin.send(Ok(layers));
        let printed = Printed::default();
        let mut reader = Reader::new(&printed);
        let outcome = teller.follow(started.run(request, &printed), &mut reader).await;
        drop(runs);
        let answer = match &outcome {
            Err(error) => Answer::Refused { error, id: *id },
            Ok(outcome) => outcome.answer(*id),
        };
        log(*id, request, &answer, *since);
        teller.finish(reader, &answer, stats::trailers(&answer)).await;
    }
}

/// An answer, and beside it what became of the job.
fn tell(id: JobId, answer: &Answer<'_>, since: Instant) -> Response<Full<Bytes>> {
    let mut response = respond(id, answer);
    stats::tell(response.headers_mut(), answer, since.elapsed());
    response
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
    Ok(bytes)
}

/// The body of `/readyz`, which anyone may read: no name, no path and no line of the policy.
#[derive(Serialize)]
struct Readiness<'a> {
    status: &'a str,
    /// The first digits of the digest of the policy in force.
    policy: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reload: Option<ReloadState>,
}

/// One line a job: what became of it, never what it was.
fn log(id: JobId, request: &ExecuteRequest, answer: &Answer<'_>, started: Instant) {
    let profile = request.profile.as_deref().unwrap_or("default");
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

fn refuse(id: JobId, code: ErrorCode, message: &str) -> Response<Full<Bytes>> {
    respond(id, &Answer::Refused { error: &Failure::new(code, message), id })
}

fn respond(id: JobId, answer: &Answer<'_>) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status()).expect("every code has a valid status");
    let mut response = json(status, id, answer.to_json());
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn json(status: StatusCode, id: JobId, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ID_HEADER, id_value(id));
    response
}

fn id_value(id: JobId) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).expect("hexadecimal digits")
}

/// Listens on `path`, in place of a socket that an earlier life left. Only root and the group of the
/// first peer may connect.
///
/// # Errors
/// The call that failed, or that another supervisor listens there.
pub fn listen(path: &Path, peers: &[u32]) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another supervisor serves this socket; stop it first"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    chown(path, None, peers.first().copied())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
