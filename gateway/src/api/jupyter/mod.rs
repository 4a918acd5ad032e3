//! `/jupyter`: sessions as kernels, for clients of Jupyter. It is what such clients use of the REST interface of kernels and of the
//! messages over its WebSocket: docs/jupyter.md.
//!
//! A kernel is a session, and what is asked of it goes the way of `/sessions`. Here it is said in other words: keys come as
//! Jupyter's tokens do, and refusals are told as Jupyter tells them.

mod channels;
mod kernel;
mod kernels;
mod one;
pub mod restarts;
mod tokens;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::{MethodFilter, get, on, post};

use crate::api::app::App;
use crate::api::methods::{nowhere, only};

/// The path under which all of it is.
pub const PATH: &str = "/jupyter";

/// Kernels, and what stands before and behind the id of one whose channels are opened.
const KERNELS: &str = "/api/kernels";
const CHANNELS: &str = "/channels";

/// All paths of it.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api", only("GET, HEAD", get(kernels::version)))
        .route("/api/kernelspecs", only("GET, HEAD", get(kernels::specs)))
        .route(KERNELS, only("GET, HEAD, POST", get(kernels::list).post(kernels::open)))
        .route("/api/kernels/{id}", only("GET, HEAD, DELETE", get(one::show).delete(one::close)))
        .route("/api/kernels/{id}/interrupt", only("POST", post(one::interrupt)))
        .route("/api/kernels/{id}/restart", only("POST", post(one::restart)))
        .route(
            "/api/kernels/{id}/channels",
            only("GET", on(MethodFilter::GET.or(MethodFilter::CONNECT), channels::channels)),
        )
        .fallback(nowhere)
        .layer(axum::middleware::map_request(tokens::as_key))
        .layer(map_response(words::refusal))
}

/// Whether a path is one of a kernel's channels.
pub fn is_channels(path: &str) -> bool {
    let kernel = path.strip_prefix(PATH).and_then(|path| path.strip_prefix(KERNELS)?.strip_suffix(CHANNELS));
    kernel.and_then(|kernel| kernel.strip_prefix('/')).is_some_and(|kernel| !kernel.contains('/'))
}
