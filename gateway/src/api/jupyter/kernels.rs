//! What there is of kernels, and one more.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use cloister_protocol::{ErrorCode, JobId, SessionRequest};
use hyper::Method;
use serde::{Deserialize, Serialize};

use super::kernel::{Kernel, PYTHON, Session, Sessions};
use super::words::retold;
use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::refusal::{json, refuse, refuse_with};
use crate::upstream::order::SessionOrder;

/// The version of Jupyter Server whose interface this is.
const VERSION: &[u8] = br#"{"version":"2.0.0"}"#;

/// The one kernel that there is, as Jupyter tells of one.
const SPECS: &str = concat!(
    r#"{"default":"python3","kernelspecs":{"python3":{"name":"python3","spec":{"argv":[],"env":{},"#,
    r#""display_name":"Python 3 (Cloister)","language":"python","interrupt_mode":"message","metadata":{}},"resources":{}}}}"#
);

/// What is said of an answer that is none.
const UNREADABLE: &str = "what the supervisor told of a session could not be read";

/// The body of a request for a kernel. What else is in it says nothing here, such as the path of a notebook.
#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    name: Option<String>,
}

/// Says whose interface it is. Whoever can connect may know.
pub async fn version(Extension(id): Extension<JobId>) -> Response {
    json(id, VERSION)
}

/// Tells of the kernel that there is.
pub async fn specs(Asked { id, caller, .. }: Asked) -> Response {
    let mut response = json(id, SPECS);
    caller.sign(&mut response);
    response
}

/// Tells of all kernels of the key: its sessions, however they were opened.
pub async fn list(State(app): State<Arc<App>>, Asked { id, caller, .. }: Asked) -> Response {
    let response = app.order(id, &caller, &SessionOrder::plain(Method::GET, "")).await;
    let told = retold(response, |told| {
        let Sessions { sessions } = serde_json::from_slice(told).ok()?;
        let kernels: Option<Vec<_>> = sessions.into_iter().map(|session| kernel(&app, &caller, session)).collect();
        serde_json::to_vec(&kernels?).ok()
    });
    let mut response = told.await.unwrap_or_else(|| refuse(id, ErrorCode::Internal, UNREADABLE));
    caller.sign(&mut response);
    response
}

/// Opens one.
pub async fn open(State(app): State<Arc<App>>, asked: Asked) -> Response {
    asked.served(&app, async |id, caller, request| opened(&app, id, caller, request).await).await
}

async fn opened(app: &App, id: JobId, caller: &Caller, request: Request) -> Result<Response, Box<Response>> {
    let mut memory = app.bodies.begin(caller.tenant());
    let body = app.read_plain(id, request, &mut memory).await?;
    let (profile, body) =
        memory.work(body, wanted).await.map_err(|why| Box::new(refuse(id, ErrorCode::InvalidRequest, why)))?;
    caller.enter_under(profile.as_deref()).map_err(|refused| Box::new(refuse_with(id, refused)))?;
    let response = app.open_session(id, caller, profile.as_deref(), body).await;
    Ok(told(app, id, caller, response).await)
}

/// The profile that a body asks for, and the request for a session of it.
fn wanted(body: Vec<u8>) -> Result<(Option<String>, Vec<u8>), String> {
    let body = body.trim_ascii();
    let Wanted { name } = match body.first() {
        None => Wanted::default(),
        Some(b'{') => {
            serde_json::from_slice(body).map_err(|wrong| format!("the body is no request for a kernel: {wrong}"))?
        }
        Some(_) => {
            return Err(r#"the body is no request for a kernel, expected nothing, or {"name": "python3"}"#.to_owned());
        }
    };
    request_of(name.filter(|name| name != PYTHON))
}

/// A request for a session of this profile.
pub fn request_of(profile: Option<String>) -> Result<(Option<String>, Vec<u8>), String> {
    #[derive(Serialize)]
    struct Named {
        #[serde(skip_serializing_if = "Option::is_none")]
        profile: Option<String>,
    }
    let named = serde_json::to_vec(&Named { profile }).expect("a string");
    // As strictly as whoever else asks for one.
    let request = SessionRequest::parse(&named).map_err(|wrong| format!("name: {wrong}"))?;
    Ok((request.profile, named))
}

/// What the supervisor says of a session, told as a kernel.
pub async fn told(app: &App, id: JobId, caller: &Caller, response: Response) -> Response {
    let told = retold(response, |told| {
        let session = serde_json::from_slice(told).ok()?;
        serde_json::to_vec(&kernel(app, caller, session)?).ok()
    });
    told.await.unwrap_or_else(|| refuse(id, ErrorCode::Internal, UNREADABLE))
}

fn kernel(app: &App, caller: &Caller, session: Session) -> Option<Kernel> {
    let id = JobId::parse(&session.session)?;
    Some(session.told(app.restarts.kernel_of(id, caller.tenant())))
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn whatever_clients_send_for_a_kernel_is_read() {
        let asked = |body: &str| wanted(body.as_bytes().to_vec()).map(|(profile, _)| profile);
        for body in ["", " \n", "{}", r#"{"name": "python3", "path": "a"}"#, r#"{"name": null}"#] {
            assert_eq!(asked(body), Ok(None), "{body}");
        }
        assert_eq!(asked(r#"{"name": "data"}"#), Ok(Some("data".to_owned())));
        for wrong in ["[]", r#"["python3"]"#, "{", r#"{"name": 1}"#, "null"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
