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

impl Asked {
    /// Answers who may still run something by its accounts, and tells it of its rate.
    pub async fn served(
        self,
        app: &App,
        serve: impl AsyncFnOnce(JobId, &Caller, Request) -> Result<Response, Box<Response>>,
    ) -> Response {
        if let Err(refused) = self.caller.check(&app.accounts) {
            let Self { id, caller, request } = self;
            let mut response = app.turn_away(id, refused, request.into_body()).await;
            caller.sign(&mut response);
            return response;
        }
        self.answered(serve).await
    }

    /// Answers whoever asks, and tells it of its rate.
    pub async fn answered(
        self,
        answer: impl AsyncFnOnce(JobId, &Caller, Request) -> Result<Response, Box<Response>>,
    ) -> Response {
        let Self { id, caller, request } = self;
        let mut response = answer(id, &caller, request).await.unwrap_or_else(|refusal| *refusal);
        caller.sign(&mut response);
        response
    }
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
