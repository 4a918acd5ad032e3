//! One request and its answer: its id, its line in the log, and what its connection is doing meanwhile.
//!
//! It lives from the request's header to the last byte of the answer, or to the moment the client
//! leaves, and says so when it is dropped. Never a word of a script or of what it printed.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId};
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::CONNECTION;
use hyper::{Method, Request, StatusCode};

use crate::clock::{Clock, Phase};
use crate::refusal::{Because, name};

/// How much of a path is logged: it is a stranger's text.
const LOGGED_PATH: usize = 100;

/// A request that is being dealt with.
#[derive(Debug)]
pub struct Exchange {
    /// The request's id.
    pub id: JobId,
    peer: SocketAddr,
    clock: Clock,
    method: Method,
    path: String,
    started: Instant,
    answer: Option<(StatusCode, Option<ErrorCode>, Option<Because>)>,
    bytes: u64,
}

impl Exchange {
    /// Begins with a request's header.
    pub fn begin<B>(peer: SocketAddr, clock: &Clock, request: &Request<B>) -> Self {
        clock.begin(Phase::Busy);
        let path = request.uri().path().chars().take(LOGGED_PATH).collect();
        let (id, method, started) = (JobId::random(), request.method().clone(), Instant::now());
        Self { id, peer, clock: clock.clone(), method, path, started, answer: None, bytes: 0 }
    }

    /// Names the answer and follows it on its way.
    pub fn answer(mut self, mut response: Response) -> Response<Followed> {
        name(&mut response, self.id);
        if response.headers().contains_key(CONNECTION) {
            self.clock.leave_unread();
        }
        let extensions = response.extensions_mut();
        let (code, because) = (extensions.remove(), extensions.remove());
        self.answer = Some((response.status(), code, because));
        response.map(|body| Followed { body, exchange: self })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.clock.begin(Phase::Idle);
        let Self { id, peer, method, path, bytes, .. } = self;
        let milliseconds = self.started.elapsed().as_micros() as f64 / 1000.0;
        let Some((status, code, because)) = &self.answer else {
            tracing::info!(%id, %peer, %method, ?path, milliseconds, "the client left before its answer");
            return;
        };
        let status_code = status.as_u16();
        let (code, because) = (code.map(tracing::field::debug), because.as_ref().map(|because| because.0.as_str()));
        if status.is_server_error() {
            tracing::error!(%id, %peer, %method, ?path, status = status_code, code, bytes, milliseconds, because, "answered");
        } else {
            tracing::info!(%id, %peer, %method, ?path, status = status_code, code, bytes, milliseconds, because, "answered");
        }
    }
}

/// A response's body that is counted as it goes.
#[derive(Debug)]
pub struct Followed {
    body: Body,
    exchange: Exchange,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.exchange.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
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
