//! The supervisor's door: HTTP/1.1 on a Unix socket, for the gateway and root alone.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cloister_program::Budget;
use cloister_protocol::{Answer, EXECUTE_PATH, ErrorCode, Failure, ID_HEADER, JobId, READY_PATH, STATS_PATH};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{self, Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::connections::{Connection, Connections, SPARE};
use crate::places::Load;
use crate::reload::ReloadState;
use crate::requests::Asked;
use crate::service::Service;

/// What the bodies of all requests may take together, from their first byte to their job's end: as much as the shipped
/// gateway lets arrive. It is there for a gateway that somebody has taken over.
const ALL_BODIES: usize = 256 * 1024 * 1024;

/// How long a header may take to come, and a connection may be kept without one. The gateway keeps them for less.
const HEADER_TIME: Duration = Duration::from_secs(45);

/// What a connection may hold of bytes not yet dealt with.
const BUFFER: usize = 64 * 1024;

/// What is sent to one connection too many before it is closed unread.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Who may speak to the supervisor, and what is behind it.
#[derive(Debug)]
pub struct Server {
    pub(crate) service: Arc<Service>,
    pub(crate) memory: Arc<Budget>,
    ready: Arc<AtomicBool>,
    reload: Mutex<Option<ReloadState>>,
    peers: Vec<u32>,
    streams: Mutex<JoinSet<()>>,
}

/// A response's body: short and whole, or an answer that is told as it is taken.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) fn boxed(body: impl body::Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Body {
    body.boxed_unsync()
}

impl Server {
    /// Serves root and the given host ids.
    #[must_use]
    pub fn new(service: Arc<Service>, peers: Vec<u32>) -> Self {
        Self {
            service,
            memory: Budget::new(ALL_BODIES),
            ready: Arc::new(AtomicBool::new(false)),
            reload: Mutex::new(None),
            peers,
            streams: Mutex::default(),
        }
    }

    /// From now on `/readyz` says so.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
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
        let (all, connections) = (Arc::<Connections>::default(), GracefulShutdown::new());
        let mut stop = std::pin::pin!(stop);
        loop {
            let stream = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::error!(%error, "accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            if let Err(peer) = self.admit(&stream) {
                all.complain_of_stranger(peer);
                continue;
            }
            match all.take(stream, self.most_asking()) {
                Ok(connection) => self.speak(connection, &connections),
                Err(stream) => {
                    let _ = stream.try_write(TOO_MANY);
                }
            }
        }
        drop(listener);
        connections.shutdown().await;
        // Nobody is left who would read them.
        let mut streams = std::mem::take(&mut *self.streams());
        streams.shutdown().await;
    }

    fn speak(self: &Arc<Self>, connection: Arc<Connection>, connections: &GracefulShutdown) {
        let (server, line) = (Arc::clone(self), connection.line());
        let service = service_fn(move |request| {
            let (server, connection) = (Arc::clone(&server), Arc::clone(&connection));
            async move { Ok::<_, Infallible>(server.answer(request, &connection).await) }
        });
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(BUFFER);
        let connection = connections.watch(protocol.serve_connection(TokioIo::new(line), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    pub(crate) fn streams(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.streams.lock().expect("nothing panics while it holds this lock")
    }

    /// Connections that hold no answer: one for each request that may run or wait, and some beside.
    fn most_asking(&self) -> usize {
        let Load { slots, queue, .. } = self.service.load();
        usize::try_from(u64::from(slots) + u64::from(queue)).unwrap_or(usize::MAX).saturating_add(SPARE)
    }

    /// Checks who is at the other end: `unix(7)`, `SO_PEERCRED`.
    fn admit(&self, stream: &UnixStream) -> Result<(), u32> {
        let peer = stream.peer_cred().map(|peer| peer.uid()).unwrap_or(u32::MAX);
        if peer == 0 || self.peers.contains(&peer) { Ok(()) } else { Err(peer) }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, connection: &Arc<Connection>) -> Response<Body> {
        let asked = Asked::of(&request);
        let id = asked.id;
        match (request.method(), request.uri().path()) {
            (&Method::POST, EXECUTE_PATH) => self.execute(asked, request.into_body(), connection).await,
            (&Method::GET, READY_PATH) => self.readiness(id),
            (&Method::GET, STATS_PATH) => {
                json(StatusCode::OK, id, serde_json::to_vec(&self.service.stats()).expect("names and numbers"))
            }
            (_, EXECUTE_PATH) => {
                let mut response = refuse(id, ErrorCode::MethodNotAllowed, "use POST");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                response
            }
            _ => refuse(id, ErrorCode::NotFound, "no such path"),
        }
    }

    fn readiness(&self, id: JobId) -> Response<Body> {
        if !self.is_ready() {
            return refuse(id, ErrorCode::Unavailable, "the sandbox is being checked");
        }
        if let Err(why) = self.service.health() {
            return refuse(id, ErrorCode::Unavailable, why);
        }
        let told = Readiness { status: "ok", policy: &self.service.digest()[..12], reload: self.reload() };
        json(StatusCode::OK, id, serde_json::to_vec(&told).expect("strings only"))
    }
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

pub(crate) fn refuse(id: JobId, code: ErrorCode, message: &str) -> Response<Body> {
    respond(id, &Answer::Refused { error: &Failure::new(code, message), id })
}

/// A short answer.
pub(crate) fn respond(id: JobId, answer: &Answer<'_>) -> Response<Body> {
    let status = StatusCode::from_u16(answer.status()).expect("every code has a valid status");
    let mut response = json(status, id, answer.to_json());
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn json(status: StatusCode, id: JobId, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(boxed(Full::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ID_HEADER, id_value(id));
    response
}

pub(crate) fn id_value(id: JobId) -> HeaderValue {
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
