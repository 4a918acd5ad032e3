//! A kernel's channels: a WebSocket on which cells are sent and their output comes, as messages of Jupyter's (jupyter-client,
//! "Messaging", 5.3). All channels are on the one, each message says of which it is.

mod cells;
mod conversation;
mod requests;
mod verdict;
mod voice;

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId};
use hyper::StatusCode;

use self::conversation::{Conversation, Spoken};
use super::kernel::{Session, kernel_in};
use super::one::Deed;
use crate::admission::caller::Caller;
use crate::admission::client_address::ClientAddress;
use crate::api::app::App;
use crate::api::connect::arrival::Arrival;
use crate::api::connect::handshake;
use crate::api::refusal::refuse;
use crate::api::sessions::order::read_info;

/// Opens them.
pub async fn channels(
    State(app): State<Arc<App>>,
    Extension(id): Extension<JobId>,
    Extension(ClientAddress(client)): Extension<ClientAddress>,
    Extension(arrival): Extension<Arrival>,
    mut request: Request,
) -> Response {
    let caller = match app.admission.identify(request.headers(), client) {
        Ok(caller) => caller,
        Err(refused) => return app.turn_away(id, refused, request.into_body()).await,
    };
    let asked = kernel_in(id, &request).and_then(|kernel| Ok((kernel, handshake(id, &request)?)));
    let opened = match asked {
        Ok((kernel, response)) => spoken(&app, id, &caller, kernel).await.map(|spoken| (response, spoken)),
        Err(refusal) => Err(refusal),
    };
    let mut response = match opened {
        Ok((response, spoken)) => {
            let (upgraded, headers) = (hyper::upgrade::on(&mut request), request.headers().clone());
            tokio::spawn(async move {
                match upgraded.await {
                    Ok(stream) => {
                        Conversation::open(app, (headers, client), (arrival, spoken), stream).await.go_on().await
                    }
                    Err(error) => tracing::debug!(%id, %error, "channels were not opened"),
                }
            });
            response
        }
        Err(refusal) => *refusal,
    };
    caller.sign(&mut response);
    response
}

/// What is known of a kernel, if it is there.
async fn spoken(app: &App, id: JobId, caller: &Caller, kernel: JobId) -> Result<Spoken, Box<Response>> {
    let told = app.have(id, caller, kernel, Deed::Show).await?;
    if told.status() != StatusCode::OK {
        return Err(Box::new(told));
    }
    let told = read_info(told).await;
    let session: Option<Session> = serde_json::from_slice(&told).ok();
    let Some(session) = session else {
        return Err(Box::new(refuse(
            id,
            ErrorCode::Unavailable,
            "the supervisor went away while it was asked of the kernel",
        )));
    };
    let python = app.profiles.get().await.profiles.get(session.profile()).and_then(|profile| {
        let said = profile.interpreter.as_ref().map(|interpreter| interpreter.version.clone());
        said.or_else(|| profile.python.clone())
    });
    Ok(Spoken::of(kernel, &session, python))
}
