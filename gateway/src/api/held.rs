//! Answers that wait for what their jobs' calls return, of clients that have no stream: `POST /execute` has been answered with
//! the calls, and `POST /execute/{id}/returns` takes the answer up where it stopped.
//!
//! Until then the job's stream stays open here, and with it the job; who does not come back in time ends it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, RefusedReturn, Tenant};
use futures_util::stream;
use hyper::StatusCode;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::admission::body_budget::TenantBody;
use crate::admission::caller::{Holder, Permit};
use crate::api::known::KnownJobs;
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
const NO_MEMORY: &str = "the script ran, and was ended: too many large calls of tools wait here";

/// All answers that wait, of jobs that are known.
#[derive(Debug)]
pub struct HeldAnswers {
    known: Arc<KnownJobs>,
    held: Mutex<HashMap<JobId, Held>>,
}

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
    /// The calls that wait.
    calls: BTreeMap<u32, OpenCall>,
    memory: TenantBody,
    within: Duration,
    /// Whether somebody sees to its time.
    is_timed: bool,
    companions: Companions,
}

/// A call that waits, as it was told, until when, and what it takes of memory.
#[derive(Debug)]
struct OpenCall {
    told: Bytes,
    until: Instant,
    _memory: TenantBody,
}

/// What goes with every part of the answer to the log and the accounts.
#[derive(Clone, Debug)]
pub struct Companions {
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
    pub fn new(id: JobId, body: Body, memory: TenantBody, within: Duration, companions: Companions) -> Self {
        let (reader, calls) = (EventReader::new(body), BTreeMap::new());
        Self { id, reader, calls, memory, within, is_timed: false, companions }
    }

    /// Of the calls that were told of, these wait.
    pub fn wait_for(&mut self, calls: &[u32]) {
        self.calls.retain(|call, _| calls.contains(call));
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
                Some(Event::Told(..)) => {}
                Some(Event::Call(call)) => {
                    let Ok(Number { call: number }) = serde_json::from_slice(&call) else { continue };
                    let mut memory = self.memory.another();
                    if !memory.take(call.len()) {
                        return refuse(self.id, ErrorCode::Lost, NO_MEMORY);
                    }
                    let until = Instant::now() + self.within;
                    self.calls.insert(number, OpenCall { told: call, until, _memory: memory });
                }
                Some(Event::Answer { failed }) => return self.whole(failed),
                Some(Event::Refusal) | None => return self.refusal().await,
            }
        }
    }

    fn wait(self, held: &Arc<HeldAnswers>, tenant: Tenant, refused: &[RefusedReturn]) -> Response {
        let calls = self.calls.values().filter_map(|call| serde_json::from_slice(&call.told).ok()).collect();
        let first = self.calls.values().map(|call| call.until).min().unwrap_or_else(Instant::now);
        let returns_within_ms =
            first.saturating_duration_since(Instant::now()).as_millis().try_into().unwrap_or(u64::MAX);
        let waits = Waits { id: self.id, calls, returns_within_ms, refused };
        let mut response = json(self.id, serde_json::to_vec(&waits).expect("names, numbers and JSON that was parsed"));
        *response.status_mut() = StatusCode::ACCEPTED;
        held.hold(tenant, self);
        response
    }

    fn whole(self, failed: bool) -> Response {
        let Companions { outcome, meter, permit, holder } = self.companions.clone();
        let mut response = json(self.id, rest(self.reader));
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
    /// None yet.
    pub fn new(known: Arc<KnownJobs>) -> Arc<Self> {
        Arc::new(Self { known, held: Mutex::default() })
    }

    /// Keeps an answer until somebody takes it up, or its time is over.
    fn hold(self: &Arc<Self>, tenant: Tenant, mut answer: OpenAnswer) {
        let (id, within) = (answer.id, answer.within);
        let is_timed = std::mem::replace(&mut answer.is_timed, true);
        self.lock().insert(id, Held { tenant, until: Instant::now() + within, answer });
        if !is_timed {
            tokio::spawn(see_to(Arc::downgrade(self), id, within));
        }
    }

    /// When it is to be looked again whether this answer waits in vain; `None` if it was ended, or its job has.
    fn look(&self, id: JobId, within: Duration) -> Option<Instant> {
        let (now, mut held) = (Instant::now(), self.lock());
        match held.get(&id) {
            Some(held) if held.until > now => Some(held.until),
            // It has been taken up, and may stop at other calls.
            None => self.known.any_has(id).then(|| now + within),
            Some(_) => {
                let ended = held.remove(&id);
                drop(held);
                drop(ended);
                tracing::info!(%id, "nobody has returned to the calls of a job, which is ended");
                None
            }
        }
    }

    /// The answer of this tenant's job, if it waits.
    pub fn take(&self, id: JobId, tenant: Tenant) -> Option<OpenAnswer> {
        let mut held = self.lock();
        held.get(&id).filter(|held| held.tenant == tenant)?;
        held.remove(&id).map(|held| held.answer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a job whose answer nobody takes up in time, whenever it waits.
async fn see_to(all: Weak<HeldAnswers>, id: JobId, within: Duration) {
    let mut next = Instant::now() + within;
    loop {
        tokio::time::sleep_until(next).await;
        match all.upgrade().and_then(|all| all.look(id, within)) {
            Some(again) => next = again,
            None => return,
        }
    }
}

/// The rest of a stream as the body of a plain answer.
fn rest(reader: EventReader) -> Body {
    Body::from_stream(stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.piece().await {
            Piece::Some(data) => Some((Ok(data), Some(reader))),
            Piece::End => None,
            Piece::Cut => Some((Err(io::Error::other("the answer broke off")), None)),
        }
    }))
}
