//! What a response tells the gateway's metrics and accounts, in header fields beside the answer.

use std::time::Duration;

use cloister_protocol::{
    Answer, CALLS_HEADER, COUNTED_HEADER, KernelCount, OUTCOME_HEADER, RETURNED, TIMING_HEADER, Usage,
};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// The fields of a streamed answer's trailer.
pub const TRAILERS: &str = "x-cloister-outcome, x-cloister-counted, x-cloister-calls, server-timing";

/// Tells what became of a job, and how its time was spent: `queue` until it had a place, and `setup` is all of the
/// rest that was not the job's own.
pub fn tell(headers: &mut HeaderMap, answer: &Answer<'_>, queue: Duration, rest: Duration) {
    tell_end(headers, answer);
    let queue = milliseconds(queue);
    let timing = match usage(answer) {
        Some(Usage { wall_ms: run, .. }) => {
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
    tell_end(&mut trailers, answer);
    if let Some(Usage { wall_ms: run, calls, .. }) = usage(answer) {
        let wait = calls.map(|calls| format!(", wait;dur={:.3}", calls.waited_ms)).unwrap_or_default();
        put(&mut trailers, TIMING_HEADER, &format!("run;dur={run:.3}{wait}"));
        if let Some(calls) = calls {
            put(&mut trailers, CALLS_HEADER, &calls.to_string());
        }
    }
    trailers
}

fn tell_end(headers: &mut HeaderMap, answer: &Answer<'_>) {
    tell_outcome(headers, answer);
    if let Some(Usage { cpu_ms, memory_peak_bytes, .. }) = usage(answer) {
        let cpu = Duration::try_from_secs_f64(cpu_ms / 1000.0).unwrap_or(Duration::MAX);
        put(headers, COUNTED_HEADER, &KernelCount { cpu, memory_peak: memory_peak_bytes }.to_string());
    }
}

/// Tells what became of a request.
pub fn tell_outcome(headers: &mut HeaderMap, answer: &Answer<'_>) {
    put(headers, OUTCOME_HEADER, &outcome(answer));
}

fn outcome(answer: &Answer<'_>) -> String {
    match answer {
        Answer::Returned { .. } => RETURNED.to_owned(),
        Answer::Failed { error, .. } | Answer::Refused { error, .. } => error.code.name(),
    }
}

fn usage(answer: &Answer<'_>) -> Option<Usage> {
    match answer {
        Answer::Returned { given, .. } | Answer::Failed { given, .. } => Some(given.usage),
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
    use cloister_protocol::{Answer, Calls, ErrorCode, Failure, Given, JobId, Usage};

    #[test]
    fn a_trailer_has_the_fields_that_are_announced() {
        let error = &Failure::new(ErrorCode::Exit, "an end");
        let usage = Usage { calls: Some(Calls::default()), ..Usage::default() };
        let given = Given { usage, ..Given::default() };
        let answer = Answer::Failed { id: JobId::random(), error, given };
        let names: Vec<_> = trailers(&answer).keys().map(|name| name.as_str().to_owned()).collect();
        assert!(
            names.len() == 4 && names.iter().all(|name| TRAILERS.split(", ").any(|said| said == name)),
            "{names:?}"
        );
    }
}
