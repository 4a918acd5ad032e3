//! The one tool, as far as the SDK knows it: what it is called, what it takes, and that a call of it is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_protocol::ExecuteRequest;
use hyper::http::request::Parts;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer};
use utoipa::PartialSchema;

use crate::api::mcp::message::LARGEST;

const TOOL: &str = "execute_python";

const DESCRIPTION: &str = "Runs a Python 3 script in a fresh sandbox without network and returns what its main() \
    returned, what it printed and what it used. The script must define main(); args and kwargs are passed to it, and it \
    must return something that has a JSON form. NumPy and pandas are there. files are put into the working directory \
    before the script starts; what it writes to out/, such as out/plot.png, comes back as images and resources. Nothing \
    is kept between calls.";

/// The SDK's side of the path.
pub type Sdk = StreamableHttpService<Tools, NeverSessionManager>;

/// Whether the SDK takes a message for a call of the tool.
#[derive(Clone, Debug, Default)]
pub struct Accepted(Arc<AtomicBool>);

/// The one tool, as far as the SDK knows it: it accepts its calls, and what becomes of them is not the SDK's to tell.
#[derive(Clone, Debug)]
pub struct Tools {
    tool: Arc<Tool>,
}

/// The SDK with the tool. `anywhere` says whether clients may know this node by other names than a loopback one.
pub fn sdk(anywhere: bool) -> Sdk {
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    if anywhere {
        config = config.disable_allowed_hosts();
    }
    config.legacy_session_mode = false;
    config.json_response = true;
    config.max_request_body_bytes = LARGEST;
    let tools = Tools { tool: Arc::new(tool()) };
    StreamableHttpService::new(move || Ok(tools.clone()), Arc::default(), config)
}

impl Accepted {
    /// Whether it does.
    pub fn is_call(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
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

/// The tool as it is told to clients; what it takes is what `/execute` takes.
fn tool() -> Tool {
    let schema = serde_json::to_value(ExecuteRequest::schema()).expect("strings and numbers");
    let schema = schema.as_object().cloned().unwrap_or_default();
    let annotations = ToolAnnotations::new().read_only(true).destructive(false).open_world(false);
    Tool::new(TOOL, DESCRIPTION, schema).annotate(annotations)
}
