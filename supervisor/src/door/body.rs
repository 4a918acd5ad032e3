//! The body of a request: read whole within the budget of all, and parsed.

use std::time::Duration;

use cloister_program::{ReadError, Taken};
use cloister_protocol::{
    ErrorCode, ExecuteRequest, Failure, ForkRequest, InvalidRequest, Returns, SessionRequest, Writer,
};
use hyper::body::Incoming;

use crate::link::event_loop::LARGE;

/// The largest body that is read at all. The gateway's own bound is far lower.
const LARGEST_BODY: usize = 128 * 1024 * 1024;

/// How long a body may take to come: the gateway has it whole.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Reads a request from its body, as long as there is memory for it.
///
/// # Errors
/// A failure when it does not come whole and in time, there is no memory, or it is no request.
pub async fn receive(body: Incoming, memory: &mut Taken) -> Result<ExecuteRequest, Failure> {
    parse(arrived(body, memory).await?, |body| ExecuteRequest::parse_from(Writer::Gateway, body)).await
}

/// Reads a request for a session.
///
/// # Errors
/// As [`receive`].
pub async fn receive_session(body: Incoming, memory: &mut Taken) -> Result<SessionRequest, Failure> {
    parse(arrived(body, memory).await?, SessionRequest::parse).await
}

/// Reads what is asked of a fork.
///
/// # Errors
/// As [`receive`].
pub async fn receive_fork(body: Incoming, memory: &mut Taken) -> Result<ForkRequest, Failure> {
    parse(arrived(body, memory).await?, ForkRequest::parse).await
}

/// Reads the content of a file.
///
/// # Errors
/// A failure when it does not come whole and in time, or there is no memory.
pub async fn receive_content(body: Incoming, memory: &mut Taken) -> Result<Vec<u8>, Failure> {
    arrived(body, memory).await
}

/// Reads what calls of a job came to.
///
/// # Errors
/// As [`receive`].
pub async fn receive_returns(body: Incoming, memory: &mut Taken) -> Result<Returns, Failure> {
    parse(arrived(body, memory).await?, Returns::parse).await
}

async fn arrived(body: Incoming, memory: &mut Taken) -> Result<Vec<u8>, Failure> {
    let late = |_| Failure::new(ErrorCode::RequestTimeout, "the body did not arrive in time");
    tokio::time::timeout(BODY_TIME, read(body, memory)).await.map_err(late)?
}

async fn read(body: Incoming, memory: &mut Taken) -> Result<Vec<u8>, Failure> {
    let read = cloister_program::read_whole(body, LARGEST_BODY, |bytes| memory.take(bytes)).await;
    // That it was asked for leaves this process before anything is done with it, also where it had come unasked: what
    // dies from here on is not said never to have begun.
    tokio::task::yield_now().await;
    read.map_err(|unread| match unread {
        ReadError::Broken(error) => {
            Failure::new(ErrorCode::InvalidRequest, format!("the body did not arrive whole: {error}"))
        }
        ReadError::TooLarge => {
            Failure::new(ErrorCode::TooLarge, format!("the body is larger than {LARGEST_BODY} bytes"))
        }
        ReadError::NoMemory => Failure::new(ErrorCode::Unavailable, "too many large bodies at once; try again shortly"),
    })
}

/// Parses a body; beside the event loop, if it is a large one.
async fn parse<T: Send + 'static>(
    body: Vec<u8>,
    parse: impl FnOnce(&[u8]) -> Result<T, InvalidRequest> + Send + 'static,
) -> Result<T, Failure> {
    let small = body.len() < LARGE;
    let parse = move || parse(&body);
    let request =
        if small { parse() } else { tokio::task::spawn_blocking(parse).await.expect("parsing does not panic") };
    request.map_err(|error| Failure::new(ErrorCode::InvalidRequest, error.to_string()))
}
