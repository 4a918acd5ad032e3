//! The contract for programs: OpenAPI 3.1, generated from the types and the handlers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Extension, State};
use axum::response::Response;
use cloister_protocol::event::{Displayed, Printed};
use cloister_protocol::{Call, DEFAULT_PROFILE, JobId, Profiles, Taken};
use hyper::body::Bytes;
use utoipa::OpenApi;

use crate::api::app::App;
use crate::api::described::Everywhere;
use crate::api::refusal::json;
use crate::api::sessions::{cells, export, files, fork, one, several};
use crate::api::{connect, execute, health, page, returns, schemas};

/// The path that serves the document.
pub const PATH: &str = "/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cloister",
        description = "Runs untrusted Python, each script in a sandbox of its own. Assistants find the same at `/mcp`, by the Model Context Protocol.",
        contact(name = "Whoever runs this node")
    ),
    servers((url = "/", description = "The node that this came from.")),
    tags(
        (name = "jobs", description = "Scripts, and what becomes of them."),
        (name = "sessions", description = "Interpreters that stay, and are sent cells."),
        (name = "node", description = "The node itself.")
    ),
    paths(
        execute::execute, returns::returns, connect::connect,
        several::open, several::list, one::show, one::close, cells::execute, one::interrupt, fork::fork, export::export,
        files::list, files::fetch, files::put, files::delete,
        health::healthy, health::ready, contract, page::routes
    ),
    components(schemas(Printed, Displayed, Call, Taken)),
    modifiers(&Everywhere)
)]
struct Document;

/// The document, kept for as long as there is nothing else to say.
#[derive(Debug, Default)]
pub struct Contract(Mutex<Option<(Versions, Bytes)>>);

/// The versions of the interpreters that run scripts: that of the default profile, and others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    default: Option<String>,
    others: BTreeSet<String>,
}

impl Contract {
    fn of(&self, versions: Versions) -> Bytes {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((of, document)) if *of == versions => document.clone(),
            _ => {
                let made = Bytes::from(document(&versions));
                *kept = Some((versions, made.clone()));
                made
            }
        }
    }
}

impl Versions {
    /// Those of these profiles. Their names are not told, for the document needs no key.
    fn of(profiles: &Profiles) -> Self {
        let version = |name: &str| Some(profiles.get(name)?.interpreter.as_ref()?.version.clone());
        let default = version(DEFAULT_PROFILE);
        let all = profiles.keys().filter_map(|name| version(name));
        Self { others: all.filter(|version| Some(version) != default.as_ref()).collect(), default }
    }

    fn sentence(&self) -> String {
        let others = self.others.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match (&self.default, others.is_empty()) {
            (None, true) => String::new(),
            (None, false) => format!(" Scripts run under Python {others}, as their profile says."),
            (Some(version), true) => format!(" Scripts run under Python {version}."),
            (Some(version), false) => {
                format!(" Scripts run under Python {version}; other profiles than the default have {others}.")
            }
        }
    }
}

/// The document, for scripts that run under these versions.
///
/// # Panics
/// Never: it holds strings and numbers.
pub fn document(versions: &Versions) -> String {
    let mut document = Document::openapi();
    if let Some(description) = &mut document.info.description {
        description.push_str(&versions.sentence());
    }
    document.to_pretty_json().expect("strings and numbers")
}

/// This document, with the version of the interpreter as it is now.
#[utoipa::path(
    get, tag = "node", path = PATH, operation_id = "openapi", summary = "This document", security(()),
    responses(
        (status = 200, description = "OpenAPI 3.1", body = std::collections::HashMap<String, serde_json::Value>),
        (status = 403, description = "It was asked for by a name that is not this node's: forbidden.", body = schemas::Refused)
    )
)]
pub async fn contract(
    State(app): State<Arc<App>>,
    Extension(kept): Extension<Arc<Contract>>,
    Extension(id): Extension<JobId>,
) -> Response {
    let known = app.profiles.get().await;
    json(id, kept.of(Versions::of(&known.profiles)))
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "what is read here we have written")]
mod tests {
    use std::collections::BTreeSet;

    use cloister_protocol::event::{EVENT_STREAM, Printed};
    use cloister_protocol::{
        Answer, Calls, CellGiven, Denial, Details, Encoded, ErrorCode, Failure, Given, JobId, Layer, LeftFile,
        MimeBundle, MissingPackage, MissingPackages, OutputFile, Usage,
    };
    use serde_json::Value;

    use super::{Versions, document};

    /// One schema of the document; null if there is none of that name.
    fn schema(name: &str) -> Value {
        let document: Value = serde_json::from_str(&document(&Versions::default())).expect("JSON");
        document["components"]["schemas"][name].clone()
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    }

    #[test]
    fn answers_have_the_fields_that_the_document_says() {
        let document: Value = serde_json::from_str(&document(&Versions::default())).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        let id = JobId::random();
        let error = &Failure::new(ErrorCode::Exit, "an end");
        let result = serde_json::from_str("1").expect("JSON");
        let content_base64 = Some(Encoded::new(b"x"));
        let (name, media_type, omitted) = ("a.txt".to_owned(), "text/plain", Some("why".to_owned()));
        let path = Some(name.clone());
        let files = &[OutputFile { name, path, size: 1, media_type, content_base64, omitted }][..];
        let files_left = &[LeftFile { path: "c".to_owned(), size: 1 }][..];
        let given = Given {
            files,
            files_missing: &["b".to_owned()],
            files_left,
            files_left_more: 1,
            unfinished: Some("a thread"),
            notes: &["a note".to_owned()],
            ..Given::default()
        };
        let beside = ["exit_code", "unfinished", "notes"];
        let optional = [&["files", "files_missing", "files_left", "files_left_more"][..], &beside].concat();
        let bundle = MimeBundle::read(b"{}").expect("a bundle");
        let (data, display) = (Some(&bundle), std::slice::from_ref(&bundle));
        let cell = CellGiven {
            session: id,
            cell: 1,
            text: Some("1"),
            data,
            display,
            restored: Some(true),
            not_kept: given.notes,
        };
        let of_cell = Given { cell: Some(cell), ..given };
        let of_cells = [&optional[..], &["text", "data", "display", "restored", "not_kept", "result"]].concat();
        for (name, answer, optional) in [
            ("Returned", Answer::Returned { id, result: Some(result), exit_code: Some(0), given }, &optional),
            ("Failed", Answer::Failed { id, error, given }, &optional),
            ("Refused", Answer::Refused { error, id }, &optional),
            ("CellReturned", Answer::Returned { id, result: Some(result), exit_code: None, given: of_cell }, &of_cells),
            ("CellFailed", Answer::Failed { id, error, given: of_cell }, &of_cells),
        ] {
            let answer: Value = serde_json::from_slice(&answer.to_json()).expect("JSON");
            assert_eq!(keys(&answer), keys(&schema(name)["properties"]), "{name}");
            let required: BTreeSet<_> = schema(name)["required"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|key| Some(key.as_str()?.to_owned()))
                .collect();
            let always: BTreeSet<_> = keys(&answer).into_iter().filter(|key| !optional.contains(&&**key)).collect();
            assert_eq!(always, required, "{name}");
        }
        let file = serde_json::to_value(&files[0]).expect("JSON");
        assert_eq!(keys(&file), keys(&schema("ReturnedFile")["properties"]));
        assert_eq!(schema("ReturnedFile")["required"], serde_json::json!(["name", "size", "media_type"]));
        let left = serde_json::to_value(&files_left[0]).expect("JSON");
        assert_eq!(keys(&left), keys(&schema("LeftFile")["properties"]));
        let usage = Usage { calls: Some(Calls::default()), ..Usage::default() };
        let usage = serde_json::to_value(usage).expect("JSON");
        assert_eq!(keys(&usage), keys(&schema("Usage")["properties"]));
        assert_eq!(keys(&usage["calls"]), keys(&schema("Calls")["properties"]));
        let codes = ErrorCode::ALL.map(|code| Value::from(code.name()));
        assert_eq!(schema("ErrorCode")["enum"].as_array().map(Vec::as_slice), Some(&codes[..]));
    }

    #[test]
    fn a_streamed_answer_and_its_events_are_described() {
        let document: Value = serde_json::from_str(&document(&Versions::default())).expect("JSON");
        let cell = &document["paths"]["/sessions/{id}/execute"]["post"]["responses"]["200"]["content"][EVENT_STREAM];
        let kinds = ["call", "display", "error", "result", "stderr", "stdout"].map(str::to_owned).into();
        assert_eq!(keys(&cell["x-events"]["properties"]), kinds);
        let run = &document["paths"]["/execute"]["post"];
        assert_eq!(
            keys(&run["responses"]["200"]["content"]),
            ["application/json", EVENT_STREAM].map(str::to_owned).into()
        );
        assert_eq!(run["responses"]["200"]["content"][EVENT_STREAM]["schema"]["type"], "string");
        let told = run["description"].as_str().expect("text");
        for name in ["`stdout`", "`stderr`", "`result`", "`error`", "Printed", "Returned", "Failed", "Refused"] {
            assert!(told.contains(name), "{name}: {told}");
        }
        let event = serde_json::to_value(Printed { text: "" }).expect("JSON");
        assert_eq!(keys(&event), keys(&schema("Printed")["properties"]));
    }

    #[test]
    fn errors_have_the_fields_that_the_document_says() {
        let denial =
            |layer| Denial { layer, what: "socket(AF_INET)".to_owned(), hint: "network = \"none\"".to_owned() };
        let layers = [Layer::Seccomp, Layer::Filesystem, Layer::Tmpfs, Layer::Cgroup, Layer::Rlimit];
        let mut failure =
            Failure::new(ErrorCode::Exception, "an end").with(Details { line: Some(3), ..Details::default() });
        failure.denials = layers.map(denial).to_vec();
        let missing = vec![MissingPackage { name: "a".to_owned(), wanted: "a>1".to_owned(), there: None }];
        failure.missing = Some(Box::new(MissingPackages { missing, nearest: None, ran: false }));
        let answer = Answer::Failed { id: JobId::random(), error: &failure, given: Given::default() };
        let answer: Value = serde_json::from_slice(&answer.to_json()).expect("JSON");
        let (error, said) = (&answer["error"], schema("JobError"));
        let all = ["code", "denials", "line", "message", "missing", "nearest", "ran"];
        assert_eq!(keys(error), all.map(str::to_owned).into());
        assert_eq!(keys(&error["missing"][0]), keys(&schema("MissingPackage")["properties"]));
        assert!(keys(error).is_subset(&keys(&said["properties"])), "{said}");
        assert_eq!(said["required"], serde_json::json!(["code", "message"]));
        assert_eq!(keys(&error["denials"][0]), keys(&schema("Denial")["properties"]));
        let layers: Vec<_> = error["denials"].as_array().into_iter().flatten().map(|denial| &denial["layer"]).collect();
        assert_eq!(schema("Layer")["enum"].as_array().map(|names| names.iter().collect()), Some(layers));
        assert_eq!(keys(&schema("Readiness")["properties"]), ["policy", "reload", "status"].map(str::to_owned).into());
        assert_eq!(schema("Readiness")["required"], serde_json::json!(["status", "policy"]));
    }
}
