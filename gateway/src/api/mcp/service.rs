//! A message at `/mcp` and its answer.
//!
//! The protocol is the SDK's (rmcp), over streamable HTTP without sessions, so that nodes share
//! nothing here either. A call goes the way of any other request: the same key, checks, queue and bounds. What is
//! large never reaches the SDK: a call's arguments are taken out before it, a job's answer is put in behind it. A
//! page in a browser is never a client: whatever carries an `Origin` is refused.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{self, Extension, State};
use cloister_program::{ReadError, read_whole};
use cloister_protocol::{Answer, ErrorCode, Failure, JobId, Writer};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

use crate::admission::body_budget::TenantBody;
use crate::admission::caller::Caller;
use crate::admission::client_address::ClientAddress;
use crate::api::app::App;
use crate::api::job::Sent;
use crate::api::mcp::kept::{self, Call};
use crate::api::mcp::message::{Message, Unusable};
use crate::api::mcp::result;
use crate::api::mcp::tool::{self, Accepted, Allowed, Sdk};
use crate::api::refusal::{Because, refuse};
use crate::metrics::Outcome;
use crate::upstream::order::Wish;
use crate::usage::meter::Meter;

/// The path that speaks it.
pub const PATH: &str = "/mcp";

/// What a client is told whose job's answer finds no memory here.
const NO_MEMORY: &str = "the script ran, but too many large answers are on their way; its own was dropped";

/// The service behind the path.
pub struct Mcp {
    app: Arc<App>,
    sdk: Sdk,
}

/// A message of the Model Context Protocol. It counts as a request of its key, whatever it asks.
pub async fn assist(
    State(app): State<Arc<App>>,
    Extension(mcp): Extension<Arc<Mcp>>,
    Extension(id): Extension<JobId>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    request: extract::Request,
) -> Response<Body> {
    let caller = match app.admission.identify(request.headers(), client) {
        Ok(caller) => caller,
        Err(refused) => return app.turn_away(id, refused, request.into_body()).await,
    };
    let mut memory = app.bodies.begin(caller.tenant());
    let (parts, body) = request.into_parts();
    let mut response = match app.read(id, body, &mut memory).await {
        Ok(body) => mcp.answer(id, &caller, parts, body, memory).await,
        Err(refusal) => *refusal,
    };
    caller.sign(&mut response);
    response
}

impl Mcp {
    /// What runs what it is asked to by way of `app`. `anywhere` says whether clients may know this node by other names
    /// than a loopback one.
    pub fn new(app: Arc<App>, anywhere: bool) -> Self {
        Self { sdk: tool::sdk(Arc::clone(&app), anywhere), app }
    }

    /// Answers a message that was read whole, for which `memory` was taken.
    async fn answer(
        &self,
        id: JobId,
        caller: &Caller,
        mut parts: Parts,
        body: Vec<u8>,
        memory: TenantBody,
    ) -> Response<Body> {
        let message = match memory.work(body, Message::read).await {
            Ok(message) => message,
            Err(unusable) => return self.refuse(parts, &unusable).await,
        };
        let accepted = Accepted::default();
        parts.extensions.insert(Allowed(caller.profiles().map(<[String]>::to_vec)));
        let response = self.ask(parts, message.envelope, accepted.clone()).await;
        if !accepted.is_call() {
            return response;
        }
        self.call(id, caller, message.arguments, memory, response).await
    }

    async fn ask(&self, mut parts: Parts, envelope: Vec<u8>, accepted: Accepted) -> Response<Body> {
        parts.extensions.insert(accepted);
        self.sdk.handle(Request::from_parts(parts, Full::new(Bytes::from(envelope)))).await.map(Body::new)
    }

    /// Refuses a message unread, unless its header is reason enough for the SDK.
    async fn refuse(&self, parts: Parts, unusable: &Unusable) -> Response<Body> {
        let response = self.ask(parts, Vec::new(), Accepted::default()).await;
        if matches!(response.status(), StatusCode::FORBIDDEN | StatusCode::NOT_ACCEPTABLE) {
            return response;
        }
        let (status, code) = match unusable {
            Unusable::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge),
            Unusable::NotJson(_) | Unusable::Invalid(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
        };
        let mut response = Response::new(Body::from(unusable.to_json()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.extensions_mut().insert(Outcome::Failed(code));
        response
    }

    /// Runs what a call asks for.
    async fn run(
        &self,
        id: JobId,
        caller: &Caller,
        body: Vec<u8>,
        memory: &TenantBody,
    ) -> Result<Response<Body>, Box<Response<Body>>> {
        let call = memory.work(body, kept::read).await;
        match call.map_err(|wrong| Box::new(refuse(id, ErrorCode::InvalidRequest, wrong)))? {
            Call::Cell(place, body) => self.app.run_kept(id, caller, place, body).await,
            Call::Script(body) => {
                let sent = Sent { writer: Writer::Assistant, session: None, body };
                self.app.run(id, caller, Wish::default(), sent).await
            }
        }
    }

    /// Runs a job. Whatever the answer, a failure of the script is a result that the assistant can read. `template` is
    /// the SDK's answer, which has everything but the job's.
    async fn call(
        &self,
        id: JobId,
        caller: &Caller,
        body: Vec<u8>,
        memory: TenantBody,
        template: Response<Body>,
    ) -> Response<Body> {
        let answer = self.run(id, caller, body, &memory).await.unwrap_or_else(|refusal| *refusal);
        let meter: Option<Meter> = answer.extensions().get().cloned();
        let (mut coming, mut going) = (memory.another(), memory.another());
        drop(memory);
        let (mut parts, template) = template.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        if let Some(meter) = meter {
            parts.extensions.insert(meter);
        }
        let template = template.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let built = match Given::read(id, answer, [&mut coming, &mut going]).await {
            Ok(Given { outcome, is_error, body }) => {
                parts.extensions.insert(outcome);
                let template = template.clone();
                let built = coming.work(body, move |body| result::build(&template, &body, is_error)).await;
                built.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let bytes = built.unwrap_or_else(|why| {
            parts.extensions.insert(Outcome::Failed(ErrorCode::Internal));
            parts.extensions.insert(Because(format!("the answer broke off: {why}")));
            result::broken(&template)
        });
        Response::from_parts(parts, Body::from(Bytes::from_owner(OnItsWay { bytes, _memory: going })))
    }
}

/// What came of a request to run a job.
struct Given {
    outcome: Outcome,
    is_error: bool,
    body: Vec<u8>,
}

impl Given {
    /// Reads an answer whole, as long as there is memory for it as it comes and as it will go, which is at most twice as much:
    /// each letter of it may need an escape.
    async fn read(id: JobId, answer: Response<Body>, memory: [&mut TenantBody; 2]) -> Result<Self, axum::Error> {
        let outcome = answer.extensions().get().copied().unwrap_or(Outcome::Served);
        let is_error = answer.status() != StatusCode::OK;
        let [coming, going] = memory;
        let take = |bytes| coming.take(bytes) && going.take(bytes * 2);
        match read_whole(answer.into_body(), usize::MAX, take).await {
            Ok(body) => Ok(Self { outcome, is_error, body }),
            Err(ReadError::Broken(error)) => Err(error),
            Err(ReadError::NoMemory | ReadError::TooLarge) => {
                let mut failure = Failure::new(ErrorCode::Overloaded, NO_MEMORY);
                failure.ran = Some(true);
                let body = Answer::Refused { error: &failure, id }.to_json();
                Ok(Self { outcome: Outcome::Failed(ErrorCode::Overloaded), is_error: true, body })
            }
        }
    }
}

/// An answer on its way, whose memory is counted until its last byte has left.
struct OnItsWay {
    bytes: Vec<u8>,
    _memory: TenantBody,
}

impl AsRef<[u8]> for OnItsWay {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
