//! Which form of an answer a client asks for.

use std::str::FromStr;

use headers_accept::Accept;
use hyper::HeaderMap;
use hyper::header::ACCEPT;
use mediatype::MediaType;
use mediatype::names::{APPLICATION, EVENT_STREAM, JSON, TEXT};

/// In this order where a client has no preference.
const FORMS: [MediaType<'_>; 2] = [MediaType::new(APPLICATION, JSON), MediaType::new(TEXT, EVENT_STREAM)];

/// Whether a client would rather have its answer as a stream of events. What is not understood asks for nothing.
pub fn prefers_events(headers: &HeaderMap) -> bool {
    // By far the most say no more than this.
    if headers.get_all(ACCEPT).iter().all(|line| line == "*/*") {
        return false;
    }
    let lines: Option<Vec<_>> = headers.get_all(ACCEPT).iter().map(|line| line.to_str().ok()).collect();
    // A field in several lines is one list (RFC 9110, 5.3).
    let list = lines.unwrap_or_default().join(", ");
    let form = Accept::from_str(&list).ok().and_then(|accept| accept.negotiate(&FORMS).cloned());
    form.is_some_and(|form| form == FORMS[1])
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{ACCEPT, HeaderValue};

    use super::prefers_events;

    fn asked(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_bytes(line.as_bytes()).expect("a header's value"));
        }
        prefers_events(&headers)
    }

    #[test]
    fn a_stream_is_for_who_prefers_it() {
        for lines in [
            &["text/event-stream"][..],
            &["TEXT/Event-Stream"],
            &["text/event-stream, application/json;q=0.9"],
            &["application/json;q=0.5,text/event-stream;q=0.6"],
            &["text/event-stream, */*;q=0.1"],
            &["application/json;q=0", "text/event-stream;q=0.1"],
            &["text/*"],
            &["*/*, application/json;q=0"],
        ] {
            assert!(asked(lines), "{lines:?}");
        }
    }

    #[test]
    fn an_answer_in_json_is_for_all_others() {
        for lines in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/json"],
            &["application/*"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["application/json, text/event-stream"],
            &["application/json", "text/event-stream"],
            &["text/event-stream;q=0"],
            &["text/event-stream;q=0.3, application/json;q=0.4"],
            &["text/event-stream;q=0.3, */*"],
            &["text/plain"],
            &["text/event-streams"],
            &["text/event-stream-x, nonsense"],
            &["\u{e9}"],
            &[",,;;=\"q"],
        ] {
            assert!(!asked(lines), "{lines:?}");
        }
    }
}
