//! A request of one who may ask: who that is is looked at before anything else, and counted.

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use cloister_protocol::JobId;
use std::sync::Arc;

use crate::admission::caller::Caller;
use crate::admission::client_address::ClientAddress;
use crate::api::app::App;

/// A request of one who may ask.
#[derive(Debug)]
pub struct Asked {
    /// Its id.
    pub id: JobId,
    /// Who asks.
    pub caller: Caller,
    /// For what; of its body nothing was read.
    pub request: Request,
}

impl FromRequest<Arc<App>> for Asked {
    type Rejection = Response;

    /// Refuses strangers, and who sends too fast.
    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let extensions = request.extensions();
        let id = *extensions.get::<JobId>().expect("every request has an id");
        let ClientAddress(client) = *extensions.get().expect("every request has a client's address");
        match app.admission.identify(request.headers(), client) {
            Ok(caller) => Ok(Self { id, caller, request }),
            Err(refused) => Err(app.turn_away(id, refused, request.into_body()).await),
        }
    }
}
