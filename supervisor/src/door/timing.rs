//! What a response tells the gateway's metrics, in header fields beside the answer.

use std::time::Duration;

use cloister_protocol::{Answer, OUTCOME_HEADER, RETURNED, TIMING_HEADER};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The fields of a streamed answer's trailer.
pub const TRAILERS: &str = "x-cloister-outcome, server-timing";

/// Tells what became of a job, and how its time was spent: `queue` until it had a place, and `setup` is all of the
/// rest that was not the job's own.
pub fn tell(headers: &mut HeaderMap, answer: &Answer<'_>, queue: Duration, rest: Duration) {
    put(headers, OUTCOME_HEADER, &outcome(answer));
    let queue = milliseconds(queue);
    let timing = match run(answer) {
        Some(run) => {
            let setup = (milliseconds(rest) - run).max(0.0);
            format!("queue;dur={queue:.3}, setup;dur={setup:.3}, run;dur={run:.3}")
        }
        None => format!("queue;dur={queue:.3}"),
    };
    put(headers, TIMING_HEADER, &timing);
}

/// Tells of a job that begins how long that took.
pub fn tell_start(headers: &mut HeaderMap, queue: Duration, setup: Duration) {
    let (queue, setup) = (milliseconds(queue), milliseconds(setup));
    put(headers, TIMING_HEADER, &format!("queue;dur={queue:.3}, setup;dur={setup:.3}"));
}

/// What is then left to be told at its end.
#[must_use]
pub fn trailers(answer: &Answer<'_>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    put(&mut trailers, OUTCOME_HEADER, &outcome(answer));
    if let Some(run) = run(answer) {
        put(&mut trailers, TIMING_HEADER, &format!("run;dur={run:.3}"));
    }
    trailers
}

fn outcome(answer: &Answer<'_>) -> String {
    match answer {
        Answer::Returned { .. } => RETURNED.to_owned(),
        Answer::Failed { error, .. } | Answer::Refused { error, .. } => error.code.name(),
    }
}

fn run(answer: &Answer<'_>) -> Option<f64> {
    match answer {
        Answer::Returned { given, .. } | Answer::Failed { given, .. } => Some(given.usage.wall_ms),
        Answer::Refused { .. } => None,
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("names and numbers");
    headers.insert(HeaderName::from_static(name), value);
}

#[cfg(test)]
mod tests {
    use super::{TRAILERS, trailers};
    use cloister_protocol::{Answer, ErrorCode, Failure, Given, JobId};

    #[test]
    fn a_trailer_has_the_fields_that_are_announced() {
        let error = &Failure::new(ErrorCode::Exit, "an end");
        let answer = Answer::Failed { id: JobId::random(), error, given: Given::default() };
        let names: Vec<_> = trailers(&answer).keys().map(|name| name.as_str().to_owned()).collect();
        assert!(
            names.len() == 2 && names.iter().all(|name| TRAILERS.split(", ").any(|said| said == name)),
            "{names:?}"
        );
    }
}
