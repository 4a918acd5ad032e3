//! The supervisor's door: HTTP/1.1 on a Unix socket, for the gateway and root alone.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_program::READY_PATH;
use cloister_protocol::{
    AWAY_HEADER, EXECUTE_PATH, ErrorCode, JobId, PROFILES_PATH, RETURNS, SESSIONS_PATH, STATS_PATH,
};
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{UnixListener, UnixStream};

use crate::door::asked::Asked;
use crate::door::connections::{Connection, Connections, SPARE};
use crate::door::engine::Engine;
use crate::door::readiness::{Readiness, ReloadState};
use crate::door::requests::Requests;
use crate::door::response::{Body, json, refuse};
use crate::door::shares::Load;

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
    engine: Arc<Engine>,
    requests: Requests,
    reload: Mutex<Option<ReloadState>>,
    going: AtomicBool,
    peers: Vec<u32>,
}

impl Server {
    /// Serves root and the given host ids.
    #[must_use]
    pub fn new(engine: Arc<Engine>, peers: Vec<u32>) -> Self {
        let (requests, reload, going) = (Requests::new(Arc::clone(&engine)), Mutex::new(None), AtomicBool::new(false));
        Self { engine, requests, reload, going, peers }
    }

    /// From now on `/readyz` says so.
    pub fn set_ready(&self) {
        self.requests.set_ready();
    }

    /// Whether jobs are taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.requests.is_ready()
    }

    /// From now on `/readyz` says that this supervisor will not be there for long.
    pub fn set_going(&self) {
        self.going.store(true, Ordering::Relaxed);
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
        self.requests.end().await;
    }

    fn speak(self: &Arc<Self>, connection: Arc<Connection>, connections: &GracefulShutdown) {
        let (server, stream) = (Arc::clone(self), connection.stream());
        let service = service_fn(move |request| {
            let (server, connection) = (Arc::clone(&server), Arc::clone(&connection));
            async move { Ok::<_, Infallible>(server.answer(request, &connection).await) }
        });
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(BUFFER);
        let connection = connections.watch(protocol.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Connections that hold no answer: one for each request that may run or wait, and some beside.
    fn most_asking(&self) -> usize {
        let Load { slots, queue, .. } = self.engine.load();
        usize::try_from(u64::from(slots) + u64::from(queue)).unwrap_or(usize::MAX).saturating_add(SPARE)
    }

    /// Checks who is at the other end: `unix(7)`, `SO_PEERCRED`.
    fn admit(&self, stream: &UnixStream) -> Result<(), u32> {
        let peer = self.engine.ground().powers.peer(stream.as_fd()).unwrap_or(u32::MAX);
        if peer == 0 || self.peers.contains(&peer) { Ok(()) } else { Err(peer) }
    }

    async fn answer(&self, request: Request<Incoming>, connection: &Arc<Connection>) -> Response<Body> {
        let asked = Asked::of(&request);
        let id = asked.id;
        match (request.method(), request.uri().path()) {
            (&Method::POST, EXECUTE_PATH) if !self.is_ready() => starting(id),
            (&Method::POST, EXECUTE_PATH) => self.requests.execute(asked, request.into_body(), connection).await,
            (&Method::POST, path) if let Some(job) = job_returned_to(path) => {
                self.requests.take_returns(job, asked.tenant, request.into_body()).await
            }
            (_, path) if path.starts_with(SESSIONS_PATH) && !self.is_ready() => starting(id),
            (_, path) if path.starts_with(SESSIONS_PATH) => self.requests.session(asked, request, connection).await,
            (&Method::GET, READY_PATH) => self.readiness(id),
            (&Method::GET, STATS_PATH) => {
                json(StatusCode::OK, id, serde_json::to_vec(&self.engine.stats()).expect("names and numbers"))
            }
            (&Method::GET, PROFILES_PATH) => {
                json(StatusCode::OK, id, serde_json::to_vec(&self.engine.profiles()).expect("names and numbers"))
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
            return starting(id);
        }
        if self.going.load(Ordering::Relaxed) {
            return refuse(id, ErrorCode::Unavailable, "this node is going away: jobs are taken for a while yet");
        }
        if let Err(why) = self.engine.health() {
            return refuse(id, ErrorCode::Unavailable, why);
        }
        let told = Readiness { status: "ok", policy: &self.engine.digest()[..12], reload: self.reload() };
        json(StatusCode::OK, id, serde_json::to_vec(&told).expect("strings only"))
    }
}

/// The job whose calls a path is about: `/execute/{id}/returns`.
fn job_returned_to(path: &str) -> Option<JobId> {
    let id = path.strip_prefix(EXECUTE_PATH)?.strip_prefix('/')?.strip_suffix(RETURNS)?.strip_suffix('/')?;
    JobId::parse(id)
}

/// What is told of a supervisor that takes no jobs yet, and nothing was looked at.
fn starting(id: JobId) -> Response<Body> {
    let mut response = refuse(id, ErrorCode::Unavailable, "the sandbox is being checked; try again shortly");
    response.headers_mut().insert(AWAY_HEADER, HeaderValue::from_static("starting"));
    response
}
