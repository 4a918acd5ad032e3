//! The way to the supervisor: HTTP/1.1 over its Unix socket, connections kept and reused.
//!
//! The supervisor asks for a request's body (`100 Continue`) when it has a place for it, so that it is known of one that
//! fails whether its job can have run; a large body stays here until then. A request whose body was asked for is never sent
//! again. One whose body was not is, when the supervisor has gone away or is only starting: once it is back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use cloister_program::READY_PATH;
use cloister_program::read_whole;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{
    AWAY_HEADER, BUSY_HEADER, Busy, COUNTED_HEADER, EXECUTE_PATH, EXPLAIN_HEADER, ID_HEADER, JobId, KernelCount,
    OUTCOME_HEADER, PROFILES_PATH, RETURNS, RETURNS_WITHIN_HEADER, RUNTIME_HEADER, SESSION_HEADER, SESSIONS_PATH,
    STATS_PATH, Stats, TENANT_HEADER, TIMING_HEADER, Tenant, WHOLE_HEADER,
};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, EXPECT, HeaderName, RETRY_AFTER, TE};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyperlocal::UnixConnector;

use crate::metrics::{Metrics, Outcome};
use crate::upstream::away::{Away, HandedOn, READY_TIMEOUT};
use crate::upstream::expect_continue::{Continue, DeferredBody};
use crate::upstream::hold::{HeldRequest, Hold};
use crate::upstream::order::{Order, SessionOrder, Wish};

/// Kept connections are closed after this long, and never more than these are kept.
const KEPT: (Duration, usize) = (Duration::from_secs(30), 64);

/// The most that is read of what the supervisor says of itself: some hundred bytes a profile.
const LARGEST_STATS: usize = 1024 * 1024;

/// The same of its profiles, with their packages.
const LARGEST_PROFILES: usize = 8 * 1024 * 1024;

/// What is held at most of an answer that its client has not taken.
const BUFFER: usize = 64 * 1024;

/// What of the supervisor's answer goes on to the client, beside status and body.
const RELAYED: [HeaderName; 5] = [
    CONTENT_TYPE,
    RETRY_AFTER,
    HeaderName::from_static(EXPLAIN_HEADER),
    HeaderName::from_static(RETURNS_WITHIN_HEADER),
    HeaderName::from_static(TIMING_HEADER),
];

/// The supervisor as the gateway sees it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    client: Client<UnixConnector, DeferredBody>,
    socket: PathBuf,
    hold: Arc<Hold>,
}

impl Supervisor {
    /// The supervisor behind this socket, which need not be there yet. For so long a request is held for it.
    pub fn new(socket: &Path, hold: Duration, metrics: &Arc<Metrics>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT.0)
            .pool_max_idle_per_host(KEPT.1)
            .retry_canceled_requests(true)
            .http1_max_buf_size(BUFFER)
            .build(UnixConnector);
        Self { client, socket: socket.to_owned(), hold: Hold::new(hold, Arc::clone(metrics)) }
    }

    /// Runs a job, and is held while the supervisor is away. Dropping the future closes its connection, by which the
    /// supervisor knows that nobody waits any more.
    ///
    /// # Errors
    /// When the supervisor cannot be reached for long, or goes away before it answers.
    pub async fn execute(&self, id: JobId, tenant: Tenant, wish: Wish, order: Order) -> Result<Response, Away> {
        self.held(tenant, || self.execute_once(id, tenant, wish, order.clone())).await
    }

    /// Asks something of sessions, and is held while the supervisor is away.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn ask_of_sessions(&self, id: JobId, tenant: Tenant, order: &SessionOrder) -> Result<Response, Away> {
        self.held(tenant, || self.ask_of_sessions_once(id, tenant, order)).await
    }

    /// Asks something of sessions now.
    ///
    /// # Errors
    /// When the supervisor cannot be reached, or goes away before it answers.
    pub async fn ask_of_sessions_once(
        &self,
        id: JobId,
        tenant: Tenant,
        order: &SessionOrder,
    ) -> Result<Response, Away> {
        let path = format!("{SESSIONS_PATH}{}", order.path);
        let mut builder = self.request(order.method.clone(), &path, id).header(TENANT_HEADER, tenant.to_string());
        if !order.body.is_empty() {
            builder = builder.header(EXPECT, "100-continue");
        }
        if !order.media_type.is_empty() {
            builder = builder.header(CONTENT_TYPE, order.media_type);
        }
        let (deferred, asked) = DeferredBody::until_asked(order.body.clone());
        self.send(builder, deferred, &asked).await
    }

    /// Sends a request, again each time that the supervisor is found to be there, while it went away before anything was done.
    async fn held<F: Future<Output = Result<Response, Away>>>(
        &self,
        tenant: Tenant,
        send: impl Fn() -> F,
    ) -> Result<Response, Away> {
        let mut held = None;
        loop {
            let found = self.found();
            let away = match send().await {
                Err(away) if away.is_passing() => away,
                done => return done,
            };
            if !self.hold(&mut held, tenant, found).await {
                return Err(away);
            }
        }
    }

    /// How often it was found to be there until now.
    pub fn found(&self) -> u64 {
        self.hold.found()
    }

    /// Holds a request until the supervisor is found to be there once more; `false` if it may not be held or it was long enough.
    pub async fn hold(&self, held: &mut Option<HeldRequest>, tenant: Tenant, found: u64) -> bool {
        if held.is_none() {
            *held = self.hold.begin(tenant);
        }
        match held {
            Some(request) => request.until_found(found, || self.is_there()).await,
            None => false,
        }
    }

    async fn execute_once(
        &self,
        id: JobId,
        tenant: Tenant,
        wish: Wish,
        Order { body, runtime, cell, given }: Order,
    ) -> Result<Response, Away> {
        let mut builder = self
            .request(Method::POST, EXECUTE_PATH, id)
            .header(CONTENT_TYPE, "application/json")
            .header(TENANT_HEADER, tenant.to_string());
        if let Some(runtime) = runtime {
            builder = builder.header(RUNTIME_HEADER, runtime);
        }
        if let Some(cell) = cell {
            builder = builder.header(SESSION_HEADER, cell.session.to_string());
            if cell.busy == Busy::Refuse {
                builder = builder.header(BUSY_HEADER, cell.busy.name());
            }
        }
        if wish.explain {
            builder = builder.header(EXPLAIN_HEADER, "1");
        }
        if wish.stream {
            builder = builder.header(ACCEPT, EVENT_STREAM).header(TE, "trailers");
        }
        if wish.whole {
            builder = builder.header(WHOLE_HEADER, "1");
        }
        // The head, and little more; whoever waits for its turn costs the supervisor no more.
        let (deferred, asked) = DeferredBody::until_asked(body);
        asked.noted_by(given);
        self.send(builder.header(EXPECT, "100-continue"), deferred, &asked).await
    }

    /// Hands on what calls of a job came to.
    ///
    /// # Errors
    /// When the supervisor is gone, and the job with it; or is busy.
    pub async fn returns(&self, job: JobId, tenant: Tenant, body: Bytes) -> Result<HandedOn, Away> {
        let path = format!("{EXECUTE_PATH}/{job}/{RETURNS}");
        let builder = self
            .request(Method::POST, &path, job)
            .header(CONTENT_TYPE, "application/json")
            .header(TENANT_HEADER, tenant.to_string());
        let asked = Continue::default();
        let answer = self.send(builder, DeferredBody::at_once(body), &asked).await?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(HandedOn::NoJob);
        }
        let told = read_whole(answer.into_body(), LARGEST_STATS, |_| true).await.unwrap_or_default();
        Ok(match serde_json::from_slice(&told) {
            Ok(taken) if status == StatusCode::OK => HandedOn::To(taken),
            _ => HandedOn::refused(&told),
        })
    }

    /// Asks whether jobs can run.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn ready(&self, id: JobId) -> Result<Response, Away> {
        let asked = Continue::default();
        let answer = self.send(self.request(Method::GET, READY_PATH, id), DeferredBody::nothing(), &asked);
        tokio::time::timeout(READY_TIMEOUT, answer).await.unwrap_or(Err(Away::Silent))
    }

    /// Asks the supervisor for its numbers; `None` if it does not tell them.
    pub async fn stats(&self) -> Option<Stats> {
        serde_json::from_slice(&self.ask(STATS_PATH, LARGEST_STATS).await?).ok()
    }

    /// Asks the supervisor for what scripts find under each profile, as it writes it; `None` if it does not tell.
    pub async fn profiles(&self) -> Option<Vec<u8>> {
        self.ask(PROFILES_PATH, LARGEST_PROFILES).await
    }

    /// Whether it takes jobs, however well they may fare.
    async fn is_there(&self) -> bool {
        let answer = tokio::time::timeout(READY_TIMEOUT, self.look(READY_PATH)).await.ok().flatten();
        answer.is_some_and(|answer| !answer.headers().contains_key(AWAY_HEADER))
    }

    /// Asks for what the supervisor says of itself.
    async fn ask(&self, path: &str, most: usize) -> Option<Vec<u8>> {
        let answer = async {
            let answer = self.look(path).await.filter(|answer| answer.status() == StatusCode::OK)?;
            read_whole(answer.into_body(), most, |_| true).await.ok()
        };
        tokio::time::timeout(READY_TIMEOUT, answer).await.ok().flatten()
    }

    /// Asks on a connection of its own, so that it takes none from a job.
    async fn look(&self, path: &str) -> Option<hyper::Response<Incoming>> {
        let client: Client<_, DeferredBody> =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(UnixConnector);
        let request = self.request(Method::GET, path, JobId::random()).body(DeferredBody::nothing()).ok()?;
        client.request(request).await.ok()
    }

    fn request(&self, method: Method, path: &str, id: JobId) -> hyper::http::request::Builder {
        let uri: hyper::Uri = hyperlocal::Uri::new(&self.socket, path).into();
        Request::builder().method(method).uri(uri).header(ID_HEADER, id.to_string())
    }

    async fn send(
        &self,
        builder: hyper::http::request::Builder,
        body: DeferredBody,
        asked: &Continue,
    ) -> Result<Response, Away> {
        let mut request = builder.body(body).expect("a path of ours and plain header values");
        asked.listen(&mut request);
        let answer = self.client.request(request).await.map_err(|error| Away::of(error, asked))?;
        let (head, body) = answer.into_parts();
        if head.status == StatusCode::SERVICE_UNAVAILABLE && !head.headers.contains_key(CONTENT_TYPE) {
            return Err(Away::Full);
        }
        let is_starting = head.headers.contains_key(AWAY_HEADER) && !asked.was_heard();
        // Read to its end, so that its connection is free while the request waits.
        let body = match is_starting {
            true => read_whole(body, LARGEST_STATS, |_| true).await.unwrap_or_default().into(),
            false => Body::new(body),
        };
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        for name in RELAYED {
            if let Some(value) = head.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        if let Some(outcome) =
            head.headers.get(OUTCOME_HEADER).and_then(|outcome| Outcome::parse(outcome.to_str().ok()?))
        {
            response.extensions_mut().insert(outcome);
        }
        if let Some(counted) = counted(&head.headers) {
            response.extensions_mut().insert(counted);
        }
        if is_starting {
            return Err(Away::Starting(Box::new(response)));
        }
        Ok(response)
    }
}

/// What the kernel counted of a job, if the supervisor tells it here.
pub fn counted(headers: &HeaderMap) -> Option<KernelCount> {
    KernelCount::parse(headers.get(COUNTED_HEADER)?.to_str().ok()?)
}
