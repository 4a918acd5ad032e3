//! The files of a session, one by one: put into its working directory, taken from it, named and deleted there.
//!
//! A file that comes is read whole before it goes on, as any body is; one that is fetched goes through as it comes. What is in it is a
//! stranger's: no browser is to take it for a page of this node's.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use cloister_protocol::{ErrorCode, FILES, JobId, SessionFiles, check_file_path};
use hyper::header::{CONTENT_DISPOSITION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::admission::caller::Caller;
use crate::api::app::App;
use crate::api::asked::Asked;
use crate::api::methods::misdirected;
use crate::api::schemas;
use crate::api::sessions::order::{Place, carry_out, session_in};

/// Where they are told of.
pub const LIST_PATH: &str = "/sessions/{id}/files";

/// The path of one, as the contract has it.
const PATH: &str = "/sessions/{id}/files/{path}";

/// The same for the router: with slashes in it.
pub const ROUTE: &str = "/sessions/{id}/files/{*path}";

/// What of a path is written otherwise on the way: all that is neither unreserved nor a slash (RFC 3986, 2.3).
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Tells of the files of a session: those in its working directory and below.
#[utoipa::path(
    get, tag = "sessions", path = LIST_PATH, operation_id = "list_files", summary = "Files of a session", security((), ("key" = [])),
    params(("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$")),
    responses(
        (status = 200, description = "Those that are there.", body = SessionFiles),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "It has waited too long for its turn behind a cell, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 422, description = "It could not be done in the session, as the message says: exception, killed.", body = schemas::Refused),
        (status = 429, description = "Too many at once (overloaded), or too fast (rate_limited): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn list(State(app): State<Arc<App>>, asked: Asked) -> Response {
    ordered(&app, asked, Method::GET, listed).await
}

/// Gives the content of a file.
#[utoipa::path(
    get, tag = "sessions", path = PATH, operation_id = "get_file", summary = "A file of a session", security((), ("key" = [])),
    params(
        ("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$"),
        ("path" = String, Path, description = "Where the file is, relative to the working directory; a slash may be written as it is.", min_length = 1, max_length = 1024)
    ),
    responses(
        (status = 200, description = "What is in it.", body = schemas::FileContent, content_type = "application/octet-stream"),
        (status = 400, description = "The path leads elsewhere than below the working directory: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here, or no such file in it: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "It has waited too long for its turn behind a cell, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 422, description = "It could not be done in the session, as the message says: exception, killed.", body = schemas::Refused),
        (status = 429, description = "Too many at once (overloaded), or too fast (rate_limited): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn fetch(State(app): State<Arc<App>>, asked: Asked) -> Response {
    let mut response = ordered(&app, asked, Method::GET, named).await;
    if response.status() == StatusCode::OK {
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    response
}

/// Puts a file into the working directory, in place of any that is there; directories are made as needed.
#[utoipa::path(
    put, tag = "sessions", path = PATH, operation_id = "put_file", summary = "Put a file into a session", security((), ("key" = [])),
    request_body(content = schemas::FileContent, content_type = "application/octet-stream"),
    params(
        ("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$"),
        ("path" = String, Path, description = "Where the file is, relative to the working directory; a slash may be written as it is.", min_length = 1, max_length = 1024)
    ),
    responses(
        (status = 204, description = "It is there."),
        (status = 400, description = "The path leads elsewhere than below the working directory: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "It has waited too long for its turn behind a cell, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "It is larger than a body may be, or than there is room for: too_large.", body = schemas::Refused),
        (status = 415, description = "The body is encoded: unsupported_media_type.", body = schemas::Refused),
        (status = 422, description = "It could not be done in the session, as the message says: exception, killed.", body = schemas::Refused),
        (status = 429, description = "Too many at once (overloaded), or too fast (rate_limited): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn put(State(app): State<Arc<App>>, asked: Asked) -> Response {
    ordered(&app, asked, Method::PUT, named).await
}

/// Deletes a file.
#[utoipa::path(
    delete, tag = "sessions", path = PATH, operation_id = "delete_file", summary = "Delete a file of a session", security((), ("key" = [])),
    params(
        ("id" = String, Path, description = "The session.", pattern = "^[0-9a-f]{32}$"),
        ("path" = String, Path, description = "Where the file is, relative to the working directory; a slash may be written as it is.", min_length = 1, max_length = 1024)
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 400, description = "The path leads elsewhere than below the working directory: invalid_request.", body = schemas::Refused),
        (status = 401, description = "No key, or none that is known here: unauthorized.", body = schemas::Refused),
        (status = 403, description = "A page of others asks, or a name that is not this node's: forbidden.", body = schemas::Refused),
        (status = 404, description = "There is no such session of this key's here, or no such file in it: not_found.", body = schemas::Refused),
        (status = 408, description = "The body took too long to arrive: request_timeout.", body = schemas::Refused),
        (status = 409, description = "It has waited too long for its turn behind a cell, or too many wait: session_busy.", body = schemas::Refused),
        (status = 410, description = "The session is over, and `reason` says why: session_ended.", body = schemas::Refused),
        (status = 413, description = "The body is too large: too_large.", body = schemas::Refused),
        (status = 422, description = "It could not be done in the session, as the message says: exception, killed.", body = schemas::Refused),
        (status = 429, description = "Too many at once (overloaded), or too fast (rate_limited): wait Retry-After seconds.", body = schemas::Refused),
        (status = 500, description = "A bug of ours: internal.", body = schemas::Refused),
        (status = 502, description = "The supervisor went away meanwhile, and all sessions with it: lost.", body = schemas::Refused),
        (status = 503, description = "The supervisor is away or restarting: unavailable.", body = schemas::Refused)
    )
)]
pub async fn delete(State(app): State<Arc<App>>, asked: Asked) -> Response {
    ordered(&app, asked, Method::DELETE, named).await
}

/// Hands an order on.
async fn ordered(app: &App, asked: Asked, method: Method, place: Place) -> Response {
    let answer = async |id, caller: &Caller, request| {
        carry_out(app, (id, caller), request, (method, place)).await.map(|(_, response)| response)
    };
    asked.answered(answer).await
}

fn listed(id: JobId, request: &Request) -> Result<(JobId, String), Box<Response>> {
    session_in(id, request).map(|(session, _)| (session, format!("/{session}/{FILES}")))
}

fn named(id: JobId, request: &Request) -> Result<(JobId, String), Box<Response>> {
    let (session, rest) = session_in(id, request)?;
    let refused = |why: String| Box::new(misdirected(id, ErrorCode::InvalidRequest, &why, request));
    let quoted =
        rest.strip_prefix('/').and_then(|rest| rest.strip_prefix(FILES)?.strip_prefix('/')).unwrap_or_default();
    let path = percent_decode_str(quoted).decode_utf8().map_err(|_| refused("the path is not UTF-8".to_owned()))?;
    check_file_path(&path).map_err(|wrong| refused(wrong.to_string()))?;
    Ok((session, format!("/{session}/{FILES}/{}", utf8_percent_encode(&path, QUOTED))))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use cloister_protocol::JobId;

    use super::named;

    #[test]
    fn a_path_is_written_anew_or_refused() {
        let session = "0123456789abcdef0123456789abcdef";
        let place = |path: &str| {
            let request =
                Request::get(format!("/sessions/{session}/files/{path}")).body(Body::empty()).expect("a path");
            named(JobId::random(), &request).map(|(_, place)| place).map_err(|refusal| refusal.status().as_u16())
        };
        for (path, expected) in [
            ("a.txt", "a.txt"),
            ("out/a%20b.png", "out/a%20b.png"),
            ("%61", "a"),
            ("a%2Fb", "a/b"),
            ("%C3%A9", "%C3%A9"),
            ("a+b;c=d", "a%2Bb%3Bc%3Dd"),
            ("files/files", "files/files"),
            ("a%3Fb%23c", "a%3Fb%23c"),
            ("%252e%252e", "%252e%252e"),
        ] {
            assert_eq!(place(path), Ok(format!("/{session}/files/{expected}")), "{path}");
        }
        for path in ["", "..", "../a", "a/../b", "%2e%2e/a", "%2Fa", "/a", "a//b", "a/", "a%00b", "%FF", ".", "a/./b"] {
            assert_eq!(place(path), Err(400), "{path}");
        }
    }
}
