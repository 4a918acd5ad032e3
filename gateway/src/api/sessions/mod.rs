//! `/sessions`: interpreters that stay from one cell to the next. They are the supervisor's; here it is looked at who asks, and for
//! what.
//!
//! A cell goes the way of a script (`api/job.rs`). All else is an order that is handed on, whose answer comes back as it is.

pub mod cells;
pub mod export;
pub mod files;
pub mod fork;
mod import;
pub mod known;
pub mod one;
pub mod order;
mod profile;
pub mod several;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use cloister_protocol::SESSIONS_PATH;

use crate::api::app::App;
use crate::api::methods::only;

/// All paths of sessions.
pub fn routes() -> Router<Arc<App>> {
    let file = get(files::fetch).put(files::put).delete(files::delete);
    Router::new()
        .route(SESSIONS_PATH, only("GET, HEAD, POST", get(several::list).post(several::open)))
        .route(one::PATH, only("GET, HEAD, DELETE", get(one::show).delete(one::close)))
        .route(cells::PATH, only("POST", post(cells::execute)))
        .route(one::INTERRUPT_PATH, only("POST", post(one::interrupt)))
        .route(fork::PATH, only("POST", post(fork::fork)))
        .route(export::PATH, only("GET, HEAD", get(export::export)))
        .route(files::LIST_PATH, only("GET, HEAD", get(files::list)))
        .route(files::ROUTE, only("GET, HEAD, PUT, DELETE", file))
}
