//! One kernel: what it does, its interrupt, its restart and its end.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId};
use hyper::{Method, StatusCode};

use super::kernel::kernel_in;
use super::kernels::{request_of, told};
use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::refusal::{refuse, refuse_with};
use crate::api::sessions::one::interrupt_order;
use crate::upstream::order::SessionOrder;

/// What a kernel is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// What it does.
    Show,
    /// Its end.
    Close,
    /// An interrupt of its cell.
    Interrupt,
    /// That it begins anew.
    Restart,
}

/// Tells of it.
pub async fn show(State(app): State<Arc<App>>, asked: Asked) -> Response {
    done(&app, asked, Deed::Show).await
}

/// Ends it, and all that is in it.
pub async fn close(State(app): State<Arc<App>>, asked: Asked) -> Response {
    done(&app, asked, Deed::Close).await
}

/// Interrupts its cell.
pub async fn interrupt(State(app): State<Arc<App>>, asked: Asked) -> Response {
    done(&app, asked, Deed::Interrupt).await
}

/// Has it begin anew, with nothing in it, under the same id.
pub async fn restart(State(app): State<Arc<App>>, asked: Asked) -> Response {
    done(&app, asked, Deed::Restart).await
}

async fn done(app: &App, asked: Asked, deed: Deed) -> Response {
    let answer = async |id, caller: &Caller, request: Request| {
        let kernel = kernel_in(id, &request)?;
        read(app, id, caller, request).await?;
        let response = app.have(id, caller, kernel, deed).await?;
        Ok(if response.status() == StatusCode::NO_CONTENT { response } else { told(app, id, caller, response).await })
    };
    asked.answered(answer).await
}

/// Reads a body that says nothing, so that the connection can be used again.
async fn read(app: &App, id: JobId, caller: &Caller, request: Request) -> Result<(), Box<Response>> {
    app.read(id, request.into_body(), &mut app.bodies.begin(caller.tenant())).await.map(drop)
}

impl App {
    /// Has it done to a kernel: 204 if nothing is to be told, or what the supervisor says of its session.
    ///
    /// # Errors
    /// A refusal.
    pub async fn have(&self, id: JobId, caller: &Caller, kernel: JobId, deed: Deed) -> Result<Response, Box<Response>> {
        let (tenant, session) = (caller.tenant(), self.restarts.session_of(kernel, caller.tenant()));
        let plain = |method, path| SessionOrder::plain(method, path);
        let order = match deed {
            Deed::Show => plain(Method::GET, format!("/{session}")),
            Deed::Close => plain(Method::DELETE, format!("/{session}")),
            Deed::Interrupt => interrupt_order(session),
            Deed::Restart => return self.restart(id, caller, (kernel, session)).await,
        };
        let response = self.order(id, caller, &order).await;
        let mut response = self.told_of(id, tenant, session, response).await;
        let is_over = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::GONE);
        if matches!(deed, Deed::Close) && is_over {
            self.sessions.forget(session, tenant);
            self.restarts.forget(kernel, tenant);
        }
        if matches!(deed, Deed::Interrupt) && response.status() == StatusCode::OK {
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(hyper::header::CONTENT_TYPE);
            response.headers_mut().remove(hyper::header::CONTENT_LENGTH);
        }
        Ok(response)
    }

    /// Ends a kernel's session, if it has not ended by itself, and opens another under the same profile.
    async fn restart(
        &self,
        id: JobId,
        caller: &Caller,
        (kernel, session): (JobId, JobId),
    ) -> Result<Response, Box<Response>> {
        let tenant = caller.tenant();
        caller.check(&self.accounts).map_err(|refused| Box::new(refuse_with(id, refused)))?;
        let profile = match self.profile_of(id, tenant, session).await {
            Ok(profile) => Some(profile),
            // It is over, and of what profile it was is not known any more.
            Err(told) if told.status() == StatusCode::GONE => None,
            Err(told) => return Err(told),
        };
        let (profile, request) = request_of(profile).map_err(|why| Box::new(refuse(id, ErrorCode::Internal, why)))?;
        caller.enter_under(profile.as_deref()).map_err(|refused| Box::new(refuse_with(id, refused)))?;
        // It takes the place of the other, which may be the last that there is.
        let order = SessionOrder::plain(Method::DELETE, format!("/{session}"));
        let closed = self.order(id, caller, &order).await;
        let closed = self.told_of(id, tenant, session, closed).await;
        if !matches!(closed.status(), StatusCode::NO_CONTENT | StatusCode::GONE) {
            return Err(Box::new(closed));
        }
        self.sessions.forget(session, tenant);
        let mut response = self.open_session(id, caller, profile.as_deref(), request).await;
        if response.status() == StatusCode::CREATED {
            self.restarts.note(kernel, tenant, id);
            *response.status_mut() = StatusCode::OK;
        }
        Ok(response)
    }
}
