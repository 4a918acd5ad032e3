//! What of a session is known here: the profile of its cells, and that it went with a supervisor that began anew.

use std::time::Instant;

use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, SessionEnd, Tenant};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::api::app::App;
use crate::api::refusal::{refuse, refuse_ended, unanswered};
use crate::api::sessions::order::read_info;
use crate::upstream::order::SessionOrder;

/// What is said of a supervisor that went away meanwhile.
const UNTOLD: &str = "the supervisor went away while it was asked of the session; nothing ran, try again shortly";

/// What is said of a session that a supervisor before this one had.
const RESTARTED: &str = "the session is over: its node began anew; open another";

/// What is said of a session that another node has, or had.
fn of_other_node(node: u8, own: u8) -> String {
    format!(
        "the session is of node {node}, which is gone, or the balancer takes it for gone: this is node {own}; open another. If that happens \
         while node {node} serves, the balancer does not go by the first two digits of ids (docs/deploy.md)"
    )
}

#[derive(Deserialize)]
struct Info {
    profile: String,
}

impl App {
    /// The profile of a session of this tenant.
    ///
    /// # Errors
    /// What the supervisor says of it where it is none that goes on.
    pub async fn profile_of(&self, id: JobId, tenant: Tenant, session: JobId) -> Result<String, Box<Response>> {
        if let Some(profile) = self.sessions.profile(session, tenant, Instant::now()) {
            return Ok(profile);
        }
        let told = self.ask_of(id, tenant, session).await?;
        if told.status() != StatusCode::OK {
            return Err(Box::new(self.told_of(id, tenant, session, told).await));
        }
        let told = read_info(told).await;
        let Ok(Info { profile }) = serde_json::from_slice(&told) else {
            return Err(Box::new(refuse(id, ErrorCode::Unavailable, UNTOLD)));
        };
        self.sessions.note(session, tenant, &profile, Instant::now());
        Ok(profile)
    }

    /// An answer about a session as its client gets it: a supervisor that began anew knows nothing of one that there was before, and one
    /// of another node's comes here when that is not there any more.
    pub async fn told_of(&self, id: JobId, tenant: Tenant, session: JobId, answer: Response) -> Response {
        match answer.status() {
            StatusCode::GONE => self.sessions.forget(session, tenant),
            // It may be that a file is not there.
            StatusCode::NOT_FOUND if self.sessions.was_used(session, tenant, Instant::now()) => {
                let told = self.ask_of(id, tenant, session).await;
                if told.is_ok_and(|told| told.status() == StatusCode::NOT_FOUND) {
                    return refuse_ended(id, SessionEnd::NodeRestarted, RESTARTED);
                }
            }
            StatusCode::NOT_FOUND if let Some(own) = self.node.filter(|own| *own != session.node()) => {
                return refuse_ended(id, SessionEnd::NodeGoing, &of_other_node(session.node(), own));
            }
            _ => {}
        }
        answer
    }

    async fn ask_of(&self, id: JobId, tenant: Tenant, session: JobId) -> Result<Response, Box<Response>> {
        let order = SessionOrder::plain(Method::GET, format!("/{session}"));
        let told = self.supervisor.ask_of_sessions(id, tenant, &order).await;
        told.map_err(|away| Box::new(unanswered(id, away)))
    }
}
