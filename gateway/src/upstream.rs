//! The way to the supervisor: HTTP/1.1 over its Unix socket, connections kept and reused.

use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::{EXECUTE_PATH, EXPLAIN_HEADER, ExecuteRequest, ID_HEADER, JobId, READY_PATH};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyperlocal::UnixConnector;

/// What of the supervisor's answer goes on to the client, beside status and body.
const RELAYED: [HeaderName; 3] = [CONTENT_TYPE, RETRY_AFTER, HeaderName::from_static(EXPLAIN_HEADER)];

/// The supervisor as the gateway sees it.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Client<UnixConnector, Full<Bytes>>,
    socket: PathBuf,
}

/// The supervisor did not answer.
#[derive(Debug)]
pub struct Away(hyper_util::client::legacy::Error);

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = std::error::Error::source(&self.0).map(|source| format!(": {source}")).unwrap_or_default();
        write!(f, "{}{source}", self.0)
    }
}

impl Upstream {
    /// The supervisor behind this socket, which need not be there yet.
    pub fn new(socket: &Path) -> Self {
        // A request on a kept connection that turns out to be closed is sent again on a new one only
        // if none of it had been written: no job runs twice.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(std::time::Duration::from_secs(30))
            .build(UnixConnector);
        Self { client, socket: socket.to_owned() }
    }

    /// Runs a job. Dropping the future closes its connection, by which the supervisor knows that
    /// nobody waits any more.
    ///
    /// # Errors
    /// When the supervisor cannot be reached, or goes away before it answers.
    pub async fn execute(&self, id: JobId, explain: bool, request: &ExecuteRequest) -> Result<Response, Away> {
        let body = serde_json::to_vec(request).expect("strings, numbers and JSON that was parsed");
        let mut builder = self.request(Method::POST, EXECUTE_PATH, id).header(CONTENT_TYPE, "application/json");
        if explain {
            builder = builder.header(EXPLAIN_HEADER, "1");
        }
        self.send(builder, body).await
    }

    /// Asks whether jobs can run.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn ready(&self, id: JobId) -> Result<Response, Away> {
        self.send(self.request(Method::GET, READY_PATH, id), Vec::new()).await
    }

    fn request(&self, method: Method, path: &str, id: JobId) -> hyper::http::request::Builder {
        let uri: hyper::Uri = hyperlocal::Uri::new(&self.socket, path).into();
        Request::builder().method(method).uri(uri).header(ID_HEADER, id.to_string())
    }

    async fn send(&self, builder: hyper::http::request::Builder, body: Vec<u8>) -> Result<Response, Away> {
        let request = builder.body(Full::new(Bytes::from(body))).expect("a constant path and plain header values");
        let (head, body) = self.client.request(request).await.map_err(Away)?.into_parts();
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = head.status;
        for name in RELAYED {
            if let Some(value) = head.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }
}
