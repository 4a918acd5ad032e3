//! The profile of a request whose script says what it needs: chosen by what the supervisor says that its profiles have.
//!
//! What it said may be of before a reload. So nobody is told that something is missing before it was asked anew; and it begins
//! no job under another runtime than the one that was chosen: then it is chosen anew.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use cloister_protocol::{ErrorCode, Failure, JobId, Tenant};
use hyper::body::Bytes;
use hyper::header::HeaderValue;

use crate::admission::body_budget::TenantBody;
use crate::api::app::App;
use crate::api::refusal::{refuse, unmet};
use crate::metrics::Outcome;
use crate::needs::choice::{Asking, Choice, choose};
use crate::needs::wanted::Needs;
use crate::upstream::away::Away;
use crate::upstream::order::{Order, Wish};
use crate::upstream::profiles::Known;
use crate::usage::meter::Meter;

/// What clients are told while nobody can say what there is.
const UNKNOWN: &str = "what the script needs cannot be looked for: the supervisor is away or restarting, and nothing ran; try again shortly";

/// How often a request is sent again that was chosen for by what is no longer so.
const AGAIN: usize = 3;

/// A profile that was chosen, by what, and for what.
#[derive(Debug)]
pub struct Chosen {
    needs: Arc<Needs>,
    asking: Asking,
    choice: Choice,
    /// How long the request's body is as far as it names no profile.
    bare: usize,
}

impl Chosen {
    /// The profile.
    pub fn profile(&self) -> &str {
        &self.choice.profile
    }

    /// The request's body, with this profile instead of any other.
    pub fn named_in(&self, body: Bytes) -> Bytes {
        let profile = serde_json::to_string(self.profile()).expect("a string");
        let mut body = Vec::from(body);
        // All but the brace that ends it.
        body.truncate(self.bare - 1);
        body.extend_from_slice(format!(",\"profile\":{profile}}}").as_bytes());
        body.into()
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
        (needs, asking, bare): (Arc<Needs>, Asking, usize),
    ) -> Result<Chosen, Box<Response>> {
        let read = Instant::now();
        let look = async |known: Arc<Known>| look(memory, &needs, &asking, known).await;
        let choice = match look(self.profiles.get().await).await {
            Ok(choice) => choice,
            Err(_) => {
                let known = self.profiles.after(read, tenant).await;
                let known = known.ok_or_else(|| Box::new(refuse(id, ErrorCode::Unavailable, UNKNOWN)))?;
                look(known).await.map_err(|failure| Box::new(unmet(id, &failure)))?
            }
        };
        Ok(Chosen { needs, asking, choice, bare })
    }

    /// Has the job of a request run, if it was chosen for; again under what is chosen by what is so now, if that is something else.
    pub async fn execute_chosen(
        &self,
        id: JobId,
        (tenant, wish): (Tenant, Wish),
        mut order: Order,
        (choice, memory): (&mut Option<Chosen>, &TenantBody),
        meter: &Meter,
    ) -> Result<Response, Away> {
        let mut answer = self.supervisor.execute(id, tenant, wish, order.clone()).await;
        for _ in 0..AGAIN {
            let (Some(chosen), true) = (&mut *choice, is_unavailable(&answer)) else { break };
            // As the profiles are after the refusal: while the request waited for a place others may have asked.
            let Some(known) = self.profiles.after(Instant::now(), tenant).await else { break };
            match look(memory, &chosen.needs, &chosen.asking, known).await {
                Err(failure) => {
                    *choice = None;
                    return Ok(unmet(id, &failure));
                }
                Ok(same) if same == chosen.choice => break,
                Ok(other) => chosen.choice = other,
            }
            meter.is_for(chosen.profile());
            (order.runtime, order.body) = (chosen.runtime(), chosen.named_in(order.body));
            answer = self.supervisor.execute(id, tenant, wish, order.clone()).await;
        }
        answer
    }
}

/// Chooses by what is known of the profiles.
async fn look(memory: &TenantBody, needs: &Arc<Needs>, asking: &Asking, known: Arc<Known>) -> Result<Choice, Failure> {
    let (is_large, needs, asking) = (needs.is_large(), Arc::clone(needs), asking.clone());
    memory.work_on(is_large, move || choose(&needs, &known.catalog, &asking)).await
}

fn is_unavailable(answer: &Result<Response, Away>) -> bool {
    let outcome = answer.as_ref().ok().and_then(|answer| answer.extensions().get());
    outcome == Some(&Outcome::Failed(ErrorCode::Unavailable))
}
