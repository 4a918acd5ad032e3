//! Which path is answered by what: the whole of what the gateway serves.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::routing::{MethodFilter, get, on, post};
use cloister_program::READY_PATH;
use cloister_protocol::EXECUTE_PATH;

use crate::admission::caller::Admission;
use crate::api::app::App;
use crate::api::connect::{self, connect};
use crate::api::execute::execute;
use crate::api::health::{ALIVE_PATH, healthy, ready};
use crate::api::jupyter;
use crate::api::mcp::service::{self as mcp, Mcp};
use crate::api::methods::{nowhere, only};
use crate::api::openapi::{self, Contract, contract};
use crate::api::page;
use crate::api::returns;
use crate::api::sessions;
use crate::args::Serve;
use crate::going::Going;
use crate::metrics::Metrics;
use crate::usage::accounts::Accounts;

/// The whole of what the gateway serves.
pub fn router(
    arguments: &Serve,
    admission: Admission,
    metrics: Arc<Metrics>,
    (accounts, going): (Accounts, Going),
) -> Router {
    let app = Arc::new(App::new(arguments, admission, metrics, (accounts, going)));
    let anywhere = arguments.no_auth || arguments.keys.is_some();
    let mcp = Arc::new(Mcp::new(Arc::clone(&app), anywhere));
    Router::new()
        .route(mcp::PATH, only("POST", post(mcp::assist)).layer(Extension(mcp)))
        .route(EXECUTE_PATH, only("POST", post(execute)))
        .merge(sessions::routes())
        .nest(jupyter::PATH, jupyter::routes())
        .route(connect::PATH, only("GET", on(MethodFilter::GET.or(MethodFilter::CONNECT), connect)))
        .route(returns::PATH, only("POST", post(returns::returns)))
        .route(ALIVE_PATH, only("GET, HEAD", get(healthy)))
        .route(READY_PATH, only("GET, HEAD", get(ready)))
        .route(openapi::PATH, only("GET, HEAD", get(contract)).layer(Extension(Arc::<Contract>::default())))
        .merge(if arguments.no_page { Router::new() } else { page::routes() })
        .fallback(nowhere)
        .with_state(app)
}
