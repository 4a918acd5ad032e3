//! The Model Context Protocol: one tool, by which an assistant runs Python on this node as it is.
//!
//! The protocol is the SDK's (rmcp), over streamable HTTP without sessions, so that nodes share
//! nothing here either. A call goes the way of any other request: the same key, queue and bounds. A
//! page in a browser is never a client: whatever carries an `Origin` is refused.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use cloister_protocol::JobId;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ResourceContents, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Map, Value};

use crate::admission::Guest;
use crate::metrics::Outcome;
use crate::openapi;
use crate::routes::Door;
use crate::upstream::Wish;

/// The path that speaks it.
pub const PATH: &str = "/mcp";

const TOOL: &str = "execute_python";

const DESCRIPTION: &str = "Runs a Python 3 script in a fresh sandbox without network and returns what its main() \
    returned, what it printed and what it used. The script must define main(); args and kwargs are passed to it, and it \
    must return something that has a JSON form. NumPy and pandas are there. files are put into the working directory \
    before the script starts; what it writes to out/, such as out/plot.png, comes back as images and resources. Nothing \
    is kept between calls.";

/// Pictures that assistants can see.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// What cannot stand for itself in the path of a URI (RFC 3986, section 3.3).
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The service behind the path.
pub type Mcp = StreamableHttpService<Tools, NeverSessionManager>;

/// Whose call it is, and what became of it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The request's id.
    pub id: JobId,
    /// Who asks.
    pub guest: Arc<Guest>,
    /// What became of the job, if there was one.
    pub outcome: Arc<OnceLock<Outcome>>,
}

/// The one tool.
#[derive(Clone, Debug)]
pub struct Tools {
    door: Arc<Door>,
    tool: Arc<Tool>,
}

/// A service that runs what it is asked to by way of `door`. `anywhere` says whether clients may know
/// this node by other names than a loopback one.
pub fn service(door: Arc<Door>, anywhere: bool, max_body: usize) -> Arc<Mcp> {
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    if anywhere {
        config = config.disable_allowed_hosts();
    }
    config.legacy_session_mode = false;
    config.json_response = true;
    config.max_request_body_bytes = max_body;
    let tools = Tools { door, tool: Arc::new(tool()) };
    Arc::new(StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config))
}

/// Hands a request that was read whole to the SDK.
pub async fn answer(mcp: &Mcp, mut parts: Parts, body: Vec<u8>, caller: Caller) -> Response<Body> {
    let outcome = Arc::clone(&caller.outcome);
    parts.extensions.insert(caller);
    let mut response = mcp.handle(Request::from_parts(parts, Full::new(Bytes::from(body)))).await.map(Body::new);
    if let Some(outcome) = outcome.get() {
        response.extensions_mut().insert(*outcome);
    }
    response
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
        let caller = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Caller>());
        let caller = caller.cloned().ok_or_else(|| ErrorData::internal_error("whose call it is was lost", None))?;
        let request = serde_json::to_vec(&call.arguments.unwrap_or_default()).expect("JSON that was parsed");
        tokio::select! {
            result = self.run(&caller, request) => result.map(CallToolResponse::from),
            () = context.ct.cancelled() => Err(ErrorData::internal_error("the client left", None)),
        }
    }
}

impl Tools {
    /// Runs a job. Whatever the answer, a failure of the script is a result that the assistant can read.
    async fn run(&self, caller: &Caller, request: Vec<u8>) -> Result<CallToolResult, ErrorData> {
        let answer =
            self.door.run(caller.id, &caller.guest, Wish::default(), request).await.unwrap_or_else(|refusal| *refusal);
        if let Some(outcome) = answer.extensions().get::<Outcome>() {
            let _ = caller.outcome.set(*outcome);
        }
        let returned = answer.status() == StatusCode::OK;
        let broken =
            |error: &dyn std::fmt::Display| ErrorData::internal_error(format!("the answer broke off: {error}"), None);
        let body = answer.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
        let mut value: Value = serde_json::from_slice(&body).map_err(|error| broken(&error))?;
        let files = take_files(&mut value);
        let mut result =
            if returned { CallToolResult::structured(value) } else { CallToolResult::structured_error(value) };
        result.content.extend(files);
        Ok(result)
    }
}

/// Takes the content of files out of an answer, in which only what they are is left, for the content of a result.
fn take_files(answer: &mut Value) -> Vec<ContentBlock> {
    let files = answer.get_mut("files").and_then(Value::as_array_mut).into_iter().flatten();
    files.filter_map(|file| content(file.as_object_mut()?)).collect()
}

/// A picture that assistants can see as such, and anything else as a resource: text as it is, if it is text.
fn content(file: &mut Map<String, Value>) -> Option<ContentBlock> {
    let Some(Value::String(base64)) = file.remove("content_base64") else { return None };
    let media_type = file.get("media_type")?.as_str()?;
    if PICTURES.contains(&media_type) {
        return Some(ContentBlock::image(base64, media_type));
    }
    let uri = format!("file:///out/{}", utf8_percent_encode(file.get("name")?.as_str()?, IN_PATHS));
    let text = BASE64.decode(base64.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let resource = match text.filter(|text| !text.contains('\0')) {
        Some(text) => ResourceContents::text(text, uri),
        None => ResourceContents::blob(base64, uri),
    };
    Some(ContentBlock::resource(resource.with_mime_type(media_type)))
}

/// The tool as it is told to clients; what it takes is what `/execute` takes.
fn tool() -> Tool {
    let schema = openapi::schema("ExecuteRequest").as_object().cloned().unwrap_or_default();
    let annotations = ToolAnnotations::new().read_only(true).destructive(false).open_world(false);
    Tool::new(TOOL, DESCRIPTION, schema).annotate(annotations)
}
