//! The one tool, as far as the SDK knows it: how it is told of, and that a call of it is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::api::app::App;
use crate::api::mcp::message::LARGEST;
use crate::api::mcp::offer::{INSTRUCTIONS, Offer, TITLE, TOOL};
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

/// The SDK's side of the path.
pub type Sdk = StreamableHttpService<Tools, NeverSessionManager>;

/// Whether the SDK takes a message for a call of the tool.
#[derive(Clone, Debug, Default)]
pub struct Accepted(Arc<AtomicBool>);

/// The profiles that the key of a message may use; all if it does not say.
#[derive(Clone, Debug)]
pub struct Allowed(pub Option<Vec<String>>);

/// The one tool, as far as the SDK knows it: it accepts its calls, and what becomes of them is not the SDK's to tell.
#[derive(Clone, Debug)]
pub struct Tools {
    app: Arc<App>,
}

/// The SDK with the tool. `anywhere` says whether clients may know this node by other names than a loopback one.
pub fn sdk(app: Arc<App>, anywhere: bool) -> Sdk {
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    if anywhere {
        config = config.disable_allowed_hosts();
    }
    config.legacy_session_mode = false;
    config.json_response = true;
    config.max_request_body_bytes = LARGEST;
    let tools = Tools { app };
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
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let allowed = context.extensions.get::<Parts>().and_then(|parts| parts.extensions.get::<Allowed>());
        let allowed = allowed.ok_or_else(|| ErrorData::internal_error("who asks was lost", None))?;
        let known = self.app.profiles.get().await;
        Ok(ListToolsResult::with_all_items(vec![tool(&Offer::new(&known.profiles, allowed.0.as_deref()))]))
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

/// The tool as it is told to clients. It has no output schema: all that it gives is for a model to read.
fn tool(offer: &Offer<'_>) -> Tool {
    let schema = serde_json::to_value(offer.input()).expect("strings and numbers");
    let schema = schema.as_object().cloned().unwrap_or_default();
    let annotations = ToolAnnotations::with_title(TITLE).read_only(true).destructive(false).open_world(false);
    Tool::new(TOOL, offer.description(), schema).with_title(TITLE).annotate(annotations)
}
