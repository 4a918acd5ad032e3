//! The bodies of requests: read whole, within the bounds in size, time and memory, or not at all.
//!
//! No slow sender ever takes a place at the supervisor: what goes there is here.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use cloister_program::{ReadError, read_whole};
use cloister_protocol::{ErrorCode, JobId, is_json_content_type};
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use crate::admission::body_budget::TenantBody;
use crate::admission::caller::Refused;
use crate::api::app::App;
use crate::api::refusal::{refuse_unread, refuse_with};

/// Bodies up to this size are read even for nothing, so that the connection can be used again.
const SMALL: usize = 64 * 1024;

impl App {
    /// Reads the body of a request whole that has to be JSON.
    pub async fn read_json(
        &self,
        id: JobId,
        request: Request,
        memory: &mut TenantBody,
    ) -> Result<Vec<u8>, Box<Response>> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !content_type.is_some_and(is_json_content_type) {
            let message = "send Content-Type: application/json";
            return Err(Box::new(refuse_unread(id, ErrorCode::UnsupportedMediaType, message)));
        }
        self.read_plain(id, request, memory).await
    }

    /// Reads the body of a request whole that may be of any type.
    pub async fn read_plain(
        &self,
        id: JobId,
        request: Request,
        memory: &mut TenantBody,
    ) -> Result<Vec<u8>, Box<Response>> {
        if request.headers().contains_key(CONTENT_ENCODING) {
            let message = "send the body as it is, without Content-Encoding";
            return Err(Box::new(refuse_unread(id, ErrorCode::UnsupportedMediaType, message)));
        }
        self.read(id, request.into_body(), memory).await
    }

    /// Reads a body whole. One that announces too much is refused before any of it is read, and a
    /// client that waits for `100 Continue` is then never told to go on.
    pub async fn read(&self, id: JobId, body: Body, memory: &mut TenantBody) -> Result<Vec<u8>, Box<Response>> {
        let refused = |code, message: String| Box::new(refuse_unread(id, code, message));
        let too_large = || refused(ErrorCode::TooLarge, format!("the body is larger than {} bytes", self.max_body));
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(too_large());
        }
        let whole = read_whole(body, self.max_body, |bytes| memory.take(bytes));
        match tokio::time::timeout(self.body_timeout, whole).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(ReadError::Broken(error))) => {
                Err(refused(ErrorCode::InvalidRequest, format!("the body did not arrive whole: {error}")))
            }
            Ok(Err(ReadError::TooLarge)) => Err(too_large()),
            Ok(Err(ReadError::NoMemory)) => {
                let message = "too many large bodies at once; try again shortly";
                Err(refused(ErrorCode::Overloaded, message.to_owned()))
            }
            Err(_) => {
                let seconds = self.body_timeout.as_secs_f64();
                Err(refused(ErrorCode::RequestTimeout, format!("the body did not arrive within {seconds} seconds")))
            }
        }
    }

    /// Refuses one that is not let in. A small body is read all the same: a connection to be made
    /// anew for every refusal would cost both sides more.
    pub async fn turn_away(&self, id: JobId, refused: Refused, body: Body) -> Response {
        let mut response = refuse_with(id, refused);
        let small = body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL as u64);
        let read = small
            && matches!(tokio::time::timeout(self.body_timeout, read_whole(body, SMALL, |_| true)).await, Ok(Ok(_)));
        if !read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
