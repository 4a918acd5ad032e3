//! Answers that wait for what their jobs' calls return, of clients that have no stream: `POST /execute` has been answered with
//! the calls, and `POST /execute/{id}/returns` takes the answer up where it stopped.
//!
//! Until then the job's stream stays open here, and with it the job; who does not come back in time ends it.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, RefusedReturn, Tenant};
use hyper::StatusCode;
use hyper::body::{Bytes, Frame};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::admission::body_budget::TenantBody;
use crate::admission::caller::{Holder, Permit};
use crate::api::refusal::{LOST, json, refuse};
use crate::api::streamed::StreamOutcome;
use crate::metrics::Outcome;
use crate::upstream::events::{Event, EventReader, Piece};
use crate::usage::meter::Meter;

/// How long more calls are waited for that come at once with the first.
const AT_ONCE: Duration = Duration::from_millis(5);

/// The most of a refusal that is read.
const LARGEST_REFUSAL: usize = 64 * 1024;

/// What is told of a job whose calls find no memory here.
const NO_MEMORY: &str = "the script ran, but too many large calls of tools wait here; its job was ended";

/// All answers that wait.
#[derive(Debug, Default)]
pub struct HeldAnswers(Mutex<HashMap<JobId, Held>>);

#[derive(Debug)]
struct Held {
    tenant: Tenant,
    until: Instant,
    answer: OpenAnswer,
}

/// An answer that has begun, of a client that will have it whole.
#[derive(Debug)]
pub struct OpenAnswer {
    id: JobId,
    reader: EventReader,
    /// The calls that wait, as they were told.
    calls: BTreeMap<u32, Bytes>,
    memory: TenantBody,
    within: Duration,
    followed: Followed,
}

/// What goes with every part of the answer to the log and the accounts.
#[derive(Clone, Debug)]
pub struct Followed {
    /// What became of it, once that is known.
    pub outcome: StreamOutcome,
    /// What it uses.
    pub meter: Meter,
    /// Its client's leave.
    pub permit: Option<Permit>,
    /// Its client's key.
    pub holder: Option<Holder>,
}

/// The body of an answer that stopped at calls.
#[derive(Serialize)]
struct Waits<'a> {
    id: JobId,
    calls: Vec<&'a RawValue>,
    returns_within_ms: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    refused: &'a [RefusedReturn],
}

#[derive(Deserialize)]
struct Number {
    call: u32,
}

impl OpenAnswer {
    /// Of a stream that has just begun; what is returned to its calls has to come within so long.
    pub fn new(id: JobId, body: Body, memory: TenantBody, within: Duration, followed: Followed) -> Self {
        Self { id, reader: EventReader::new(body), calls: BTreeMap::new(), memory, within, followed }
    }

    /// These calls wait no more.
    pub fn returned_to(&mut self, calls: &[u32]) {
        self.calls.retain(|call, _| !calls.contains(call));
    }

    /// What comes next: the whole answer, or that it waits for calls, which are told then.
    pub async fn go_on(mut self, held: &Arc<HeldAnswers>, tenant: Tenant, refused: &[RefusedReturn]) -> Response {
        loop {
            let event = match self.calls.is_empty() {
                true => self.reader.next().await,
                false => match tokio::time::timeout(AT_ONCE, self.reader.next()).await {
                    Ok(event) => event,
                    Err(_) => return self.wait(held, tenant, refused),
                },
            };
            match event {
                Some(Event::Printed(..)) => {}
                Some(Event::Call(call)) => {
                    let Ok(Number { call: number }) = serde_json::from_slice(&call) else { continue };
                    if !self.memory.take(call.len()) {
                        return refuse(self.id, ErrorCode::Overloaded, NO_MEMORY);
                    }
                    self.calls.insert(number, call);
                }
                Some(Event::Answer { failed }) => return self.whole(failed),
                Some(Event::Refusal) | None => return self.refusal().await,
            }
        }
    }

    fn wait(self, held: &Arc<HeldAnswers>, tenant: Tenant, refused: &[RefusedReturn]) -> Response {
        let calls = self.calls.values().filter_map(|call| serde_json::from_slice(call).ok()).collect();
        let returns_within_ms = self.within.as_millis().try_into().unwrap_or(u64::MAX);
        let waits = Waits { id: self.id, calls, returns_within_ms, refused };
        let mut response = json(self.id, serde_json::to_vec(&waits).expect("names, numbers and JSON that was parsed"));
        *response.status_mut() = StatusCode::ACCEPTED;
        held.hold(tenant, self);
        response
    }

    fn whole(self, failed: bool) -> Response {
        let Followed { outcome, meter, permit, holder } = self.followed.clone();
        let mut response = json(self.id, Body::new(Rest { next: None, reader: Some(self.reader) }));
        if failed {
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        }
        let extensions = response.extensions_mut();
        extensions.insert(outcome);
        extensions.insert(meter);
        extensions.extend(permit_and_holder(permit, holder));
        response
    }

    async fn refusal(mut self) -> Response {
        #[derive(Deserialize)]
        struct Refusal<'a> {
            #[serde(borrow)]
            error: Coded<'a>,
        }
        #[derive(Deserialize)]
        struct Coded<'a> {
            code: &'a str,
        }
        let mut body = Vec::new();
        while let Piece::Some(piece) = self.reader.piece().await {
            if body.len() + piece.len() > LARGEST_REFUSAL {
                break;
            }
            body.extend_from_slice(&piece);
        }
        let code = serde_json::from_slice(&body).ok().and_then(|Refusal { error }| ErrorCode::parse(error.code));
        let Some(code) = code else {
            return refuse(self.id, ErrorCode::Lost, LOST);
        };
        let mut response = json(self.id, body);
        *response.status_mut() = StatusCode::from_u16(code.status()).expect("every code has a valid status");
        response.extensions_mut().insert(Outcome::Failed(code));
        response
    }
}

fn permit_and_holder(permit: Option<Permit>, holder: Option<Holder>) -> hyper::http::Extensions {
    let mut extensions = hyper::http::Extensions::new();
    permit.map(|permit| extensions.insert(permit));
    holder.map(|holder| extensions.insert(holder));
    extensions
}

impl HeldAnswers {
    /// Keeps an answer until somebody takes it up, or its time is over.
    fn hold(self: &Arc<Self>, tenant: Tenant, answer: OpenAnswer) {
        let (id, within, all) = (answer.id, answer.within, Arc::downgrade(self));
        self.lock().insert(id, Held { tenant, until: Instant::now() + within, answer });
        tokio::spawn(async move {
            tokio::time::sleep(within).await;
            let Some(all) = all.upgrade() else { return };
            let mut held = all.lock();
            // It may have been taken up and have stopped at others since.
            if held.get(&id).is_some_and(|held| held.until <= Instant::now()) {
                held.remove(&id);
                tracing::info!(%id, "nobody has returned to the calls of a job, which is ended");
            }
        });
    }

    /// The answer of this tenant's job, if it waits.
    pub fn take(&self, id: JobId, tenant: Tenant) -> Option<OpenAnswer> {
        let mut held = self.lock();
        held.get(&id).filter(|held| held.tenant == tenant)?;
        held.remove(&id).map(|held| held.answer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rest of a stream as the body of a plain answer.
struct Rest {
    next: Option<Pin<Box<dyn Future<Output = (Piece, EventReader)> + Send>>>,
    reader: Option<EventReader>,
}

impl HttpBody for Rest {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(mut reader) = self.reader.take() {
            self.next = Some(Box::pin(async move { (reader.piece().await, reader) }));
        }
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let (piece, reader) = ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(match piece {
            Piece::Some(data) => {
                self.reader = Some(reader);
                Some(Ok(Frame::data(data)))
            }
            Piece::End => None,
            Piece::Cut => Some(Err(std::io::Error::other("the answer broke off"))),
        })
    }
}
