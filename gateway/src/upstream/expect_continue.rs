//! A request's body, and whether the other side has asked for it: `Expect: 100-continue` (RFC 9110, 10.1.1). A large one stays
//! here until then; a small one goes at once, for waiting would cost more than sending it in vain.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::HttpBody;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::ext::on_informational;
use hyper::{Request, StatusCode};

use crate::upstream::place_given::PlaceGiven;

/// The most that is sent unasked, in bytes: it and a head fit into what is read of a connection at first.
const SMALL: usize = 4096;

/// The body.
#[derive(Debug)]
pub struct DeferredBody {
    bytes: Bytes,
    asked: Continue,
}

/// Whether a body was asked for; clones tell of the same.
#[derive(Clone, Debug, Default)]
pub struct Continue(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    asked: bool,
    waits: Option<Waker>,
    given: PlaceGiven,
}

impl DeferredBody {
    /// No body.
    pub fn nothing() -> Self {
        Self { bytes: Bytes::new(), asked: Continue::default() }
    }

    /// A body that is given whether or not it was asked for.
    pub fn at_once(bytes: Bytes) -> Self {
        let asked = Continue::default();
        asked.state().asked = true;
        Self { bytes, asked }
    }

    /// A body that is given when it is asked for, or at once if it is small, and what tells whether it was asked for.
    pub fn until_asked(bytes: Bytes) -> (Self, Continue) {
        let asked = Continue::default();
        (Self { bytes, asked: asked.clone() }, asked)
    }
}

impl Continue {
    /// Hears of it when the body of this request is asked for.
    pub fn listen<B>(&self, request: &mut Request<B>) {
        let asked = self.clone();
        on_informational(request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                let mut state = asked.state();
                state.asked = true;
                state.given.note();
                if let Some(waits) = state.waits.take() {
                    waits.wake();
                }
            }
        });
    }

    /// Has this note when it is asked for, which is when there is a place for it.
    pub fn noted_by(&self, given: PlaceGiven) {
        self.state().given = given;
    }

    /// Whether it was: before that, nothing can have been done with the body, whether or not it has left.
    pub fn was_heard(&self) -> bool {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A few plain values, whole whatever happened to the last holder.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for DeferredBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let mut state = self.asked.state();
        if !state.asked && self.bytes.len() > SMALL {
            state.waits = Some(cx.waker().clone());
            return Poll::Pending;
        }
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
