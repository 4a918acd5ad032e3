//! Under which profile a cell runs: that of its session.

use axum::response::Response;
use cloister_program::read_whole;
use cloister_protocol::{ErrorCode, JobId, Tenant};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::api::app::App;
use crate::api::refusal::{refuse, unanswered};
use crate::upstream::order::SessionOrder;

/// The most that is read of what the supervisor says of a session.
const LARGEST_INFO: usize = 64 * 1024;

/// What is said of a supervisor that went away meanwhile.
const UNTOLD: &str = "the supervisor went away while it was asked of the session; nothing ran, try again shortly";

impl App {
    /// The profile of a session of this tenant.
    ///
    /// # Errors
    /// What the supervisor says of it where it is none that goes on.
    pub async fn profile_of(&self, id: JobId, tenant: Tenant, session: JobId) -> Result<String, Box<Response>> {
        #[derive(Deserialize)]
        struct Info {
            profile: String,
        }
        if let Some(profile) = self.sessions.profile(session, tenant) {
            return Ok(profile);
        }
        let order = SessionOrder::plain(Method::GET, format!("/{session}"));
        let told = self.supervisor.ask_of_sessions(id, tenant, &order).await;
        let told = told.map_err(|away| Box::new(unanswered(id, away)))?;
        if told.status() != StatusCode::OK {
            return Err(Box::new(told));
        }
        let told = read_whole(told.into_body(), LARGEST_INFO, |_| true).await.unwrap_or_default();
        let Ok(Info { profile }) = serde_json::from_slice(&told) else {
            return Err(Box::new(refuse(id, ErrorCode::Unavailable, UNTOLD)));
        };
        self.sessions.note(session, tenant, &profile);
        Ok(profile)
    }
}
