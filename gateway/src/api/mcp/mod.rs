//! The Model Context Protocol: one tool, by which an assistant runs Python on this node as it is.
//!
//! The protocol is the SDK's (rmcp), over streamable HTTP without sessions, so that nodes share
//! nothing here either. A call goes the way of any other request: the same key, checks, queue and bounds. What is
//! large never reaches the SDK: a call's arguments are taken out before it, a job's answer is put in behind it. A
//! page in a browser is never a client: whatever carries an `Origin` is refused.

mod message;
mod result;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use cloister_protocol::{Answer, ErrorCode, Failure, JobId};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer};

use self::message::{LARGEST, Message, Unusable};
use crate::admission::body_budget;
use crate::admission::caller::Guest;
use crate::api::openapi;
use crate::api::refusal::Because;
use crate::api::routes::Door;
use crate::metrics::Outcome;
use crate::upstream::supervisor::Wish;

/// The path that speaks it.
pub const PATH: &str = "/mcp";

const TOOL: &str = "execute_python";

const DESCRIPTION: &str = "Runs a Python 3 script in a fresh sandbox without network and returns what its main() \
    returned, what it printed and what it used. The script must define main(); args and kwargs are passed to it, and it \
    must return something that has a JSON form. NumPy and pandas are there. files are put into the working directory \
    before the script starts; what it writes to out/, such as out/plot.png, comes back as images and resources. Nothing \
    is kept between calls.";

/// What a client is told whose job's answer finds no memory here.
const NO_MEMORY: &str = "the script ran, but too many large answers are on their way; its own was dropped";

/// The service behind the path.
pub struct Mcp {
    door: Arc<Door>,
    sdk: Sdk,
}

type Sdk = StreamableHttpService<Tools, NeverSessionManager>;

/// Whether the SDK takes a message for a call of the tool.
#[derive(Clone, Debug, Default)]
struct Accepted(Arc<AtomicBool>);

/// The one tool, as far as the SDK knows it: it accepts its calls, and what becomes of them is not the SDK's to tell.
#[derive(Clone, Debug)]
struct Tools {
    tool: Arc<Tool>,
}

/// A service that runs what it is asked to by way of `door`. `anywhere` says whether clients may know
/// this node by other names than a loopback one.
pub fn service(door: Arc<Door>, anywhere: bool) -> Arc<Mcp> {
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    if anywhere {
        config = config.disable_allowed_hosts();
    }
    config.legacy_session_mode = false;
    config.json_response = true;
    config.max_request_body_bytes = LARGEST;
    let tools = Tools { tool: Arc::new(tool()) };
    Arc::new(Mcp { door, sdk: StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config) })
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("cloister", env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![Tool::clone(&self.tool)]))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == TOOL).then(|| Tool::clone(&self.tool))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if call.name != TOOL {
            return Err(ErrorData::invalid_params(format!("there is no tool {:?}, expected {TOOL}", call.name), None));
        }
        let accepted = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Accepted>());
        let accepted = accepted.ok_or_else(|| ErrorData::internal_error("whose call it is was lost", None))?;
        accepted.0.store(true, Ordering::Relaxed);
        Ok(CallToolResult::success(Vec::new()).into())
    }
}

impl Mcp {
    /// Answers a message that was read whole, for which `memory` was taken.
    pub async fn answer(
        &self,
        id: JobId,
        guest: &Guest,
        parts: Parts,
        body: Vec<u8>,
        reading: body_budget::Body,
    ) -> Response<Body> {
        let message = match reading.work(body, Message::read).await {
            Ok(message) => message,
            Err(unusable) => return self.refuse(parts, &unusable).await,
        };
        let accepted = Accepted::default();
        let response = self.ask(parts, message.envelope, accepted.clone()).await;
        if !accepted.0.load(Ordering::Relaxed) {
            return response;
        }
        self.call(id, guest, message.arguments, reading, response).await
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

    /// Runs a job. Whatever the answer, a failure of the script is a result that the assistant can read. `template` is
    /// the SDK's answer, which has everything but the job's.
    async fn call(
        &self,
        id: JobId,
        guest: &Guest,
        request: Vec<u8>,
        reading: body_budget::Body,
        template: Response<Body>,
    ) -> Response<Body> {
        let answer = self.door.run(id, guest, Wish::default(), request).await.unwrap_or_else(|refusal| *refusal);
        let (mut coming, mut going) = (reading.another(), reading.another());
        drop(reading);
        let (mut parts, template) = template.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        let template = template.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let built = match Given::read(id, answer, [&mut coming, &mut going]).await {
            Ok(Given { outcome, is_error, body }) => {
                parts.extensions.insert(outcome);
                let template = template.clone();
                let built = coming.work(body, move |body| result::build(&template, &body, is_error)).await;
                built.map_err(|error| error.to_string())
            }
            Err(why) => Err(why),
        };
        let bytes = built.unwrap_or_else(|why| {
            parts.extensions.insert(Outcome::Failed(ErrorCode::Internal));
            parts.extensions.insert(Because(format!("the answer broke off: {why}")));
            result::broken(&template)
        });
        Response::from_parts(parts, Body::from(Bytes::from_owner(Going { bytes, _reading: going })))
    }
}

/// What came of a request to run a job.
struct Given {
    outcome: Outcome,
    is_error: bool,
    body: Vec<u8>,
}

impl Given {
    /// Reads an answer whole, as long as there is memory for it as it comes and as it will go, which is at most half as much
    /// again: every other letter of a file may need an escape.
    async fn read(id: JobId, answer: Response<Body>, memory: [&mut body_budget::Body; 2]) -> Result<Self, String> {
        let outcome = answer.extensions().get().copied().unwrap_or(Outcome::Served);
        let is_error = answer.status() != StatusCode::OK;
        let (mut coming, mut body) = (answer.into_body(), Vec::new());
        let [one, other] = memory;
        while let Some(frame) = coming.frame().await {
            let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
            if !one.take(data.len()) || !other.take(data.len() * 3 / 2) {
                let mut failure = Failure::new(ErrorCode::Overloaded, NO_MEMORY);
                failure.ran = Some(true);
                let body = Answer::Refused { error: &failure, id }.to_json();
                return Ok(Self { outcome: Outcome::Failed(ErrorCode::Overloaded), is_error: true, body });
            }
            body.extend_from_slice(&data);
        }
        Ok(Self { outcome, is_error, body })
    }
}

/// An answer on its way, whose memory is counted until its last byte has left.
struct Going {
    bytes: Vec<u8>,
    _reading: body_budget::Body,
}

impl AsRef<[u8]> for Going {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The tool as it is told to clients; what it takes is what `/execute` takes.
fn tool() -> Tool {
    let schema = openapi::schema("ExecuteRequest").as_object().cloned().unwrap_or_default();
    let annotations = ToolAnnotations::new().read_only(true).destructive(false).open_world(false);
    Tool::new(TOOL, DESCRIPTION, schema).annotate(annotations)
}
