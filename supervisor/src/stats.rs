//! What a response tells the gateway's metrics, in header fields beside the answer.

use std::time::Duration;

use cloister_protocol::{Answer, OUTCOME_HEADER, RETURNED, TIMING_HEADER};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// Tells what became of a job, and how its time was spent: `setup` is all that was not the job's own.
pub fn tell(headers: &mut HeaderMap, answer: &Answer<'_>, total: Duration) {
    let (outcome, run) = match answer {
        Answer::Returned { usage, .. } => (RETURNED.to_owned(), Some(usage.wall_ms)),
        Answer::Failed { error, usage, .. } => (error.code.name(), Some(usage.wall_ms)),
        Answer::Refused { error, .. } => (error.code.name(), None),
    };
    let mut put = |name, value: &str| {
        let value = HeaderValue::from_str(value).expect("names and numbers");
        headers.insert(HeaderName::from_static(name), value);
    };
    put(OUTCOME_HEADER, &outcome);
    if let Some(run) = run {
        let setup = (total.as_secs_f64() * 1000.0 - run).max(0.0);
        put(TIMING_HEADER, &format!("setup;dur={setup:.3}, run;dur={run:.3}"));
    }
}
