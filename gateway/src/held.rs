//! A request's body that stays here until the other side asks for it: `Expect: 100-continue` (RFC 9110, 10.1.1).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::HttpBody;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::ext::on_informational;
use hyper::{Request, StatusCode};

/// The body.
#[derive(Debug)]
pub struct Held {
    bytes: Bytes,
    asked: Asked,
}

/// Whether a body was asked for, and given; clones tell of the same.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: bool,
    given: bool,
    waits: Option<Waker>,
}

impl Held {
    /// No body.
    pub fn nothing() -> Self {
        Self { bytes: Bytes::new(), asked: Asked::default() }
    }

    /// A body that is given when it is asked for, and what tells of that.
    pub fn until_asked(bytes: Vec<u8>) -> (Self, Asked) {
        let asked = Asked::default();
        (Self { bytes: bytes.into(), asked: asked.clone() }, asked)
    }
}

impl Asked {
    /// Hears of it when the body of this request is asked for.
    pub fn listen<B>(&self, request: &mut Request<B>) {
        let asked = self.clone();
        on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                let mut state = asked.state();
                state.asked = true;
                if let Some(waits) = state.waits.take() {
                    waits.wake();
                }
            }
        });
    }

    /// Whether the body has left, or a part of it.
    pub fn was_given(&self) -> bool {
        self.state().given
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A few plain values, whole whatever happened to the last holder.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let mut state = self.asked.state();
        if !state.asked {
            state.waits = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.given = true;
        drop(state);
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
