//! A streamed answer on its way from the supervisor to the client, frame by frame.
//!
//! Nothing is kept here. What the supervisor says at the end of the stream beside the answer is noted,
//! and if it goes away before that, the client is told so by a last event.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use cloister_protocol::{Answer, CALLS_HEADER, Calls, ErrorCode, Failure, JobId, OUTCOME_HEADER, TIMING_HEADER, event};
use hyper::HeaderMap;
use hyper::body::{Bytes, Frame};

use crate::api::known::Known;
use crate::api::refusal::{Because, LOST};
use crate::metrics::{Metrics, Outcome};
use crate::upstream::supervisor::counted;
use crate::usage::meter::Meter;

/// Between the end of what came of an event and the next: a half event gets a name that no reader knows.
const CUT: &[u8] = b"\nevent: cut\n\n";

/// What became of a streamed answer, known at its end and not before.
#[derive(Clone, Debug, Default)]
pub struct StreamOutcome(Arc<OnceLock<(Outcome, Option<Because>)>>);

impl StreamOutcome {
    /// What became of it; a client that has not waited for that has left.
    pub fn outcome(&self) -> Outcome {
        self.0.get().map_or(Outcome::Abandoned, |(outcome, _)| *outcome)
    }

    /// The cause of a failure, for the log.
    pub fn because(&self) -> Option<&Because> {
        self.0.get().and_then(|(_, because)| because.as_ref())
    }
}

/// The body of a streamed answer.
#[derive(Debug)]
pub struct Streamed {
    body: Body,
    id: JobId,
    metrics: Arc<Metrics>,
    stream_outcome: StreamOutcome,
    meter: Meter,
    ends: Ends,
    /// That its job may call tools, if it may.
    _known: Option<Known>,
}

/// Where in the stream a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// After a whole event.
    Event,
    /// After a line of one.
    Line,
    /// Within a line.
    Nowhere,
    /// After everything.
    Stream,
}

impl Streamed {
    /// Passes on what comes in `body`, and notes what becomes of it.
    pub fn new(
        (body, known): (Body, Option<Known>),
        id: JobId,
        metrics: Arc<Metrics>,
        (stream_outcome, meter): (StreamOutcome, Meter),
    ) -> Self {
        Self { body, id, metrics, stream_outcome, meter, ends: Ends::Event, _known: known }
    }

    fn note(&self, trailers: &HeaderMap) {
        let field = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
        if let Some(outcome) = field(OUTCOME_HEADER).and_then(Outcome::parse) {
            let _ = self.stream_outcome.0.set((outcome, None));
            self.meter.settle(outcome, counted(trailers));
        }
        if let Some(calls) = field(CALLS_HEADER).and_then(Calls::parse) {
            self.metrics.count_calls(&calls);
        }
        if let Some(timing) = field(TIMING_HEADER) {
            self.metrics.measure_timing(timing);
        }
    }

    fn pass(&mut self, data: &Bytes) {
        for byte in data.iter().skip(data.len().saturating_sub(2)) {
            self.ends = match (self.ends, byte) {
                (Ends::Nowhere, b'\n') => Ends::Line,
                (_, b'\n') => Ends::Event,
                _ => Ends::Nowhere,
            };
        }
    }

    /// The last event of a stream whose end never came.
    fn broken_off(&self, cause: String) -> Bytes {
        let _ = self.stream_outcome.0.set((Outcome::Failed(ErrorCode::Lost), Some(Because(cause))));
        self.meter.settle(Outcome::Failed(ErrorCode::Lost), None);
        let failure = Failure::new(ErrorCode::Lost, LOST);
        let last = event::last(&Answer::Refused { error: &failure, id: self.id });
        let cut = if self.ends == Ends::Event { &[] } else { CUT };
        [cut, &last].concat().into()
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.ends != Ends::Stream {
            let cause = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.pass(&data);
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    Err(frame) => {
                        self.note(frame.trailers_ref().unwrap_or(&HeaderMap::new()));
                        continue;
                    }
                },
                None if self.stream_outcome.0.get().is_some() => {
                    self.ends = Ends::Stream;
                    break;
                }
                None => "the stream ended without an outcome".to_owned(),
                Some(Err(error)) => error.to_string(),
            };
            let last = self.broken_off(cause);
            self.ends = Ends::Stream;
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        Poll::Ready(None)
    }
}
