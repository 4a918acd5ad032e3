//! The profile of a request whose script says what it needs: chosen by what the supervisor says that its profiles have.
//!
//! What it said may be of before a reload. So nobody is told that something is missing before it was asked anew; and it begins
//! no job under another runtime than the one that was chosen: then it is chosen anew.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, Tenant};
use hyper::header::HeaderValue;

use crate::admission::body_budget::TenantBody;
use crate::api::app::App;
use crate::api::refusal::{refuse, unmet};
use crate::metrics::Outcome;
use crate::needs::choice::{Asking, Choice, choose};
use crate::needs::wanted::Needs;
use crate::upstream::order::{Order, Wish};
use crate::upstream::profiles::Known;
use crate::upstream::supervisor::Away;

/// What clients are told while nobody can say what there is.
const UNKNOWN: &str = "what the script needs cannot be looked for: the supervisor is away or restarting, and nothing ran; try again shortly";

/// How often a request is sent again whose profile has another runtime than when it was chosen.
const AGAIN: usize = 3;

/// A profile that was chosen, and by what.
#[derive(Debug)]
pub struct Chosen {
    needs: Arc<Needs>,
    choice: Choice,
}

impl Chosen {
    /// The profile.
    pub fn profile(&self) -> &str {
        &self.choice.profile
    }

    /// Its runtime, as a header's value.
    pub fn runtime(&self) -> Option<HeaderValue> {
        Some(&self.choice.runtime).filter(|word| !word.is_empty()).and_then(|word| HeaderValue::from_str(word).ok())
    }
}

impl App {
    /// Chooses a profile for a request of this tenant.
    pub async fn choose(
        &self,
        id: JobId,
        tenant: Tenant,
        memory: &TenantBody,
        (needs, asking): (Arc<Needs>, Asking),
    ) -> Result<Chosen, Box<Response>> {
        let read = Instant::now();
        let look = async |known: Arc<Known>| {
            let (needs, asking) = (Arc::clone(&needs), asking.clone());
            memory.work_on(needs.is_large(), move || choose(&needs, &known.catalog, &asking)).await
        };
        let choice = match look(self.profiles.get().await).await {
            Ok(choice) => choice,
            Err(_) => {
                let known = self.profiles.after(read, tenant).await;
                let known = known.ok_or_else(|| Box::new(refuse(id, ErrorCode::Unavailable, UNKNOWN)))?;
                look(known).await.map_err(|failure| Box::new(unmet(id, &failure)))?
            }
        };
        Ok(Chosen { needs, choice })
    }

    /// Has the job of a request run, if it is chosen for; again, if its profile has become another meanwhile that has what is needed, too.
    pub async fn execute_chosen(
        &self,
        id: JobId,
        tenant: Tenant,
        wish: Wish,
        (mut order, mut chosen): (Order, Option<Chosen>),
    ) -> Result<Response, Away> {
        let mut sent = Instant::now();
        let mut answer = self.supervisor.execute(id, tenant, wish, order.clone()).await;
        for _ in 0..AGAIN {
            let (Some(chosen), true) = (&mut chosen, is_unavailable(&answer)) else { break };
            if !self.has_changed(chosen, tenant, sent).await {
                break;
            }
            (sent, order.runtime) = (Instant::now(), chosen.runtime());
            answer = self.supervisor.execute(id, tenant, wish, order.clone()).await;
        }
        answer
    }

    /// Whether a profile has another runtime now, which has what is needed as well. It is that then which is chosen.
    async fn has_changed(&self, chosen: &mut Chosen, tenant: Tenant, sent: Instant) -> bool {
        let Some(known) = self.profiles.after(sent, tenant).await else { return false };
        let Some(runtime) = known.catalog.get(chosen.profile()) else { return false };
        let is_another = runtime.word() != chosen.choice.runtime && chosen.needs.missing(runtime).is_empty();
        if is_another {
            chosen.choice.runtime = runtime.word().to_owned();
        }
        is_another
    }
}

fn is_unavailable(answer: &Result<Response, Away>) -> bool {
    let outcome = answer.as_ref().ok().and_then(|answer| answer.extensions().get());
    outcome == Some(&Outcome::Failed(ErrorCode::Unavailable))
}
