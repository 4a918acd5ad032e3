//! What the OpenAPI document says of every path, and what no attribute of a handler can say.

use crate::api::sessions::cells;
use cloister_protocol::event::EVENT_STREAM;
use cloister_protocol::{EXECUTE_PATH, EXPLAIN_HEADER, ID_HEADER, PROFILE_HEADER, SESSIONS_PATH, TIMING_HEADER};
use utoipa::Modify;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::Header;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{HeaderBuilder, OpenApi, Ref, RefOr, Response};

/// What holds for every path.
pub struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A key that `cloister keys new` made. A gateway that was started without keys asks for none.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer.build()));
        for (path, item) in &mut document.paths.paths {
            for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
                for (status, response) in &mut operation.responses.responses {
                    let RefOr::T(response) = response else { continue };
                    for (name, header) in headers(path, status) {
                        response.headers.insert(name.to_owned(), header);
                    }
                    if let ("200", Some(_)) = (status.as_str(), response.content.get(EVENT_STREAM)) {
                        describe_events(response, path);
                    }
                }
            }
        }
    }
}

/// The header fields of an answer.
fn headers(path: &str, status: &str) -> Vec<(&'static str, Header)> {
    let mut headers = vec![(ID_HEADER, text("The request's id, as in the log."))];
    if matches!(status, "429" | "503") {
        headers.push(("retry-after", number("Seconds after which to try again.")));
    }
    if [EXECUTE_PATH, cells::PATH].contains(&path) && matches!(status, "200" | "422") {
        headers.push((TIMING_HEADER, text("How long it waited, was prepared and ran (W3C Server Timing).")));
        headers.push((EXPLAIN_HEADER, text("The layers in force, for a request that asks for them.")));
    }
    if path == EXECUTE_PATH && matches!(status, "200" | "422") {
        headers.push((PROFILE_HEADER, text("The profile that serves it, if the script says what it needs.")));
    }
    if (path == EXECUTE_PATH || path.starts_with(SESSIONS_PATH)) && !matches!(status, "401" | "403") {
        headers.push(("ratelimit", text("What is left of the key's rate, if it has one.")));
        headers.push(("ratelimit-policy", text("The key's rate, if it has one.")));
    }
    headers
}

fn text(what: &str) -> Header {
    HeaderBuilder::new().description(Some(what)).build()
}

fn number(what: &str) -> Header {
    let number = ObjectBuilder::new().schema_type(Type::Integer).build();
    HeaderBuilder::new().schema(number).description(Some(what)).build()
}

/// Says what the data of each event is. OpenAPI has a word of its own for that from 3.2 on.
fn describe_events(response: &mut Response, path: &str) {
    let Some(stream) = response.content.get_mut(EVENT_STREAM) else { return };
    let (events, ends) = match path {
        cells::PATH => {
            let shown = Ref::from_schema_name("Displayed");
            (ObjectBuilder::new().property("display", shown), ["CellReturned", "CellFailed"])
        }
        _ => (ObjectBuilder::new(), ["Returned", "Failed"]),
    };
    let [printed, call, refused] = ["Printed", "Call", "Refused"].map(Ref::from_schema_name);
    let [returned, failed] = ends.map(Ref::from_schema_name);
    let events = events
        .property("stdout", printed.clone())
        .property("stderr", printed)
        .property("call", call)
        .property("result", OneOfBuilder::new().item(returned).item(failed))
        .property("error", refused)
        .build();
    let events = serde_json::to_value(events).expect("a schema is text");
    stream.extensions = Some(ExtensionsBuilder::new().add("x-events", events).build());
}
